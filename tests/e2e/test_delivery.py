"""What becomes of a delivery: pauses, ends, replays, what can't be sent now, what makes way for others, what is kept."""

import json
import sqlite3

import pytest

from receiver import hang, held


def insert(db, count, first=1, *options):
    db.shell(f"WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {first + count - 1}) "
             "INSERT INTO item(id, name) SELECT i, 'item ' || i FROM n;", *options)


def ids(receiver, path="/"):
    return [request.json()["id"] for request in receiver.received(path)]


def states(db, sub=None):
    rows = db.journal("SELECT state, count(*) FROM resthook_deliveries WHERE ?1 IS NULL OR subscription_id = ?1"
                      " GROUP BY state", sub)
    return dict(rows)


def test_what_comes_while_paused_is_sent_on_resume(db, receiver, dispatcher, eventually):
    sub, _ = db.subscribe("*", receiver.url("/"))
    dispatcher(db)
    insert(db, 1)
    receiver.wait_for(1)
    db.ext("SELECT resthook_pause(?)", sub)
    insert(db, 3, first=2)
    eventually(lambda: states(db).get("pending") == 3)
    assert ids(receiver) == [1]
    db.ext("SELECT resthook_resume(?)", sub)
    receiver.wait_for(4)
    assert sorted(ids(receiver)) == [1, 2, 3, 4]
    eventually(lambda: states(db) == {"delivered": 4})


def test_a_pause_survives_a_restart(db, receiver, dispatcher, eventually):
    sub, _ = db.subscribe("*", receiver.url("/"), status="inactive")
    first = dispatcher(db)
    insert(db, 5)
    eventually(lambda: states(db).get("pending") == 5)
    first.kill()
    db.ext("SELECT resthook_resume(?)", sub)
    dispatcher(db)
    receiver.wait_for(5)
    assert sorted(ids(receiver)) == [1, 2, 3, 4, 5]


def test_unsubscribing_cancels_what_is_pending(db, receiver, dispatcher, eventually):
    receiver.script("/", hang())
    sub, _ = db.subscribe("*", receiver.url("/"), timeout=60)
    dispatcher(db)
    insert(db, 500)
    receiver.wait_for(1)
    assert db.one("SELECT resthook_unsubscribe(?)", sub) == 1
    eventually(lambda: states(db).get("cancelled", 0) >= 490)
    insert(db, 5, first=501)
    other, _ = db.subscribe("*", receiver.url("/other"))
    insert(db, 1, first=506)
    receiver.wait_for(1, "/other")
    assert ids(receiver, "/other") == [506]
    reasons = db.journal("SELECT DISTINCT reason FROM resthook_deliveries WHERE state = 'cancelled'")
    assert reasons == [("unsubscribed",)]
    assert db.one("SELECT resthook_unsubscribe(?)", sub) == 0


@pytest.mark.parametrize("function", ["resthook_pause", "resthook_unsubscribe"])
def test_who_no_longer_wants_it_is_not_tried_again(db, receiver, dispatcher, function):
    """Retries a millisecond apart; none of them after the change was read."""
    receiver.script("/", 400)
    sub, _ = db.subscribe("item.*", receiver.url("/"), retry_schedule="0" + ",1ms" * 49)
    db.subscribe("b.b", receiver.url("/other"))
    dispatcher(db)
    insert(db, 1)
    receiver.wait_for(2, "/")
    db.ext(f"SELECT {function}(?)", sub)
    db.ext("SELECT resthook_emit('b.b', '{}')")
    receiver.wait_for(1, "/other")  # what was read with it was read after the change
    before = len(receiver.received("/"))
    assert before < 50
    for i in range(20):
        db.ext("SELECT resthook_emit('b.b', '{}')")
        receiver.wait_for(2 + i, "/other")
    assert len(receiver.received("/")) <= before + 1, "but for the one that was under way"


def test_unsubscribing_while_nobody_dispatches(db, receiver, dispatcher, eventually):
    sub, _ = db.subscribe("*", receiver.url("/"))
    insert(db, 3)
    db.ext("SELECT resthook_unsubscribe(?)", sub)
    again, _ = db.subscribe("*", receiver.url("/"))
    assert again != sub
    insert(db, 1, first=4)
    dispatcher(db)
    receiver.wait_for(1)
    eventually(lambda: states(db, sub) == {"cancelled": 3})
    assert ids(receiver) == [4]


