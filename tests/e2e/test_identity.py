"""One owner, no clones: copies, restores and losses send nothing until they are told to."""

import concurrent.futures
import os
import shutil
import sqlite3
import subprocess
import threading

import pytest

from conftest import RESTHOOKD, Database, resthookd


def insert(db, first, last):
    for i in range(first, last + 1):
        db.shell(f"INSERT INTO item(id, name) VALUES ({i}, 'item');")


def run_once(db, *options):
    done = resthookd("--allow", "127.0.0.0/8", "--once", *options, db.path)
    return done.returncode, done.stderr


def ids(receiver):
    return [request.json()["id"] for request in receiver.received("/")]


def prepared(db, receiver, count=5):
    db.subscribe("*", receiver.url("/"), max_in_flight=1)  # so that the order is known
    insert(db, 1, count)
    assert run_once(db)[0] == 0
    assert ids(receiver) == list(range(1, count + 1))


def copied(db, path, with_side):
    db.shell("PRAGMA wal_checkpoint(TRUNCATE);")
    shutil.copy(db.path, path)
    if with_side:
        Database(db.side).shell("PRAGMA wal_checkpoint(TRUNCATE);")
        shutil.copy(db.side, str(path) + "-resthook")
    return Database(path)


def test_a_copy_is_held_and_adopted(db, receiver, tmp_path):
    prepared(db, receiver)
    insert(db, 6, 6)
    (tmp_path / "other").mkdir()
    copy = copied(db, tmp_path / "other" / "app.db", with_side=True)
    status, log = run_once(copy)
    assert status == 69 and "--adopt" in log and "copied" in log
    assert ids(receiver) == [1, 2, 3, 4, 5]
    assert run_once(copy, "--adopt")[0] == 0
    assert ids(receiver) == [1, 2, 3, 4, 5, 6], "what the side file knows is not sent again"
    assert run_once(copy)[0] == 0
    assert run_once(db)[0] == 0
    assert ids(receiver)[6:] == [6], "the original goes on as if nothing had been"
    tokens = {request.id.split("_")[0] for request in receiver.received("/")}
    assert len(tokens) == 2


@pytest.mark.parametrize("way", ["cp", ".backup", "VACUUM INTO"])
def test_a_copy_without_its_side_file(db, receiver, tmp_path, way):
    prepared(db, receiver)
    copy = Database(tmp_path / "copy.db")
    if way == "cp":
        copied(db, copy.path, with_side=False)
    else:
        db.shell(f"{way} '{copy.path}'" + ";" * (way == "VACUUM INTO"))
    status, log = run_once(copy)
    assert status == 69 and "side file is missing" in log
    assert run_once(copy, "--adopt=skip")[0] == 0
    assert ids(receiver) == [1, 2, 3, 4, 5]
    insert(copy, 7, 7)
    assert run_once(copy)[0] == 0
    assert ids(receiver) == [1, 2, 3, 4, 5, 7]


def test_the_side_file_was_deleted(db, receiver):
    prepared(db, receiver)
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(str(db.side) + suffix):
            os.unlink(str(db.side) + suffix)
    status, log = run_once(db)
    assert status == 69 and "side file is missing" in log
    assert run_once(db, "--adopt")[0] == 0
    assert ids(receiver)[5:] == [1, 2, 3, 4, 5], "it can't be known what was sent: never silently zero"


def test_what_another_database_had_to_say_is_not_said(db, receiver):
    """Its side file knows of deaths, failures and gaps that are not this one's."""
    prepared(db, receiver)
    db.subscribe("resthook.*", receiver.url("/notices"))
    side = sqlite3.connect(db.side, isolation_level=None)
    side.execute("INSERT INTO notice(event, payload) VALUES ('resthook.delivery.dead', '{\"target\":\"https://other\"}')")
    side.execute("INSERT INTO gap(event, table_name, from_at, to_at) VALUES ('x', 'y', 1, 2)")
    side.execute("UPDATE subscription SET failing_since = 1, filtered = 3")
    side.execute("UPDATE meta SET value = 'another' WHERE name = 'token'")
    side.close()
    assert run_once(db)[0] == 69
    assert run_once(db, "--adopt")[0] == 0
    assert db.ext("SELECT count(*) FROM resthook_events WHERE event LIKE 'resthook.%'") == [(0,)]
    assert db.journal("SELECT (SELECT count(*) FROM notice) + (SELECT count(*) FROM gap), count(failing_since), "
                      "sum(filtered) FROM subscription") == [(0, 0, 0)]


