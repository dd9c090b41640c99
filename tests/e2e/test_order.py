"""Order within a key (option `ordered`): one of a key at a time, whatever fails, hangs, is killed or switched."""

import collections
import json
import random
import threading

import pytest

from receiver import Gate, answer, held

QUICK = "0" + ",100ms" * 49


def emit(db, *keyed, **options):
    """Events in one transaction: (key, n) pairs; key None: none."""
    connection = db.connect()
    connection.execute("BEGIN")
    for key, n in keyed:
        given = {**options, **({} if key is None else {"key": key})}
        connection.execute("SELECT resthook_emit('thing.done', ?, ?)", (json.dumps({"key": key, "n": n}), json.dumps(given)))
    connection.execute("COMMIT")
    connection.close()


def arrived(receiver, key=...):
    """n of each request, of one key; repeats too."""
    bodies = [request.json() for request in receiver.received("/")]
    return [body["n"] for body in bodies if key is ... or body["key"] == key]


def states(db):
    return dict(db.journal("SELECT state, count(*) FROM resthook_deliveries GROUP BY state"))


def firsts(numbers):
    return list(dict.fromkeys(numbers))


def waiting(db):
    """How many rows wait for their key."""
    return db.journal("SELECT count(*) FROM delivery WHERE state < 2 AND next_at IS NULL")[0][0]


class Watcher:
    """An answer that sees whether two of one key are ever under way at once. then(body): a status, or a gate to wait at."""

    def __init__(self, then=lambda body: 200):
        self.then = then
        self.lock = threading.Lock()
        self.under_way = collections.Counter()
        self.most = 0
        self.overlaps = []

    def __call__(self, exchange):
        body = exchange.request.json()
        with self.lock:
            self.under_way[body["key"]] += 1
            self.most = max(self.most, sum(self.under_way.values()))
            if self.under_way[body["key"]] > 1:
                self.overlaps.append(body)
        what = self.then(body)
        if isinstance(what, Gate):
            what.wait()
            what = 200
        with self.lock:
            self.under_way[body["key"]] -= 1
        return answer(what)(exchange)


@pytest.fixture
def ordered(db, receiver):
    """ordered(script, mode=True, **options) subscribes to everything and returns the id."""

    def subscribe(then=None, mode=True, **options):
        watcher = Watcher(then or (lambda body: 200))
        receiver.script("/", watcher)
        sub, _ = db.subscribe("*", receiver.url("/"), ordered=mode, **{"retry_schedule": QUICK, **options})
        subscribe.watcher = watcher
        return sub

    yield subscribe
    assert subscribe.watcher.overlaps == []


def test_a_key_that_fails_holds_itself_alone(db, receiver, ordered, dispatcher, eventually):
    """The first of a fails, at least thrice, until all of b has come; then a follows in order."""
    def then(body):
        return 500 if body["n"] == 1 and body["key"] == "a" and (
            len(arrived(receiver, "b")) < 20 or len(arrived(receiver, "a")) < 4) else 200

    ordered(then)
    dispatcher(db)
    emit(db, *[(key, n) for n in range(1, 21) for key in "ab"])
    eventually(lambda: states(db) == {"delivered": 40})
    assert arrived(receiver, "b") == list(range(1, 21))
    assert arrived(receiver, "a")[:4] == [1, 1, 1, 1]
    assert firsts(arrived(receiver, "a")) == arrived(receiver, "a")[arrived(receiver, "a").count(1) - 1:] == list(range(1, 21))


def test_a_key_that_hangs_holds_itself_alone(db, receiver, ordered, dispatcher, eventually):
    """… and not the cursor: its followers are rows without a time."""
    gate = receiver.gate()
    ordered(lambda body: gate if body["key"] == "a" and body["n"] == 1 else 200, timeout=60)
    running = dispatcher(db)
    emit(db, *[("a", n) for n in range(1, 3001)], *[("b", n) for n in range(1, 11)])
    receiver.wait_until(lambda requests: len(arrived(receiver, "b")) == 10)
    eventually(lambda: waiting(db) == 2999)
    assert arrived(receiver, "a") == [1]
    assert db.one("SELECT value FROM resthook_status WHERE name = 'pending'") >= 2999
    gate.open()
    receiver.wait_for(3010, "/", timeout=60)
    eventually(lambda: states(db) == {"delivered": 3010})
    assert arrived(receiver, "a") == list(range(1, 3001))
    assert running.stop() == 0


def test_without_keys_a_subscription_is_one_line(db, receiver, ordered, dispatcher, eventually):
    failed = collections.Counter()

    def then(body):
        failed[body["n"]] += 1
        return 500 if body["n"] % 7 == 0 and failed[body["n"]] == 1 else 200

    ordered(then)
    dispatcher(db)
    emit(db, *[(None, n) for n in range(1, 31)])
    eventually(lambda: states(db) == {"delivered": 30})
    assert firsts(arrived(receiver)) == list(range(1, 31))
    assert ordered.watcher.most == 1