def test_what_was_left_of_an_ended_subscription_is_cancelled_by_the_next_start(db, receiver, dispatcher, eventually):
    sub, _ = db.subscribe("*", receiver.url("/"), status="inactive")
    first = dispatcher(db)
    insert(db, 3)
    eventually(lambda: states(db) == {"pending": 3} and db.meta("cursor") == 3)
    first.kill()
    db.ext("SELECT resthook_unsubscribe(?)", sub)
    dispatcher(db)
    eventually(lambda: states(db) == {"cancelled": 3})


def test_a_pause_is_heard_while_nothing_more_can_be_read(db, receiver, dispatcher, eventually):
    """One target hangs, its backlog fills the window, nobody else lacks work: nothing is read, but a pause is."""
    receiver.script("/", hang())
    sub, _ = db.subscribe("*", receiver.url("/"), timeout=60, max_in_flight=1)
    insert(db, 6000)
    dispatcher(db)
    receiver.wait_for(1)
    assert states(db) == {}
    db.ext("SELECT resthook_pause(?)", sub)
    eventually(lambda: states(db).get("pending", 0) >= 5999)
    assert len(receiver.received("/")) == 1


def test_what_is_kept_for_a_paused_target_is_bounded(db, receiver, dispatcher, eventually):
    sub, _ = db.subscribe("*", receiver.url("/"), status="inactive")
    db.ext("SELECT resthook_set('keep_pending_rows', 10)")
    insert(db, 30)
    dispatcher(db)
    eventually(lambda: states(db) == {"pending": 10, "dead": 20})
    assert db.journal("SELECT min(event_id) FROM resthook_deliveries WHERE state = 'pending'") == [(21,)]
    assert db.journal("SELECT DISTINCT reason FROM resthook_deliveries WHERE state = 'dead'") == [
        ("expired: more than keep_pending_rows",)]
    db.ext("SELECT resthook_resume(?)", sub)
    receiver.wait_for(10)
    assert sorted(ids(receiver)) == list(range(21, 31))


def test_what_nobody_delivered_for_too_long_expires(db, receiver, dispatcher, eventually):
    """No dispatcher ran for 45 days: what is older than keep_pending (30) ends, but for what was meant for later."""
    db.subscribe("*", receiver.url("/"))
    db.shell("""
        CREATE TEMP TABLE t AS SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) AS now, 86400000 AS day;
        INSERT INTO resthook_outbox(event, payload, created_at, deliver_at)
          SELECT 'old', '{"id":1}', now - 45 * day, NULL FROM t UNION ALL
          SELECT 'newer', '{"id":2}', now - 29 * day, NULL FROM t UNION ALL
          SELECT 'meant for later', '{"id":3}', now - 45 * day, now - 5 * day FROM t UNION ALL
          SELECT 'to.come', '{"id":4}', now - 45 * day, now + day FROM t UNION ALL
          SELECT 'meant.too', '{"id":5}', now - 45 * day, now - 5 * day FROM t;
    """)
    running = dispatcher(db)
    receiver.wait_for(2)
    assert sorted(ids(receiver)) == [2, 5], "and 'meant for later' is no name of an event"
    eventually(lambda: states(db) == {"delivered": 2, "dead": 1, "pending": 1})
    assert db.journal("SELECT event_id, reason FROM resthook_deliveries WHERE state = 'dead'") == [(1, "expired")]
    running.stop()
    db.ext("SELECT resthook_set('keep_deliveries', 0)")
    dispatcher(db)
    eventually(lambda: states(db) == {"dead": 1, "pending": 1})  # a round of retention is over, and left them alone


def test_retention_forgets_nothing_that_a_restart_asks_for(db, receiver, dispatcher, eventually):
    """The cursor stands before what a hung target has; above it, finished deliveries are what prevents repeats."""
    receiver.script("/hung", hang())
    db.subscribe("*", receiver.url("/"))
    db.subscribe("b.b", receiver.url("/hung"), timeout=120)
    db.ext("SELECT resthook_set('keep_deliveries', 0)")
    running = dispatcher(db)
    db.shell("INSERT INTO resthook_outbox(event, payload) VALUES ('a.a', '{\"id\":1}'), ('b.b', '{\"id\":2}');")
    receiver.wait_for(3)
    insert(db, 50)
    receiver.wait_for(52, "/")
    settled = "SELECT event_id FROM resthook_deliveries WHERE state = 'delivered' ORDER BY 1"
    eventually(lambda: db.journal(settled) == [(i,) for i in range(2, 53)])  # all written, and a round has been: 1 is gone
    running.kill()
    again = dispatcher(db)
    db.shell("INSERT INTO resthook_outbox(event, payload) VALUES ('a.a', '{\"id\":99}');")
    receiver.wait_for(53, "/")
    again.kill()
    assert len(receiver.received("/")) == 53


