"""Storms: what happens to a machine rather than to a program. The dispatcher goes on by itself when they are over."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from conftest import Database, watched
from receiver import answer, hang


def made(path, receiver, target="/"):
    db = watched(path)
    db.subscribe("item.create", receiver.url(target))
    return db


def ids(receiver):
    return [request.json()["id"] for request in receiver.requests]


def settled(db):
    return dict(db.ext("SELECT state, count(*) FROM resthook_deliveries GROUP BY state"))


def test_the_machine_is_suspended(db, receiver, dispatcher):
    """Stopped for longer than a request's timeout, with one in flight: what was written meanwhile is sent at once."""
    receiver.script("/", hang(), answer())
    db.subscribe("item.create", receiver.url("/"), timeout=2, retry_schedule="0,0,0")
    running = dispatcher(db)
    db.shell("INSERT INTO item VALUES (1, 'in flight');")
    receiver.wait_for(1)
    running.process.send_signal(signal.SIGSTOP)
    db.shell("INSERT INTO item VALUES (2, 'x'); INSERT INTO item VALUES (3, 'y');")
    time.sleep(3)  # the storm itself
    running.process.send_signal(signal.SIGCONT)
    receiver.wait_for(4)
    assert sorted(ids(receiver)) == [1, 1, 2, 3]
    assert running.stop() == 0
    assert settled(db) == {"delivered": 3}


@pytest.fixture
def small(tmp_path):
    """A file system of four MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder], capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    with contextlib.suppress(OSError), open(folder / "ballast", "wb", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))


def test_a_full_file_system_is_freed_later(small, receiver, dispatcher):
    """Both files are on it. While it is full nothing can be recorded; freed, all goes on without a restart."""
    db = made(small / "app.db", receiver)
    running = dispatcher(db, "--max-in-flight", "16")
    db.shell("INSERT INTO item VALUES (1, 'x');")
    receiver.wait_for(1)
    db.shell("BEGIN;" + "".join(f"INSERT INTO item VALUES ({i}, printf('%.400c', 'x'));" for i in range(2, 1502))
             + "COMMIT;")
    fill(small)
    running.wait_log("outcomes can't be written")
    (small / "ballast").unlink()
    running.wait_log("outcomes are written again")
    receiver.wait_for(1501)
    assert running.stop() == 0
    assert set(ids(receiver)) == set(range(1, 1502)) and settled(db) == {"delivered": 1501}
    assert db.shell("PRAGMA integrity_check;") == "ok"


WRITER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
for i in range(int(sys.argv[2]), int(sys.argv[2]) + 5):
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO item VALUES (?, 'x')", (i,))
    time.sleep(0.05)
    connection.execute("INSERT INTO item VALUES (?, 'y')", (-i,))
    connection.execute("COMMIT")
"""


def test_writers_with_long_transactions_beside_a_reader_that_never_ends(db, receiver, dispatcher):
    """A snapshot held all the time keeps the WAL from being checkpointed; ten processes hold the lock in turn."""
    db.subscribe("item.create", receiver.url("/"))
    db.shell("INSERT INTO item VALUES (0, 'before');")
    reader = sqlite3.connect(db.path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM item").fetchone() == (1,)
    running = dispatcher(db)
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, db.path, str(1 + 5 * n)]) for n in range(10)]
    assert [writer.wait(120) for writer in writers] == [0] * 10
    receiver.wait_for(101)
    assert sorted(ids(receiver)) == list(range(-50, 51))
    assert reader.execute("SELECT count(*) FROM item").fetchone() == (1,), "it has its snapshot still"
    assert running.stop() == 0
    reader.close()


def test_both_files_are_removed_under_it_and_another_goes_on(tmp_path, receiver, dispatcher):
    first, second = made(tmp_path / "one.db", receiver, "/one"), made(tmp_path / "two.db", receiver, "/two")
    running = dispatcher(first, second.path)
    running.wait_log(" ready", count=2)
    first.shell("INSERT INTO item VALUES (1, 'x');")
    receiver.wait_for(1, "/one")
    for path in tmp_path.glob("one.db*"):
        path.unlink()
    running.wait_log("one.db.*is gone|is gone.*one.db")
    second.shell("INSERT INTO item VALUES (2, 'x');")
    receiver.wait_for(1, "/two")
    made(tmp_path / "one.db", receiver, "/one").shell("INSERT INTO item VALUES (3, 'x');")
    receiver.wait_for(2, "/one")
    assert running.stop() == 0


# A sanitizer keeps what is freed, and makes each of them some times dearer.
SANITIZED = bool(os.environ.get("LD_PRELOAD"))
MANY = 150 if SANITIZED else 1000
AWAKE = 64  # dispatcher/files.c


def test_a_thousand_databases(tmp_path, receiver, dispatcher, eventually):
    """One process, one event in each; what they needed while they were awake is given back when they sleep."""
    first = made(tmp_path / "0.db", receiver)
    first.shell("PRAGMA wal_checkpoint(TRUNCATE);")
    databases = [first] + [Database(tmp_path / f"{i}.db") for i in range(1, MANY)]
    for db in databases[1:]:
        shutil.copy(first.path, db.path)
    running = dispatcher(first, "--log-level", "debug", "--dir", tmp_path, ready=False)
    running.wait_log(" ready", count=MANY)
    running.wait_log(" asleep ", count=MANY - AWAKE)
    for i, db in enumerate(databases):
        connection = sqlite3.connect(db.path, timeout=10)
        connection.execute("INSERT INTO item VALUES (?, 'x')", (i,))
        connection.commit()
        connection.close()
    receiver.wait_for(MANY)
    assert sorted(ids(receiver)) == list(range(MANY))

    def resident():
        with open(f"/proc/{running.process.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    if not SANITIZED:
        eventually(lambda: resident() < 300 << 20)  # all are awake at once: a gigabyte
    assert running.stop() == 0
