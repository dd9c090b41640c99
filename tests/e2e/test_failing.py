"""A target that fails: how fast it is asked, that it is left alone, that its subscription is failing and recovers, and
what is said of it in events of resthook's own."""

import json
import sqlite3

import pytest

from receiver import answer, held

SHORT = "0,100ms,100ms"
LONG = "0" + ",300ms" * 30
NOTICES = ["resthook.subscription.failing", "resthook.subscription.recovered", "resthook.subscription.gone",
           "resthook.delivery.dead"]


def insert(db, n=1):
    db.shell("INSERT INTO item(name) VALUES " + ", ".join(["('Ada')"] * n) + ";")


def gives_back(exchange):
    return answer(200, headers=[("x-hook-secret", exchange.request.headers["X-Hook-Secret"])])(exchange)


def status(db, subscription):
    return db.ext("SELECT status, reason FROM resthook_subscriptions WHERE id = ?", subscription)[0]


def states(db, subscription):
    return [state for (state,) in db.journal("SELECT state FROM resthook_deliveries WHERE subscription_id = ? "
                                             "ORDER BY event_id", subscription)]


def value(db, name):
    return dict(db.ext("SELECT name, value FROM resthook_status")).get(name)


@pytest.fixture
def quick(db):
    """Fails fast: after a second, with probes that are close together."""
    db.ext("SELECT resthook_set('failing_after', 1)")
    db.ext("SELECT resthook_set('failing_probe', 0.2)")
    return db


# ---- rate ----

def sent_within(db):
    """The seconds between the first attempt and the last, by the clock that the dispatcher paced them with: when they
    arrive is the machine's affair."""
    times = [time for (time,) in db.journal("SELECT started_at FROM attempt UNION ALL SELECT started_at FROM delivery")]
    return (max(times) - min(times)) / 1000


def test_a_rate_is_never_exceeded(db, receiver, dispatcher, eventually):
    subscription, _ = db.subscribe("*", receiver.url("/"), rate=20)
    free, _ = db.subscribe("*", receiver.url("/free"))
    insert(db, 31)
    dispatcher(db)
    receiver.wait_for(31, path="/", timeout=20)
    assert len(receiver.received("/free")) == 31  # nobody else waits for it
    eventually(lambda: states(db, subscription) == states(db, free) == ["delivered"] * 31)
    # The bucket holds a tenth of a second's worth, two.
    assert sent_within(db) >= 29 / 20 - 0.1
    assert db.ext("SELECT rate FROM resthook_subscriptions WHERE id = ?", subscription) == [(20.0,)]


def test_a_rate_holds_for_what_is_tried_again_too(db, receiver, dispatcher, eventually):
    receiver.script("/", 400)
    subscription, _ = db.subscribe("*", receiver.url("/"), rate=10, retry_schedule="0,1ms,1ms,1ms")
    insert(db, 3)
    dispatcher(db)
    receiver.wait_for(12, timeout=20)
    eventually(lambda: states(db, subscription) == ["dead"] * 3)
    assert sent_within(db) >= 11 / 10 - 0.1


def test_once_waits_for_a_rate(db, receiver, dispatcher):
    db.subscribe("*", receiver.url("/"), rate=20)
    insert(db, 10)
    assert dispatcher(db, "--once", ready=False).wait() == 0
    assert len(receiver.received()) == 10


@pytest.mark.parametrize("wrong", [0, 0.001, 10001, -1, '"5"', "true"])
def test_a_rate_that_makes_no_sense_is_refused(db, wrong):
    with pytest.raises(Exception, match="option rate is"):
        db.ext("SELECT resthook_subscribe('*', 'http://127.0.0.1:9/', ?)", '{"rate":%s}' % wrong)


# ---- the circuit ----

