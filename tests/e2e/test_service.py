"""As a service: what a service manager hears, and what the unit that make install puts there lets the dispatcher do."""

import os
import re
import shutil
import socket
import subprocess

import pytest

from conftest import BUILD, LOOPBACK, RESTHOOKD, ROOT, own_environment, resthookd
from receiver import hang

README = ROOT / "README.md"


class Manager:
    """A service manager's end of NOTIFY_SOCKET: a datagram socket, abstract or with a name in a folder."""

    def __init__(self, name):
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self.socket.settimeout(30)
        self.heard = []

    def environment(self, **more):
        return {"NOTIFY_SOCKET": self.name, **more}

    def hear(self, pattern):
        """Waits for the next datagram that matches, and returns it; what comes before it is kept in heard."""
        while True:
            said = self.socket.recv(4096).decode()
            self.heard.append(said)
            if re.fullmatch(pattern, said):
                return said

    def drain(self):
        """Takes what has come already."""
        self.socket.setblocking(False)
        try:
            while True:
                self.heard.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            pass
        finally:
            self.socket.settimeout(30)


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    name = str(tmp_path / "notify") if request.param == "path" else f"@resthook-test-{os.getpid()}"
    listening = Manager(name)
    yield listening
    listening.socket.close()


def test_it_is_ready_when_the_databases_are_open(db, dispatcher, manager):
    running = dispatcher(db, env=manager.environment(), ready=False)
    manager.hear("READY=1")
    assert (db.meta("started_at") or 0) > 0, "it was said before the database was open"
    assert manager.heard == ["STATUS=1 databases, 0 of them asleep, 0 held or not open; 0 delivered", "READY=1"]
    assert running.stop() == 0
    manager.hear("STOPPING=1")
    manager.drain()
    assert manager.heard.count("STOPPING=1") == 1 and "WATCHDOG=1" not in manager.heard


def test_what_is_never_open_is_never_ready(db, manager, tmp_path):
    manager_env = {**own_environment(), **manager.environment()}
    for arguments in ([tmp_path / "none.db"], ["--nonsense", db.path]):
        done = subprocess.run([RESTHOOKD, *map(str, arguments)], env=manager_env, capture_output=True, timeout=60)
        assert done.returncode in (64, 66)
    manager.drain()
    assert manager.heard == []


def test_who_stands_by_is_ready(db, dispatcher, manager):
    """Else the manager would give up on it."""
    dispatcher(db)
    running = dispatcher(db, "--standby", env=manager.environment(), ready=False)
    manager.hear("READY=1")
    running.wait_log("another resthookd delivers")
    assert "STATUS=1 databases, 0 of them asleep, 1 held or not open; 0 delivered" in manager.heard


def test_signs_of_life(db, receiver, dispatcher, manager):
    """They come while nothing is to be done, while requests are out, and until the end."""
    receiver.script("/", hang())
    db.subscribe("*", receiver.url("/"), timeout=60)
    running = dispatcher(db, env=manager.environment(WATCHDOG_USEC="100000"), ready=False)
    for _ in range(3):
        manager.hear("WATCHDOG=1")
    db.shell("INSERT INTO item(name) VALUES ('a');")
    receiver.wait_for(1)
    for _ in range(3):
        manager.hear("WATCHDOG=1")
    running.process.terminate()
    manager.hear("STOPPING=1")
    for _ in range(3):
        manager.hear("WATCHDOG=1")  # one is in flight still
    running.process.terminate()
    running.wait()


@pytest.fixture
def full_pipe():
    """Both ends of a pipe that takes nothing more until it is read."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writing, b"\n" * 512)
    os.set_blocking(writing, True)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_a_loop_that_is_stuck_gives_none(db, receiver, manager, full_pipe):
    """In the write of a log line that nobody reads, say. The process lives, and only the watchdog can tell."""
    receiver.script("/", 410)
    db.subscribe("*", receiver.url("/"))
    env = {**own_environment(), **manager.environment(WATCHDOG_USEC="100000")}
    running = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", RESTHOOKD, "--log-level", "warn", *LOOPBACK, db.path],
                               stderr=full_pipe[1], env=env)
    try:
        manager.hear("WATCHDOG=1")
        db.shell("INSERT INTO item(name) VALUES ('a');")
        receiver.wait_for(1)  # whose end is worth a line
        manager.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            while True:
                manager.hear("WATCHDOG=1")
        assert running.poll() is None
        os.read(full_pipe[0], 1 << 20)
        manager.socket.settimeout(30)
        manager.hear("WATCHDOG=1")
    finally:
        running.kill()
        running.wait()


@pytest.mark.parametrize("pid, watched", [("own", True), ("1", False)])
def test_a_watchdog_may_be_another_process(db, dispatcher, manager, pid, watched):
    """WATCHDOG_PID says whose it is."""
    command = ("sh", "-c", 'test "$WATCHDOG_PID" = 1 || export WATCHDOG_PID=$$; exec "$@"', "sh", RESTHOOKD)
    running = dispatcher(db, env=manager.environment(WATCHDOG_USEC="100000", WATCHDOG_PID=pid), ready=False, command=command)
    manager.hear("READY=1")
    if watched:
        manager.hear("WATCHDOG=1")
    assert running.stop() == 0
    manager.hear("STOPPING=1")
    assert ("WATCHDOG=1" in manager.heard) == watched


@pytest.mark.parametrize("env", [
    {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "@"}, {"NOTIFY_SOCKET": "relative"}, {"NOTIFY_SOCKET": "vsock:2:1234"},
    {"NOTIFY_SOCKET": "/" + "n" * 200}, {"NOTIFY_SOCKET": "/nowhere/at/all"}, {"WATCHDOG_USEC": "100000"},
    {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1"}, {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "-1"},
    {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "soon"},
], ids=str)
def test_a_manager_that_is_not_there_harms_nobody(db, receiver, dispatcher, env):
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db, env=env)
    db.shell("INSERT INTO item(name) VALUES ('a');")
    receiver.wait_for(1)
    assert running.stop() == 0


# The unit.

@pytest.fixture(scope="module")
def unit(tmp_path_factory):
    """The unit as make install writes it."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(["make", "-s", "-o", "all", f"BUILD={BUILD}", f"DESTDIR={folder}", "prefix=/usr", "install"], cwd=ROOT,
                   check=True, env={**os.environ, "MAKEFLAGS": ""})
    return folder / "usr/lib/systemd/system/resthookd@.service"


