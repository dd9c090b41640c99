"""--once ends: whatever the target says, and whatever can't be recorded; and its exit status says what is left."""

import subprocess

from conftest import LOOPBACK, RESTHOOKD, resthookd
from receiver import retry_after


def states(db):
    return dict(db.journal("SELECT state, count(*) FROM resthook_deliveries GROUP BY state"))


def insert(db, count):
    db.shell("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO item(name) SELECT 'x' FROM n;" % count)


def once(db):
    return resthookd("--once", *LOOPBACK, db.path)


def test_it_ends_after_a_410_and_the_subscription_has_ended(db, receiver):
    receiver.script("/", 410)
    db.subscribe("*", receiver.url("/"))
    insert(db, 1)
    assert once(db).returncode == 1
    assert db.shell("SELECT status, reason FROM resthook_subscriptions") == "ended|gone: 410 from target"
    insert(db, 5)
    assert once(db).returncode == 0
    assert states(db) == {"dead": 1}, "what came after its end is not its"


def test_a_running_one_forgets_it_after_a_410(db, receiver, dispatcher, eventually):
    receiver.script("/", 410)
    db.subscribe("*", receiver.url("/"))
    dispatcher(db)
    insert(db, 1)
    eventually(lambda: db.shell("SELECT status FROM resthook_subscriptions") == "ended")
    other, _ = db.subscribe("item.create", receiver.url("/other"))
    insert(db, 1)
    receiver.wait_for(2)
    eventually(lambda: states(db) == {"dead": 1, "delivered": 1})


def test_it_does_not_wait_for_a_retry_after(db, receiver):
    receiver.script("/", *[retry_after(503, "3600")] * 64)
    db.subscribe("*", receiver.url("/"))
    insert(db, 20)
    assert once(db).returncode == 1
    assert 1 <= len(receiver.received()) < 20


def test_what_can_not_be_sent_counts(db, receiver):
    db.subscribe("*", receiver.url("/"))
    db.shell("INSERT INTO resthook_outbox(event, payload) VALUES ('a.b', 'no JSON');")
    assert once(db).returncode == 1
    assert states(db) == {"dead": 1}


def test_a_range_is_replayed_in_one_transaction(db, receiver):
    """More than one look takes."""
    sub, _ = db.subscribe("*", receiver.url("/"))
    insert(db, 2500)
    assert once(db).returncode == 0
    connection = db.connect()
    connection.execute("BEGIN")
    assert connection.execute("SELECT count(resthook_replay(id)) FROM resthook_deliveries").fetchone() == (2500,)
    connection.execute("COMMIT")
    connection.close()
    assert once(db).returncode == 0
    assert len(receiver.received()) == 5000


def test_a_full_disk_at_the_side_file_ends_it(db, receiver, tmp_path):
    """Outcomes that can't be written: 74, and they are sent again later."""
    db.subscribe("*", receiver.url("/"))
    assert once(db).returncode == 0
    insert(db, 3)
    done = subprocess.run(["sh", "-c", "ulimit -f 1; trap '' XFSZ; exec \"$@\"", "sh", str(RESTHOOKD), "--once", *LOOPBACK, str(db.path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 74, done.stderr
    assert once(db).returncode == 0
    assert states(db) == {"delivered": 3}


def test_what_is_old_goes_with_it_too(db, receiver):
    db.subscribe("*", receiver.url("/"))
    for name in ("keep_events", "keep_deliveries"):
        db.ext("SELECT resthook_set(?, 0)", name)
    insert(db, 2000)
    assert once(db).returncode == 0
    assert len(receiver.received()) == 2000
    for _ in range(20):  # each takes some of them
        if db.one("SELECT count(*) FROM resthook_outbox") <= 65 and states(db) == {}:
            break
        assert once(db).returncode == 0
    assert db.one("SELECT count(*) FROM resthook_outbox") <= 65, "the newest and the anchors"
    assert states(db) == {}
    insert(db, 1)
    assert once(db).returncode == 0
    assert len(receiver.received()) == 2001


def test_what_it_has_to_say_itself_is_said_by_the_next_one(db, receiver):
    db.subscribe("resthook.*", receiver.url("/told"))
    for i in range(5):
        receiver.script(f"/{i}", 410)
        db.subscribe("item.*", receiver.url(f"/{i}"))
    insert(db, 1)
    once(db)
    told = "SELECT count(*) FROM resthook_outbox WHERE event GLOB 'resthook.*'"
    assert db.shell(told) == "10", "five ends, and five that are dead"
    assert db.journal("SELECT count(*) FROM notice") == [(0,)]
    assert once(db).returncode == 0
    assert len(receiver.received("/told")) == 10