def test_an_endpoint_that_fails_whoever_asks_is_left_alone(db, receiver, dispatcher, eventually):
    receiver.script("/", 500)
    subscription, _ = db.subscribe("*", receiver.url("/"), retry_schedule="0,1h")
    insert(db, 40)
    running = dispatcher(db)
    eventually(lambda: value(db, "circuit_open") == 1)
    before = len(receiver.received())
    assert 5 <= before < 40  # nothing is used up of what waits
    receiver.script("/", 200)
    eventually(lambda: len(receiver.received()) >= 40)
    running.stop()
    assert sorted(set(states(db, subscription))) == ["delivered", "retrying"]
    assert states(db, subscription).count("retrying") <= before + 1


def test_one_path_that_fails_closes_the_endpoint_to_nobody_else(db, receiver, dispatcher, eventually):
    receiver.script("/bad", 404)
    bad, _ = db.subscribe("item.create", receiver.url("/bad"), retry_schedule="0")
    good, _ = db.subscribe("order.paid", receiver.url("/good"), retry_schedule="0")
    insert(db, 100)
    running = dispatcher(db)
    eventually(lambda: states(db, bad) == ["dead"] * 100)
    db.ext("SELECT resthook_emit('order.paid', '{}')")
    receiver.wait_for(1, path="/good")
    assert running.stop() == 0 and states(db, good) == ["delivered"]


def test_once_does_not_wait_for_an_endpoint_that_is_left_alone(db, receiver, dispatcher):
    receiver.script("/", 500)
    db.subscribe("*", receiver.url("/"), retry_schedule="0,1h")
    insert(db, 40)
    assert dispatcher(db, "--once", ready=False).wait() == 1
    assert len(receiver.received()) < 40


# ---- failing ----

def make_failing(db, receiver, dispatcher, eventually, events=3):
    receiver.script("/", 400)
    subscription, _ = db.subscribe("item.create", receiver.url("/"), retry_schedule="0,300ms,300ms,300ms,300ms,300ms,300ms")
    running = dispatcher(db)
    insert(db, events)
    eventually(lambda: status(db, subscription)[0] == "failing", timeout=20)
    return running, subscription


def test_what_fails_for_long_is_kept_and_probed_and_recovers(quick, receiver, dispatcher, eventually):
    db = quick
    running, subscription = make_failing(db, receiver, dispatcher, eventually)
    assert "since 20" in status(db, subscription)[1] and "last: 400" in status(db, subscription)[1]
    assert value(db, "subscriptions_failing") == 1
    running.wait_log("subscription failing")
    insert(db, 5)
    probes = len(receiver.received())
    receiver.wait_for(probes + 3, timeout=20)  # more attempts than the schedule has
    assert "dead" not in states(db, subscription)
    receiver.script("/", 200)
    eventually(lambda: states(db, subscription) == ["delivered"] * 8, timeout=30)
    running.wait_log("subscription recovered")
    eventually(lambda: status(db, subscription) == ("active", None), timeout=20)
    assert db.journal("SELECT failing_since FROM subscription WHERE id = ?", subscription) == [(None,)]
    assert value(db, "subscriptions_failing") == 0


def test_it_is_failing_after_a_restart_too(quick, receiver, dispatcher, eventually):
    db = quick
    running, subscription = make_failing(db, receiver, dispatcher, eventually)
    ((since,),) = db.journal("SELECT failing_since FROM subscription WHERE id = ?", subscription)
    assert since > 0
    running.kill()
    insert(db, 2)
    before = len(receiver.received())
    running = dispatcher(db)
    receiver.wait_for(before + 2, timeout=20)
    assert db.journal("SELECT failing_since FROM subscription WHERE id = ?", subscription) == [(since,)]
    assert status(db, subscription)[0] == "failing"
    receiver.script("/", 200)
    eventually(lambda: states(db, subscription) == ["delivered"] * 5, timeout=30)
    eventually(lambda: status(db, subscription) == ("active", None), timeout=20)


