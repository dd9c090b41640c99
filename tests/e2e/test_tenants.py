"""Databases of tenants who do not trust each other, in one dispatcher: what a file says is its own affair."""

import fcntl
import json
import os
import re
import socket
import struct
import subprocess

import pytest

from conftest import LOOPBACK, RESTHOOKD, Database, own_environment, resthookd, watched
from receiver import answer, hang

HUNG = 200


@pytest.fixture
def hung():
    """Many endpoints that take a connection and never answer: one socket that nobody accepts from, by many addresses."""
    listening = socket.create_server(("", 0), backlog=4096)
    yield [f"http://127.0.{number // 200}.{number % 200 + 1}:{listening.getsockname()[1]}/" for number in range(HUNG)]
    listening.close()


def subscribe_many(db, targets, event="hung.{}", **options):
    connection = db.connect()
    connection.execute("BEGIN")
    for number, target in enumerate(targets):
        connection.execute("SELECT resthook_subscribe(?, ?, ?)", (event.format(number), target, json.dumps(options)))
    connection.execute("COMMIT")
    connection.close()


def emit_many(db, count, names):
    db.shell(f"WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {count - 1})"
             f" INSERT INTO resthook_outbox(event, payload) SELECT 'hung.' || (i % {names}), '{{}}' FROM n;")


# A sanitizer makes each some times dearer.
MANY = 30_000 if "LD_PRELOAD" in os.environ else 100_000


@pytest.mark.parametrize("restarted", [False, True])
def test_many_rows_for_hung_targets_hold_nobody(tmp_path, receiver, dispatcher, eventually, hung, restarted):
    """Of the places for targets that have not proven themselves, one database never has all."""
    hog, other = watched(tmp_path / "hog.db"), watched(tmp_path / "other.db")
    subscribe_many(hog, hung, timeout=300, retry_schedule="0, 30d")
    other.subscribe("*", receiver.url("/"))
    emit_many(hog, MANY, HUNG)
    running = dispatcher(hog, "--max-in-flight", "16", other.path, ready=False)
    running.wait_log(" ready ", count=2)
    eventually(lambda: (hog.meta("in_flight") or 0) >= 64, timeout=60)  # as many as may hang, and places besides
    if restarted:
        running.kill()
        running = dispatcher(hog, "--max-in-flight", "16", other.path, ready=False)
        running.wait_log(" ready ", count=2)
        eventually(lambda: (hog.meta("in_flight") or 0) >= 64, timeout=60)
    for number in range(1, 4):
        other.shell(f"INSERT INTO item(name) VALUES ('{number}');")
        receiver.wait_for(number, timeout=60)
    assert hog.journal("SELECT count(*) FROM delivery WHERE finished_at IS NOT NULL AND state > 2") == [(0,)]


# Some 900,000 steps, a twentieth of a second: what one filter may take.
EXPENSIVE = "(WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 55000) SELECT count(*) FROM c) > {}"


def test_expensive_filters_hold_nobody(tmp_path, receiver, dispatcher, eventually):
    """Each takes what it may. All of them for all events would take minutes, in which nobody else had a turn."""
    hog, other = watched(tmp_path / "hog.db"), watched(tmp_path / "other.db")
    subscribe_many(hog, [receiver.url(f"/dear/{number}") for number in range(200)], "hung.*")
    # By hand, since resthook_subscribe() would try each of them.
    hog.shell("UPDATE resthook_subscription SET filter = '" + EXPENSIVE.format("' || length(target) || '") + "'")
    hog.subscribe("hung.*", receiver.url("/cheap"), filter="payload <> ''")
    other.subscribe("*", receiver.url("/other"))
    emit_many(hog, 20, 1)
    running = dispatcher(hog, other.path, ready=False)
    running.wait_log(" ready ", count=2)
    for number in range(1, 4):
        other.shell(f"INSERT INTO item(name) VALUES ('{number}');")
        receiver.wait_for(number, "/other", timeout=60)
    # A subscriber beside them has what is his.
    receiver.wait_for(20, "/cheap", timeout=120)
    assert hog.journal("SELECT DISTINCT reason FROM resthook_deliveries WHERE state = 'held'") == [
        ("filter: the filters of this event take too long together: it is asked by itself",)]
    assert running.stop(60) == 0