def test_an_event_from_the_future_keeps_no_other(db, dispatcher, eventually):
    db.ext("SELECT resthook_set('keep_events', 0)")
    db.shell("INSERT INTO resthook_outbox(event, payload, created_at) VALUES ('a.a', '1', 4102444800000);"
             "INSERT INTO resthook_outbox(event, payload) SELECT 'a.a', value FROM json_each('[1,2,3,4,5]');")
    dispatcher(db)
    eventually(lambda: db.shell("SELECT group_concat(id) FROM resthook_outbox") == "1,6")


def test_a_replay_has_its_schedule_however_old_it_is(db, receiver, dispatcher, eventually):
    receiver.script("/", 500, 200)
    sub, _ = db.subscribe("*", receiver.url("/"), retry_schedule="0")
    db.shell("INSERT INTO resthook_outbox(event, payload, created_at) SELECT 'a.a', '{\"id\":1}',"
             " CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) - 61000;")
    dispatcher(db)
    eventually(lambda: states(db) == {"dead": 1})
    db.ext("SELECT resthook_set('keep_pending', 60)")
    db.ext("SELECT resthook_replay(?)", f"{sub}-1")
    eventually(lambda: states(db) == {"delivered": 1})


def test_what_comes_between_a_410_and_its_writing_has_an_end(db, receiver, dispatcher, eventually):
    receiver.script("/", 410)
    sub, _ = db.subscribe("*", receiver.url("/"))
    dispatcher(db)
    for i in range(1, 100):
        insert(db, 1, first=i)
        if db.one("SELECT status FROM resthook_subscriptions WHERE id = ?", sub) == "ended":
            break
    eventually(lambda: db.one("SELECT status FROM resthook_subscriptions WHERE id = ?", sub) == "ended")
    last = db.one("SELECT to_id FROM resthook_subscriptions WHERE id = ?", sub)
    assert last > 1
    eventually(lambda: sum(states(db, sub).values()) == last)
    assert set(states(db, sub)) == {"dead", "cancelled"}


def test_a_replay_is_heard_although_its_number_was_given_before(db, receiver, dispatcher, eventually):
    """Requests that are carried out go, but for the last one: by it the dispatcher knows that it reads on."""
    db.subscribe("*", receiver.url("/"))
    dispatcher(db)
    insert(db, 1)
    eventually(lambda: states(db) == {"delivered": 1})
    delivery = db.journal("SELECT id FROM resthook_deliveries")[0][0]
    for count in (2, 3):
        db.ext("SELECT resthook_replay(?)", delivery)
        receiver.wait_for(count)
        eventually(lambda: states(db) == {"delivered": 1})
    eventually(lambda: db.ext("SELECT id FROM resthook_request") == [(2,)])
    db.shell("DELETE FROM resthook_request; DELETE FROM sqlite_sequence WHERE name = 'resthook_request';")
    db.ext("SELECT resthook_replay(?)", delivery)
    receiver.wait_for(4)


def test_a_version_of_a_watch_goes_when_no_event_can_be_its(db, receiver, dispatcher, eventually):
    db.ext("SELECT resthook_watch('item', 'delete', 'item.delete')")
    db.ext("SELECT resthook_unwatch('item', 'delete')")
    db.subscribe("*", receiver.url("/"))
    insert(db, 1)
    db.ext("SELECT resthook_unwatch('item')")
    assert len(db.ext("SELECT event FROM resthook_watch")) == 2
    dispatcher(db)
    eventually(lambda: db.ext("SELECT event FROM resthook_watch") == [("item.create",)])
    receiver.wait_for(1)