def test_how_long_it_fails_survives_a_restart(db, receiver, dispatcher, eventually):
    receiver.script("/", 400)
    subscription, _ = db.subscribe("*", receiver.url("/"), retry_schedule="0,1h")
    running = dispatcher(db)
    insert(db)
    eventually(lambda: states(db, subscription) == ["retrying"])
    since = db.journal("SELECT failing_since FROM subscription WHERE id = ?", subscription)
    running.kill()
    db.ext("SELECT resthook_set('failing_after', 0.001)")
    dispatcher(db)
    insert(db)
    eventually(lambda: status(db, subscription)[0] == "failing", timeout=20)
    assert db.journal("SELECT failing_since FROM subscription WHERE id = ?", subscription) == since


@pytest.mark.parametrize("activate", ["resthook_resume(?)", "resthook_update(?, '{\"status\":\"active\"}')"])
def test_making_it_active_ends_it_at_once(quick, receiver, dispatcher, eventually, activate):
    db = quick
    db.ext("SELECT resthook_set('failing_probe', 3600)")
    _, subscription = make_failing(db, receiver, dispatcher, eventually)
    receiver.script("/", 200)
    assert db.one(f"SELECT {activate}", subscription) in (1, subscription)
    assert status(db, subscription) == ("active", None)
    eventually(lambda: set(states(db, subscription)) <= {"delivered", "dead"} and "delivered" in states(db, subscription))


def test_making_it_active_forgets_since_when_it_failed(quick, receiver, dispatcher, eventually):
    db = quick
    _, subscription = make_failing(db, receiver, dispatcher, eventually)
    ((since,),) = db.journal("SELECT failing_since FROM subscription WHERE id = ?", subscription)
    db.ext("SELECT resthook_set('failing_after', 3600)")
    assert db.one("SELECT resthook_resume(?)", subscription) == 1
    insert(db)  # its failure is the first
    eventually(lambda: (db.journal("SELECT failing_since FROM subscription WHERE id = ?", subscription)[0][0] or 0) > since)
    assert status(db, subscription) == ("active", None)