def value(unit, name):
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)


def test_the_unit_starts_what_is_installed(unit):
    assert value(unit, "ExecStart") == ["/usr/bin/resthookd $RESTHOOKD_OPTIONS"]
    assert value(unit, "Type") == ["notify"] and "@" not in "".join(value(unit, "Documentation") + value(unit, "ExecStart"))
    told = set(value(unit, "RestartPreventExitStatus")[0].split())
    assert told == {"64", "65", "66", "69"}, "what another start would end with again"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd-analyze here; sh .ci/deps lint installs it")
def test_the_unit_is_understood(unit, tmp_path):
    """No line of it is unknown or out of place, and its exposure is what README.md says."""
    text = unit.read_text().replace("ExecStart=/usr/bin/resthookd", f"ExecStart={RESTHOOKD.resolve()}")
    instance = tmp_path / "resthookd@root.service"
    instance.write_text(text)
    env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    said = subprocess.run(["systemd-analyze", "verify", "--man=no", instance], capture_output=True, text=True, env=env)
    about = [line for line in (said.stdout + said.stderr).splitlines() if "resthookd@" in line]
    assert about == []
    instance.rename(tmp_path / "resthookd@shop.service")
    said = subprocess.run(["systemd-analyze", "security", "--offline=true", tmp_path / "resthookd@shop.service"],
                          capture_output=True, text=True, env=env)
    exposure = re.search(r"Overall exposure level for resthookd@shop.service: ([\d.]+)", said.stdout + said.stderr)[1]
    documented = re.search(r"`systemd-analyze security` gives it ([\d.]+)", README.read_text())[1]
    version = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, env=env).stdout.split()[1]
    assert exposure == documented if version == "252" else float(exposure) <= float(documented) + 0.5


def allowed_calls(lines, env):
    """The system calls that SystemCallFilter= lines leave, by systemd's own lists."""
    def expand(name):
        if not name.startswith("@"):
            return {name}
        said = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True,
                              env=env).stdout.splitlines()
        inner = [word.strip() for word in said[1:] if word.strip() and not word.strip().startswith("#")]
        return set().union(*map(expand, inner)) if inner else set()

    allowed = expand("@default")
    for line in lines:
        for name in line.lstrip("~").split():
            allowed = allowed - expand(name) if line.startswith("~") else allowed | expand(name)
    return allowed


@pytest.mark.skipif(not (shutil.which("systemd-analyze") and shutil.which("strace")),
                    reason="there is no systemd-analyze or no strace here; sh .ci/deps lint installs them")
@pytest.mark.skipif(BUILD.name == "san", reason="the sanitizers make calls of their own")
def test_the_unit_lets_it_call_what_it_calls(db, receiver, unit, tmp_path_factory):
    env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    allowed = allowed_calls(value(unit, "SystemCallFilter"), env)
    assert {"openat", "socket", "fchown"} < allowed and not {"ptrace", "mount", "bpf", "setuid", "reboot"} & allowed
    for number, target in enumerate((receiver.url("/"), receiver.url("/").replace("127.0.0.1", "localhost"),
                                     "https://localhost:9/")):
        db.subscribe("*", target, retry_schedule="0")
    db.shell("INSERT INTO item(name) VALUES ('a');")
    trace = tmp_path_factory.mktemp("elsewhere") / "trace"  # beside the database each line of it would be a hint
    done = resthookd("--once", "--allow", "127.0.0.0/8", "--allow", "::1", db.path,
                     command=("strace", "-f", "-qq", "-o", trace, RESTHOOKD))
    assert done.returncode == 1 and len(receiver.received()) == 2, done.stderr  # nobody listens at the last one
    called = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
    # Before it is itself, and what the unit's other lines do for it (LimitNOFILE=, NoNewPrivileges= and an empty set).
    assert {"execve", "fcntl", "sendto"} < called
    assert called - allowed <= {"capset", "setrlimit"}, called - allowed