def put_in_its_place(db, other):
    """mv, without the WAL that was beside the database: SQLite would make of the older file the newer one."""
    for suffix in ("-wal", "-shm"):
        db.path.with_name(db.path.name + suffix).unlink(missing_ok=True)
    other.replace(db.path)


def test_the_side_file_is_deleted_while_it_runs(db, receiver, dispatcher):
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    for suffix in ("", "-wal", "-shm"):
        db.side.with_name(db.side.name + suffix).unlink(missing_ok=True)
    running.wait_log("the side file is gone")
    running.wait_log("held: its side file is missing")
    db.shell("INSERT INTO item VALUES (1, 'a');")
    assert receiver.received() == []


def test_adopt_is_for_the_file_that_was_there(db, receiver, dispatcher, tmp_path):
    db.subscribe("*", receiver.url("/"))
    shutil.copy(db.path, tmp_path / "older")
    running = dispatcher(db, "--adopt")
    db.shell("INSERT INTO item VALUES (1, 'a');")
    receiver.wait_for(1)
    put_in_its_place(db, tmp_path / "older")
    running.wait_log("held: ")
    assert running.text().count("adopted") == 1


def test_a_backup_restored_into_the_running_file_is_held(db, receiver, dispatcher, tmp_path):
    """By the backup interface: the same file, inode and token, with the content of yesterday."""
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    db.shell("INSERT INTO item VALUES (1, 'a');")
    receiver.wait_for(1)
    db.shell(f".backup {tmp_path / 'yesterday.db'}")
    db.shell("INSERT INTO item VALUES (2, 'b');")
    receiver.wait_for(2)
    db.shell(f".restore {tmp_path / 'yesterday.db'}")
    running.wait_log("held: .*the event that was read last is gone")
    db.shell("INSERT INTO item VALUES (3, 'c');")
    assert running.stop() in (0, 69) and len(receiver.received()) == 2


def test_vacuum_into_and_mv_over_the_running_file_goes_on(db, receiver, dispatcher, tmp_path):
    """The same content under the same name is the same database."""
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    db.shell("INSERT INTO item VALUES (1, 'a');")
    receiver.wait_for(1)
    db.shell(f"VACUUM INTO '{tmp_path / 'compact.db'}';")
    put_in_its_place(db, tmp_path / "compact.db")
    running.wait_log(" ready", count=2)
    db.shell("INSERT INTO item VALUES (2, 'b');", "-cmd", ".timeout 1000")  # it has a rollback journal now
    receiver.wait_for(2)
    assert running.stop() == 0 and "held" not in running.text()
    assert sorted(request.json()["id"] for request in receiver.received()) == [1, 2]


def test_yesterdays_file_is_held(db, receiver, tmp_path):
    prepared(db, receiver)
    yesterday = tmp_path / "yesterday.db"
    copied(db, yesterday, with_side=False)
    insert(db, 6, 8)
    assert run_once(db)[0] == 0
    db.shell("PRAGMA wal_checkpoint(TRUNCATE);")
    shutil.copy(yesterday, db.path)
    status, log = run_once(db)
    assert status == 69 and "--adopt" in log
    insert(db, 16, 17)  # take the ids of the events that are gone
    assert run_once(db)[0] == 69
    assert run_once(db, "--adopt")[0] == 0
    assert ids(receiver) == [1, 2, 3, 4, 5, 6, 7, 8, 16, 17], "a new event under an old id is a new event"
    assert run_once(db)[0] == 0