def test_a_hung_target_makes_way_and_a_backlog_for_one_costs_no_rows(db, receiver, dispatcher, eventually):
    receiver.script("/hung", hang())
    hung, _ = db.subscribe("*", receiver.url("/hung"), timeout=60)
    insert(db, 6000)
    first = dispatcher(db)
    receiver.wait_for(1, "/hung")
    # All of the window waits for one target, and nobody lacks work: nothing is written but what it holds in flight.
    eventually(lambda: db.meta("heartbeat_at") is not None)
    assert states(db) == {}
    first.kill()
    db.subscribe("item.*", receiver.url("/well"))
    insert(db, 6000, first=6001)
    dispatcher(db)
    receiver.wait_for(6000, "/well", timeout=60)
    assert sorted(set(ids(receiver, "/well"))) == list(range(6001, 12001))
    eventually(lambda: states(db, hung).get("pending", 0) > 1000)


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_a_replay_sends_the_same_again(db, receiver, dispatcher, eventually, journal):
    db.shell(f"PRAGMA journal_mode={journal}")
    sub, _ = db.subscribe("*", receiver.url("/"))
    dispatcher(db)
    insert(db, 2, 1, "-cmd", ".timeout 2000")  # with a rollback journal readers and writers do meet
    receiver.wait_for(2)
    eventually(lambda: states(db) == {"delivered": 2})
    delivery = db.journal("SELECT id FROM resthook_deliveries ORDER BY event_id")[0][0]
    assert db.one("SELECT resthook_replay(?)", delivery) == delivery
    receiver.wait_for(3)
    first, again = [request for request in receiver.received("/") if request.json()["id"] == 1]
    assert again.id == first.id and again.body == first.body
    eventually(lambda: db.journal("SELECT attempts, state FROM resthook_deliveries WHERE id = ?", delivery)
               == [(2, "delivered")])
    assert len(db.journal("SELECT 1 FROM resthook_attempts WHERE delivery_id = ?", delivery)) == 2


def test_a_replay_over_a_query_does_not_chase_its_tail(db, receiver, dispatcher, eventually):
    receiver.script("/", *[404] * 20, 200)  # an answer below 500: its circuit stays closed
    db.subscribe("*", receiver.url("/"), retry_schedule="0", max_in_flight=1)
    dispatcher(db)
    insert(db, 20)
    eventually(lambda: states(db) == {"dead": 20}, timeout=30)
    replayed = db.ext("SELECT resthook_replay(id) FROM resthook_deliveries WHERE state = 'dead'")
    assert len(replayed) == 20
    eventually(lambda: states(db) == {"delivered": 20}, timeout=30)


def test_deliver_at_is_waited_for(db, receiver, dispatcher, eventually):
    db.subscribe("*", receiver.url("/"))
    dispatcher(db)
    db.ext("SELECT resthook_emit('later.on', '{\"id\":1}', json_object('deliver_at', julianday('now') * 86400.0"
           " - 2440587.5 * 86400.0 + 1.5))")
    db.ext("SELECT resthook_emit('at.once', '{\"id\":2}')")
    receiver.wait_for(2)
    assert ids(receiver) == [2, 1]
    early, late = receiver.received("/")
    assert late.arrived - early.arrived > 0.5


def test_a_payload_that_is_not_json_is_dead_with_a_reason(db, receiver, dispatcher, eventually):
    db.subscribe("*", receiver.url("/"))
    dispatcher(db)
    db.shell("INSERT INTO resthook_outbox(event, payload) VALUES ('a.b', '{\"half\":'), ('a.b', x'7b7d'), ('a.b', NULL),"
             " ('a.b', '{\"id\":4}');")
    receiver.wait_for(1)
    eventually(lambda: states(db) == {"dead": 3, "delivered": 1})
    assert db.journal("SELECT DISTINCT reason FROM resthook_deliveries WHERE state = 'dead'") == [
        ("payload is not JSON",)]
    assert ids(receiver) == [4]


def test_an_expression_that_fails_holds_its_events_until_it_works(db, receiver, dispatcher, eventually):
    db.shell("CREATE TABLE price(item, amount); INSERT INTO price VALUES (1, 5), (2, 7);")
    db.ext("SELECT resthook_watch('item', 'insert', 'item.priced', ?)",
           json.dumps({"fields": {"id": "NEW.id", "amount": "(SELECT amount FROM price WHERE item = NEW.id)"}}))
    db.subscribe("item.priced", receiver.url("/"))
    dispatcher(db)
    insert(db, 1)
    receiver.wait_for(1)
    db.shell("ALTER TABLE price RENAME TO price_old;")
    insert(db, 1, first=2)
    eventually(lambda: states(db).get("held") == 1)
    assert "price" in db.journal("SELECT reason FROM resthook_deliveries WHERE state = 'held'")[0][0]
    db.shell("ALTER TABLE price_old RENAME TO price;")
    receiver.wait_for(2)
    assert receiver.received("/")[1].json() == {"id": 2, "amount": 7}