def test_the_key_of_a_watch(db, receiver, dispatcher, eventually):
    """A key is compared as text: integer 1 and text '1' are the same; an empty one is none, as NULL is."""
    db.ext("SELECT resthook_watch('item', 'insert', 'item.create', '{\"key\":\"NEW.name\"}')")
    db.subscribe("item.create", receiver.url("/"), ordered=True)
    gate = receiver.gate()
    receiver.script("/", held(gate))
    dispatcher(db)
    db.shell("INSERT INTO item(name) VALUES (1), ('1'), (''), (NULL), (x'61'), ('YQ=='), (2.5), ('2.5')")
    receiver.wait_for(4)
    eventually(lambda: waiting(db) == 4)
    assert sorted(request.json()["id"] for request in receiver.received()) == [1, 3, 5, 7]
    assert db.journal("SELECT key FROM delivery WHERE state < 3 AND next_at IS NULL ORDER BY event") == [
        ("1",), ("",), ("YQ==",), ("2.5",)]
    gate.open()
    receiver.wait_for(8)


def test_a_dead_one_is_skipped(db, receiver, ordered, dispatcher, eventually):
    ordered(lambda body: 500 if body["n"] == 1 else 200, mode="skip", retry_schedule="0,100ms")
    dispatcher(db)
    emit(db, *[("a", n) for n in range(1, 6)])
    eventually(lambda: states(db) == {"delivered": 4, "dead": 1})
    assert arrived(receiver) == [1, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("released_by", ["replay", "cancel", "skip", "off"])
def test_a_dead_one_stops_its_key(db, receiver, ordered, dispatcher, eventually, released_by):
    """… until it is replayed, cancelled, or `ordered` says otherwise; over a restart."""
    works = []
    sub = ordered(lambda body: 200 if body["key"] != "a" or body["n"] != 2 or works else 500, mode="stop",
                  retry_schedule="0,100ms")
    first = dispatcher(db)
    emit(db, *[(key, n) for n in range(1, 6) for key in "ab"])
    eventually(lambda: states(db) == {"delivered": 6, "held": 1, "pending": 3})
    ((id, reason, attempts),) = db.ext(
        "SELECT id, reason, attempts FROM resthook_deliveries WHERE state = 'held'")
    assert reason == "stopped: HTTP status 500" or reason.startswith("stopped: "), reason
    assert attempts == 2
    first.wait_log(f"warn delivery stops its key delivery={id}")
    assert "delivery is dead" not in first.text()
    first.kill()
    running = dispatcher(db)
    emit(db, ("a", 6), ("b", 6))
    eventually(lambda: states(db) == {"delivered": 7, "held": 1, "pending": 4})
    assert arrived(receiver, "a") == [1, 2, 2]
    db.ext("SELECT resthook_update(?, '{\"description\":\"a change wakes what is held, but not this\"}')", sub)
    emit(db, ("b", 7))
    receiver.wait_until(lambda _: 7 in arrived(receiver, "b"))
    assert arrived(receiver, "a") == [1, 2, 2]
    works.append(True)
    db.ext({"replay": "SELECT resthook_replay(?1)", "cancel": "SELECT resthook_cancel(?1)",
            "skip": "SELECT resthook_update(substr(?1, 1, 28), '{\"ordered\":true}')",
            "off": "SELECT resthook_update(substr(?1, 1, 28), '{\"ordered\":null}')"}[released_by], id)
    eventually(lambda: "pending" not in states(db) and "held" not in states(db))
    assert states(db) == {"replay": {"delivered": 13}, "cancel": {"delivered": 12, "cancelled": 1}}.get(
        released_by, {"delivered": 12, "dead": 1})
    a = arrived(receiver, "a")
    if released_by == "off":
        assert sorted(a[3:]) == [3, 4, 5, 6]
        ordered.watcher.overlaps.clear()
    else:
        assert a[3:] == ([2] if released_by == "replay" else []) + [3, 4, 5, 6]
    assert db.journal("SELECT reason FROM resthook_deliveries WHERE state = 'dead'") == [
        (reason.removeprefix("stopped: "),)] * (released_by in ("skip", "off"))
    assert running.stop() == 0


def test_what_can_not_be_sent_stops_too(db, receiver, ordered, dispatcher, eventually):
    ordered(mode="stop")
    dispatcher(db)
    db.shell("INSERT INTO resthook_outbox(event, payload, key) VALUES ('thing.done', 'no JSON', 'a'),"
             " ('thing.done', '{\"key\":\"a\",\"n\":2}', 'a'), ('thing.done', '{\"key\":\"b\",\"n\":1}', 'b')")
    eventually(lambda: states(db) == {"held": 1, "pending": 1, "delivered": 1})
    assert db.journal("SELECT reason FROM resthook_deliveries WHERE state = 'held'") == [("stopped: payload is not JSON",)]
    db.ext("SELECT resthook_cancel(id) FROM resthook_deliveries WHERE state = 'held'")
    eventually(lambda: states(db) == {"cancelled": 1, "delivered": 2})


def test_one_for_later_holds_its_key(db, receiver, ordered, dispatcher, eventually):
    ordered()
    dispatcher(db)
    emit(db, ("a", 1), deliver_at=4102444800)
    emit(db, ("a", 2), ("b", 1))
    receiver.wait_for(1)
    eventually(lambda: waiting(db) == 1)
    assert arrived(receiver) == [1]
    db.ext("SELECT resthook_cancel(id) FROM resthook_deliveries WHERE state = 'pending' AND event_id = 1")
    receiver.wait_for(2)
    assert arrived(receiver, "a") == [2]


def test_one_for_later_behind_another_keeps_its_time(db, receiver, ordered, dispatcher, eventually):
    gate = receiver.gate()
    ordered(lambda body: gate)
    dispatcher(db)
    emit(db, ("a", 1))
    emit(db, ("a", 2), deliver_at=4102444800)
    eventually(lambda: waiting(db) == 1)
    gate.open()
    eventually(lambda: db.journal("SELECT next_attempt_at FROM resthook_deliveries WHERE state = 'pending'")
               == [("2100-01-01T00:00:00.000Z",)])
    assert arrived(receiver) == [1]


def test_one_whose_key_is_not_known_holds_everything(db, receiver, dispatcher, eventually):
    """Its expressions fail: what it is ordered by is one of them."""
    db.shell("CREATE TABLE other(id INTEGER PRIMARY KEY, name); INSERT INTO other VALUES (1, 'x');")
    db.ext("""SELECT resthook_watch('item', 'insert', 'item.create',
              '{"key":"(SELECT name FROM other WHERE id = NEW.id)", "fields":{"id":"NEW.id"}}')""")
    db.subscribe("*", receiver.url("/"), ordered=True)
    dispatcher(db)
    db.shell("ALTER TABLE other RENAME TO away; INSERT INTO item(id) VALUES (1);")
    eventually(lambda: states(db) == {"held": 1})
    emit(db, ("a", 1), (None, 2))
    eventually(lambda: waiting(db) == 2)
    db.shell("ALTER TABLE away RENAME TO other;")
    receiver.wait_for(3)
    assert receiver.received()[0].json() == {"id": 1}
    eventually(lambda: states(db) == {"delivered": 3})


def test_pause_restart_and_resume(db, receiver, ordered, dispatcher, eventually):
    sub = ordered(status="inactive")
    first = dispatcher(db)
    emit(db, *[(key, n) for n in range(1, 11) for key in "abc"])
    eventually(lambda: states(db) == {"pending": 30})
    first.kill()
    dispatcher(db)
    emit(db, *[(key, n) for n in range(11, 21) for key in "abc"])
    eventually(lambda: states(db) == {"pending": 60})
    db.ext("SELECT resthook_resume(?)", sub)
    receiver.wait_for(60)
    for key in "abc":
        assert arrived(receiver, key) == list(range(1, 21))
    eventually(lambda: states(db) == {"delivered": 60})


def test_what_is_kept_for_a_pause_goes_oldest_first(db, receiver, ordered, dispatcher, eventually):
    sub = ordered(status="inactive")
    db.ext("SELECT resthook_set('keep_pending_rows', 10)")
    emit(db, *[("a", n) for n in range(1, 31)])
    dispatcher(db)
    eventually(lambda: states(db) == {"pending": 10, "dead": 20})
    db.ext("SELECT resthook_resume(?)", sub)
    receiver.wait_for(10)
    assert arrived(receiver) == list(range(21, 31))


def test_what_waits_too_long_behind_a_stopped_one_expires(db, receiver, ordered, dispatcher, eventually):
    """The one that stopped the key stays: it is for somebody to decide."""
    ordered(lambda body: 500 if body["n"] == 1 else 200, mode="stop", retry_schedule="0")
    running = dispatcher(db)
    emit(db, *[("a", n) for n in range(1, 5)])
    eventually(lambda: states(db) == {"held": 1, "pending": 3})
    assert running.stop() == 0
    week = 7 * 86400 * 1000
    db.ext("SELECT resthook_set('keep_pending', 86400)")
    db.shell(f"UPDATE resthook_outbox SET created_at = created_at - {week} WHERE id < 4;")
    import sqlite3
    side = sqlite3.connect(db.side)
    with side:
        side.execute("UPDATE delivery SET created_at = created_at - ? WHERE event < 4", (week,))
        side.execute("UPDATE anchor SET created_at = created_at - ? WHERE id < 4", (week,))
    side.close()
    dispatcher(db)
    eventually(lambda: states(db) == {"held": 1, "dead": 2, "pending": 1}, timeout=30)
    assert db.journal("SELECT event_id, reason FROM resthook_deliveries WHERE state = 'dead' ORDER BY 1") == [
        (2, "expired"), (3, "expired")]
    assert arrived(receiver) == [1]


def test_cancel_forget_and_replay_within_a_key(db, receiver, ordered, dispatcher, eventually):
    gate = receiver.gate()
    ordered(lambda body: gate if body["n"] == 1 else 200, timeout=60)
    dispatcher(db)
    emit(db, *[("a", n) for n in range(1, 7)])
    eventually(lambda: waiting(db) == 5)
    db.ext("SELECT resthook_cancel(id) FROM resthook_deliveries WHERE event_id = 2")
    db.ext("SELECT resthook_forget(4)")
    eventually(lambda: waiting(db) == 3)
    assert db.journal("SELECT key FROM delivery WHERE event = 4") == [(None,)]
    gate.open()
    eventually(lambda: states(db) == {"delivered": 4, "cancelled": 2})
    assert arrived(receiver) == [1, 3, 5, 6]
    gate.clear()
    db.ext("SELECT resthook_replay(id) FROM resthook_deliveries WHERE event_id = 1")
    receiver.wait_for(5)
    emit(db, ("a", 7))  # comes behind it, as ever
    eventually(lambda: waiting(db) == 1)
    gate.open()
    receiver.wait_for(6)
    assert arrived(receiver) == [1, 3, 5, 6, 1, 7]


def test_ordered_is_switched_on_and_off_while_there_is_something(db, receiver, dispatcher, eventually):
    """What was unfinished before goes first; what waits when it is switched off waits no longer."""
    gates = {n: receiver.gate() for n in (1, 5)}
    watcher = Watcher(lambda body: gates[body["n"]] if body["n"] in gates else 200)
    receiver.script("/", watcher)
    sub, _ = db.subscribe("*", receiver.url("/"), timeout=60)
    running = dispatcher(db)
    emit(db, ("a", 1))
    receiver.wait_for(1)
    db.ext("SELECT resthook_update(?, '{\"ordered\":\"skip\"}')", sub)
    emit(db, ("a", 2), ("b", 3))
    eventually(lambda: waiting(db) == 2)
    gates[1].open()
    receiver.wait_for(3)
    emit(db, ("a", 5), ("a", 6), ("b", 7))
    receiver.wait_until(lambda requests: sorted(arrived(receiver)) == [1, 2, 3, 5, 7])
    eventually(lambda: waiting(db) == 1)
    db.ext("SELECT resthook_update(?, '{\"ordered\":false}')", sub)
    receiver.wait_until(lambda requests: 6 in arrived(receiver))
    gates[5].open()
    eventually(lambda: states(db) == {"delivered": 6})
    assert db.journal("SELECT count(*) FROM delivery WHERE state < 3") == [(0,)]
    assert running.stop() == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_a_backlog_of_many_keys_killed_again_and_again(db, receiver, dispatcher, seed):
    """10,000 events of 100 keys, some of which fail once or twice, are delivered by dispatchers that are killed in
    between. No event comes before an earlier one of its key, no two of a key at once, keys beside each other."""
    events, keys = 10_000, 100
    chance = random.Random(seed)
    fails = {n: chance.choice([1, 1, 2]) for n in chance.sample(range(events), events // 50)}
    lock = threading.Lock()

    def then(body):
        with lock:
            fails[body["n"]] = fails.get(body["n"], 0) - 1
            return 500 if fails[body["n"]] >= 0 else 200

    watcher = Watcher(then)
    receiver.script("/", watcher)
    db.subscribe("*", receiver.url("/"), ordered=True, retry_schedule=QUICK)
    emit(db, *[(f"k{n % keys}", n) for n in range(events)])
    for _ in range(8):
        seen = len(receiver.received())
        running = dispatcher(db)
        receiver.wait_for(seen + chance.randint(100, 1000), timeout=60)
        running.kill()
    running = dispatcher(db)
    done = set()
    read = 0

    def all_done(requests):
        nonlocal read
        done.update(request.json()["n"] for request in requests[read:])
        read = len(requests)
        return len(done) == events

    receiver.wait_until(all_done, timeout=120)
    assert running.stop() == 0
    newest = {}
    for request in receiver.received():
        body = request.json()
        key, n = body["key"], body["n"]
        assert n <= newest.get(key, n % keys - keys) + keys, f"{n} of {key} came after {newest.get(key)}"
        newest[key] = max(n, newest.get(key, n))
