"""The way to a target: proxies, IPv6, time limits, headers of an event's own."""

import select
import socket

import pytest

from receiver import Receiver, held
from test_tls import certificate

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def insert(db, n=1):
    db.shell("INSERT INTO item(name) VALUES " + ", ".join(["('Ada')"] * n) + ";")


def last(db):
    return db.journal("SELECT d.state, a.class, a.error FROM resthook_deliveries AS d"
                      " JOIN resthook_attempts AS a ON a.delivery_id = d.id")


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_the_environments_proxies_are_not_used(db, receiver, dispatcher, tmp_path, monkeypatch, tls):
    """receiver is the proxy that all of them name."""
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, receiver.url(""))
    pair = certificate(tmp_path, "127.0.0.1")
    with Receiver(certificate=pair if tls else None) as target:
        db.subscribe("*", target.url("/"))
        dispatcher(db, "--ca", pair[0])
        insert(db)
        target.wait_for(1)
    assert receiver.connections == 0


def test_the_operators_proxy_is_used(db, receiver, dispatcher, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    db.subscribe("*", "http://example.test/hook")
    dispatcher(db, "--allow-http", "--proxy", receiver.url(""))
    insert(db)
    (request,) = receiver.wait_for(1)
    assert request.path == "http://example.test/hook" and request.headers["host"] == "example.test"


def tunnel(exchange):
    """What a proxy does with CONNECT."""
    host, _, port = exchange.request.path.rpartition(":")
    with socket.create_connection((host, int(port))) as there:
        exchange.send(b"HTTP/1.1 200 OK\r\nx-inside: 10.0.0.1\r\n\r\n")
        other = {there: exchange.connection, exchange.connection: there}
        while True:
            for ready in select.select(list(other), [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    return False
                other[ready].sendall(data)


def test_https_through_a_proxy(db, receiver, dispatcher, tmp_path, eventually):
    pair = certificate(tmp_path, "127.0.0.1")
    with Receiver(certificate=pair, default=500) as target:
        receiver.script(f"127.0.0.1:{target.port}", tunnel)
        db.subscribe("*", target.url("/"), retry_schedule="0", headers={"Authorization": "Bearer abc"})
        dispatcher(db, "--ca", pair[0], "--proxy", receiver.url(""))
        insert(db)
        target.wait_for(1)
        eventually(lambda: last(db) == [("dead", "status", None)])
        (asked,) = receiver.received()
        assert asked.method == "CONNECT" and "authorization" not in asked.headers
        assert db.journal("SELECT response_headers FROM resthook_attempts") == [("content-length: 0\n",)]


def test_a_proxy_that_does_not_want(db, receiver, dispatcher, eventually):
    receiver.default = lambda exchange: exchange.send(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n")
    db.subscribe("*", "https://example.test/hook", retry_schedule="0")
    dispatcher(db, "--proxy", receiver.url(""))
    insert(db)
    eventually(lambda: last(db) == [("dead", "connect", "connect: not through the proxy")])


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_an_ipv6_literal(db, dispatcher, tmp_path, eventually, tls):
    pair = certificate(tmp_path, "::1")
    with Receiver("::1", certificate=pair if tls else None) as target:
        db.subscribe("*", target.url("/"), retry_schedule="0")
        running = dispatcher(db, "--ca", pair[0], allow=("--allow", "::1"))
        insert(db)
        (request,) = target.wait_for(1)
        assert request.headers["host"] == f"[::1]:{target.port}"
        running.stop()
        dispatcher(db, "--ca", pair[0])  # only 127.0.0.0/8
        insert(db)
        eventually(lambda: ("dead", "refused", "refused: target address is not allowed") in last(db))
        assert len(target.received()) == 1


@pytest.fixture
def full():
    """The address of a port whose queue is full: whoever connects gets no answer at all."""
    opened = [socket.socket()]
    opened[0].bind(("127.0.0.1", 0))
    opened[0].listen(0)
    for _ in range(8):
        opened.append(socket.socket())
        opened[-1].setblocking(False)
        opened[-1].connect_ex(opened[0].getsockname())
    yield "127.0.0.1:%d" % opened[0].getsockname()[1]
    for each in opened:
        each.close()


def test_the_time_to_connect_is_bounded(db, dispatcher, eventually, full):
    db.ext("SELECT resthook_set('connect_timeout', 0.2)")
    db.subscribe("*", f"http://{full}/", retry_schedule="0", timeout=300)
    dispatcher(db)
    insert(db)
    eventually(lambda: last(db) == [("dead", "timeout", "timeout: no connection in time")])


def test_the_time_for_a_handshake_is_bounded(db, dispatcher, eventually):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        db.ext("SELECT resthook_set('connect_timeout', 0.2)")
        db.subscribe("*", "https://127.0.0.1:%d/" % silent.getsockname()[1], retry_schedule="0", timeout=300)
        dispatcher(db)
        insert(db)
        eventually(lambda: last(db) == [("dead", "timeout", "timeout: no TLS handshake in time")])


def test_a_first_answer_that_hangs_holds_no_other_request(db, dispatcher, tmp_path):
    """Of https: whether requests can share a connection is known by the handshake, also where it agrees on nothing."""
    pair = certificate(tmp_path, "127.0.0.1")
    with Receiver(certificate=pair) as target:
        gate = target.gate()
        target.script("/", held(gate))
        db.subscribe("*", target.url("/"), timeout=60)
        dispatcher(db, "--ca", pair[0])
        insert(db, 4)
        target.wait_for(4)
        assert not gate.is_set()


def test_headers_of_an_event(db, receiver, dispatcher, eventually):
    """They are sent in each attempt, to each subscription, and stand before the subscription's own."""
    receiver.script("/a", 500, 200)
    db.subscribe("order.*", receiver.url("/a"), headers={"X-Team": "sub", "X-Other": "o"}, retry_schedule="0,1ms")
    db.subscribe("order.*", receiver.url("/b"), format="cloudevents")
    dispatcher(db)
    db.ext("SELECT resthook_emit('order.paid', '{}', ?)",
           '{"headers": {"x-team": "event", "X-Empty": ""}, "traceparent": "%s"}' % TRACE)
    db.ext("SELECT resthook_emit('order.sent', '{}')")
    receiver.wait_for(3, "/a")
    receiver.wait_for(2, "/b")
    for request in receiver.received():
        own = request.headers["x-event-type"] == "order.paid"
        team = ["event"] if own else ["sub"] if request.path == "/a" else []
        assert request.headers.all("x-team") == team
        assert request.headers.all("traceparent") == ([TRACE] if own else [])
        assert request.headers.all("x-empty") == ([""] if own else [])
        assert request.headers.all("x-other") == (["o"] if request.path == "/a" else [])
        assert ("ce-id" in request.headers) == (request.path == "/b")
    assert db.ext("SELECT * FROM resthook_events WHERE payload LIKE '%event%'") == []


def test_headers_that_can_not_be_sent(db, receiver, dispatcher, eventually):
    """Written by other means than resthook_emit(): the event is dead, with the reason, and never sent without them."""
    db.subscribe("*", receiver.url("/"))
    db.shell("BEGIN; INSERT INTO resthook_outbox(event, payload) VALUES ('a.b', '{}');"
             " INSERT INTO resthook_extra(event, headers, created_at)"
             " SELECT id, '{\"Host\": \"x\"}', created_at FROM resthook_outbox; COMMIT;")
    dispatcher(db)
    eventually(lambda: db.journal("SELECT state, reason FROM resthook_deliveries") == [
        ("dead", "its headers can't be sent: a header of this name is set by resthook alone")])
    assert receiver.received() == []


def test_headers_go_with_their_event(db, receiver, dispatcher, eventually):
    """But not an idempotency key that still names one; that goes when its time is over."""
    db.ext("SELECT resthook_set('keep_events', 0)")
    db.subscribe("a.b", receiver.url("/"))
    for i in range(5):
        db.ext("SELECT resthook_emit('a.b', '{}', ?)", '{"headers": {"x-n": "%d"}}' % i)
    keyed = db.one("SELECT resthook_emit('a.b', '{}', ?)", '{"headers": {"x-n": "5"}, "idempotency_key": "k"}')
    db.ext("SELECT resthook_emit('a.b', '{}')")  # the newest row stays in any case
    running = dispatcher(db)
    requests = receiver.wait_for(7)
    assert sorted(request.headers.get("x-n", "none") for request in requests) == ["0", "1", "2", "3", "4", "5", "none"]
    eventually(lambda: db.shell("SELECT count(*) FROM resthook_outbox") == "1", timeout=30)
    assert db.shell("SELECT event, headers IS NULL, idempotency_key FROM resthook_extra") == f"{keyed}|1|a.b k"
    assert db.one("SELECT resthook_emit('a.b', '{}', ?)", '{"idempotency_key": "k"}') == keyed
    running.stop()
    db.ext("SELECT resthook_set('idempotency_window', 1)")
    db.shell("UPDATE resthook_extra SET created_at = created_at - 2000")
    dispatcher(db)
    eventually(lambda: db.shell("SELECT count(*) FROM resthook_extra") == "0", timeout=30)
