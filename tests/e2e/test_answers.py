"""What an answer, or none, does to a delivery and to its subscription (design 3.3)."""

import json
import socket
import threading

import pytest

from receiver import Receiver, answer, drip, endless, hang, held, huge, raw, redirect, reset, retry_after
from test_tls import certificate

SHORT = "0,100ms,100ms"  # three attempts within half a second


def insert(db, n=1):
    db.shell("INSERT INTO item(name) VALUES " + ", ".join(["('Ada')"] * n) + ";")


def delivery(db, columns, subscription):
    return db.journal(f"SELECT {columns} FROM resthook_deliveries WHERE subscription_id = ?", subscription)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_delivers(db, receiver, dispatcher, status):
    receiver.script("/", status)
    subscription, _ = db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    insert(db)
    receiver.wait_for(1)
    assert running.stop() == 0
    assert delivery(db, "state, attempts, last_status", subscription) == [("delivered", 1, status)]


@pytest.mark.parametrize("what", [400, 404, 500, 503, 304, raw(b"no http at all\r\n\r\n"), raw(b""), reset(),
                                  raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")],
                         ids=["400", "404", "500", "503", "304", "garbage", "closed", "reset", "cut off"])
def test_anything_else_is_tried_again(db, receiver, dispatcher, what):
    receiver.script("/", what, what, 200)
    subscription, _ = db.subscribe("*", receiver.url("/"), retry_schedule=SHORT)
    running = dispatcher(db)
    insert(db)
    requests = receiver.wait_for(3)
    assert running.stop() == 0
    assert len({(request.id, request.body) for request in requests}) == 1
    assert delivery(db, "state, attempts, last_status", subscription) == [("delivered", 3, 200)]
    attempts = db.journal("SELECT attempt, status, error FROM resthook_attempts ORDER BY attempt")
    assert [row[0] for row in attempts] == [1, 2, 3] and attempts[2][1] == 200
    assert all(status not in (None, 0) or error for _, status, error in attempts)


def test_the_schedule_ends_in_dead_with_a_reason(db, receiver, dispatcher, eventually):
    receiver.script("/", 500)
    subscription, _ = db.subscribe("*", receiver.url("/"), retry_schedule=SHORT)
    running = dispatcher(db)
    insert(db)
    receiver.wait_for(3)
    eventually(lambda: delivery(db, "state", subscription) == [("dead",)])
    running.stop()
    ((reason, attempts, status, due),) = delivery(db, "reason, attempts, last_status, next_attempt_at", subscription)
    assert reason and (attempts, status, due) == (3, 500, None)
    assert len(receiver.received()) == 3


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(db, receiver, dispatcher, status):
    receiver.script("/", retry_after(status, 1), 200)
    db.subscribe("*", receiver.url("/"), retry_schedule="0,1ms,1ms")
    dispatcher(db)
    insert(db)
    first, second = receiver.wait_for(2)
    assert second.arrived - first.arrived >= 0.9


def test_410_ends_the_subscription(db, receiver, dispatcher, eventually):
    receiver.script("/gone", 410)
    subscription, _ = db.subscribe("*", receiver.url("/gone"))
    db.subscribe("*", receiver.url("/other"))
    running = dispatcher(db)
    insert(db)
    receiver.wait_for(2)
    eventually(lambda: db.ext("SELECT status, reason FROM resthook_subscriptions WHERE id = ?", subscription)
               == [("ended", "gone: 410 from target")], timeout=30)
    insert(db, 3)
    receiver.wait_for(4, "/other")
    running.stop()
    assert len(receiver.received("/gone")) == 1
    assert not delivery(db, "1", subscription) or {
        row[0] for row in delivery(db, "state", subscription)} <= {"dead", "cancelled"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(db, receiver, dispatcher, eventually, status):
    receiver.script("/", redirect(receiver.url("/elsewhere"), status))
    subscription, _ = db.subscribe("*", receiver.url("/"), retry_schedule="0,1ms")
    dispatcher(db)
    insert(db)
    eventually(lambda: delivery(db, "state, last_status", subscription) == [("dead", status)])
    assert {request.path for request in receiver.received()} == {"/"}


@pytest.mark.parametrize("what", [huge(50_000_000), endless(), drip(b"slow", gap=0.02), drip(gap=0.002),
                                  answer(200, b"\xff\x00\xfe" * 1000), answer(200, close=True)],
                         ids=["huge", "endless", "slow body", "slow head", "not text", "close"])
def test_a_200_delivers_whatever_the_body_is(db, receiver, dispatcher, eventually, what):
    receiver.script("/", what)
    subscription, _ = db.subscribe("*", receiver.url("/"), timeout=5)
    running = dispatcher(db)
    insert(db, 2)
    receiver.wait_for(2, timeout=20)
    eventually(lambda: delivery(db, "state, attempts", subscription) == [("delivered", 1)] * 2)
    assert running.stop() == 0
    for (response,) in db.journal("SELECT response FROM resthook_attempts"):
        assert len(response or "") < 70_000


def test_a_hung_target_holds_nobody(db, receiver, dispatcher):
    """While every request to one target hangs, another gets 300 events; then the hung one gets its own."""
    with Receiver() as hung:
        gate = hung.gate()
        hung.script("/", held(gate))
        db.subscribe("*", hung.url("/"), timeout=60)
        db.subscribe("*", receiver.url("/"))
        running = dispatcher(db)
        insert(db, 300)
        hung.wait_for(1)
        receiver.wait_for(300)
        insert(db, 10)
        receiver.wait_for(310)
        assert not gate.is_set() and len(hung.received()) < 300
        gate.open()
        hung.wait_for(310, timeout=30)
        assert running.stop() == 0
    assert db.journal("SELECT state, count(*) FROM resthook_deliveries GROUP BY 1") == [("delivered", 620)]


def flood(db, count):
    """Events for one target, more than the dispatcher reads ahead."""
    db.shell("INSERT INTO resthook_outbox(event, payload) WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE "
             f"i < {count}) SELECT 'flood', '{{}}' FROM n;")


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_what_stands_behind_a_hung_targets_backlog_arrives(db, receiver, dispatcher, mode):
    """An event that an idle subscription wants, and one for a subscription alone that is made later."""
    db.shell(f"PRAGMA journal_mode={mode};")
    with Receiver() as hung:
        gate = hung.gate()
        hung.script("/", held(gate))
        db.subscribe("flood", hung.url("/"), timeout=60)
        db.subscribe("late", receiver.url("/late"))
        flood(db, 6000)
        running = dispatcher(db)
        hung.wait_for(1)
        db.ext("SELECT resthook_emit('late', '{}')")
        receiver.wait_for(1)
        flood(db, 6000)
        alone, _ = db.subscribe("nothing", receiver.url("/alone"))
        db.ext("SELECT resthook_ping(?)", alone)
        receiver.wait_for(2)
        assert not gate.is_set() and [request.path for request in receiver.received()] == ["/late", "/alone"]
        gate.open()
        running.kill()


def test_a_backlog_is_no_rows_for_the_sake_of_who_wants_none_of_it(db, receiver, dispatcher):
    with Receiver() as busy:
        gate = busy.gate()
        busy.script("/", held(gate))
        db.subscribe("flood", busy.url("/"), timeout=60)
        db.subscribe("other", receiver.url("/"))
        flood(db, 6000)
        running = dispatcher(db, "--log-level", "debug")
        busy.wait_for(4)
        gate.open()
        busy.wait_for(6000, timeout=60)
        assert running.stop() == 0
    assert "made way" not in running.text()


def test_a_target_that_never_answers_is_a_timeout(db, receiver, dispatcher, eventually):
    receiver.script("/", hang(), 200)
    subscription, _ = db.subscribe("*", receiver.url("/"), timeout=0.2, retry_schedule=SHORT)
    dispatcher(db)
    insert(db)
    receiver.wait_for(2)
    eventually(lambda: delivery(db, "state, attempts", subscription) == [("delivered", 2)])
    assert db.journal("SELECT class, error FROM resthook_attempts WHERE attempt = 1") == [
        ("timeout", "timeout: no answer in time")]


def test_statuses_that_are_tried_again(db, receiver, dispatcher, eventually):
    """retry_statuses: others are dead at once; what had no status is always tried again."""
    told = {"/listed": [503, 404], "/not": [400], "/none": [reset(), 500, 200], "/gone": [410], "/all": [400, 200]}
    named = {}
    for path, answers in told.items():
        receiver.script(path, *answers)
        named[path], _ = db.subscribe("*", receiver.url(path), retry_schedule=SHORT,
                                      retry_statuses=None if path == "/all" else "408, 5xx")
    dispatcher(db)
    insert(db)

    def rows():
        return {path: delivery(db, "state, attempts, reason", named[path])[0] for path in told
                if delivery(db, "1", named[path])}

    eventually(lambda: rows() == {
        "/listed": ("dead", 2, "404 is not in retry_statuses"), "/not": ("dead", 1, "400 is not in retry_statuses"),
        "/none": ("delivered", 3, None), "/gone": ("dead", 1, "gone: 410 from target"), "/all": ("delivered", 2, None)})


def test_what_is_remembered_of_an_attempt(db, receiver, dispatcher, eventually):
    receiver.script("/", answer(503, b"busy", headers=[("X-Why", "tests"), ("Set-Cookie", "session=secret; Path=/")]), 200)
    db.subscribe("*", receiver.url("/"), retry_schedule=SHORT)
    running = dispatcher(db)
    insert(db)
    receiver.wait_for(2)
    running.stop()
    first, second = db.ext("SELECT status, error, class, response, response_headers, dns_ms, connect_ms, tls_ms,"
                           " first_byte_ms FROM resthook_attempts ORDER BY attempt")
    assert first[:5] == (503, None, "status", "busy", "X-Why: tests\nSet-Cookie: (left out)\ncontent-length: 4\n")
    assert 0 < first[5] <= first[6] <= first[8] and first[7] is None
    assert second[:8] == (200, None, None, None, None, None, None, None), "on the same connection, and well"
    assert second[8] > 0
    db.ext("SELECT resthook_set('response_headers_max', 5)")
    receiver.script("/", 404)
    db.subscribe("*", receiver.url("/"), retry_schedule="0")
    dispatcher(db)
    insert(db)
    eventually(lambda: db.journal("SELECT response_headers FROM resthook_attempts WHERE status = 404") == [("conte",)])


# Receivers that are none. Each says something of its own, or nothing, whatever it is asked.

class Stranger:
    """What a port that speaks another protocol does: it says something to who connects, then waits for him to leave."""

    def __init__(self, says):
        self.says = says
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection:
            try:
                connection.sendall(self.says)
                while connection.recv(65536):
                    pass
            except OSError:
                pass

    def url(self, scheme):
        return "%s://127.0.0.1:%d/" % (scheme, self.listener.getsockname()[1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)


def again_and_again(start, line):
    def act(exchange):
        exchange.send(start)
        while True:
            exchange.send(line)

    return act


def reset_within(data):
    def act(exchange):
        exchange.send(data)
        return reset()(exchange)

    return act


NOT_HTTP = ("protocol", "protocol: the answer is not HTTP")
BROKE = ("receive", None)  # what libcurl says depends on what the kernel says first
BAD = {
    "garbage": (raw(b"\x00\xff\x17 no http at all\r\n\r\n"), NOT_HTTP),
    "closed": (raw(b""), ("receive", "receive: closed without an answer")),
    "reset": (reset(), BROKE),
    "reset in the body": (reset_within(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"), BROKE),
    "cut off": (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"), ("receive", "receive: the answer broke off")),
    "no end of headers": (again_and_again(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n" * 100),
                          ("too_large", "too_large: the headers have no end")),
    "no end of interim answers": (again_and_again(b"", b"HTTP/1.1 103 Early\r\n\r\n" * 100),
                                  ("too_large", "too_large: the headers have no end")),
    "no end of a header": (again_and_again(b"HTTP/1.1 200 OK\r\nx: ", b"y" * 1000),
                           ("too_large", "too_large: a header is too long")),
    "10 GB": (huge(10_000_000_000, 500), ("status", None)),
    "a byte a second": (drip(gap=1), ("timeout", "timeout: no answer in time")),
    "a byte of the body a second": (drip(b"slow", gap=1), ("timeout", "timeout: no whole answer in time")),
    "silence": (hang(), ("timeout", "timeout: no answer in time")),
}


def spoilt(db, subscription, count):
    """The classes and errors of a target whose deliveries have all ended badly; None: not yet."""
    rows = db.journal("SELECT DISTINCT a.class, a.error FROM resthook_deliveries AS d JOIN resthook_attempts AS a"
                      " ON a.delivery_id = d.id WHERE d.subscription_id = ?", subscription)
    done = db.journal("SELECT count(*) FROM resthook_deliveries WHERE state = 'dead' AND subscription_id = ?", subscription)
    return rows if done == [(count,)] else None


def harms_nobody(db, receiver, dispatcher, eventually, url, kind):
    """A target that is none beside one that is: that one gets everything at the first attempt. Returns what is said."""
    bad, _ = db.subscribe("*", url, timeout=0.5 if kind == "timeout" else 15, retry_schedule="0")
    good, _ = db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    for i in range(1, 6):
        insert(db)
        receiver.wait_for(i)
    eventually(lambda: spoilt(db, bad, 5), timeout=20)
    assert running.stop() == 0
    assert delivery(db, "DISTINCT state, attempts, last_status", good) == [("delivered", 1, 200)]
    return spoilt(db, bad, 5)


@pytest.mark.parametrize("what, said", BAD.values(), ids=BAD)
def test_a_bad_receiver_harms_nobody(db, receiver, dispatcher, eventually, what, said):
    with Receiver(default=what) as bad:
        rows = harms_nobody(db, receiver, dispatcher, eventually, bad.url("/"), said[0])
    assert {row[0] for row in rows} == {said[0]}
    assert said[1] is None or rows == [said]


@pytest.mark.parametrize("says, scheme, kind", [
    (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "http", "protocol"), (b"220 mail.example.com ESMTP\r\n", "http", "protocol"),
    (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "https", "tls"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "https", "tls"),
], ids=["ssh", "smtp", "ssh by https", "http by https"])
def test_another_protocol_harms_nobody(db, receiver, dispatcher, eventually, says, scheme, kind):
    with Stranger(says) as stranger:
        rows = harms_nobody(db, receiver, dispatcher, eventually, stranger.url(scheme), kind)
    assert {row[0] for row in rows} == {kind} and all(error.startswith(kind + ": ") for _, error in rows)


def test_http_to_a_tls_port_harms_nobody(db, receiver, dispatcher, eventually, tmp_path):
    with Receiver(certificate=certificate(tmp_path, "127.0.0.1")) as tls:
        rows = harms_nobody(db, receiver, dispatcher, eventually, tls.url("/").replace("https:", "http:"), None)
    assert {row[0] for row in rows} <= {"receive", "protocol"} and all(error for _, error in rows)


@pytest.mark.parametrize("what", [hang(), drip(gap=1), drip(b"slow", gap=1)], ids=["silence", "slow head", "slow body"])
def test_another_is_served_while_a_bad_one_takes_its_time(db, receiver, dispatcher, what):
    with Receiver(default=what) as bad:
        slow, _ = db.subscribe("*", bad.url("/"), timeout=60)
        db.subscribe("*", receiver.url("/"))
        dispatcher(db)
        insert(db)
        bad.wait_for(1)
        insert(db, 50)
        receiver.wait_for(51)
        assert delivery(db, "1", slow) == [] or delivery(db, "max(attempts)", slow) == [(0,)]


def test_a_private_address_is_not_reached_without_leave(db, receiver, dispatcher, eventually):
    subscription, _ = db.subscribe("*", receiver.url("/"), retry_schedule=SHORT)
    dispatcher(db, allow=())
    insert(db)
    eventually(lambda: [row[0] for row in delivery(db, "attempts > 0 AND last_error <> ''", subscription)] == [1])
    db.ext("SELECT resthook_ping(?)", subscription)
    eventually(lambda: len(delivery(db, "1", subscription)) == 2 and
               [row[0] for row in delivery(db, "attempts > 0 AND last_error <> ''", subscription)] == [1, 1])
    assert receiver.received() == [] and receiver.connections == 0


def test_custom_headers_are_sent(db, receiver, dispatcher):
    db.subscribe("*", receiver.url("/"), headers={"Authorization": "Bearer abc", "X-Team": "a b"})
    dispatcher(db)
    insert(db)
    (request,) = receiver.wait_for(1)
    assert request.headers["authorization"] == "Bearer abc" and request.headers["x-team"] == "a b"


def test_a_connection_is_used_again(db, receiver, dispatcher):
    db.subscribe("*", receiver.url("/"))
    dispatcher(db)
    for i in range(1, 21):
        insert(db)
        receiver.wait_for(i)
    assert receiver.connections == 1
