"""The application never waits for us: a writer without any busy timeout, while a backlog drains."""

import sqlite3
import time

import pytest

EVENTS = 10_000


def backlog(db, receiver, journal):
    db.shell(f"PRAGMA journal_mode={journal}")
    for target in range(3):
        db.subscribe("*", receiver.url(f"/{target}"))
    db.shell("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO item(name) SELECT 'x' || i FROM n;" % EVENTS)
    db.shell("CREATE TABLE own(a);")


def write_while(db, goes_on, timeout):
    """Single commits, and transactions that read and then write. Returns how many there were, and how many met BUSY."""
    writer = sqlite3.connect(db.path, isolation_level=None, timeout=timeout)
    commits = busy = 0
    while goes_on():
        try:
            writer.execute("INSERT INTO own VALUES (1)")
            writer.execute("BEGIN")
            writer.execute("SELECT count(*) FROM own").fetchone()
            time.sleep(0.005)  # the application thinks
            writer.execute("INSERT INTO own VALUES (2)")
            writer.execute("COMMIT")
        except sqlite3.OperationalError as error:
            assert "locked" in str(error)
            busy += 1
            if writer.in_transaction:
                writer.execute("ROLLBACK")
        commits += 2
    writer.close()
    return commits, busy


def test_no_writer_meets_a_lock_while_deliveries_drain(db, receiver, dispatcher):
    backlog(db, receiver, "WAL")
    dispatcher(db)
    commits, busy = write_while(db, lambda: len(receiver.received()) < 3 * EVENTS, timeout=0)
    assert busy == 0, f"of {commits}"
    assert commits > 10
    assert db.path.with_name("app.db-wal").stat().st_size < 20_000_000, "nobody holds a snapshot for long"


@pytest.mark.parametrize("journal", ["DELETE", "TRUNCATE", "PERSIST"])
def test_with_a_rollback_journal_a_tenth_of_a_second_is_enough(db, receiver, dispatcher, journal):
    backlog(db, receiver, journal)
    dispatcher(db)
    commits, busy = write_while(db, lambda: len(receiver.received()) < 3 * EVENTS, timeout=0.1)
    assert busy == 0, f"of {commits}"
    assert commits > 10


def test_a_long_transaction_of_the_application_delays_nothing_but_itself(db, receiver, dispatcher):
    """While the application holds the write lock, what was committed before is delivered."""
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    db.shell("INSERT INTO item(name) VALUES ('before');")
    writer = sqlite3.connect(db.path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO item(name) VALUES ('inside')")
    receiver.wait_for(1)
    assert running.process.poll() is None
    writer.execute("COMMIT")
    receiver.wait_for(2)
    writer.close()


def test_with_a_rollback_journal_many_subscriptions_are_read_in_slices(db, receiver, dispatcher):
    """Twenty thousand, of which one changes again and again: no writer waits while all of them are read anew."""
    db.shell("PRAGMA journal_mode=DELETE; CREATE TABLE own(a);")
    writer = db.connect()
    writer.execute("BEGIN")
    writer.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
                   " SELECT count(resthook_subscribe('other.e', 'https://example.com/' || i)) FROM n")
    writer.execute("COMMIT")
    writer.execute("PRAGMA busy_timeout = 100")
    dispatcher(db)
    for i in range(2):
        writer.execute("SELECT resthook_subscribe('item.*', ?)", [receiver.url(f"/{i}")])
        writer.execute("INSERT INTO item(name) VALUES ('x')")
        while not receiver.received(f"/{i}"):
            writer.execute("INSERT INTO own VALUES (1)")  # "database is locked", were it not so
            time.sleep(0.005)  # the application thinks
    writer.close()