def test_what_yesterdays_file_has_can_be_cancelled(db, receiver, tmp_path):
    prepared(db, receiver)
    insert(db, 6, 7)
    copied(db, tmp_path / "yesterday.db", with_side=False)  # 6 and 7 are pending in it
    insert(db, 8, 8)
    assert run_once(db)[0] == 0
    db.shell("PRAGMA wal_checkpoint(TRUNCATE);")
    shutil.copy(tmp_path / "yesterday.db", db.path)
    insert(db, 18, 18)
    assert run_once(db)[0] == 69
    assert run_once(db, "--adopt=skip")[0] == 0
    insert(db, 19, 19)
    assert run_once(db)[0] == 0
    assert ids(receiver) == [1, 2, 3, 4, 5, 6, 7, 8, 19]


def delivering(db, receiver, dispatcher):
    """It runs, and has delivered three."""
    db.subscribe("*", receiver.url("/"), max_in_flight=1)  # so that the order is known
    running = dispatcher(db)
    insert(db, 1, 3)
    receiver.wait_for(3)
    return running


def test_an_outbox_emptied_by_hand_goes_on(db, receiver, dispatcher):
    running = delivering(db, receiver, dispatcher)
    db.shell("DELETE FROM resthook_outbox; DELETE FROM sqlite_sequence;")
    insert(db, 4, 4)
    receiver.wait_for(4)
    assert running.stop() == 0 and "held" not in running.text() and "passed over" not in running.text()
    assert ids(receiver) == [1, 2, 3, 4]


def test_an_outbox_emptied_by_hand_without_what_was_read_last_is_held(db, receiver):
    prepared(db, receiver, 1)
    insert(db, 2, 2)
    db.shell("DELETE FROM resthook_outbox;")
    insert(db, 3, 3)
    assert run_once(db)[0] == 69
    assert run_once(db, "--adopt")[0] == 0
    assert ids(receiver) == [1, 3]


def test_an_outbox_that_lost_its_events_is_noticed_while_it_runs(db, receiver, dispatcher):
    running = delivering(db, receiver, dispatcher)
    db.shell("DROP TRIGGER resthook_outbox_last; DELETE FROM resthook_outbox;")
    insert(db, 4, 4)
    running.wait_log("held")
    assert running.wait() == 69
    assert len(receiver.received("/")) == 3


def test_a_power_loss_rewinds_by_itself(db, receiver, tmp_path):
    """The last commits of a writer at synchronous=NORMAL are gone after a reboot: the boot id tells it from a restore."""
    prepared(db, receiver)
    before = tmp_path / "before.db"
    copied(db, before, with_side=False)
    insert(db, 6, 8)
    assert run_once(db)[0] == 0
    db.shell("PRAGMA wal_checkpoint(TRUNCATE);")
    shutil.copy(before, db.path)
    Database(db.side).shell("UPDATE meta SET value = 'another boot' WHERE name = 'boot';")
    status, log = run_once(db)
    assert status == 0 and "lost its last commits" in log
    insert(db, 26, 27)
    assert run_once(db)[0] == 0
    assert ids(receiver) == [1, 2, 3, 4, 5, 6, 7, 8, 26, 27]


def test_a_rewind_goes_no_further_than_it_must(db, receiver, tmp_path):
    """Events 6 to 8 were read together, so only 8 is an anchor; 6 and 7 are known by their deliveries."""
    prepared(db, receiver)
    insert(db, 6, 7)
    before = tmp_path / "before.db"
    copied(db, before, with_side=False)
    insert(db, 8, 8)
    assert run_once(db)[0] == 0
    db.shell("PRAGMA wal_checkpoint(TRUNCATE);")
    shutil.copy(before, db.path)
    Database(db.side).shell("UPDATE meta SET value = 'another boot' WHERE name = 'boot';")
    insert(db, 28, 28)
    assert run_once(db)[0] == 0
    assert ids(receiver) == [1, 2, 3, 4, 5, 6, 7, 8, 28]


