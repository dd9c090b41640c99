"""Files as earlier versions left them (tests/kept): each is taken over with all that is in it, and nothing is lost.

schema-<n>.sql and schema-<n>-resthook.sql are .dump of app.db and its side file, written by the version that had that
schema: a target that took everything, one whose deliveries died, one that is being retried, a paused and an ended
one, events that no dispatcher has read, a replay that was asked for. TARGET and DATABASE stand for what differs.
"""

import re
import sqlite3

import pytest

from conftest import LOOPBACK, ROOT, Database, resthookd

KEPT = ROOT / "tests" / "kept"
SCHEMA = int(re.search(r"#define SCHEMA_VERSION (\d+)", (ROOT / "ext" / "hooks.h").read_text())[1])
EARLIER = range(1, SCHEMA)


@pytest.fixture(params=EARLIER, ids="schema-{}".format)
def kept(request, tmp_path, receiver):
    database = Database(tmp_path / "kept.db")
    for file, name in ((database.path, f"schema-{request.param}.sql"),
                       (database.side, f"schema-{request.param}-resthook.sql")):
        text = (KEPT / name).read_text().replace("TARGET", receiver.url("")).replace("DATABASE", str(database.path))
        connection = sqlite3.connect(file)
        connection.executescript(text)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
    return database


def schema_of(connection, prefix="main."):
    """Every table with its columns whatever their order, and all else with its text."""
    tables = {}
    for kind, name, sql in connection.execute(f"SELECT type, name, sql FROM {prefix}sqlite_master"):
        if kind == "table":
            columns = connection.execute(f"SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info('{name}')")
            tables[name] = sorted(columns.fetchall())
        elif sql is not None:
            tables[name] = sql
    return tables


def test_every_earlier_schema_has_its_files():
    assert sorted(file.name for file in KEPT.iterdir()) == sorted(
        name for n in EARLIER for name in (f"schema-{n}.sql", f"schema-{n}-resthook.sql"))


def test_the_dispatcher_takes_it_over_and_loses_nothing(kept, receiver, dispatcher, eventually):
    secret = kept.shell("SELECT secret FROM resthook_subscription WHERE description = 'takes all'")
    before = kept.journal("SELECT id, state, attempts, last_status FROM resthook_deliveries WHERE state = 'delivered'")
    running = dispatcher(kept)
    running.wait_log(f"schema brought up to date .*schema={SCHEMA}")
    receiver.wait_for(1, "/ok")    # item three; one and two were delivered
    receiver.wait_for(2, "/dead")  # the replay, and item three
    receiver.wait_for(1, "/retry")
    eventually(lambda: kept.journal("SELECT count(*) FROM resthook_deliveries WHERE state = 'pending'") == [(5,)])
    assert [r.json() for r in receiver.received("/ok")] == [{"id": 3, "name": "three", "done": None}]
    assert receiver.received("/paused") == [] and receiver.received("/gone") == []
    assert set(before) <= set(kept.journal("SELECT id, state, attempts, last_status FROM resthook_deliveries"))
    assert kept.one("SELECT resthook_secret(id) FROM resthook_subscriptions WHERE description = 'takes all'") == secret
    paused = kept.one("SELECT id FROM resthook_subscriptions WHERE target LIKE '%/paused'")
    kept.ext("SELECT resthook_resume(?)", paused)
    receiver.wait_for(5, "/paused")
    assert sorted((r.headers["x-event-type"], r.json()["id"]) for r in receiver.received("/paused")) == [
        ("item.create", 1), ("item.create", 2), ("item.create", 3), ("item.done", 1), ("item.done", 2)]
    assert kept.one("SELECT resthook_get('timeout')") == 7


def test_what_it_becomes_is_what_a_new_one_is(kept, db, dispatcher):
    dispatcher(kept).stop()
    dispatcher(db).stop()
    for mine, new in ((kept.path, db.path), (kept.side, db.side)):
        mine, new = sqlite3.connect(mine), sqlite3.connect(new)
        ours = {name: what for name, what in schema_of(mine).items() if "item" not in name and "watch_" not in name}
        theirs = {name: what for name, what in schema_of(new).items() if "item" not in name and "watch_" not in name}
        ours["resthook_outbox"] = theirs["resthook_outbox"] = None  # as wide as the widest watch
        assert ours == theirs


def test_init_brings_it_up_to_date_and_the_functions_ask_for_that(kept):
    connection = kept.connect()
    with pytest.raises(sqlite3.OperationalError, match=r"resthook_ping: the schema of this file is version 1, older "
                                                       r"than this program's \d+: SELECT resthook_init\(\)"):
        connection.execute("SELECT resthook_ping('sub_x')")
    connection.execute("SELECT resthook_emit('a.b', '1')")  # a trigger may call it: the application must not fail
    for option in ('{"headers": {"x": "y"}}',
                   '{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}'):
        with pytest.raises(sqlite3.OperationalError, match=r"resthook_emit: option \w+ needs a newer "
                                                           r"schema: SELECT resthook_init\(\)"):
            connection.execute("SELECT resthook_emit('a.b', '1', ?)", (option,))
    assert connection.execute("SELECT resthook_init()").fetchone() == (SCHEMA,)
    assert connection.execute("SELECT resthook_init()").fetchone() == (SCHEMA,)
    assert connection.execute("SELECT count(*) FROM resthook_deliveries").fetchone()[0] == 0, \
        "the side file is the dispatcher's to bring up to date"
    assert "schema is version" in connection.execute("SELECT value FROM resthook_status WHERE name = 'journal'").fetchone()[0]
    connection.close()


def test_check_says_nothing_against_it(kept):
    done = resthookd("check", *LOOPBACK, kept.path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert kept.shell("SELECT value FROM resthook_meta WHERE name = 'schema'") == "1", "it changes nothing"
