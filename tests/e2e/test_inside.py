"""What is inside stays inside: private addresses that are really there, in a network of the tests' own, whose names a
name server of the tests' own knows.

Its one interface has public addresses too, where the same receivers listen: what is reached is reached, and what is not
was refused.
"""

import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import threading

import pytest

from conftest import RESTHOOKD
from receiver import Receiver, answer, redirect

PUBLIC = ["203.0.114.1", "2a00:1450::1"]
PRIVATE = [
    "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.100.100.200", "169.254.169.254", "168.63.129.16", "192.0.0.192",
    "198.18.0.1", "192.88.99.2",
    "fd00:ec2::254", "fc00::1", "64:ff9b::a01:203", "64:ff9b:1::a01:203", "2002:a01:203::1", "2001::a01:203",
    "2001:db8::1", "2620:4f:8000::1", "3fff::1", "5f00::1", "100::1", "2a00:1450::5efe:a01:203",
]
SPELLED = [  # addresses of these in other words
    "127.0.0.1", "127.1", "0.0.0.0", "0", "167838211", "0x0a010203", "012.1.2.3", "10.66051", "0xa.0x1.0x203", "2852039166",
    "[::1]", "[::]", "[::ffff:10.1.2.3]", "[::ffff:a01:203]", "[::10.1.2.3]",
]
HOSTS = """127.0.0.1 localhost named
::1 ip6-localhost ip6-loopback
169.254.169.254 metadata.internal instance-data
fd00:ec2::254 six.internal
"""
NAMES = ["localhost", "localhost.", "foo.localhost", "LocalHost", "named", "ip6-localhost", "ip6-loopback",
         "metadata.internal", "Instance-Data", "six.internal",
         "private.test", "PRIVATE.test.", "six.test", "mapped.test", "nat64.test", "loopback.test", "any.test", "all.test"]
ZONE = {
    "public.test": PUBLIC,
    "private.test": ["10.1.2.3"],
    "six.test": ["fd00:ec2::254"],
    "mapped.test": ["::ffff:10.1.2.3"],
    "nat64.test": ["64:ff9b::a01:203"],
    "localhost": ["127.0.0.1", "::1"],  # to whoever asks for it with a dot at its end
    "loopback.test": ["127.0.0.1", "::1"],
    "any.test": ["0.0.0.0", "::"],
    "all.test": ["10.1.2.3", "172.16.0.1", "192.168.1.1", "fd00:ec2::254", "fc00::1"],
    "mixed.test": ["10.1.2.3", "203.0.114.1"],
    "six-inside.test": ["fd00:ec2::254", "203.0.114.1"],
    "four-inside.test": ["10.1.2.3", "2a00:1450::1"],
}
DEAD = {"private": ("dead", "refused", "refused: target address is not allowed"),
        "nowhere": ("dead", "dns", "dns: the name has no address that is allowed")}


class NameServer:
    """Answers for what is in zone: a list of addresses, or an iterator over such lists, one a question for an A."""

    def __init__(self, zone):
        self.zone = zone
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def close(self):
        with contextlib.suppress(OSError):  # it says "not connected", and wakes recvfrom() all the same
            self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                question, whose = self.socket.recvfrom(4096)
                if not question:
                    return
                self.socket.sendto(self.answer(question), whose)

    def answer(self, question):
        at, labels = 12, []
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode())
            at += 1 + question[at]
        kind = struct.unpack(">H", question[at + 1 : at + 3])[0]
        known = self.zone.get(".".join(labels).lower())
        if hasattr(known, "__next__"):
            known = next(known) if kind == 1 else []
        family = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
        records = b""
        count = 0
        for address in known or []:
            if (":" in address) == (family == socket.AF_INET6) and family:
                data = socket.inet_pton(family, address)
                records += struct.pack(">HHHIH", 0xC00C, kind, 1, 0, len(data)) + data
                count += 1
        flags = 0x8180 if known is not None else 0x8183  # no such name
        return question[:2] + struct.pack(">HHHHH", flags, 1, count, 0, 0) + question[12 : at + 5] + records


