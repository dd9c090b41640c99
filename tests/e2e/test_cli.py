"""resthookd at the command line: what it says and with which status it ends when something is wrong (design 3.4)."""

import os
import re
import shutil
import sqlite3
import subprocess

import pytest

from conftest import RESTHOOKD, resthookd
from receiver import hang, held

USAGE, NO_DATABASE, NEWER, OWNED, IO = 64, 66, 65, 69, 74


def refused(status, *arguments, says, **options):
    """It ends at once with this status, prints nothing on standard output, and one line that names what to do."""
    done = resthookd(*arguments, **options)
    lines = done.stderr.strip().splitlines()
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    assert len(lines) == 1, done.stderr
    for word in says:
        assert word.lower() in lines[0].lower(), lines[0]
    assert "Sanitizer" not in done.stderr
    return lines[0]


# What is not a database of ours.

def test_no_database_named():
    refused(USAGE, says=["database", "--help"])


def test_a_file_that_is_not_there(tmp_path):
    refused(NO_DATABASE, tmp_path / "none.db", says=["none.db"])
    assert list(tmp_path.iterdir()) == []


def test_a_directory(tmp_path):
    refused(NO_DATABASE, tmp_path, says=[tmp_path.name])


def test_a_text_file(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database\n" * 100)
    refused(NO_DATABASE, path, says=["notes.txt"])
    assert path.read_text() == "not a database\n" * 100


def test_an_empty_file(tmp_path):
    path = tmp_path / "empty.db"
    path.touch()
    refused(NO_DATABASE, path, says=["empty.db", "resthook_init"])


def test_a_database_without_the_schema(tmp_path):
    path = tmp_path / "plain.db"
    sqlite3.connect(path).execute("CREATE TABLE t(a)").connection.close()
    refused(NO_DATABASE, path, says=["plain.db", "resthook_init"])
    assert [entry.name for entry in tmp_path.iterdir()] == ["plain.db"]


def test_a_newer_schema(db):
    db.shell("UPDATE resthook_meta SET value = 99 WHERE name = 'schema';")
    line = refused(NEWER, db.path, says=["app.db", "99"])
    checked = resthookd("check", db.path)
    assert (checked.returncode, checked.stderr.strip()) == (NEWER, line)


# What can't be written, read or had.

def test_a_file_that_may_not_be_written(db, nobody):
    db.path.chmod(0o444)
    refused(IO, db.path, command=nobody, says=["app.db"])


def test_a_file_that_may_not_be_read(db, nobody):
    db.path.chmod(0o600)
    refused(IO, db.path, command=nobody, says=["app.db"])


def test_a_folder_that_may_not_be_entered(db, nobody, tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    db.path.rename(folder / "app.db")
    line = refused(IO, folder / "app.db", command=nobody, says=["app.db", "Permission denied"])
    assert "name an existing" not in line, "it may well be there"


def test_a_folder_that_may_not_be_written(db, nobody):
    db.shell("PRAGMA journal_mode=DELETE;")
    os.chown(db.path, 65534, 65534)
    refused(IO, db.path, command=nobody, says=["app.db"])


def test_a_side_file_that_is_something_else(db):
    db.side.write_text("not ours\n" * 200)
    refused(IO, db.path, says=["app.db-resthook"])
    assert db.side.read_text() == "not ours\n" * 200


def test_a_file_that_somebody_keeps_locked(db):
    db.shell("PRAGMA journal_mode=DELETE;")
    holder = sqlite3.connect(db.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    refused(IO, db.path, says=["app.db", "lock"])
    holder.close()


def test_a_second_dispatcher(db, receiver, dispatcher):
    db.subscribe("*", receiver.url("/"))
    first = dispatcher(db)
    refused(OWNED, "--allow", "127.0.0.0/8", db.path, says=["app.db", "another resthookd"])
    db.shell("INSERT INTO item(name) VALUES ('Ada');")
    receiver.wait_for(1)
    assert first.stop() == 0
    assert len(receiver.received()) == 1


def test_a_second_dispatcher_by_another_name(db, dispatcher, tmp_path):
    dispatcher(db)
    link = tmp_path / "link.db"
    link.symlink_to(db.path)
    refused(OWNED, link, says=["another resthookd"])


def test_a_database_with_two_names(db, tmp_path):
    (tmp_path / "second.db").hardlink_to(db.path)
    refused(OWNED, db.path, says=["app.db", "hard link"])


def test_a_second_name_while_it_runs(db, receiver, dispatcher, tmp_path):
    """Nobody sends by it, and the first one goes on."""
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    (tmp_path / "second.db").hardlink_to(db.path)
    refused(OWNED, tmp_path / "second.db", says=["second.db", "hard link"])
    db.shell("INSERT INTO item(name) VALUES ('Ada');")
    receiver.wait_for(1)
    assert running.stop() == 0


@pytest.fixture
def full():
    """The command that runs resthookd where no file can grow."""
    return ("sh", "-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh", RESTHOOKD)


def test_a_disk_that_is_full(db, full):
    line = refused(IO, db.path, command=full, says=["app.db", "I/O error"])
    assert "name an SQLite database" not in line


def test_a_damaged_database(db):
    db.shell("PRAGMA journal_mode=DELETE;")
    data = bytearray(db.path.read_bytes())
    data[100:4096] = b"\xff" * 3996
    db.path.write_bytes(data)
    line = refused(IO, db.path, says=["app.db", "malformed"])
    assert "name an SQLite database" not in line


def other_database(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE meta(name, value)")
    connection.close()
    return path.read_bytes()


def test_a_side_file_that_is_another_database(db):
    before = other_database(db.side)
    refused(IO, db.path, says=["app.db-resthook", "another database"])
    assert db.side.read_bytes() == before, "not even its journal mode"


def test_a_side_file_that_is_another_files_name(db, tmp_path):
    """A hard link: somebody else's side file, say."""
    target = tmp_path / "other.db"
    before = other_database(target)
    db.side.hardlink_to(target)
    refused(IO, db.path, says=["app.db-resthook", "hard links"])
    assert target.read_bytes() == before


@pytest.mark.parametrize("there", [True, False])
def test_a_side_file_that_is_a_symbolic_link(db, tmp_path, there):
    target = tmp_path / "other.db"
    before = other_database(target) if there else None
    db.side.symlink_to(target)
    refused(IO, db.path, says=["app.db-resthook", "symbolic link"])
    assert (target.read_bytes() if target.exists() else None) == before


def test_a_side_file_that_is_no_file(db):
    os.mkfifo(db.side)
    refused(IO, db.path, says=["app.db-resthook", "not a file"])


# Options.

@pytest.mark.parametrize("arguments", [
    ["--nonsense"], ["-x"], ["--allow"], ["--allow", "banana"], ["--allow", "10.0.0.1/8"], ["--allow", "10.0.0.0/33"],
    ["--max-in-flight", "0"], ["--max-in-flight", "many"], ["--max-in-flight", "-1"], ["--max-in-flight", "1e3"],
    ["--log-format", "xml"], ["--log-level", "loud"], ["--adopt=maybe"],
], ids=" ".join)
def test_an_option_that_is_wrong(db, arguments):
    refused(USAGE, *arguments, db.path, says=[arguments[0].split("=")[0]])


@pytest.mark.parametrize("option, value", [
    ("--ca", "/none.pem"), ("--ca", "/"), ("--dir", "/none"), ("--dir", "/etc/passwd"), ("--proxy", "ftp://127.0.0.1"),
    ("--proxy", "sock5://127.0.0.1:1080"), ("--proxy", "http://"), ("--proxy", "://a"), ("--proxy", "http://localhost:99999"),
])
def test_a_value_that_can_not_be_used(db, option, value):
    refused(USAGE, option, value, db.path, says=[option, value])
    assert not db.side.exists()


def test_a_proxy_without_a_name(db):
    refused(USAGE, "--proxy", "", db.path, says=["--proxy"])


@pytest.mark.parametrize("scheme", ["", "http://", "HTTPS://", "socks4://", "socks4a://", "socks5://", "socks5h://"])
def test_a_proxy_that_can_be_used(db, scheme):
    assert resthookd("--once", "--proxy", scheme + "127.0.0.1:9", db.path).returncode == 0


@pytest.mark.parametrize("command", ["check", "sql"])
@pytest.mark.parametrize("option", [
    ["--dir", "."], ["--adopt"], ["--adopt=skip"], ["--once"], ["--standby"], ["--max-in-flight", "2"],
    ["--proxy", "127.0.0.1"], ["--log-level", "debug"], ["--log-format", "json"],
], ids=" ".join)
def test_an_option_that_the_command_has_no_use_for(db, command, option):
    refused(USAGE, command, *option, db.path, says=[command, option[0].split("=")[0]])


def test_sql_has_no_use_for_networks(db):
    refused(USAGE, "sql", "--allow", "127.0.0.0/8", db.path, "SELECT 1", says=["sql", "--allow"])
    refused(USAGE, "sql", "--secrets", ".", db.path, "SELECT 1", says=["sql", "--secrets"])


def test_help_names_every_option():
    done = resthookd("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for word in ["run", "sql", "check", "--once", "--allow", "--allow-http", "--max-in-flight", "--ca", "--proxy",
                 "--secrets", "--adopt", "--log-format", "--log-level", "--version", "--help", "DATABASE"]:
        assert word in done.stdout, word
    assert all(len(line) <= 100 for line in done.stdout.splitlines())


def test_version(db):
    done = resthookd("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"resthookd {db.one('SELECT resthook_version()')}\n"


def test_output_that_can_not_be_written():
    with open("/dev/full", "w") as full:
        done = subprocess.run([str(RESTHOOKD), "--help"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode != 0


# resthookd run --once.

def test_once_delivers_what_is_due_and_ends(db, receiver):
    db.subscribe("*", receiver.url("/"))
    db.shell("INSERT INTO item(name) VALUES ('a'), ('b');")
    done = resthookd("--once", "--allow", "127.0.0.0/8", db.path)
    assert done.returncode == 0, done.stderr
    assert len(receiver.received()) == 2
    assert resthookd("run", "--once", "--allow", "127.0.0.0/8", db.path).returncode == 0
    assert len(receiver.received()) == 2


def test_once_says_that_something_stayed(db, receiver):
    receiver.script("/", 500)
    db.subscribe("*", receiver.url("/"), retry_schedule="0,1h")
    db.shell("INSERT INTO item(name) VALUES ('a');")
    assert resthookd("--once", "--allow", "127.0.0.0/8", db.path).returncode == 1
    assert len(receiver.received()) == 1


# resthookd sql.

def test_sql_prints_rows_as_the_shell_does(db):
    query = "SELECT 1, NULL, 'a|b', 2.5, x'6869', 9007199254740993; SELECT name FROM item; SELECT 'x';"
    done = resthookd("sql", db.path, query)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == db.shell(query) + "\n" == "1||a|b|2.5|hi|9007199254740993\nx\n"


def test_sql_has_the_functions_and_reads_standard_input(db):
    done = resthookd("sql", db.path, stdin="SELECT resthook_subscribe('a.b', 'https://example.com/');\n"
                                           "-- a comment\nSELECT count(*) FROM resthook_subscriptions;\n")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = done.stdout.splitlines()
    assert first.startswith("sub_") and second == "1"


@pytest.mark.parametrize("sql", ["SELECT nonsense", "SELECT resthook_pause('sub_none')", "SELECT 1; SELEC 2;",
                                 "INSERT INTO item(id) VALUES (1), (1)"])
def test_sql_errors(db, sql):
    done = resthookd("sql", db.path, sql)
    assert done.returncode == 1 and done.stderr.strip() and "Sanitizer" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_sql_stops_at_the_first_error(db):
    done = resthookd("sql", db.path, "SELECT 1; SELECT nonsense; INSERT INTO item(name) VALUES ('no');")
    assert (done.returncode, done.stdout) == (1, "1\n")
    assert db.shell("SELECT count(*) FROM item;") == "0"


def test_sql_without_a_database():
    assert resthookd("sql").returncode == USAGE


# resthookd check.

def test_check_of_a_sound_database(db, receiver):
    db.subscribe("*", receiver.url("/"))
    db.shell("INSERT INTO item(name) VALUES ('a');")
    done = resthookd("check", "--allow", "127.0.0.0/8", db.path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert receiver.connections == 0 and not db.side.exists()


def test_check_of_a_filter_that_no_longer_fits(db):
    for n, text in enumerate(("NEW.name = 'a'", "NEW.id = 1")):
        db.subscribe("item.create", f"https://example.org/{n}", filter=text)
    db.shell("ALTER TABLE item DROP COLUMN name;")
    db.ext("SELECT resthook_repair()")
    done = resthookd("check", db.path)
    assert done.returncode == 0, done.stderr
    assert re.findall("its filter.*", done.stdout) == [
        "its filter can't be used: no such column: NEW.name (in item.create, insert of table item)"]


def test_check_of_what_is_not_there(tmp_path):
    assert resthookd("check", tmp_path / "none.db").returncode == NO_DATABASE


def used(db):
    """It has a side file, and an identity."""
    assert resthookd("--once", db.path).returncode == 0
    db.shell("PRAGMA wal_checkpoint(TRUNCATE);")


def check_and_run(path, *says):
    """check ends as run does: held, with the same line."""
    checked = resthookd("check", path)
    assert checked.returncode == OWNED, checked.stdout + checked.stderr
    assert checked.stderr == refused(OWNED, path, says=["held", *says]) + "\n"


def test_check_of_a_copy_without_its_side_file(db, tmp_path):
    used(db)
    copy = tmp_path / "copy.db"
    shutil.copy(db.path, copy)
    checked = resthookd("check", copy)
    assert checked.returncode == OWNED and "side file is missing" in checked.stderr
    assert not copy.with_name("copy.db-resthook").exists()
    check_and_run(copy, "side file is missing")


def test_check_of_a_pair_that_was_moved(db, tmp_path):
    used(db)
    moved = tmp_path / "moved.db"
    db.path.rename(moved)
    side = db.side.rename(tmp_path / "moved.db-resthook")
    before = side.read_bytes()
    checked = resthookd("check", moved)
    assert checked.returncode == OWNED and "moved or copied" in checked.stderr
    assert side.read_bytes() == before
    check_and_run(moved, "moved or copied")


def test_check_of_a_database_with_two_names(db, tmp_path):
    (tmp_path / "second.db").hardlink_to(db.path)
    check_and_run(db.path, "hard link")


def test_check_of_a_side_file_that_is_a_symbolic_link(db, tmp_path):
    other_database(tmp_path / "other.db")
    db.side.symlink_to(tmp_path / "other.db")
    done = resthookd("check", db.path)
    assert done.returncode == IO and "symbolic link" in done.stderr


def test_check_while_another_one_delivers(db, dispatcher):
    running = dispatcher(db)
    done = resthookd("check", db.path)
    assert done.returncode == 0 and "another resthookd" in done.stdout, done.stdout + done.stderr
    assert running.stop() == 0
    assert resthookd("check", db.path).returncode == 0


def test_check_judges_addresses_by_what_is_allowed(db):
    for target in ["http://127.0.0.1:9/a", "http://2130706433:9/b", "http://[::1]:9/c", "https://10.0.0.1/d",
                   "http://192.0.1.1/e", "http://example.com/f", "https://example.com/g", "https://localhost/h"]:
        db.subscribe("*", target)

    def said(*options):
        done = resthookd("check", *options, db.path)
        assert done.returncode == 0, done.stdout + done.stderr
        lines = [line for line in done.stdout.splitlines() if " to http" in line]
        needs = {line.split(" to ")[1].split()[0][-1]: line.partition("(")[2].rstrip(")") for line in lines}
        return [sorted(name for name in needs if word in needs[name]) for word in ("this address", "plain http")]

    assert said() == [["a", "b", "c", "d", "h"], ["e", "f"]]
    assert said("--allow", "127.0.0.0/8") == [["c", "d"], ["e", "f"]]
    assert said("--allow-http") == [["a", "b", "c", "d", "h"], []]
    assert said("--allow", "::1", "--allow", "127.0.0.0/8", "--allow", "10.0.0.0/8", "--allow", "192.0.1.1") == [[], ["f"]]


# Stopping.

def test_sigterm_finishes_what_is_in_flight(db, receiver, dispatcher):
    gate = receiver.gate()
    receiver.script("/", held(gate))
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    db.shell("INSERT INTO item(name) VALUES ('a');")
    receiver.wait_for(1)
    running.process.terminate()
    gate.open()
    assert running.wait() == 0
    assert db.journal("SELECT state FROM resthook_deliveries") == [("delivered",)]


def test_a_second_sigterm_stops_now(db, receiver, dispatcher):
    receiver.script("/", hang())
    db.subscribe("*", receiver.url("/"), timeout=60)
    running = dispatcher(db)
    db.shell("INSERT INTO item(name) VALUES ('a');")
    receiver.wait_for(1)
    running.process.terminate()
    running.wait_log(r"info stopping", timeout=5)
    running.process.terminate()
    running.wait(timeout=10)
    receiver.script("/", 200)
    again = dispatcher(db)
    first, second = receiver.wait_for(2)
    assert (first.id, first.body) == (second.id, second.body)
    assert again.stop() == 0


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
@pytest.mark.parametrize("moved", [False, True])
def test_a_check_leaves_no_file_behind(db, receiver, dispatcher, tmp_path, journal, moved):
    db.shell(f"PRAGMA journal_mode={journal}")
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    assert running.stop() == 0
    db.shell("SELECT count(*) FROM item")  # what the dispatcher left of app.db's WAL goes with the application
    path = db.path
    if moved:
        path = tmp_path / "other.db"
        for suffix in ("", "-resthook"):
            (tmp_path / f"app.db{suffix}").rename(f"{path}{suffix}")
    before = {entry.name: entry.read_bytes() for entry in tmp_path.iterdir() if entry.is_file()}
    assert len(before) == 2
    assert resthookd("check", "--allow", "127.0.0.0/8", path).returncode == (OWNED if moved else 0)
    assert {entry.name: entry.read_bytes() for entry in tmp_path.iterdir() if entry.is_file()} == before


def test_a_check_leaves_what_a_killed_dispatcher_left(db, receiver, dispatcher):
    db.subscribe("*", receiver.url("/"))
    dispatcher(db).kill()
    wal = db.side.with_name(db.side.name + "-wal")
    before = wal.read_bytes()
    assert before != b""
    assert resthookd("check", "--allow", "127.0.0.0/8", db.path).returncode == 0
    assert wal.read_bytes() == before
