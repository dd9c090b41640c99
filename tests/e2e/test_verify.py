"""Intent: a target is asked whether it wants what it is sent, and until it has said so its events are kept."""

import sqlite3

import pytest

from receiver import answer, held
from verify import verify

CONFIRMED = "subscription confirmed"


def gives_back(status=200, other=None):
    """The answer of a target that wants its events: the secret that it was sent."""

    def act(exchange):
        secret = exchange.request.headers.get("X-Hook-Secret")
        return answer(status, headers=[("x-hook-secret", other or secret)] if secret else [])(exchange)

    return act


def insert(db, *names):
    db.shell("".join(f"INSERT INTO item(name) VALUES ('{name}');" for name in names))


def status(db, sub):
    return db.one("SELECT status FROM resthook_subscriptions WHERE id = ?", sub)


def states(db):
    return db.journal("SELECT event, state FROM resthook_deliveries ORDER BY event_id")


def events(receiver, path="/"):
    return [request.headers["x-event-type"] for request in receiver.received(path)]


def subscribe(db, receiver, **options):
    return db.subscribe("item.*", receiver.url("/"), verify="x-hook-secret", **options)


def test_a_target_that_gives_the_secret_back(db, receiver, dispatcher, eventually):
    receiver.script("/", held(gate := receiver.gate(), gives_back(204)), 200)
    sub, secret = subscribe(db, receiver)
    assert status(db, sub) == "pending"
    running = dispatcher(db)
    (asked,) = receiver.wait_for(1)
    assert asked.method == "POST" and asked.headers["x-event-type"] == "resthook.verify"
    assert asked.json() == {"subscription": sub}
    verify(secret, asked.headers, asked.body)
    hook_secret = asked.headers["x-hook-secret"]
    assert len(hook_secret) == 32
    insert(db, "tea", "coffee")
    eventually(lambda: [state for event, state in states(db) if event == "item.create"] == ["pending"] * 2)
    assert len(receiver.received("/")) == 1
    gate.open()
    receiver.wait_for(3)
    assert sorted(request.json().get("name") for request in receiver.received("/")[1:]) == ["coffee", "tea"]
    assert all("x-hook-secret" not in request.headers for request in receiver.received("/")[1:])
    running.wait_log(f"info {CONFIRMED} subscription={sub}")
    eventually(lambda: status(db, sub) == "active")
    insert(db, "milk")
    receiver.wait_for(4)
    # It is a secret: nowhere but in the row while it is wanted, and in the request.
    assert hook_secret not in running.text()
    assert db.shell("SELECT count(*) FROM resthook_subscription WHERE verify_secret IS NOT NULL") == "0"
    running.stop()
    assert hook_secret.encode() not in db.side.read_bytes()


@pytest.mark.parametrize("reply", [200, gives_back(200, "another"), gives_back(500), gives_back(302), gives_back(404)])
def test_a_target_that_does_not(db, receiver, dispatcher, eventually, reply):
    """No echo, a wrong one, and one in an answer that is no success: nothing else is sent."""
    receiver.script("/", reply)
    sub, _ = subscribe(db, receiver, retry_schedule="0")
    insert(db, "tea")
    running = dispatcher(db)
    receiver.wait_for(1)
    eventually(lambda: states(db)[0][1] in ("delivered", "dead"))
    eventually(lambda: ("item.create", "pending") in states(db))
    assert status(db, sub) == "pending" and CONFIRMED not in running.text()
    # It can still be confirmed, by who has the secret.
    hook_secret = receiver.received("/")[0].headers["X-Hook-Secret"]
    for wrong in (hook_secret[:-1], hook_secret + "x", "x" * 32, "", None, 1):
        with pytest.raises(sqlite3.Error, match="resthook_confirm: the secret is not the one that the target of") as error:
            db.ext("SELECT resthook_confirm(?, ?)", sub, wrong)
        assert hook_secret[:8] not in str(error.value)
    assert status(db, sub) == "pending" and events(receiver) == ["resthook.verify"]
    receiver.script("/", 200)
    assert db.one("SELECT resthook_confirm(?, ?)", sub, hook_secret) == 1
    assert status(db, sub) == "active"
    receiver.wait_for(2)
    assert events(receiver) == ["resthook.verify", "item.create"]
    assert db.one("SELECT resthook_confirm(?, ?)", sub, hook_secret) == 0, "it was so already"