def test_when_leaves_out_and_counts(db, receiver, dispatcher, eventually):
    db.ext("SELECT resthook_watch('item', 'insert', 'item.even', ?)", json.dumps({"when": "NEW.id % 2 = 0"}))
    db.subscribe("item.even", receiver.url("/"))
    dispatcher(db)
    insert(db, 10)
    receiver.wait_for(5)
    assert sorted(ids(receiver)) == [2, 4, 6, 8, 10]
    eventually(lambda: db.meta("filtered") == 5)


def test_a_ping_reaches_that_subscription_alone(db, receiver, dispatcher):
    sub, _ = db.subscribe("item.create", receiver.url("/pinged"))
    db.subscribe("*", receiver.url("/other"))
    dispatcher(db)
    db.ext("SELECT resthook_ping(?)", sub)
    insert(db, 1)
    receiver.wait_for(2, "/pinged")
    receiver.wait_for(1, "/other")
    assert {request.headers["x-event-type"] for request in receiver.received("/pinged")} == {"resthook.ping",
                                                                                            "item.create"}
    assert [request.headers["x-event-type"] for request in receiver.received("/other")] == ["item.create"]


def test_settings_hold_without_a_restart(db, receiver, dispatcher, eventually):
    receiver.script("/", 500)
    db.subscribe("*", receiver.url("/"))
    dispatcher(db)
    db.ext("SELECT resthook_set('retry_schedule', '0,50ms')")
    insert(db, 1)
    eventually(lambda: states(db) == {"dead": 1})
    assert len(receiver.received("/")) == 2


def test_old_events_and_deliveries_go_but_not_what_is_needed(db, receiver, dispatcher, eventually):
    receiver.script("/stuck", 500)
    db.subscribe("*", receiver.url("/"))
    stuck, _ = db.subscribe("item.create", receiver.url("/stuck"), retry_schedule="0,1h")
    running = dispatcher(db)
    insert(db, 300)
    eventually(lambda: states(db).get("delivered") == 300 and states(db).get("retrying") == 300, timeout=60)
    db.ext("SELECT resthook_set('keep_events', 0)")
    running.stop()
    running = dispatcher(db)
    newest = db.one("SELECT max(id) FROM resthook_outbox")
    insert(db, 1, first=301)
    receiver.wait_for(301, "/")
    assert db.one("SELECT count(*) FROM resthook_outbox") == newest + 1, "an unfinished delivery needs each of them"
    db.ext("SELECT resthook_unsubscribe(?)", stuck)
    eventually(lambda: "retrying" not in states(db))
    running.stop()
    running = dispatcher(db)
    # The greatest id and the anchors stay; all else is settled and old.
    eventually(lambda: db.one("SELECT count(*) FROM resthook_outbox") <= 65, timeout=20)
    assert db.one("SELECT max(id) FROM resthook_outbox") == newest + 1
    insert(db, 1, first=302)
    receiver.wait_for(302, "/")


def test_a_full_side_file_loses_nothing(db, receiver, dispatcher, eventually):
    """A reader that never ends and a writer's lock on the side file: outcomes wait in memory and are written later."""
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    insert(db, 1)
    eventually(lambda: states(db) == {"delivered": 1})
    lock = sqlite3.connect(db.side, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    insert(db, 5, first=2)
    receiver.wait_for(6)
    running.wait_log("can't be written", timeout=30)
    lock.execute("ROLLBACK")
    lock.close()
    running.wait_log("written again")
    eventually(lambda: states(db) == {"delivered": 6})
    assert len(receiver.received("/")) == 6


def test_a_changed_secret_signs_the_next_request(db, receiver, dispatcher):
    import verify

    sub, old = db.subscribe("*", receiver.url("/"))
    dispatcher(db)
    new = db.one("SELECT resthook_rotate_secret(?)", sub)
    insert(db, 1)
    request = receiver.wait_for(1)[0]
    for secret in (old, new):
        verify.verify(secret, request.headers, request.body)
    assert len(request.headers["webhook-signature"].split(" ")) == 2


def test_the_status_shows_the_journal_mode_of_now(db, receiver, dispatcher, eventually):
    db.shell("PRAGMA journal_mode=DELETE")
    db.subscribe("*", receiver.url("/"))
    dispatcher(db)
    mode = "SELECT value FROM resthook_status WHERE name = 'journal_mode'"
    eventually(lambda: db.ext(mode) == [("rollback",)])
    eventually(lambda: db.shell("PRAGMA journal_mode=WAL") == "wal")  # not while somebody reads
    insert(db, 1)
    receiver.wait_for(1)
    eventually(lambda: db.ext(mode) == [("wal",)], timeout=20)