class Network:
    """The network, and the files that a process in it sees."""

    def __init__(self, folder):
        for name, text in (("hosts", HOSTS), ("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1\n"),
                           ("nsswitch.conf", "hosts: files dns\n")):
            (folder / name).write_text(text)
        setup = ["ip link set lo up"]
        setup += [f"ip address add {address}/128 dev lo nodad" if ":" in address else f"ip address add {address}/32 dev lo"
                  for address in PUBLIC + PRIVATE]
        setup += [f"mount --bind {folder / name} /etc/{name}" for name in ("hosts", "resolv.conf", "nsswitch.conf")]
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "sh", "-ec",
             "\n".join([*setup, "echo ready", "exec cat"])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said = self.process.stdout.readline().strip()
        if said != "ready":
            self.close()
            pytest.skip(f"no network of its own is permitted here: {said}")
        self.command = ["nsenter", f"--target={self.process.pid}", "--net", "--mount", RESTHOOKD]

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.kill()
        self.process.wait()

    @contextlib.contextmanager
    def entered(self):
        """In this thread, and those it starts: sockets that are made belong to the network."""
        libc = ctypes.CDLL(None, use_errno=True)
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(f"/proc/{self.process.pid}/ns/net", os.O_RDONLY)
        try:
            if libc.setns(there, 0) != 0:
                pytest.skip(f"entering another network is not permitted here: {os.strerror(ctypes.get_errno())}")
            yield
        finally:
            libc.setns(here, 0)
            os.close(here)
            os.close(there)


class Inside:
    """Everything there: receivers on all its addresses at two ports, the name server, and what was reached."""

    PORTS = (80, 9200)

    def __init__(self, network):
        self.network = network
        self.reached = []  # (address, path)
        self.zone = dict(ZONE)
        self.answers = {}  # by path
        with network.entered():
            self.receivers = [Receiver(host, port, default=self.note) for host in ("0.0.0.0", "::") for port in self.PORTS]
            self.names = NameServer(self.zone)

    def note(self, exchange):
        self.reached.append((exchange.connection.getsockname()[0], exchange.request.path))
        return self.answers.get(exchange.request.path, answer(200, close=True))(exchange)

    def connections(self):
        return sum(receiver.connections for receiver in self.receivers)

    def close(self):
        self.names.close()
        for receiver in self.receivers:
            receiver.close()


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("a network of its own needs root")
    made = Network(tmp_path_factory.mktemp("network"))
    yield made
    made.close()


@pytest.fixture
def inside(network):
    made = Inside(network)
    yield made
    made.close()


@pytest.fixture
def deliver(db, dispatcher, inside, eventually):
    """deliver(targets): what became of an event that each of them was sent, once, by a dispatcher that was only now
    started: (state, class, error) by target."""

    def run(targets, *options):
        db.shell("DELETE FROM resthook_subscription")
        for target in targets:
            db.subscribe("item.create", target, retry_schedule="0")
        running = dispatcher(db, *options, allow=(), command=inside.network.command)
        event = int(db.shell("INSERT INTO item(name) VALUES ('Ada'); SELECT max(id) FROM resthook_outbox;"))

        def rows():
            return db.ext("SELECT d.target, d.state, a.class, a.error FROM resthook_deliveries AS d LEFT JOIN"
                          " resthook_attempts AS a ON a.delivery_id = d.id WHERE d.event_id = ? AND d.state IN"
                          " ('delivered', 'dead')", event)

        eventually(lambda: len(rows()) == len(targets), timeout=30)
        running.stop()
        return {target: tuple(rest) for target, *rest in rows()}

    return run


def url(host, path="/", port=80):
    return f"http://{host}{'' if port == 80 else f':{port}'}{path}"


def bracketed(address):
    return f"[{address}]" if ":" in address else address


@pytest.mark.parametrize("port", Inside.PORTS)
def test_no_private_address_is_reached(deliver, inside, port):
    targets = {url(host, f"/{i}", port): "public" for i, host in enumerate([*map(bracketed, PUBLIC), "public.test"])}
    targets |= {url(host, "/private", port): "private" for host in [*map(bracketed, PRIVATE), *SPELLED]}
    targets |= {url(host, "/named", port): "nowhere" for host in [*NAMES, "127.0.0.1.", "nowhere.test"]}
    got = deliver(targets, "--allow-http")
    assert {target: got[target] for target, kind in targets.items() if kind != "public"} == {
        target: DEAD[kind] for target, kind in targets.items() if kind != "public"}
    assert {got[target][0] for target, kind in targets.items() if kind == "public"} == {"delivered"}
    assert sorted(path for _, path in inside.reached) == ["/0", "/1", "/2"]
    assert {address for address, _ in inside.reached} <= set(PUBLIC)
    assert inside.connections() == 3, "and nobody knocked"


