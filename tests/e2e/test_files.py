"""Several databases in one process, files that come, go and are replaced, and a dispatcher that stands by."""

import os
import shutil
import signal

from conftest import Database


def made(path, receiver, target="/"):
    db = Database(path)
    db.shell("PRAGMA journal_mode=WAL; CREATE TABLE item(id INTEGER PRIMARY KEY, name);")
    db.ext("SELECT resthook_init()")
    db.ext("SELECT resthook_watch('item', 'insert', 'item.create')")
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
    insert(db, 2)
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


def test_a_hundred_databases(tmp_path, receiver, dispatcher, eventually):
    first = made(tmp_path / "0.db", receiver)
    first.shell("PRAGMA wal_checkpoint(TRUNCATE);")
    databases = [first]
    for number in range(1, 100):
        shutil.copy(first.path, tmp_path / f"{number}.db")
        databases.append(Database(tmp_path / f"{number}.db"))
    running = dispatcher(first, *(db.path for db in databases[1:]))
    running.wait_log("ready", count=100)
    for number, db in enumerate(databases):
        insert(db, number)
    receiver.wait_for(100)
    assert ids(receiver) == list(range(100))
    assert running.stop() == 0
