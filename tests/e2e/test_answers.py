"""What an answer, or none, does to a delivery and to its subscription (design 3.3)."""

import json

import pytest

from receiver import Receiver, answer, drip, endless, hang, held, huge, raw, redirect, reset, retry_after

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


def test_a_target_that_never_answers_is_a_timeout(db, receiver, dispatcher, eventually):
    receiver.script("/", hang(), 200)
    subscription, _ = db.subscribe("*", receiver.url("/"), timeout=0.2, retry_schedule=SHORT)
    dispatcher(db)
    insert(db)
    receiver.wait_for(2)
    eventually(lambda: delivery(db, "state, attempts", subscription) == [("delivered", 2)])
    ((error,),) = db.journal("SELECT error FROM resthook_attempts WHERE attempt = 1")
    assert "time" in error.lower()


def test_a_private_address_is_not_reached_without_leave(db, receiver, dispatcher, eventually):
    subscription, _ = db.subscribe("*", receiver.url("/"), retry_schedule=SHORT)
    dispatcher(db, allow=())
    insert(db)
    eventually(lambda: [row[0] for row in delivery(db, "attempts > 0 AND last_error <> ''", subscription)] == [1])
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