def test_the_handshake_is_retried_and_can_be_replayed(db, receiver, dispatcher, eventually):
    receiver.script("/", 503, 503, 503, gives_back())
    sub, _ = subscribe(db, receiver, retry_schedule="0, 10ms")
    insert(db, "tea")
    dispatcher(db)
    receiver.wait_for(2)
    eventually(lambda: ("resthook.verify", "dead") in states(db))
    delivery = db.journal("SELECT id FROM resthook_deliveries WHERE event = 'resthook.verify'")[0][0]
    assert db.one("SELECT resthook_replay(?)", delivery) == delivery
    receiver.wait_for(5)
    assert events(receiver) == ["resthook.verify"] * 4 + ["item.create"]
    assert len({request.id for request in receiver.received("/")[:4]}) == 1
    assert len({request.headers["x-hook-secret"] for request in receiver.received("/")[:4]}) == 1
    eventually(lambda: status(db, sub) == "active")


def test_a_target_that_is_gone(db, receiver, dispatcher, eventually):
    receiver.script("/", 410)
    sub, _ = subscribe(db, receiver)
    insert(db, "tea")
    dispatcher(db)
    eventually(lambda: status(db, sub) == "ended")
    eventually(lambda: ("item.create", "cancelled") in states(db))
    assert events(receiver) == ["resthook.verify"]


def test_subscribing_again_asks_nothing_and_updating_asks_again(db, receiver, dispatcher, eventually):
    receiver.script("/", gives_back())
    sub, _ = subscribe(db, receiver)
    dispatcher(db)
    eventually(lambda: status(db, sub) == "active")
    assert subscribe(db, receiver)[0] == sub and status(db, sub) == "active"
    receiver.script("/", 200)
    db.ext("SELECT resthook_update(?, ?)", sub, '{"verify":"x-hook-secret"}')
    assert status(db, sub) == "pending"
    insert(db, "tea")
    asked = receiver.wait_for(2)
    eventually(lambda: ("item.create", "pending") in states(db))
    assert events(receiver) == ["resthook.verify"] * 2
    first, second = (request.headers["x-hook-secret"] for request in asked)
    assert first != second
    with pytest.raises(sqlite3.Error, match="not the one"):
        db.ext("SELECT resthook_confirm(?, ?)", sub, first)
    db.ext("SELECT resthook_update(?, ?)", sub, '{"verify":"none"}')
    assert status(db, sub) == "active"
    receiver.wait_for(3)
    with pytest.raises(sqlite3.Error, match="has nothing to confirm: its option verify is none"):
        db.ext("SELECT resthook_confirm(?, ?)", sub, second)


def test_what_waits_in_memory_is_kept_when_it_is_to_be_verified(db, receiver, dispatcher, eventually):
    receiver.script("/", held(gate := receiver.gate()), 200)
    sub, _ = db.subscribe("item.*", receiver.url("/"), max_in_flight=1)
    dispatcher(db)
    insert(db, "tea", "coffee", "milk")
    receiver.wait_for(1)
    db.ext("SELECT resthook_update(?, ?)", sub, '{"verify":"x-hook-secret"}')
    eventually(lambda: [state for event, state in states(db) if event == "item.create"].count("pending") >= 2)
    gate.open()  # what was under way is finished
    asked = receiver.wait_for(2)[1]
    assert asked.headers["x-event-type"] == "resthook.verify"
    assert db.one("SELECT resthook_confirm(?, ?)", sub, asked.headers["x-hook-secret"]) == 1
    receiver.wait_for(4)
    assert sorted(request.json().get("name", "") for request in receiver.received("/")) == ["", "coffee", "milk", "tea"]


def test_a_pause_does_not_get_around_it(db, receiver, dispatcher, eventually):
    receiver.script("/", gives_back())
    sub, _ = subscribe(db, receiver, status="inactive")
    assert status(db, sub) == "inactive"
    dispatcher(db)
    insert(db, "tea")
    eventually(lambda: sorted(states(db)) == [("item.create", "pending"), ("resthook.verify", "pending")])
    assert receiver.received("/") == []
    assert db.one("SELECT resthook_resume(?)", sub) == 1
    assert status(db, sub) in ("pending", "active")
    receiver.wait_for(2)
    assert events(receiver) == ["resthook.verify", "item.create"]


def test_of_a_pending_one_nothing_else_makes_it_active(db):
    sub, _ = db.subscribe("item.*", "https://example.com/", verify="x-hook-secret")
    assert db.one("SELECT resthook_resume(?)", sub) == 0 and status(db, sub) == "pending"
    db.ext("SELECT resthook_update(?, ?)", sub, '{"status":"active"}')
    assert status(db, sub) == "pending"
    assert db.one("SELECT resthook_pause(?)", sub) == 1 and status(db, sub) == "inactive"
    hook_secret = db.shell("SELECT verify_secret FROM resthook_subscription")
    assert db.one("SELECT resthook_confirm(?, ?)", sub, hook_secret) == 1 and status(db, sub) == "inactive"
    assert db.one("SELECT resthook_resume(?)", sub) == 1 and status(db, sub) == "active"


