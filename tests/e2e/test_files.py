"""Several databases in one process, files that come, go and are replaced, and a dispatcher that stands by."""

import os
import shutil
import signal
import sqlite3
from pathlib import Path

from conftest import Database, watched


def made(path, receiver, target="/"):
    db = watched(path)
    db.subscribe("*", receiver.url(target))
    return db


def insert(db, number):
    db.shell(f"INSERT INTO item VALUES ({number}, 'x');")


def ids(receiver, path="/"):
    return sorted(request.json()["id"] for request in receiver.received(path))


def test_one_that_can_not_be_opened_harms_no_other(tmp_path, receiver, dispatcher, eventually):
    good, later = made(tmp_path / "good.db", receiver), made(tmp_path / "later.db", receiver)
    (tmp_path / "text.db").write_text("no database at all")
    (tmp_path / "hidden").mkdir()
    shutil.move(later.path, tmp_path / "hidden" / "later.db")
    running = dispatcher(good, tmp_path / "text.db", tmp_path / "missing.db", later.path)
    running.wait_log("not delivered for .*text.db", count=1)
    running.wait_log("not delivered for .*missing.db")
    insert(good, 1)
    receiver.wait_for(1)
    shutil.move(tmp_path / "hidden" / "later.db", later.path)
    running.wait_log("ready .*later.db")
    insert(later, 2)
    receiver.wait_for(2)
    assert running.stop() == 0
    assert running.text().count("text.db") == 1, "said once"


def test_damaged_locked_and_unwritable_ones_are_reported_and_harm_no_other(tmp_path, receiver, dispatcher):
    directory = tmp_path / "tenants"
    directory.mkdir()
    names = ["good", "damaged", "locked", "unwritable"]
    good, damaged, locked, unwritable = (made(directory / f"{name}.db", receiver) for name in names)
    for db in (damaged, locked):
        db.shell("PRAGMA journal_mode=DELETE;")
    data = bytearray(damaged.path.read_bytes())
    data[100:4096] = b"\xff" * 3996
    damaged.path.write_bytes(data)
    unwritable.side.mkdir()
    os.mkfifo(directory / "pipe.db")
    holder = sqlite3.connect(locked.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    running = dispatcher(directory, directory / "pipe.db", "--dir")
    insert(good, 1)
    receiver.wait_for(1)
    for line in ("damaged.db: .*malformed", "locked.db: .*locked", "unwritable.db-resthook: .*not a file",
                 "pipe.db: .*not a file"):
        running.wait_log("not delivered for.*" + line)
    holder.execute("COMMIT")
    running.wait_log("ready .*locked.db")
    insert(locked, 2)
    insert(good, 3)
    receiver.wait_for(3)
    assert ids(receiver) == [1, 2, 3]
    assert damaged.path.read_bytes() == data
    assert running.stop() == 0


def test_one_that_is_named_twice_is_opened_once(tmp_path, receiver, dispatcher):
    """A second descriptor would, when it is closed, drop SQLite's locks: the next writer deletes the WAL under us."""
    db = made(tmp_path / "app.db", receiver)
    (tmp_path / "link.db").symlink_to(db.path)
    running = dispatcher(db, "--core", tmp_path / "app.db", tmp_path / "link.db", ready=False)  # its /proc/…/fd is read
    running.wait_log("ready")
    running.wait_log("link.db: this is the same file as")
    for number in range(1, 6):
        insert(db, number)
        receiver.wait_for(number)
    links = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{running.process.pid}/fd")
             if os.path.islink(entry.path)]
    assert [link for link in links if "app.db" in link and link.endswith("(deleted)")] == []
    assert running.stop() == 0


def test_none_of_them_can_be_opened(tmp_path, dispatcher):
    running = dispatcher(tmp_path / "a.db", tmp_path / "b.db", ready=False)
    assert running.wait() == 66
    assert "a.db" in running.text() and "b.db" in running.text()


def test_a_directory_whose_files_come_and_go(tmp_path, receiver, dispatcher, eventually):
    directory = tmp_path / "tenants"
    directory.mkdir()
    first = made(directory / "one.db", receiver, "/one")
    (directory / "notes.txt").write_text("no database")
    Database(directory / "plain.db").shell("CREATE TABLE t(a);")
    running = dispatcher(directory, "--log-level", "debug", "--dir")
    insert(first, 1)
    receiver.wait_for(1, "/one")
    second = made(directory / "two.db", receiver, "/two")
    running.wait_log("ready .*two.db")
    insert(second, 2)
    receiver.wait_for(1, "/two")
    made(directory / "plain.db.tmp", receiver, "/plain").shell("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode=DELETE;")
    os.replace(directory / "plain.db.tmp", directory / "plain.db")
    running.wait_log("ready .*/plain.db ")
    for path in list(directory.glob("one.db*")):
        path.unlink()
    running.wait_log("is gone")
    insert(second, 3)
    receiver.wait_for(2, "/two")
    assert running.stop() == 0
    assert "notes.txt" not in running.text()