def test_all_was_lost_to_a_power_cut(db, receiver, tmp_path):
    before = tmp_path / "before.db"
    db.subscribe("*", receiver.url("/"), max_in_flight=1)
    assert run_once(db)[0] == 0
    copied(db, before, with_side=False)
    insert(db, 1, 3)
    assert run_once(db)[0] == 0
    db.shell("PRAGMA wal_checkpoint(TRUNCATE);")
    shutil.copy(before, db.path)
    insert(db, 11, 12)
    assert run_once(db)[0] == 69, "without a reboot it was restored"
    Database(db.side).shell("UPDATE meta SET value = 'another boot' WHERE name = 'boot';")
    assert run_once(db)[0] == 0
    assert ids(receiver) == [1, 2, 3, 11, 12]


def test_a_restore_after_a_reboot_is_still_held(db, receiver, tmp_path):
    """The boot id is that of the last start at which all was in order, not that of the first one ever."""
    prepared(db, receiver)
    before = tmp_path / "before.db"
    copied(db, before, with_side=False)
    Database(db.side).shell("UPDATE meta SET value = 'another boot' WHERE name = 'boot';")
    insert(db, 6, 8)
    assert run_once(db)[0] == 0
    db.shell("PRAGMA wal_checkpoint(TRUNCATE);")
    shutil.copy(before, db.path)
    assert run_once(db)[0] == 69
    assert ids(receiver) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_symlink_is_the_same_database(db, receiver, tmp_path):
    prepared(db, receiver)
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "app.db"
    link.symlink_to(db.path)
    insert(db, 6, 6)
    assert run_once(Database(link))[0] == 0
    assert ids(receiver) == [1, 2, 3, 4, 5, 6]
    assert not os.path.exists(str(link) + "-resthook")


@pytest.mark.parametrize("sql", ["VACUUM", "DELETE FROM sqlite_sequence"])
@pytest.mark.parametrize("runs", [True, False], ids=["dispatcher runs", "nobody dispatches"])
def test_it_changes_nothing(db, receiver, dispatcher, sql, runs):
    """The outbox keeps its greatest row, and so its ids, whoever empties SQLite's own count of them."""
    prepared(db, receiver)
    running = dispatcher(db) if runs else None
    db.shell(f"{sql};")
    insert(db, 6, 6)
    if runs:
        receiver.wait_for(6)
        assert running.stop() == 0 and "held" not in running.text()
    else:
        assert run_once(db)[0] == 0
    assert ids(receiver) == [1, 2, 3, 4, 5, 6]
    assert db.shell("SELECT max(id) FROM resthook_outbox") == "6"


@pytest.fixture
def mounted(tmp_path):
    """mounted(source): the command that runs resthookd where the file or folder has a second path, and that path."""
    unshare = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--mount"]
    if subprocess.run([*unshare, "mount", "--bind", tmp_path, tmp_path], capture_output=True).returncode != 0:
        pytest.skip("mount --bind is not permitted here, not even in a name space of its own")

    def command(source):
        there = tmp_path / "mounted"
        there.mkdir() if source.is_dir() else there.touch()
        return [*unshare, "sh", "-c", 'mount --bind "$1" "$2" && shift 2 && exec "$@"', "sh", source, there, RESTHOOKD], there

    return command


def test_another_mount_path_of_both_files(db, receiver, dispatcher, mounted, tmp_path):
    """As in another container: the same files under another path. That path is no other database's, and no second
    dispatcher's; but it could be a copy's, so it is held until somebody says that it isn't."""
    (tmp_path / "data").mkdir()
    data = Database(tmp_path / "data" / "app.db")
    shutil.move(db.path, data.path)
    command, there = mounted(tmp_path / "data")

    def once(*options):
        done = resthookd("--allow", "127.0.0.0/8", "--once", *options, there / "app.db", command=command)
        return done.returncode, done.stderr

    prepared(data, receiver)
    running = dispatcher(data)
    status, log = once()
    assert status == 69 and "another resthookd delivers" in log, "the lock is the file's, not the path's"
    assert running.stop() == 0
    insert(data, 6, 6)
    status, log = once()
    assert status == 69 and "it was moved or copied here with its side file" in log
    assert ids(receiver) == [1, 2, 3, 4, 5]
    assert once("--adopt")[0] == 0
    assert ids(receiver) == [1, 2, 3, 4, 5, 6], "it goes on where it was"
    insert(data, 7, 7)
    assert once()[0] == 0
    status, log = run_once(data)
    assert status == 69 and "it was moved or copied here with its side file" in log, "the first path is now the other one"
    assert ids(receiver) == [1, 2, 3, 4, 5, 6, 7]