@pytest.mark.parametrize("restart", [False, True])
def test_a_change_meanwhile_does_not_undo_the_confirmation(db, receiver, dispatcher, eventually, restart):
    """The dispatcher writes it when app.db is quiet; what somebody changes until then is another thing."""
    receiver.script("/", held(gate := receiver.gate(), gives_back()), 200)
    sub, _ = subscribe(db, receiver)
    running = dispatcher(db)
    receiver.wait_for(1)
    writer = db.connect()
    writer.execute("BEGIN IMMEDIATE")
    gate.open()
    running.wait_log(CONFIRMED)
    eventually(lambda: db.journal("SELECT status FROM effect") == [("confirmed",)])
    writer.execute("SELECT resthook_update(?, ?)", (sub, '{"description":"changed"}'))
    if restart:
        running.kill()
    writer.execute("COMMIT")
    writer.close()
    if restart:
        dispatcher(db)
    eventually(lambda: status(db, sub) == "active")
    insert(db, "tea")
    eventually(lambda: events(receiver)[-1] == "item.create")
    assert db.one("SELECT description FROM resthook_subscriptions") == "changed"


def test_a_confirmation_that_is_not_written_yet_survives_a_kill(db, receiver, dispatcher, eventually):
    receiver.script("/", held(gate := receiver.gate(), gives_back()), 200)
    sub, _ = subscribe(db, receiver)
    running = dispatcher(db)
    receiver.wait_for(1)
    writer = sqlite3.connect(db.path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    gate.open()
    running.wait_log(CONFIRMED)
    eventually(lambda: db.journal("SELECT status FROM effect") == [("confirmed",)])
    eventually(lambda: ("resthook.verify", "delivered") in states(db))
    running.kill()
    writer.execute("INSERT INTO item(name) VALUES ('tea')")
    writer.execute("COMMIT")
    writer.execute("BEGIN IMMEDIATE")
    dispatcher(db)
    receiver.wait_for(2)
    assert events(receiver) == ["resthook.verify", "item.create"] and status(db, sub) == "pending"
    writer.execute("COMMIT")
    eventually(lambda: status(db, sub) == "active")


def test_an_old_handshake_does_not_confirm_a_new_one(db, receiver, dispatcher, eventually):
    receiver.script("/", held(gate := receiver.gate(), gives_back()), 200)
    sub, _ = subscribe(db, receiver)
    running = dispatcher(db)
    receiver.wait_for(1)
    db.ext("SELECT resthook_update(?, ?)", sub, '{"verify":"x-hook-secret"}')
    receiver.wait_for(2)  # the second request: the change was read
    gate.open()
    eventually(lambda: states(db) == [("resthook.verify", "delivered")] * 2)
    assert CONFIRMED not in running.text() and status(db, sub) == "pending"


def test_what_is_kept_is_bounded(db, receiver, dispatcher, eventually):
    sub, _ = subscribe(db, receiver)
    db.ext("SELECT resthook_set('keep_pending_rows', 10)")
    insert(db, *(str(i) for i in range(30)))
    dispatcher(db)
    eventually(lambda: [state for event, state in states(db) if event == "item.create"] == ["dead"] * 20 + ["pending"] * 10)
    assert db.journal("SELECT DISTINCT reason FROM resthook_deliveries WHERE state = 'dead'") == [
        ("expired: more than keep_pending_rows",)]


def test_it_survives_a_restart(db, receiver, dispatcher, eventually):
    receiver.script("/", 200, gives_back(), 200)
    sub, _ = subscribe(db, receiver)
    insert(db, "tea")
    first = dispatcher(db)
    eventually(lambda: states(db) == [("resthook.verify", "delivered"), ("item.create", "pending")])
    first.kill()
    insert(db, "coffee")
    dispatcher(db)
    eventually(lambda: states(db)[-1] == ("item.create", "pending") and len(states(db)) == 3)
    assert events(receiver) == ["resthook.verify"]
    delivery = db.journal("SELECT id FROM resthook_deliveries WHERE event = 'resthook.verify'")[0][0]
    db.ext("SELECT resthook_replay(?)", delivery)
    receiver.wait_for(4)
    eventually(lambda: {state for _, state in states(db)} == {"delivered"})
