"""The application never waits for us: a writer without any busy timeout, while a backlog drains. Under the sanitizers,
where nothing of this is different but slower, a fifth of it; in CI with the plain build half."""

import http.client
import os
import sqlite3
import statistics
import subprocess
import time

import pytest

from conftest import BUILD, ROOT, own_environment
from receiver import held
from test_tls import certificate

PART = 5 if BUILD.name == "san" else 2 if os.environ.get("CI") == "true" else 1
TARGETS = 4
EVENTS = 25_000 // PART  # in WAL: 100,000 deliveries


@pytest.fixture(scope="module")
def fast_program(tmp_path_factory):
    """The benchmark's receiver: the one in python would be what is waited for."""
    program = tmp_path_factory.mktemp("receiver") / "receiver"
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", program, ROOT / "tests/bench/receiver.c", "-lsqlite3", "-lssl",
                    "-lcrypto"], check=True)
    return program


class Fast:
    def __init__(self, program, chain, key):
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", program, chain, key], env=own_environment(),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def count(self):
        self.connection.request("GET", "/count")
        return int(self.connection.getresponse().read().split()[1])

    def close(self):
        self.connection.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def fast(fast_program, tmp_path):
    started = Fast(fast_program, *certificate(tmp_path, "127.0.0.1"))
    yield started
    started.close()


def backlog(db, receiver, journal, events):
    db.shell(f"PRAGMA journal_mode={journal}")
    for target in range(TARGETS):
        db.subscribe("*", receiver.url(f"/{target}"))
    db.shell("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO item(name) SELECT 'x' || i FROM n;" % events)
    db.shell("CREATE TABLE own(a);")


def write_while(db, goes_on, timeout):
    """Single commits, and transactions that read and then write. Returns how many there were, how many met BUSY, and
    whether somebody else committed meanwhile."""
    writer = sqlite3.connect(db.path, isolation_level=None, timeout=timeout)
    commits = busy = 0
    version = writer.execute("PRAGMA data_version").fetchone()
    while goes_on():
        try:
            for _ in range(5):
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
        commits += 6
    others = writer.execute("PRAGMA data_version").fetchone() != version
    writer.close()
    return commits, busy, others


def delivered(db):
    return db.journal("SELECT count(*) FROM resthook_deliveries WHERE state = 'delivered'")[0][0]


def test_no_writer_meets_a_lock_while_deliveries_drain(db, fast, dispatcher, eventually):
    backlog(db, fast, "WAL", EVENTS)
    dispatcher(db)
    commits, busy, others = write_while(db, lambda: fast.count() < TARGETS * EVENTS, timeout=0)
    assert not others
    # One there may be. A reader that meets the header of the WAL's index half written takes the write lock for a moment, as
    # SQLite has it, to see whether its writer died: on a busy machine a plain program that does nothing but read did that
    # to 10 of 1,000,000 commits, and a run of this test was seen with one.
    assert busy <= 1, f"of {commits}"
    assert commits > 100
    eventually(lambda: delivered(db) == TARGETS * EVENTS)
    assert fast.count() == TARGETS * EVENTS, "each once"


@pytest.mark.parametrize("journal", ["DELETE", "TRUNCATE", "PERSIST"])
def test_with_a_rollback_journal_a_tenth_of_a_second_is_enough(db, fast, dispatcher, journal):
    backlog(db, fast, journal, 10_000 // PART)
    dispatcher(db)
    commits, busy, _ = write_while(db, lambda: fast.count() < TARGETS * 10_000 // PART, timeout=0.1)
    assert busy == 0, f"of {commits}"
    assert commits > 10


def test_the_wal_does_not_grow_because_of_us(db, fast, dispatcher):
    """The application's own checkpoints, those that come by themselves too, find no snapshot of ours in their way."""
    backlog(db, fast, "WAL", EVENTS)
    automatic = 1000 * 4096  # wal_autocheckpoint, in bytes
    wal = db.path.with_name("app.db-wal")
    writer = sqlite3.connect(db.path, isolation_level=None, timeout=1)
    dispatcher(db)
    written = 0
    sizes = []  # while it drains
    while (drains := fast.count() < TARGETS * EVENTS) or written < 10 * automatic:
        for row in range(200):  # 4 MB
            writer.execute("REPLACE INTO own(rowid, a) VALUES (?, randomblob(20000))", (row,))
        written += 200 * 20000
        sizes += [wal.stat().st_size] * drains
        if written % (10 * 200 * 20000) == 0:
            assert writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)
            assert wal.stat().st_size == 0
    writer.close()
    assert len(sizes) > 1
    # Not the largest: on a busy machine a process can be without a processor while it reads.
    assert statistics.median(sizes) < 3 * automatic, sizes


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


def test_no_transaction_is_open_while_a_request_is(db, receiver, dispatcher):
    """With a rollback journal nobody gets the file for himself while anybody else reads it."""
    db.shell("PRAGMA journal_mode=DELETE")
    receiver.script("/", held(gate := receiver.gate()))
    db.subscribe("*", receiver.url("/"), timeout=300)
    dispatcher(db)
    db.shell("INSERT INTO item(name) VALUES ('x');", "-cmd", ".timeout 10000")
    receiver.wait_for(1)
    for path in (db.path, db.side):
        other = sqlite3.connect(path, isolation_level=None, timeout=10)
        other.execute("BEGIN EXCLUSIVE")
        other.execute("COMMIT")
        other.close()
    assert not gate.is_set()
    gate.open()


def test_with_a_rollback_journal_many_subscriptions_are_read_in_slices(db, receiver, dispatcher):
    """Twenty thousand, of which one changes again and again: no writer waits while all of them are read anew."""
    db.shell("PRAGMA journal_mode=DELETE; CREATE TABLE own(a);")
    writer = db.connect()
    writer.execute("BEGIN")
    writer.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
                   " SELECT count(resthook_subscribe('other.e', 'https://example.com/' || i)) FROM n", [20_000 // PART])
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
