"""HTTP/2 over TLS, with nginx in front of a receiver: another implementation than libcurl's. Skipped where there is none."""

import os
import shutil
import socket
import subprocess
import threading
import time

import pytest

from receiver import Receiver, answer
from test_tls import certificate
from verify import verify

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="there is no nginx here (sh .ci/deps lint)")

CONFIGURATION = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl{http2}; ssl_certificate {chain}; ssl_certificate_key {key};
        location / {{
            proxy_pass {upstream}; proxy_set_header x-protocol $server_protocol; proxy_set_header x-connection $connection;
        }}
    }}
}}
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def listens(process, port):
    """Waits until it does; False: it ended, since somebody else took the port meanwhile."""
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return True
        except ConnectionRefusedError:
            time.sleep(0.01)
    return False


@pytest.fixture
def front(tmp_path, receiver):
    """front(http2=True) starts an nginx before the receiver; returns its URL and its certificate."""
    started = []

    def start(http2=True):
        chain, key = certificate(tmp_path, "127.0.0.1")
        for _ in range(5):
            port = free_port()
            (tmp_path / "nginx.conf").write_text(CONFIGURATION.format(
                folder=tmp_path, port=port, http2=" http2" if http2 else "", chain=chain, key=key,
                upstream=receiver.url("").rstrip("/")))
            started.append(subprocess.Popen(["setpriv", "--pdeathsig", "KILL", NGINX, "-c", tmp_path / "nginx.conf",
                                             "-p", tmp_path], stderr=subprocess.DEVNULL,
                                            env={**os.environ, "LD_PRELOAD": ""}))
            if listens(started[-1], port):
                return f"https://127.0.0.1:{port}/", chain
        raise AssertionError((tmp_path / "error.log").read_text())

    yield start
    for process in started:
        process.kill()
        process.wait()


def insert(db, n):
    db.shell("INSERT INTO item(name) VALUES " + ", ".join(["('Ada')"] * n) + ";")


@pytest.mark.parametrize("http2, protocol", [(True, "HTTP/2.0"), (False, "HTTP/1.1")])
def test_https_speaks_what_the_target_does(db, receiver, dispatcher, front, eventually, http2, protocol):
    url, chain = front(http2)
    _, secret = db.subscribe("*", url)
    running = dispatcher(db, "--ca", chain)
    for i in range(1, 6):
        insert(db, 1)
        receiver.wait_for(i)
        eventually(lambda: db.journal("SELECT count(*) FROM resthook_deliveries WHERE state = 'delivered'") == [(i,)])
    assert len({request.headers["x-connection"] for request in receiver.received()}) == 1
    insert(db, 200)
    requests = receiver.wait_for(205)
    assert {request.headers["x-protocol"] for request in requests} == {protocol}
    assert len({request.id for request in requests}) == 205
    for request in requests[:5]:
        verify(secret, request.headers, request.body)
    assert running.stop() == 0
    assert db.journal("SELECT state, attempts, count(*) FROM resthook_deliveries GROUP BY 1, 2") == [("delivered", 1, 205)]


def test_its_answers_are_answers(db, receiver, dispatcher, front, eventually):
    receiver.script("/", answer(503, b"later", headers=[("retry-after", "1"), ("set-cookie", "a=secret")]), 410)
    url, chain = front()
    db.subscribe("*", url, retry_schedule="0,1ms,1ms")
    dispatcher(db, "--ca", chain)
    insert(db, 1)
    eventually(lambda: db.journal("SELECT state, attempts, reason FROM resthook_deliveries")
               == [("dead", 2, "gone: 410 from target")])
    first, second = receiver.received()
    assert second.arrived - first.arrived >= 0.9 and {first.headers["x-protocol"], second.headers["x-protocol"]} == {"HTTP/2.0"}
    ((status, kind, tls, headers),) = db.journal(
        "SELECT status, class, tls_ms, response_headers FROM resthook_attempts WHERE attempt = 1")
    assert (status, kind) == (503, "status") and tls > 0
    assert "retry-after: 1\n" in headers and "set-cookie: (left out)\n" in headers and "secret" not in headers


def test_an_address_that_is_not_allowed(db, receiver, dispatcher, front, eventually):
    url, chain = front()
    db.subscribe("*", url, retry_schedule="0")
    dispatcher(db, "--ca", chain, allow=())
    insert(db, 1)
    eventually(lambda: db.journal("SELECT last_error FROM resthook_deliveries WHERE state = 'dead'")
               == [("refused: target address is not allowed",)])
    assert receiver.received() == []


class Way:
    """Forwards connections to a port, until it is told to freeze those that are open: they stay, and nothing moves."""

    def __init__(self, port):
        self.port = port
        self.frozen = set()
        self.open = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "https://127.0.0.1:%d/" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.port))
            self.open.append(near)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self.forward, args=(near, one, other), daemon=True).start()

    def forward(self, name, one, other):
        try:
            while data := one.recv(65536):
                if name not in self.frozen:
                    other.sendall(data)
        except OSError:
            pass

    def freeze(self):
        self.frozen = set(self.open)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        for each in self.open:
            each.shutdown(socket.SHUT_RDWR)


def test_a_connection_that_went_dead_is_not_used_again(db, receiver, dispatcher, front, eventually):
    """libcurl keeps an HTTP/2 connection whose request timed out: it might carry others."""
    url, chain = front()
    way = Way(int(url.rstrip("/").rpartition(":")[2]))
    db.subscribe("*", way.url, timeout=0.5, retry_schedule="0,1ms,1ms")
    dispatcher(db, "--ca", chain)
    insert(db, 1)
    eventually(lambda: db.journal("SELECT state FROM resthook_deliveries") == [("delivered",)])
    way.freeze()
    insert(db, 1)
    eventually(lambda: db.journal("SELECT state, attempts FROM resthook_deliveries ORDER BY event_id")
               == [("delivered", 1), ("delivered", 2)])
    assert len(way.open) == 2
    assert db.journal("SELECT class, error FROM resthook_attempts WHERE class IS NOT NULL") == [
        ("timeout", "timeout: no answer in time")]
    way.close()