def test_a_failing_that_is_not_written_yet_survives_a_kill(quick, receiver, dispatcher, eventually):
    db = quick
    receiver.script("/", held(gate := receiver.gate(), answer(400)), 400)
    subscription, _ = db.subscribe("item.create", receiver.url("/"), retry_schedule=LONG)
    running = dispatcher(db)
    insert(db, 3)
    receiver.wait_for(1)
    writer = sqlite3.connect(db.path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    gate.open()
    running.wait_log("subscription failing")
    eventually(lambda: db.journal("SELECT status FROM effect") == [("failing",)])
    running.kill()
    before = len(receiver.received())
    running = dispatcher(db)
    receiver.wait_for(before + 2, timeout=20)  # probes
    assert db.journal("SELECT status FROM effect") == [("failing",)] and "dead" not in states(db, subscription)
    assert "subscription failing" not in running.text()  # it is so already
    writer.execute("ROLLBACK")
    writer.close()
    eventually(lambda: status(db, subscription)[0] == "failing", timeout=20)
    receiver.script("/", 200)
    eventually(lambda: states(db, subscription) == ["delivered"] * 3, timeout=30)


def test_it_can_be_paused_and_ended_meanwhile(quick, receiver, dispatcher, eventually):
    db = quick
    _, subscription = make_failing(db, receiver, dispatcher, eventually)
    db.ext("SELECT resthook_pause(?)", subscription)
    assert status(db, subscription) == ("inactive", None)
    insert(db)
    db.ext("SELECT resthook_unsubscribe(?)", subscription)
    eventually(lambda: set(states(db, subscription)) <= {"cancelled", "dead"} and len(states(db, subscription)) == 4)


def test_failing_is_not_for_users_to_set(db):
    for function in ("resthook_subscribe('*', 'http://127.0.0.1:9/', ", "resthook_update(resthook_subscribe('*', 'http://127.0.0.1:9/'), "):
        for name in ("failing", "pending", "ended"):
            with pytest.raises(Exception, match="option status is"):
                db.ext(f"SELECT {function} ?)", json.dumps({"status": name}))


def test_a_confirmation_that_is_not_written_yet_stands(quick, receiver, dispatcher, eventually):
    """Its target gave the secret back and then failed for long, all before anything could be written to app.db."""
    db = quick
    db.ext("SELECT resthook_set('failing_after', 0.1)")
    receiver.script("/", held(gate := receiver.gate(), gives_back), 400)
    subscription, _ = db.subscribe("item.create", receiver.url("/"), verify="x-hook-secret", retry_schedule=LONG)
    running = dispatcher(db)
    receiver.wait_for(1)
    insert(db, 3)
    writer = sqlite3.connect(db.path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    gate.open()
    running.wait_log("subscription confirmed")
    receiver.wait_for(1 + 3 * 3, timeout=20)  # each failed three times: for longer than failing_after
    since = db.journal("SELECT failing_since FROM subscription")
    assert since[0][0] is not None and db.journal("SELECT status FROM effect") == [("confirmed",)]
    writer.execute("ROLLBACK")
    writer.close()
    eventually(lambda: status(db, subscription)[0] == "failing", timeout=20)
    assert db.shell("SELECT count(*) FROM resthook_subscription WHERE verify_secret IS NOT NULL") == "0"
    assert db.journal("SELECT failing_since FROM subscription") == since
    receiver.script("/", 200)
    eventually(lambda: states(db, subscription) == ["delivered"] * 4, timeout=30)
    eventually(lambda: status(db, subscription) == ("active", None), timeout=20)


def test_zero_is_never(db, receiver, dispatcher, eventually):
    db.ext("SELECT resthook_set('failing_after', 0)")
    receiver.script("/", 400)
    subscription, _ = db.subscribe("*", receiver.url("/"), retry_schedule=SHORT)
    running = dispatcher(db)
    insert(db)
    eventually(lambda: states(db, subscription) == ["dead"])
    assert running.stop() == 0 and status(db, subscription)[0] == "active"


# ---- events of resthook's own ----

def heard(requests, event):
    return [request.json() for request in requests if request.headers["x-event-type"] == event]


def test_failing_and_recovered_are_said_once(quick, receiver, dispatcher, eventually):
    db = quick
    listener, _ = db.subscribe("resthook.*", receiver.url("/listener"))
    running, subscription = make_failing(db, receiver, dispatcher, eventually)
    ((failing),) = heard(receiver.wait_for(1, path="/listener", timeout=20), NOTICES[0])
    assert failing["subscription"] == subscription and "last: 400" in failing["reason"]
    assert failing["failing_since"] < failing["at"] and failing["target"] == receiver.url("")
    receiver.script("/", 200)
    requests = receiver.wait_for(2, path="/listener", timeout=30)
    assert [each["subscription"] for each in heard(requests, NOTICES[1])] == [subscription]
    eventually(lambda: db.journal("SELECT count(*) FROM notice") == [(0,)])
    assert running.stop() == 0
    assert len(receiver.received("/listener")) == 2 and states(db, listener) == ["delivered"] * 2


def test_gone_is_said(db, receiver, dispatcher):
    receiver.script("/", 410)
    subscription, _ = db.subscribe("item.create", receiver.url("/"))
    db.subscribe(NOTICES[2], receiver.url("/listener"))
    dispatcher(db)
    insert(db)
    (request,) = receiver.wait_for(1, path="/listener", timeout=20)
    assert request.json()["subscription"] == subscription and request.json()["reason"] == "gone: 410 from target"


def test_a_death_is_said_without_payload_and_secrets(db, receiver, dispatcher):
    receiver.script("/hook-credential?token=t0p", answer(500, b"response-text"))
    subscription, secret = db.subscribe("item.create", receiver.url("/hook-credential?token=t0p"), retry_schedule=SHORT,
                                        headers={"authorization": "Bearer b3arer"})
    db.subscribe(NOTICES[3], receiver.url("/listener"))
    db.subscribe("*", receiver.url("/everything"))
    dispatcher(db)
    insert(db)
    (request,) = receiver.wait_for(1, path="/listener", timeout=20)
    said = request.json()
    assert said["subscription"] == subscription and said["delivery"].startswith(subscription)
    assert (said["event"], said["attempts"], said["last_status"]) == ("item.create", 3, 500) and said["reason"]
    text = request.body.decode()
    assert not any(word in text for word in ("Ada", "credential", "t0p", "b3arer", "response-text", secret))
    assert [each.headers["x-event-type"] for each in receiver.received("/everything")] == ["item.create"]


def test_deaths_of_their_own_deliveries_are_not_said(db, receiver, dispatcher, eventually):
    receiver.script("/", 400)
    receiver.script("/listener", 400)
    dead, _ = db.subscribe("item.create", receiver.url("/"), retry_schedule=SHORT)
    listener, _ = db.subscribe("resthook.*", receiver.url("/listener"), retry_schedule=SHORT)
    running = dispatcher(db)
    insert(db, 3)
    eventually(lambda: states(db, listener) == ["dead"] * 3, timeout=30)
    assert running.stop() == 0
    assert states(db, dead) == ["dead"] * 3
    assert db.one("SELECT count(*) FROM resthook_outbox WHERE event LIKE 'resthook.%'") == 3
    assert db.journal("SELECT count(*) FROM notice") == [(0,)]


def test_a_listener_that_fails_hears_of_itself_once(quick, receiver, dispatcher, eventually):
    db = quick
    receiver.script("/", 400)
    receiver.script("/listener", 400)
    db.subscribe("item.create", receiver.url("/"), retry_schedule="0")
    listener, _ = db.subscribe("resthook.*", receiver.url("/listener"), retry_schedule=LONG)
    running = dispatcher(db)
    insert(db)
    eventually(lambda: status(db, listener)[0] == "failing", timeout=20)
    probes = len(receiver.received("/listener"))
    receiver.wait_for(probes + 3, path="/listener", timeout=20)
    receiver.script("/listener", 200)
    eventually(lambda: status(db, listener)[0] == "active", timeout=30)
    eventually(lambda: states(db, listener) == ["delivered"] * 3, timeout=20)  # the death, failing, recovered
    assert running.stop() == 0
    assert db.journal("SELECT count(*) FROM notice") == [(0,)]
    assert sorted(event for (event,) in db.ext("SELECT event FROM resthook_events WHERE event LIKE 'resthook.%'")) == sorted(
        [NOTICES[0], NOTICES[1], NOTICES[3]])


def test_nothing_is_said_where_nobody_listens(db, receiver, dispatcher, eventually):
    receiver.script("/", 400)
    subscription, _ = db.subscribe("*", receiver.url("/"), retry_schedule=SHORT)
    running = dispatcher(db)
    insert(db, 3)
    eventually(lambda: states(db, subscription) == ["dead"] * 3)
    assert running.stop() == 0
    assert db.journal("SELECT count(*) FROM notice") == [(0,)]
    assert db.one("SELECT count(*) FROM resthook_outbox WHERE event LIKE 'resthook.%'") == 0


def test_what_waits_to_be_said_is_said_after_a_crash(db, receiver, dispatcher, eventually):
    receiver.script("/", 400)
    db.subscribe("item.create", receiver.url("/"), retry_schedule="0")
    db.subscribe(NOTICES[3], receiver.url("/listener"))
    writer = db.connect()
    running = dispatcher(db)
    insert(db)
    writer.execute("BEGIN IMMEDIATE")  # nothing can be moved
    insert_seen = receiver.wait_for(1, path="/")
    eventually(lambda: db.journal("SELECT count(*) FROM notice") == [(1,)])
    running.kill()
    writer.execute("ROLLBACK")
    dispatcher(db)
    (request,) = receiver.wait_for(1, path="/listener", timeout=20)
    assert insert_seen and request.json()["last_status"] == 400