# Values written by other means than the functions.

NUMBERS = ("timeout", "connect_timeout", "retry_after_max", "max_in_flight", "response_max", "response_headers_max",
           "keep_events", "keep_deliveries", "keep_dead", "keep_attempts", "keep_pending", "keep_pending_rows",
           "failing_after", "failing_probe", "sync_every", "idempotency_window")


@pytest.mark.parametrize("value", ["9e999", "-9e999", "9223372036854775807", "-9223372036854775808", "1e18", "'much'", "x'00'"])
def test_settings_beyond_their_bounds(tmp_path, receiver, dispatcher, eventually, value):
    """They count as the nearest that is allowed: nothing overflows, and no answer is kept whole."""
    db = watched(tmp_path / "app.db")
    body = b"a" * 200_000
    receiver.script("/", answer(500, body), answer(200, body))
    db.subscribe("*", receiver.url("/"), retry_schedule="0,100ms,100ms,100ms,1s,1s,1s")
    for name in NUMBERS:
        db.shell(f"UPDATE resthook_setting SET value = {value} WHERE name = '{name}'")
    running = dispatcher(db)
    db.shell("INSERT INTO item(name) VALUES ('a');")
    receiver.wait_for(1, timeout=30)
    bound = 65536 + 3
    eventually(lambda: db.journal("SELECT count(*) FROM resthook_attempts")[0][0] >= 1, timeout=30)
    assert all(len(kept or "") <= bound for kept, in db.journal("SELECT response FROM resthook_attempts"))
    assert running.stop() == 0
    assert "runtime error" not in running.text()


# Files made for the purpose.

FOR_EVER = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c"


def as_view(name):
    """The table as a view that never ends."""
    return f"""PRAGMA legacy_alter_table=ON; ALTER TABLE {name} RENAME TO kept_{name};
        CREATE VIEW {name} AS SELECT * FROM kept_{name} WHERE ({FOR_EVER}) > 0;"""


def without_end(name):
    """The table as a view whose rows never end."""
    return f"""PRAGMA legacy_alter_table=ON; ALTER TABLE {name} RENAME TO kept_{name};
        CREATE VIEW {name} AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)
            SELECT kept.* FROM c, kept_{name} kept;"""


HOSTILE = {
    "settings": ("app", as_view("resthook_setting")),
    "an end": ("app", f"CREATE TRIGGER t AFTER UPDATE ON resthook_subscription BEGIN SELECT ({FOR_EVER}); END;"),
    "a delivery": ("side", f"CREATE TRIGGER t AFTER INSERT ON delivery BEGIN SELECT ({FOR_EVER}); END;"),
}


@pytest.mark.parametrize("where, sql", HOSTILE.values(), ids=HOSTILE)
def test_a_file_in_which_a_statement_never_ends_is_held(tmp_path, receiver, dispatcher, where, sql):
    """And the others go on."""
    hog, other = watched(tmp_path / "hog.db"), watched(tmp_path / "other.db")
    receiver.script("/hog", 410)
    hog.subscribe("*", receiver.url("/hog"))
    other.subscribe("*", receiver.url("/other"))
    assert resthookd("--once", hog.path).returncode == 0
    hog.shell("INSERT INTO resthook_outbox(event, payload) VALUES ('a.b', '{}');")
    Database(hog.path if where == "app" else hog.side).shell(sql)
    running = dispatcher(hog, other.path, ready=False)
    running.wait_log(r"(held: nothing is sent|not delivered for) .*hog\.db.*takes for ever", timeout=120)
    other.shell("INSERT INTO item(name) VALUES ('a');")
    receiver.wait_for(1, "/other", timeout=60)
    assert running.stop(60) in (0, 69, 74)  # 74: what was sent could not be recorded


def meet(hog, receiver, where, sql):
    """Used once, as any, before the file gets its trap."""
    hog.subscribe("*", receiver.url("/hog"), filter="payload <> ''")
    assert resthookd("--once", hog.path).returncode == 0
    hog.shell("INSERT INTO item(name) VALUES ('a');")
    Database(hog.path if where == "app" else hog.side).shell(sql)