def test_another_mount_path_of_the_database_alone(db, receiver, dispatcher, mounted):
    """Its side file and its WAL have no second path."""
    prepared(db, receiver)
    command, there = mounted(db.path)
    running = dispatcher(db)
    done = resthookd("--once", there, command=command)
    assert done.returncode == 69 and "another resthookd delivers" in done.stderr
    assert running.stop() == 0
    done = resthookd("--once", there, command=command)
    assert done.returncode == 69 and "its side file is missing" in done.stderr
    insert(db, 6, 6)
    assert run_once(db)[0] == 0
    assert ids(receiver) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("option, sent", [("--adopt", [1, 2, 3, 4, 5]), ("--adopt=skip", [1, 2, 3, 5])])
def test_an_adoption_that_was_killed_half_way_is_finished(db, receiver, tmp_path, option, sent):
    """Between its two writes: the side file has the new token, the database the one before. It need not be asked for
    again, and what both know of the past is kept. Who restores that database later is held as ever."""
    prepared(db, receiver, 3)
    insert(db, 4, 4)
    (tmp_path / "other").mkdir()
    copy = copied(db, tmp_path / "other" / "app.db", with_side=True)
    former = copy.shell("SELECT value FROM resthook_meta WHERE name = 'token'")
    back = f"UPDATE resthook_meta SET value = '{former}' WHERE name = 'token'"
    assert run_once(copy, option)[0] == 0
    copy.shell(back)
    insert(copy, 5, 5)
    assert run_once(copy)[0] == 69
    Database(copy.side).shell(f"INSERT INTO meta(name, value) VALUES ('former', '{former}')")
    assert resthookd("check", copy.path).returncode == 0
    assert run_once(copy)[0] == 0
    assert ids(receiver) == sent
    assert copy.meta("former") is None and copy.meta("token") != former
    copy.shell(back)
    assert run_once(copy)[0] == 69


def test_a_side_file_that_was_begun_has_the_mode_of_the_database(db, receiver):
    os.chmod(db.path, 0o640)
    db.side.touch(0o600)  # so it was left by a dispatcher that was killed before it had given it one
    prepared(db, receiver)
    assert os.stat(db.side).st_mode & 0o777 == 0o640


def test_the_side_file_has_the_mode_of_the_database(db, receiver):
    os.chmod(db.path, 0o640)
    prepared(db, receiver)
    assert os.stat(db.side).st_mode & 0o777 == 0o640


def test_stopping_locks_nobody_out_and_leaves_a_whole_file(db, receiver, dispatcher, tmp_path):
    """The last connection to close removes the WAL under an exclusive lock. The dispatcher's does not."""
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    insert(db, 1, 1)
    receiver.wait_for(1)
    trying = threading.Event()

    def write():
        connection = sqlite3.connect(db.path, timeout=0, isolation_level=None)
        trying.set()
        count = 1
        while running.process.poll() is None:
            count += 1
            connection.execute("INSERT INTO item(id, name) VALUES (?, 'x')", (count,))
            connection.close()
            connection = sqlite3.connect(db.path, timeout=0, isolation_level=None)
        connection.close()
        return count

    with concurrent.futures.ThreadPoolExecutor() as pool:
        written = pool.submit(write)
        trying.wait()
        assert running.stop() == 0
        count = written.result()
    running = dispatcher(db)
    running.stop()
    shutil.copy(db.path, tmp_path / "alone.db")
    assert Database(tmp_path / "alone.db").shell("SELECT count(*) FROM item") == str(count)