def test_a_file_replaced_while_it_runs(tmp_path, receiver, dispatcher, eventually):
    """VACUUM INTO and mv, as documented for backups and compaction: the same database, with the same past."""
    db = made(tmp_path / "app.db", receiver)
    running = dispatcher(db)
    insert(db, 1)
    receiver.wait_for(1)
    eventually(lambda: db.meta("cursor") == 1)
    db.shell(f"VACUUM INTO '{tmp_path / 'new.db'}'")
    os.replace(tmp_path / "new.db", db.path)
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"app.db{suffix}").unlink(missing_ok=True)
    running.wait_log("another file has the database's name")
    running.wait_log("ready", count=2)
    db.shell("INSERT INTO item VALUES (2, 'x');", "-cmd", ".timeout 1000")  # it has a rollback journal now
    receiver.wait_for(2)
    assert ids(receiver) == [1, 2]
    assert running.stop() == 0


def test_an_older_file_put_in_its_place_is_held(tmp_path, receiver, dispatcher, eventually):
    db = made(tmp_path / "app.db", receiver)
    db.shell(f"VACUUM INTO '{tmp_path / 'old.db'}'")
    running = dispatcher(db)
    for number in (1, 2):
        insert(db, number)
    receiver.wait_for(2)
    eventually(lambda: db.meta("cursor") == 2)
    os.replace(tmp_path / "old.db", db.path)
    for suffix in ("-wal", "-shm"):
        (tmp_path / f"app.db{suffix}").unlink(missing_ok=True)
    running.wait_log("another file has the database's name")
    running.wait_log("held|not delivered for")
    insert(db, 3)
    running.wait_log("not delivered for|held: nothing is sent")
    assert ids(receiver) == [1, 2]


def test_a_second_one_stands_by_and_takes_over(tmp_path, receiver, dispatcher, eventually):
    db = made(tmp_path / "app.db", receiver)
    first = dispatcher(db)
    second = dispatcher(db, "--standby", ready=False)
    second.wait_log("another resthookd delivers")
    insert(db, 1)
    receiver.wait_for(1)
    eventually(lambda: db.meta("cursor") == 1)
    first.kill()
    second.wait_log("ready")
    insert(db, 2)
    receiver.wait_for(2)
    assert ids(receiver) == [1, 2]
    waiting = dispatcher(db, "--standby", ready=False)
    waiting.wait_log("another resthookd delivers")
    waiting.process.send_signal(signal.SIGTERM)
    assert waiting.wait() == 0


AWAKE = 64  # dispatcher/files.c


def copies(tmp_path, receiver, count):
    first = made(tmp_path / "0.db", receiver)
    first.shell("PRAGMA wal_checkpoint(TRUNCATE);")
    for number in range(1, count):
        shutil.copy(first.path, tmp_path / f"{number}.db")
    return [Database(tmp_path / f"{number}.db") for number in range(count)]


def test_many_databases_sleep_and_wake(tmp_path, receiver, dispatcher):
    """Those with nothing to do are closed down to a descriptor each, and a commit opens them again."""
    databases = copies(tmp_path, receiver, 150)
    running = dispatcher(databases[0], "--core", "--log-level", "debug", "--dir", tmp_path)
    running.wait_log(" ready", count=150)
    running.wait_log(" asleep ", count=150 - AWAKE)
    open_files = len(os.listdir(f"/proc/{running.process.pid}/fd"))
    assert open_files < AWAKE * 9 + 150 + 50
    for number, db in enumerate(databases):
        insert(db, number)
    receiver.wait_for(150)
    assert ids(receiver) == list(range(150))
    sleepers = [line.split("database=")[1].split()[0] for line in running.text().splitlines() if " asleep " in line]
    sleeper = next(db for db in databases if str(db.path) in sleepers[:1])
    assert dict(sleeper.ext("SELECT name, value FROM resthook_status"))["dispatcher"] == "running"
    running.wait_log(" asleep ", count=2 * (150 - AWAKE))  # whoever is asleep when it stops is told of it too
    assert running.stop() == 0
    for db in databases:
        assert dict(db.ext("SELECT name, value FROM resthook_status"))["dispatcher"].startswith("not running")
    assert dict(sleeper.ext("SELECT name, value FROM resthook_status"))["dispatcher"].startswith("not running")


def test_a_sleeping_database_wakes_for_what_is_due_and_when_it_is_replaced(tmp_path, receiver, dispatcher):
    databases = copies(tmp_path, receiver, AWAKE + 3)
    running = dispatcher(databases[0], "--log-level", "debug", "--dir", tmp_path)
    running.wait_log(" ready", count=AWAKE + 3)

    def a_sleeper(count):
        return Database(Path(running.wait_log(" asleep ", count=count).split("database=")[1].split()[0]))

    sleeper = a_sleeper(3)
    sleeper.shell("INSERT INTO resthook_outbox(event, payload, deliver_at) VALUES ('late', '{\"id\":1}', "
                  "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) + 7000);")
    running.wait_log(f" awake database={sleeper.path}")
    receiver.wait_for(1)
    sleeper = a_sleeper(4)
    shutil.copy(sleeper.path, tmp_path / "other")
    os.replace(tmp_path / "other", sleeper.path)
    running.wait_log(f" ready database={sleeper.path}", count=2)
    insert(sleeper, 2)
    receiver.wait_for(2)
    assert ids(receiver) == [1, 2] and running.stop() == 0