# Each takes check's five seconds of the processor: with the sanitizers one stands for all.
CHECKED = {
    **{name: (*trap, name == "settings") for name, trap in HOSTILE.items()},  # a check writes nothing: no trigger acts
    "subscriptions": ("app", as_view("resthook_subscription"), True),
    "subscriptions without end": ("app", without_end("resthook_subscription"), True),
    "what the side file has": ("side", as_view("subscription"), True),
}
if os.environ.get("LD_PRELOAD"):
    CHECKED = {"subscriptions": CHECKED["subscriptions"]}


@pytest.mark.parametrize("where, sql, reads", CHECKED.values(), ids=CHECKED)
def test_a_check_of_such_a_file_ends(tmp_path, receiver, where, sql, reads):
    hog = watched(tmp_path / "hog.db")
    meet(hog, receiver, where, sql)
    with open(tmp_path / "out", "w") as out:  # of millions of rows
        done = subprocess.run([RESTHOOKD, "check", *LOOPBACK, hog.path, watched(tmp_path / "other.db").path], stdout=out,
                              stderr=subprocess.PIPE, text=True, timeout=120, env=own_environment())
    assert done.returncode == (74 if reads else 0), done.stderr
    if reads:
        assert re.fullmatch(r"resthookd: \S*/hog\.db(-resthook)?: it takes for ever: .*not resthook's own\n", done.stderr)
    with open(tmp_path / "out", "rb") as out:
        out.seek(-min(1000, out.seek(0, os.SEEK_END)), os.SEEK_END)
        assert b"other.db\n  schema: 2\n" in out.read(), "the next one has its own time"


def test_a_check_of_such_a_file_ends_while_another_one_delivers(tmp_path, receiver):
    """Then nobody has looked at its side file before the functions do, through a connection of their own."""
    hog = watched(tmp_path / "hog.db")
    meet(hog, receiver, "side", as_view("meta"))
    holder = open(hog.path, "r+b")
    byte = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0x7265737468000000, 1, 0)
    fcntl.fcntl(holder, 37, byte)  # F_OFD_SETLK, as dispatcher/identity.c has it
    done = resthookd("check", *LOOPBACK, hog.path, timeout=120)
    holder.close()
    assert "dispatcher: " in done.stdout and "another resthookd" in done.stdout
    assert done.returncode == 74 and "it takes for ever" in done.stderr, done.stdout + done.stderr


def test_sql_takes_as_long_as_it_likes(tmp_path, eventually):
    """It is the operator's: it may compute for longer than check, which ends at five seconds of the processor."""
    db = watched(tmp_path / "app.db")
    running = subprocess.Popen([RESTHOOKD, "sql", db.path, FOR_EVER], env=own_environment())
    try:
        def seconds():
            with open(f"/proc/{running.pid}/stat", encoding="ascii") as stat:
                return int(stat.read().rpartition(")")[2].split()[11]) / os.sysconf("SC_CLK_TCK")
        eventually(lambda: seconds() > 6, timeout=120)
        assert running.poll() is None
    finally:
        running.kill()
        running.wait()


def test_a_link_in_the_directory(tmp_path, receiver, dispatcher):
    """Another user's would have the dispatcher deliver for a file that the operator did not put there."""
    if os.geteuid() != 0:
        pytest.skip("only root makes another user's link")
    directory = tmp_path / "tenants"
    directory.mkdir()
    outside, mine = watched(tmp_path / "outside.db"), watched(tmp_path / "mine.db")
    for db in (outside, mine):
        db.subscribe("*", receiver.url("/"))
    (directory / "outside.db").symlink_to(outside.path)
    os.lchown(directory / "outside.db", 65534, 65534)
    (directory / "mine.db").symlink_to(mine.path)
    running = dispatcher(directory, "--dir", ready=False)
    running.wait_log(" ready .*mine.db")
    mine.shell("INSERT INTO item(name) VALUES ('a');")
    receiver.wait_for(1)
    assert running.stop() == 0
    assert "outside.db" not in running.text() and not outside.side.exists()