def test_the_receivers_are_there(deliver, inside):
    """With leave, all of these are reached: nothing but the guard kept them."""
    targets = [url(host, f"/{i}") for i, host in enumerate([*map(bracketed, PRIVATE), *SPELLED, *NAMES])]
    got = deliver(targets, "--allow-http", "--allow", "0.0.0.0/0", "--allow", "::/0")
    unreached = {target for target, row in got.items() if row[0] != "delivered"}
    assert unreached == {url("[::10.1.2.3]", f"/{len(PRIVATE) + SPELLED.index('[::10.1.2.3]')}")}, "which nobody has"
    assert len(inside.reached) == len(targets) - 1


def test_a_name_of_both_leads_to_the_public_address_alone(deliver, inside):
    targets = [url(name) for name in ("mixed.test", "six-inside.test", "four-inside.test")]
    got = deliver(targets, "--allow-http")
    assert {row[0] for row in got.values()} == {"delivered"}
    assert {address for address, _ in inside.reached} <= set(PUBLIC) and inside.connections() == 3


def test_a_name_that_is_bound_anew(deliver, inside):
    """Public when it is asked for first, private then, and the other way round: what counts is where it is connected to."""
    def turning(*turns):
        for turn in turns:
            yield [turn]

    for i in range(8):
        turns = [PUBLIC[0], "10.1.2.3", "127.0.0.1", "169.254.169.254", PUBLIC[0]] * 8
        inside.zone[f"turn{i}.test"] = turning(*turns[i % 5 :])
    targets = [url(f"turn{i}.test", f"/{i}") for i in range(8)]
    for _ in range(4):  # each dispatcher asks anew
        del inside.reached[:]
        got = deliver(targets, "--allow-http")
        delivered = sorted(target for target, row in got.items() if row[0] == "delivered")
        assert sorted(url(f"turn{path[1:]}.test", path) for _, path in inside.reached) == delivered
        assert {address for address, _ in inside.reached} <= {PUBLIC[0]}
        assert {got[target] for target in got if target not in delivered} <= {DEAD["nowhere"]}
        assert 0 < len(delivered) < len(targets)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_the_inside_goes_nowhere(deliver, inside, status):
    places = [url("10.1.2.3"), url("169.254.169.254", "/latest/meta-data/"), url("localhost", port=9200), "//127.0.0.1/",
              url("private.test"), "file:///etc/passwd", "gopher://127.0.0.1:80/_x"]
    inside.answers = {f"/{i}": redirect(place, status) for i, place in enumerate(places)}
    got = deliver([url(PUBLIC[0], f"/{i}") for i in range(len(places))], "--allow-http")
    assert set(got.values()) == {("dead", "status", None)}
    assert sorted(inside.reached) == sorted((PUBLIC[0], f"/{i}") for i in range(len(places)))


def test_nothing_that_is_shown_tells_what_is_there(db, deliver, inside):
    """A port that is open, one that is closed, an address that nobody has, a name that somebody knows: all look alike."""
    hosts = {"literal": ["10.1.2.3", "10.1.2.3:81", "10.9.9.9", "169.254.169.254", "169.254.169.254:22", "[fd00:ec2::254]",
                         "[fd00:ec2::1]:9200", "127.0.0.1:9200", "127.0.0.1:1"],
             "name": ["private.test", "private.test:81", "nowhere.test", "metadata.internal", "no.internal", "localhost",
                      "localhost:81", "six.internal", "all.test"]}
    targets = {f"https://{host}/{kind}": kind for kind in hosts for host in hosts[kind]}
    db.subscribe("resthook.delivery.dead", url(PUBLIC[0], "/notices"))
    deliver(targets)
    rows = {"literal": set(), "name": set()}
    timed = "duration_ms", "started_at", "finished_at", "delivered_at", "created_at", "next_attempt_at"
    own = "id", "delivery_id", "subscription_id", "event_id", "target"
    for view in ("resthook_deliveries", "resthook_attempts"):
        names = [row[1] for row in db.ext(f"PRAGMA table_info({view})")]
        chosen = ", ".join(f"x.{name}" for name in names if name not in timed + own)
        for target, *values in db.ext(f"SELECT d.target, {chosen} FROM {view} AS x JOIN resthook_deliveries AS d ON d.id ="
                                      f" x.{'id' if 'id' in names else 'delivery_id'} WHERE d.event = 'item.create'"):
            rows[targets[target]].add((view, tuple(values)))
    assert all(len(each) == 2 for each in rows.values()), rows
    assert inside.connections() == 0
    for kind in rows:
        assert not any(word in str(rows[kind]) for word in ("10.", "169.", "fd00", "127.", "test", "internal", "localhost", "80"))
