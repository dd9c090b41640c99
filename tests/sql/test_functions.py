"""The SQL functions: what they return, what the tables and views show then, what is refused, and whom they wait for.

Watches have a file of their own (test_watch.py). Every refused call leaves the whole database as it was.
"""

import base64
import contextlib
import json
import os
import re
import sqlite3
import subprocess
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("RESTHOOK_BUILD", "build")
TARGET = "https://example.org/hook"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def opened(path, timeout=5.0, **options):
    connection = sqlite3.connect(path, isolation_level=None, timeout=timeout, check_same_thread=False, **options)
    connection.enable_load_extension(True)
    connection.load_extension(str(BUILD / "resthook"))
    connection.enable_load_extension(False)
    return connection


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.db"


@pytest.fixture
def db(path):
    connection = opened(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, name)")
    connection.execute("SELECT resthook_init()")
    yield connection
    connection.close()


def one(db, sql, *values):
    row = db.execute(sql, values).fetchone()
    return row[0] if row else None


def dump(db):
    return list(db.iterdump()) + db.execute("PRAGMA user_version").fetchall()


def subscribe(db, event="item.*", target=TARGET, **options):
    return one(db, "SELECT resthook_subscribe(?, ?, ?)", event, target, json.dumps(options) if options else None)


def stored(db, sub, *columns):
    return db.execute(f"SELECT {', '.join(columns)} FROM resthook_subscription WHERE id = ?", (sub,)).fetchone()


# What they do.


def test_version_and_init(db):
    assert re.fullmatch(r"\d+\.\d+\.\d+", one(db, "SELECT resthook_version()"))
    before = dump(db)
    assert one(db, "SELECT resthook_init()") == 2
    assert dump(db) == before, "it can be called again"


def test_init_can_be_rolled_back(path):
    db = opened(path)
    db.execute("CREATE TABLE t(a)")
    before = dump(db)
    db.execute("BEGIN")
    db.execute("SELECT resthook_init()")
    db.execute("ROLLBACK")
    assert dump(db) == before


def test_uninstall_leaves_the_file_as_it_was(path):
    db = opened(path)
    db.executescript("CREATE TABLE item(id INTEGER PRIMARY KEY AUTOINCREMENT, name); INSERT INTO item(name) VALUES(1)")
    before = dump(db)
    db.execute("SELECT resthook_init()")
    db.execute("SELECT resthook_watch('item', 'insert', 'item.create', '{\"record\":\"always\"}')")
    subscribe(db)
    db.execute("SELECT resthook_emit('a.b', '{}')")
    assert one(db, "SELECT resthook_uninstall()") == 1
    assert dump(db) == before
    db.execute("INSERT INTO item(name) VALUES (2)")
    assert one(db, "SELECT resthook_uninstall()") == 0, "nothing is left to do"


def test_uninstall_drops_no_trigger_that_is_not_ours(db):
    db.executescript("""
        CREATE TRIGGER resthook_watch_7_mine AFTER INSERT ON item BEGIN SELECT 1; END;
        CREATE TRIGGER "resthook_watch_8; DROP TABLE item" AFTER INSERT ON item BEGIN SELECT 1; END;
    """)
    one(db, "SELECT resthook_watch('item', 'insert', 'item.create')")
    assert one(db, "SELECT resthook_uninstall()") == 1
    assert {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type <> 'index' AND name NOT LIKE 'sqlite%'")} == {
        "item", "resthook_watch_7_mine", "resthook_watch_8; DROP TABLE item"}


def test_subscribe_by_its_defaults(db):
    sub = subscribe(db)
    assert re.fullmatch(r"sub_[a-z0-9]{24}", sub)
    row = dict(zip(("event", "target", "status", "format", "from_id", "to_id"), db.execute(
        "SELECT event, target, status, format, from_id, to_id FROM resthook_subscriptions WHERE id = ?", (sub,)
    ).fetchone()))
    assert row == {"event": "item.*", "target": TARGET, "status": "active", "format": "bare", "from_id": 0,
                   "to_id": None}
    secret = one(db, "SELECT resthook_secret(?)", sub)
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) in range(24, 65)
    assert subscribe(db) == sub, "the same again is the same"
    assert subscribe(db, target=TARGET + "2") != sub
    assert one(db, "SELECT resthook_secret(?)", sub) == secret
    assert one(db, "SELECT count(*) FROM resthook_subscriptions") == 2


def test_what_a_secret_may_be(db):
    """v1 by a text that both sides have, v1a by a key pair, or a file of the operator's."""
    pair = "whsk_" + base64.b64encode(bytes(range(32))).decode()
    both = "whsk_" + base64.b64encode(bytes(range(64))).decode()
    sub = subscribe(db)
    for secret in (SECRET, pair, both, "file:billing", "file:a-b_c.D9"):
        assert one(db, "SELECT resthook_update(?, ?)", sub, json.dumps({"secret": secret})) == sub
        assert one(db, "SELECT resthook_secret(?)", sub) == secret
    assert stored(db, sub, "old_secret") == (None,)
    one(db, "SELECT resthook_update(?, ?)", sub, json.dumps({"secret": both}))
    assert one(db, "SELECT resthook_public_key(?)", sub) == "whpk_" + base64.b64encode(bytes(range(32, 64))).decode()
    new = one(db, "SELECT resthook_rotate_secret(?)", sub)
    assert re.fullmatch(r"whsk_[A-Za-z0-9+/]{43}=", new) and stored(db, sub, "old_secret") == (both,), "of the same kind"


def test_signing_makes_a_secret_of_the_kind_where_there_is_another(db):
    for signing, prefix in ((None, "whsec_"), ("v1", "whsec_"), ("v1a", "whsk_")):
        sub = subscribe(db, event=f"item.{prefix}{signing}", signing=signing)
        secret = one(db, "SELECT resthook_secret(?)", sub)
        assert secret.startswith(prefix) and stored(db, sub, "old_secret") == (None,)
        one(db, "SELECT resthook_update(?, ?)", sub, json.dumps({"signing": signing}))
        assert one(db, "SELECT resthook_secret(?)", sub) == secret, "it was so already"
    one(db, "SELECT resthook_update(?, ?)", sub, '{"signing":null}')
    assert one(db, "SELECT resthook_secret(?)", sub).startswith("whsec_")
    old, until = stored(db, sub, "old_secret", "old_secret_until > 0")
    assert old == secret and until == 1


def test_verify(db):
    """What it writes; tests/e2e/test_verify.py has what comes of it."""
    def row(sub):
        return stored(db, sub, "status", "verify", "verify_secret IS NOT NULL", "verify_event")

    one(db, "SELECT resthook_emit('a.b', '{}')")
    sub = subscribe(db, verify="x-hook-secret")
    assert row(sub) == ("pending", "x-hook-secret", 1, 2)
    assert db.execute("SELECT event, payload, only FROM resthook_events WHERE id = 2").fetchall() == [
        ("resthook.verify", f'{{"subscription":"{sub}"}}', sub)]
    assert subscribe(db, verify="x-hook-secret") == sub and row(sub)[3] == 2, "the same again asks nothing"
    one(db, "SELECT resthook_update(?, ?)", sub, '{"verify":null}')
    assert row(sub) == ("active", "none", 0, None)
    assert subscribe(db, verify="x-hook-secret") == sub and row(sub) == ("pending", "x-hook-secret", 1, 3)
    with pytest.raises(sqlite3.Error, match="the secret is not the one"):
        one(db, "SELECT resthook_confirm(?, (SELECT verify_secret || char(0) FROM resthook_subscription))", sub)
    one(db, "SELECT resthook_confirm(?, (SELECT verify_secret FROM resthook_subscription))", sub)
    assert row(sub) == ("active", "x-hook-secret", 0, 3)
    one(db, "SELECT resthook_update(?, ?)", sub, '{"verify":"x-hook-secret"}')
    assert row(sub) == ("pending", "x-hook-secret", 1, 4)
    db.execute("BEGIN")
    one(db, "SELECT resthook_update(?, ?)", sub, '{"verify":"none"}')
    db.execute("ROLLBACK")
    assert row(sub) == ("pending", "x-hook-secret", 1, 4)


OPTIONS = {
    "secret": SECRET, "status": "inactive", "headers": {"Authorization": "Bearer x"}, "format": "standard",
    "max_in_flight": 3, "timeout": 2.5, "retry_schedule": "0, 5s, 1m", "description": "für alle",
    "retry_statuses": "429, 5xx",
}
STORED = (SECRET, "inactive", '{"Authorization":"Bearer x"}', "standard", 3, 2500, "0, 5s, 1m", "für alle",
          "429, 5xx")
COLUMNS = ("secret", "status", "headers", "format", "max_in_flight", "timeout", "retry_schedule", "description",
           "retry_statuses")


@pytest.mark.parametrize("given, kept", [(True, "skip"), ("skip", "skip"), ("stop", "stop"), (False, None), (None, None)])
def test_how_a_subscription_is_ordered(db, given, kept):
    sub = subscribe(db, ordered="stop")
    one(db, "SELECT resthook_update(?, ?)", sub, json.dumps({"ordered": given}))
    assert stored(db, sub, "ordered") == (kept,)
    assert one(db, "SELECT ordered FROM resthook_subscriptions") == kept


def test_every_option_is_kept(db):
    assert stored(db, subscribe(db, **OPTIONS), *COLUMNS) == STORED


def test_every_option_can_be_changed_and_taken_back(db):
    sub = subscribe(db)
    assert one(db, "SELECT resthook_update(?, ?)", sub, json.dumps(OPTIONS)) == sub
    assert stored(db, sub, *COLUMNS) == STORED
    one(db, "SELECT resthook_update(?, ?)", sub, '{"timeout": 9}')
    assert stored(db, sub, *COLUMNS)[5] == 9000 and stored(db, sub, *COLUMNS)[:5] == STORED[:5]
    one(db, "SELECT resthook_update(?, ?)", sub, json.dumps(dict.fromkeys(COLUMNS[1:])))
    assert stored(db, sub, *COLUMNS) == (SECRET, "active", None, "bare", None, None, None, None, None)
    revision = stored(db, sub, "revision")
    one(db, "SELECT resthook_update(?, NULL)", sub)
    one(db, "SELECT resthook_update(?, '{}')", sub)
    assert stored(db, sub, "revision") == revision, "nothing was changed"
    assert subscribe(db, timeout=3) == sub and stored(db, sub, "timeout", "revision") == (3000, revision[0] + 1)


@pytest.mark.parametrize("function, status", [("pause", "inactive"), ("resume", "active")])
def test_pause_and_resume(db, function, status):
    sub = subscribe(db, status={"active": "inactive", "inactive": "active"}[status])
    assert one(db, f"SELECT resthook_{function}(?)", sub) == 1
    assert one(db, "SELECT status FROM resthook_subscriptions") == status
    assert one(db, f"SELECT resthook_{function}(?)", sub) == 0, "it was so already"


def test_unsubscribe_ends_it_at_the_newest_event(db):
    sub = subscribe(db, event="*")
    for _ in range(3):
        one(db, "SELECT resthook_emit('a.b', '{}')")
    assert one(db, "SELECT resthook_unsubscribe(?)", sub) == 1
    assert one(db, "SELECT resthook_unsubscribe(?)", sub) == 0
    one(db, "SELECT resthook_emit('a.b', '{}')")
    assert db.execute("SELECT status, reason, from_id, to_id FROM resthook_subscriptions").fetchall() == [
        ("ended", "unsubscribed", 0, 3)]
    again = subscribe(db, event="*")
    assert again != sub and stored(db, again, "from_id") == (4,)


def test_the_newest_id_stays_whoever_deletes_events(db):
    for _ in range(3):
        one(db, "SELECT resthook_emit('a.b', '{\"secret\":1}')")
    assert db.execute("DELETE FROM resthook_outbox WHERE id > 1").rowcount == 2
    assert stored(db, subscribe(db, event="a.*"), "from_id") == (3,)
    assert db.execute("SELECT id, event, payload, only FROM resthook_events WHERE id > 1").fetchall() == [
        (3, "a.b", None, "forgotten")]
    assert one(db, "SELECT resthook_emit('a.b', '{}')") == 4
    db.execute("DELETE FROM resthook_outbox")
    db.execute("DELETE FROM sqlite_sequence")
    assert stored(db, subscribe(db, event="b.*"), "from_id") == (4,)
    assert one(db, "SELECT resthook_emit('a.b', '{}')") == 5
    db.execute("DELETE FROM resthook_outbox WHERE id < 5")
    assert db.execute("SELECT id, only FROM resthook_events").fetchall() == [(5, None)]


@pytest.mark.parametrize("recursive", [0, 1])
def test_an_application_may_delete_what_comes_into_the_outbox(db, recursive):
    db.execute(f"PRAGMA recursive_triggers = {recursive}")
    one(db, "SELECT resthook_watch('item', 'insert', 'item.create', '{\"record\":\"always\"}')")
    db.execute("CREATE TRIGGER mine AFTER INSERT ON resthook_outbox WHEN NEW.watch NOTNULL BEGIN"
               " DELETE FROM resthook_outbox WHERE id = NEW.id; END")
    for i in (1, 2):
        db.execute("INSERT INTO item(name) VALUES ('x')")
        assert db.execute("SELECT id, only FROM resthook_events").fetchall()[-1] == (i, "forgotten")
    assert db.execute("DELETE FROM resthook_outbox WHERE id = 2").rowcount == 0
    assert one(db, "SELECT max(id) FROM resthook_outbox") == 2


def test_the_greatest_id_there_is_does_not_stay(db):
    db.execute("INSERT INTO resthook_outbox(id, event, payload) VALUES (9223372036854775807, 'a.b', '{}')")
    assert db.execute("DELETE FROM resthook_outbox").rowcount == 1
    assert one(db, "SELECT resthook_emit('a.b', '{}')") == 1


def test_what_keeps_the_newest_id_is_repaired(db):
    before = db.execute("SELECT name FROM sqlite_master WHERE name LIKE 'resthook_outbox_%' ORDER BY 1").fetchall()
    assert before == [("resthook_outbox_last",), ("resthook_outbox_stays",)]
    for (name,) in before:
        db.execute(f"DROP TRIGGER {name}")
    assert one(db, "SELECT resthook_repair()") == 0
    assert db.execute("SELECT name FROM sqlite_master WHERE name LIKE 'resthook_outbox_%' ORDER BY 1").fetchall() == before


def test_rotating_a_secret(db):
    sub = subscribe(db, secret=SECRET)
    new = one(db, "SELECT resthook_rotate_secret(?)", sub)
    assert new != SECRET and one(db, "SELECT resthook_secret(?)", sub) == new
    old, until, now = stored(db, sub, "old_secret", "old_secret_until",
                             "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)")
    assert old == SECRET and until - now == pytest.approx(86400000, abs=10000)
    one(db, "SELECT resthook_rotate_secret(?, 0)", sub)
    assert stored(db, sub, "old_secret") == (new,)
    one(db, "SELECT resthook_update(?, ?)", sub, json.dumps({"secret": SECRET}))
    assert stored(db, sub, "secret", "old_secret", "old_secret_until") == (SECRET, None, None)


def test_emit(db):
    assert one(db, "SELECT resthook_emit('order.paid', '{\"a\":1}')") == 1
    assert one(db, "SELECT resthook_emit('order.paid', '[]', '{\"key\":\"k\"}')") == 2
    assert one(db, "SELECT resthook_emit('order.paid', '1', '{\"deliver_at\":\"2030-01-01T00:00:00Z\"}')") == 3
    assert one(db, "SELECT resthook_emit('order.paid', 'null', '{\"deliver_at\":1893456000.5}')") == 4
    assert db.execute("SELECT id, event, payload, key, deliver_at, only FROM resthook_events").fetchall() == [
        (1, "order.paid", '{"a":1}', None, None, None),
        (2, "order.paid", "[]", "k", None, None),
        (3, "order.paid", "1", None, "2030-01-01T00:00:00.000Z", None),
        (4, "order.paid", "null", None, "2030-01-01T00:00:00.500Z", None)]
    assert one(db, "SELECT resthook_payload(1)") == '{"a":1}'


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_emit_with_headers_of_its_own(db):
    for options in ({"headers": {"X-A": "1"}}, {"traceparent": TRACE}, {"headers": {"X-A": "1"}, "traceparent": TRACE},
                    {"headers": None, "traceparent": None}, {"headers": {}}, {"headers": {"Traceparent": TRACE}}):
        one(db, "SELECT resthook_emit('a.b', '{}', ?)", json.dumps(options))
    assert db.execute("SELECT event, headers FROM resthook_extra ORDER BY event").fetchall() == [
        (1, '{"X-A":"1"}'), (2, json.dumps({"traceparent": TRACE}, separators=(",", ":"))),
        (3, json.dumps({"X-A": "1", "traceparent": TRACE}, separators=(",", ":"))), (5, "{}"),
        (6, json.dumps({"Traceparent": TRACE}, separators=(",", ":")))]
    assert one(db, "SELECT count(*) FROM resthook_extra AS x JOIN resthook_outbox AS o ON o.id = x.event AND o.created_at = x.created_at") == 5
    assert "X-A" not in str(db.execute("SELECT * FROM resthook_events").fetchall())
    db.execute("BEGIN")
    one(db, "SELECT resthook_emit('a.b', '{}', '{\"headers\": {\"x\": \"y\"}}')")
    db.execute("ROLLBACK")
    assert one(db, "SELECT max(event) FROM resthook_extra") == 6


def test_emit_with_headers_from_a_trigger(db):
    db.execute("CREATE TABLE log(a)")
    db.execute("CREATE TRIGGER logged AFTER INSERT ON log BEGIN SELECT resthook_emit('a.b', '{}',"
               " json_object('headers', json_object('x-log', NEW.a))); END")
    db.execute("INSERT INTO log VALUES ('one'), ('two')")
    assert db.execute("SELECT headers FROM resthook_extra ORDER BY event").fetchall() == [
        ('{"x-log":"one"}',), ('{"x-log":"two"}',)]
    with pytest.raises(sqlite3.Error, match="resthook_emit: header 'x-log'"):
        db.execute("INSERT INTO log VALUES ('three'), (char(10))")
    assert one(db, "SELECT count(*) FROM resthook_outbox") == one(db, "SELECT count(*) FROM log") == 2


def test_an_event_of_a_reused_id_has_the_headers_it_was_given(db):
    one(db, "SELECT resthook_emit('a.b', '{}', '{\"headers\": {\"x\": \"old\"}}')")
    db.execute("DROP TRIGGER resthook_outbox_last")
    db.execute("DELETE FROM resthook_outbox")
    one(db, "SELECT resthook_emit('a.b', '{}', '{\"headers\": {\"x\": \"new\"}}')")
    assert db.execute("SELECT event, headers FROM resthook_extra").fetchall() == [(1, '{"x":"new"}')]


def test_ping_is_for_that_subscription_alone(db):
    sub = subscribe(db)
    event = one(db, "SELECT resthook_ping(?)", sub)
    assert db.execute("SELECT event, payload, only FROM resthook_events WHERE id = ?", (event,)).fetchall() == [
        ("resthook.ping", json.dumps({"subscription": sub}, separators=(",", ":")), sub)]


def test_only_what_was_for_a_subscription_is_replayed(db):
    """app.db alone says so: no side file is there."""
    db.execute("SELECT resthook_watch('item', 'insert', 'item.create', '{\"record\":\"always\"}')")
    one(db, "SELECT resthook_emit('item.early', '{}')")
    subs = {event: subscribe(db, event) for event in ("*", "item.*", "item.create", "other", "resthook.*")}
    db.execute("INSERT INTO item(name) VALUES ('tea')")
    one(db, "SELECT resthook_emit('itemized', '{}')")
    one(db, "SELECT resthook_ping(?)", subs["other"])
    db.execute("INSERT INTO resthook_outbox(event, payload) VALUES ('resthook.delivery.dead', '{}')")
    meant = {"*": {2, 3}, "item.*": {2}, "item.create": {2}, "other": {4}, "resthook.*": {5}}
    for event, sub in subs.items():
        for number in (1, 2, 3, 4, 5):
            if number in meant[event]:
                assert one(db, "SELECT resthook_replay(?)", f"{sub}-{number}") == f"{sub}-{number}"
            else:
                with pytest.raises(sqlite3.Error, match=f"'{sub}-{number}': its event was not for this subscription"):
                    one(db, "SELECT resthook_replay(?)", f"{sub}-{number}")
    assert one(db, "SELECT count(*) FROM resthook_request") == 6


def test_events_of_our_own_can_be_subscribed_to(db):
    for event in ("resthook.*", "resthook.ping", "resthook.subscription.*", "resthook.subscription.failing",
                  "resthook.subscription.recovered", "resthook.subscription.gone", "resthook.delivery.dead", "resthooks"):
        assert subscribe(db, event).startswith("sub_")


def test_deliver_at_as_text(db):
    for text, expected in (("2026-01-31T12:00:00Z", 1769860800000), ("2026-01-31T13:00:00.250+01:00", 1769860800250),
                           ("2026-01-31 12:00", 1769860800000), ("2026-01-31", 1769817600000),
                           ("2028-02-29T23:30:00-01:00", 1835483400000)):
        number = one(db, "SELECT resthook_emit('a.b', '{}', ?)", json.dumps({"deliver_at": text}))
        assert one(db, "SELECT deliver_at FROM resthook_outbox WHERE id = ?", number) == expected, text


def test_replay_files_a_request(db):
    sub = subscribe(db, event="*")
    event = one(db, "SELECT resthook_emit('a.b', '{}')")
    assert one(db, "SELECT resthook_replay(?)", f"{sub}-{event}") == f"{sub}-{event}"
    assert db.execute("SELECT kind, subscription, event FROM resthook_request").fetchall() == [("replay", sub, event)]


def test_settings(db):
    assert one(db, "SELECT resthook_get('timeout')") == 15
    assert one(db, "SELECT resthook_set('timeout', 2.5)") == 2.5
    assert one(db, "SELECT resthook_set('timeout', '1m')") == 60
    assert one(db, "SELECT resthook_set('retry_schedule', '0, 1s')") == "0, 1s"
    assert db.execute("SELECT value FROM resthook_settings WHERE name = 'timeout'").fetchall() == [(60,)]
    one(db, "SELECT resthook_init()")
    assert one(db, "SELECT resthook_get('timeout')") == 60
    assert one(db, "SELECT resthook_set('timeout', NULL)") == 15
    for name, default, least, most in db.execute(
            "SELECT name, standard, least, most FROM resthook_setting WHERE least IS NOT NULL").fetchall():
        for value in (least, most, default):
            assert one(db, "SELECT resthook_set(?, ?)", name, value) == value


def test_last_insert_rowid_is_the_hosts_own(db):
    db.execute("INSERT INTO item VALUES (77, 'x')")
    sub = subscribe(db)
    one(db, "SELECT resthook_ping(?)", sub)
    one(db, "SELECT resthook_watch('item', 'insert', 'item.create')")
    assert one(db, "SELECT last_insert_rowid()") == 77


def test_it_all_rolls_back(db):
    before = dump(db)
    db.execute("BEGIN")
    sub = subscribe(db, **OPTIONS)
    one(db, "SELECT resthook_ping(?)", sub)
    one(db, "SELECT resthook_watch('item', 'insert', 'item.create')")
    one(db, "SELECT resthook_set('timeout', 3)")
    db.execute("ROLLBACK")
    assert dump(db) == before


def test_emit_within_triggers_and_statements(db):
    db.executescript("""
        CREATE TRIGGER t AFTER INSERT ON item BEGIN
          SELECT resthook_emit('item.new', json_object('id', NEW.id));
        END;
        INSERT INTO item SELECT 1, resthook_emit('a.b', '{}');
        INSERT INTO item VALUES (2, 'x'), (3, 'y');
    """)
    assert db.execute("SELECT event, payload FROM resthook_events ORDER BY id").fetchall() == [
        ("a.b", "{}"), ("item.new", '{"id":1}'), ("item.new", '{"id":2}'), ("item.new", '{"id":3}')]
    before = dump(db)
    with pytest.raises(sqlite3.Error, match="resthook_emit: payload"):
        db.execute("INSERT INTO item SELECT 10 + value, resthook_emit('a.b', CASE value WHEN 2 THEN '{' ELSE '1' END)"
                   " FROM json_each('[1,2,3]')")
    assert dump(db) == before, "the statement is undone as a whole"


def test_a_trigger_on_the_outbox_that_emits_again_is_stopped(db):
    db.execute("CREATE TRIGGER echo AFTER INSERT ON resthook_outbox BEGIN SELECT resthook_emit('echo', '{}'); END")
    db.execute("PRAGMA recursive_triggers = 1")
    before = dump(db)
    with pytest.raises(sqlite3.Error, match="resthook_emit: a trigger on what it writes calls it again"):
        db.execute("SELECT resthook_emit('a.b', '{}')")
    assert dump(db) == before


def test_an_interrupted_function_leaves_nothing_behind(db, path):
    """Interrupted after every so many steps of SQLite's machine: it was done, or nothing was, and no lock stays."""
    other = opened(path, timeout=0)
    sub = subscribe(db, event="live")
    for call, values in ((f"resthook_update('{sub}', ?)", [json.dumps(OPTIONS)]), ("resthook_emit('a.b', '{}')", []),
                         ("resthook_watch('item', 'insert', 'item.create')", []), ("resthook_uninstall()", [])):
        for inside in (False, True):
            interrupted = 0
            for steps in range(1, 20_000, 7):
                before = dump(db)
                if inside:
                    db.execute("BEGIN")
                    db.execute("INSERT INTO item(name) VALUES ('the host wrote this')")
                db.set_progress_handler(lambda: db.interrupt(), steps)
                try:
                    db.execute(f"SELECT {call}", values).fetchall()
                    done = True
                except sqlite3.OperationalError as error:
                    assert "interrupted" in str(error)
                    done, interrupted = False, interrupted + 1
                db.set_progress_handler(None, 0)
                if done:
                    if inside:
                        db.execute("ROLLBACK")
                    break
                if db.in_transaction:
                    assert inside
                    db.execute("ROLLBACK")
                assert dump(db) == before, (call, steps)
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")
            assert done and interrupted, (call, inside)
    other.close()


def test_uninstall_is_refused_inside_a_statement_that_writes(db):
    """Such a statement, for one row and in a transaction, undoes nothing when it fails half-way."""
    one(db, "SELECT resthook_watch('item', 'delete', 'item.delete')")
    before = dump(db)
    db.execute("BEGIN")
    with pytest.raises(sqlite3.Error, match="it can't be called inside a statement that writes"):
        db.execute("INSERT INTO item(name) VALUES (resthook_uninstall())")
    db.execute("COMMIT")
    assert dump(db) == before


def test_watching_after_all_tables_were_emptied(db):
    """As test frameworks do."""
    one(db, "SELECT resthook_watch('item', 'insert', 'item.create')")
    for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'").fetchall():
        db.execute(f"DELETE FROM {table}")
    db.execute("DELETE FROM sqlite_sequence")
    one(db, "SELECT resthook_init()")
    assert one(db, "SELECT resthook_watch('item', 'insert', 'item.create')") == "resthook_watch_1"
    subscribe(db)
    db.execute("INSERT INTO item(name) VALUES ('x')")
    assert one(db, "SELECT count(*) FROM resthook_events") == 1


def test_status_looks_at_no_temporary_table(db):
    one(db, "SELECT resthook_watch('item', 'insert', 'item.create')")
    db.execute("CREATE TEMP TABLE item(other)")
    assert db.execute("SELECT * FROM resthook_status WHERE name LIKE 'watch %'").fetchall() == []


def test_functions_over_our_own_views(db):
    subs = {subscribe(db, target=f"{TARGET}/{i}") for i in range(20)}
    paused = db.execute("SELECT id, resthook_pause(id) FROM resthook_subscriptions WHERE status = 'active'").fetchall()
    assert set(paused) == {(sub, 1) for sub in subs}
    assert db.execute("SELECT DISTINCT status FROM resthook_subscriptions").fetchall() == [("inactive",)]


def test_a_trigger_or_a_view_can_not_change_subscriptions(db):
    sub = subscribe(db)
    for number, call in enumerate([f"resthook_unsubscribe('{sub}')", f"resthook_secret('{sub}')", "resthook_init()",
                                   "resthook_uninstall()", "resthook_set('timeout', 1)"]):
        db.execute(f"CREATE VIEW hostile{number} AS SELECT {call}")
        with pytest.raises(sqlite3.Error, match="unsafe use"):
            db.execute(f"SELECT * FROM hostile{number}")


def test_temporary_tables_and_other_files_do_not_get_in_the_way(db, tmp_path):
    other = opened(tmp_path / "other.db")
    other.execute("ATTACH ? AS aux1", (str(tmp_path / "app.db"),))
    other.execute("CREATE TEMP TABLE resthook_subscription(id, event, target, to_id)")
    other.execute("CREATE TEMP TABLE resthook_outbox(id)")
    other.execute("CREATE TEMP TABLE resthook_meta(name, value)")
    other.execute("CREATE TEMP TABLE resthook_setting(name, value)")
    other.execute("SELECT resthook_init()")
    sub = subscribe(other, event="*")
    one(other, "SELECT resthook_emit('a.b', '{}')")
    assert other.execute("SELECT id FROM main.resthook_subscription").fetchall() == [(sub,)]
    assert one(other, "SELECT count(*) FROM main.resthook_outbox") == 1
    for table in ("temp.resthook_subscription", "temp.resthook_outbox", "aux1.resthook_subscription",
                  "aux1.resthook_outbox"):
        assert one(other, f"SELECT count(*) FROM {table}") == 0
    other.close()


# Who waits for whom.


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
@pytest.mark.parametrize("inside", [False, True])
def test_a_function_waits_for_the_write_lock(db, path, journal, inside):
    db.execute(f"PRAGMA journal_mode={journal}")
    sub = subscribe(db, event="*")
    writer = sqlite3.connect(path, isolation_level=None)
    for call, *values in [("resthook_subscribe('b.c', ?)", TARGET), ("resthook_pause(?)", sub),
                          ("resthook_update(?, '{\"timeout\":1}')", sub), ("resthook_rotate_secret(?)", sub),
                          ("resthook_emit('a.b', '{}')",), ("resthook_ping(?)", sub), ("resthook_set('timeout', 2)",),
                          ("resthook_watch('item', 'insert', 'item.create')",), ("resthook_init()",),
                          ("resthook_repair()",), ("resthook_unwatch('item')",), ("resthook_unsubscribe(?)", sub),
                          ("resthook_uninstall()",)]:
        db.execute("PRAGMA busy_timeout = 30000")
        if inside:
            db.execute("BEGIN")  # deferred: it has read nothing yet
        writer.execute("BEGIN IMMEDIATE")
        result = []
        thread = threading.Thread(target=lambda: result.append(one(db, f"SELECT {call}", *values)))
        thread.start()
        thread.join(0.05)
        assert thread.is_alive(), f"{call} waits"
        writer.execute("COMMIT")
        thread.join(20)
        assert not thread.is_alive() and len(result) == 1, call
        if inside:
            db.execute("COMMIT")


def test_reading_functions_take_no_lock(db, path):
    sub = subscribe(db, event="*")
    one(db, "SELECT resthook_emit('a.b', '{}')")
    reader = opened(f"file:{path}?mode=ro", timeout=0, uri=True)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    assert one(reader, "SELECT resthook_get('timeout')") == 15
    assert one(reader, "SELECT resthook_secret(?)", sub).startswith("whsec_")
    assert one(reader, "SELECT resthook_payload(1)") == "{}"
    with pytest.raises(sqlite3.Error, match="resthook_pause: .*(locked|readonly)"):
        one(reader, "SELECT resthook_pause(?)", sub)
    writer.close()
    reader.close()


# What is refused.

BIG = "x" * 10_000_000
BAD = [
    # event, target
    ("resthook_subscribe(NULL, 'https://a.b/')", "event is NULL, expected text"),
    ("resthook_subscribe(1, 'https://a.b/')", "event is 1, expected text"),
    ("resthook_subscribe(x'41', 'https://a.b/')", "event is a BLOB of 1 bytes"),
    ("resthook_subscribe('', 'https://a.b/')", "event '' "),
    ("resthook_subscribe('a b', 'https://a.b/')", "event 'a b' "),
    ("resthook_subscribe('a\n', 'https://a.b/')", "event 'a\\?' "),
    ("resthook_subscribe('*.a', 'https://a.b/')", "event '\\*.a' "),
    ("resthook_subscribe('a.b*', 'https://a.b/')", "event 'a.b\\*' "),
    ("resthook_subscribe('ä.b', 'https://a.b/')", "event 'ä.b' "),
    ("resthook_subscribe(char(97, 0, 98), 'https://a.b/')", "NUL"),
    ("resthook_subscribe(printf('%.10000c', 'a'), 'https://a.b/')", "too long, expected at most"),
    ("resthook_subscribe('a.b', NULL)", "target is NULL, expected text"),
    ("resthook_subscribe('a.b', 3)", "target is 3, expected text"),
    ("resthook_subscribe('a.b', '')", "target '' "),
    ("resthook_subscribe('a.b', 'example.com/hook')", "target 'example.com/hook' "),
    ("resthook_subscribe('a.b', 'file:///etc/passwd')", "target 'file:///etc/passwd' "),
    ("resthook_subscribe('a.b', 'ftp://a.b/')", "target 'ftp://a.b/' "),
    ("resthook_subscribe('a.b', 'https://a.b/ c')", "target 'https://a.b/ c' "),
    ("resthook_subscribe('a.b', 'https://a.b\\c')", "target 'https://a.b\\\\c' "),
    ("resthook_subscribe('a.b', 'https://a.b/\t')", "target 'https://a.b/\\?' "),
    ("resthook_subscribe('a.b', 'https:///x')", "target 'https:///x' "),
    ("resthook_subscribe('a.b', 'https://a.b:99999/')", "target 'https://a.b:99999/' "),
    ("resthook_subscribe('a.b', 'https://[::1')", "target 'https://\\[::1' "),
    ("resthook_subscribe('a.b', 'https://a.b/#x')", "target 'https://a.b/#x' "),
    ("resthook_subscribe('a.b', ?)", "too long", "https://a.b/" + BIG),
    ("resthook_subscribe('resthook', 'https://a.b/')", "event 'resthook' is reserved and there is no such event"),
    ("resthook_subscribe('resthook.delivery.died', 'https://a.b/')", "no such event; known are resthook.ping, .*delivery.dead"),
    ("resthook_subscribe('resthook.deliveries.*', 'https://a.b/')", "no such event; known are resthook.ping"),
    # options
    ("resthook_subscribe('a.b', 'https://a.b/', 1)", "options are 1, expected a JSON object"),
    ("resthook_subscribe('a.b', 'https://a.b/', '')", "options are not JSON"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{')", "options are not JSON: .* at byte 1"),
    ("resthook_subscribe('a.b', 'https://a.b/', '[1]')", "not an object"),
    ("resthook_subscribe('a.b', 'https://a.b/', ?)", "options are .* bytes long", '{"description":"' + BIG + '"}'),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"order\":true}')", "there is no option 'order'; known are secret"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"ordered\":1}')", "option ordered is 1, expected true, false or a text"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"ordered\":\"yes\"}')",
     "option ordered is 'yes', expected true, false, 'skip' or 'stop'"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"ordered\":\"1\"}')", "option ordered is '1', expected"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"timeout\":1,\"timeout\":2}')", "given twice"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"timeout\":\"1\"}')", "option timeout is '1', expected a number"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"timeout\":0}')", "option timeout is 0, expected seconds from 0.1"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"timeout\":301}')", "option timeout is 301"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"timeout\":1e999}')", "option timeout"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"max_in_flight\":0}')", "option max_in_flight is 0"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"max_in_flight\":1.5}')", "max_in_flight is 1.5, expected a whole"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"status\":\"failing\"}')", "status is 'failing', expected one of"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"secret\":\"whpk_AAAA\"}')", "secret begins with neither whsec_ nor"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"secret\":\"whsk_AAAA\"}')", "secret has neither 32 nor 64 bytes"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"secret\":\"file:\"}')", "secret is file: and not a name"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"secret\":\"file:a/b\"}')", "secret is file: and not a plain name"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"signing\":\"v2\"}')", "signing is 'v2', expected one of v1, v1a"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"signing\":true}')", "option signing is .*, expected a text"),
    ("resthook_subscribe('a.b', 'https://a.b/', ?)", "secret and signing are both given",
     json.dumps({"secret": SECRET, "signing": "v1"})),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"verify\":\"yes\"}')", "verify is 'yes', expected one of none, x-hook-"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"format\":\"xml\"}')", "format is 'xml', expected one of"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"retry_schedule\":\"soon\"}')", "retry_schedule 'soon' "),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"retry_statuses\":\"5yy\"}')",
     "retry_statuses '5yy' has an entry that is neither a status from 300 to 599 nor 3xx, 4xx or 5xx, expected statuses"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"retry_statuses\":\"410\"}')", "retry_statuses '410' has 410"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"retry_statuses\":\"\"}')", "retry_statuses '' is empty"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"retry_statuses\":429}')", "retry_statuses is 429, expected a text"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"headers\":[]}')", "option headers is"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"headers\":{\"x\":1}}')", "header 'x' is not a text"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"headers\":{\"a b\":\"1\"}}')", "header 'a b'"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"headers\":{\"Host\":\"1\"}}')", "header 'Host'"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"headers\":{\"webhook-id\":\"1\"}}')", "header 'webhook-id'"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"headers\":{\"X-Hook-Secret\":\"1\"}}')", "header 'X-Hook-Secret'"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"headers\":{\"Authorization: Bearer s3cr3t\":\"\"}}')",
     "header 'Authorization:…': "),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"headers\":{\"Authorization: Bearer s3cr3t\":1}}')",
     "header 'Authorization:…' is not a text"),
    ("resthook_subscribe('a.b', 'https://a.b/?token=s3cr3t#a')", "target 'https://a.b/\\?…' "),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"headers\":{\"x\":\"a\\nb\"}}')", "header 'x'"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"headers\":{\"X-a\":\"1\",\"b\":\"1\",\"x-A\":\"1\"}}')",
     "header '[Xx]-[Aa]' is given twice"),
    ("resthook_subscribe('a.b', 'https://a.b/', '{\"headers\":{\"x\":\"1\",\"x\":\"2\"}}')", "header 'x' is given twice"),
    ("resthook_subscribe('a.b', 'https://a.b/', ?)", "more than 50 headers",
     json.dumps({"headers": {f"x{i}": "1" for i in range(51)}})),
    ("resthook_subscribe('a.b', 'https://a.b/', ?)", "description is 1001 bytes", '{"description":"' + "d" * 1001 + '"}'),
    # subscriptions that are not there, or not any more
    ("resthook_update('sub_none', '{}')", "there is no subscription 'sub_none'"),
    ("resthook_update(NULL, '{}')", "id is NULL, expected text"),
    ("resthook_update((SELECT id FROM resthook_subscriptions WHERE event = 'live'), '{\"secret\":null}')", "secret"),
    ("resthook_update((SELECT id FROM resthook_subscriptions WHERE event = 'ended'), '{}')", "has ended"),
    ("resthook_pause('x')", "there is no subscription 'x'"),
    ("resthook_pause((SELECT id FROM resthook_subscriptions WHERE event = 'ended'))", "has ended"),
    ("resthook_resume(12)", "id is 12, expected text"),
    ("resthook_unsubscribe('x')", "there is no subscription 'x'"),
    ("resthook_secret('x')", "there is no subscription 'x'"),
    ("resthook_rotate_secret('x')", "there is no subscription 'x'"),
    ("resthook_rotate_secret((SELECT id FROM resthook_subscriptions WHERE event = 'live'), -1)", "overlap is -1"),
    ("resthook_rotate_secret((SELECT id FROM resthook_subscriptions WHERE event = 'live'), '1')", "overlap is '1'"),
    ("resthook_public_key('x')", "there is no subscription 'x'"),
    ("resthook_public_key((SELECT id FROM resthook_subscriptions WHERE event = 'live'))", "signs by v1"),
    ("resthook_confirm('x', 'y')", "there is no subscription 'x'"),
    ("resthook_confirm((SELECT id FROM resthook_subscriptions WHERE event = 'live'), 'y')", "has nothing to confirm"),
    ("resthook_confirm((SELECT id FROM resthook_subscriptions WHERE event = 'ended'), 'y')", "has ended"),
    ("resthook_ping('x')", "there is no subscription 'x'"),
    ("resthook_ping((SELECT id FROM resthook_subscriptions WHERE event = 'ended'))", "has ended"),
    # emit
    ("resthook_emit(NULL, '{}')", "event is NULL, expected text"),
    ("resthook_emit('a.*', '{}')", "event 'a.\\*' "),
    ("resthook_emit('resthook.x', '{}')", "is reserved"),
    ("resthook_emit('a.b', NULL)", "payload is NULL, expected JSON text"),
    ("resthook_emit('a.b', 1)", "payload is 1, expected JSON text"),
    ("resthook_emit('a.b', x'7b7d')", "payload is a BLOB of 2 bytes"),
    ("resthook_emit('a.b', '')", "payload '' is not JSON"),
    ("resthook_emit('a.b', '{a:1}')", "payload '{a:1}' is not JSON: .* at byte 1"),
    ("resthook_emit('a.b', ?)", "is not JSON: .* at byte 10000001", '"' + BIG),
    ("resthook_emit('a.b', '{}', '{\"key\":1}')", "option key is 1, expected a text"),
    ("resthook_emit('a.b', '{}', '{\"deliver_at\":\"tomorrow\"}')", "deliver_at is 'tomorrow'"),
    ("resthook_emit('a.b', '{}', '{\"deliver_at\":-1}')", "deliver_at is '-1'"),
    ("resthook_emit('a.b', '{}', '{\"deliver_at\":true}')", "deliver_at is"),
    *[("resthook_emit('a.b', '{}', ?)", f"deliver_at is '{at}', expected a date and time such as '2026-", json.dumps({"deliver_at": at}))
      for at in ("12:00", "2026-02-31", "2027-02-29T00:00:00Z", "2026-13-01", "2026-1-1", "now", "2460000.5",
                 "2026-01-31T25:00:00Z", "2026-01-31T12:00:00Zulu", "1969-12-31", "-2026-01-01", "20260131")],
    ("resthook_emit('a.b', '{}', '{\"key\":\"a\\u0000b\"}')", "options contain a NUL character"),
    ("resthook_emit('a.b', '{}', x'7b7d')", "options are a BLOB of 2 bytes, expected a JSON object"),
    ("resthook_emit('x@y z', '{}')", "event 'x@y z' "),
    ("resthook_emit('a.b', '{}', '{\"only\":\"x\"}')", "there is no option 'only'; known are key, deliver_at, idempotency_key, headers"),
    ("resthook_emit('a.b', '{}', '{\"headers\":[]}')", "option headers is"),
    ("resthook_emit('a.b', '{}', '{\"headers\":{\"x\":1}}')", "header 'x' is not a text"),
    ("resthook_emit('a.b', '{}', '{\"headers\":{\"Webhook-Id\":\"1\"}}')", "header 'Webhook-Id'"),
    ("resthook_emit('a.b', '{}', '{\"headers\":{\"x\":\"a\\r\\nb\"}}')", "header 'x'"),
    ("resthook_emit('a.b', '{}', ?)", "more than 50 headers", json.dumps({"headers": {f"x{i}": "1" for i in range(51)}})),
    ("resthook_emit('a.b', '{}', '{\"traceparent\":\"00-12\"}')", "traceparent is '00-12', expected one of W3C Trace"),
    ("resthook_emit('a.b', '{}', '{\"traceparent\":7}')", "option traceparent is 7, expected a text"),
    ("resthook_emit('a.b', '{}', ?)", "traceparent is given twice",
     json.dumps({"traceparent": TRACE, "headers": {"TraceParent": TRACE}})),
    # replay
    ("resthook_replay(NULL)", "delivery is NULL"),
    ("resthook_replay('x')", "delivery is 'x', expected an id of resthook_deliveries"),
    ("resthook_replay('sub_x-0')", "expected an id"),
    ("resthook_replay('sub_x-99999999999999999999')", "expected an id"),
    ("resthook_replay('sub_x-1')", "there is no such subscription"),
    ("resthook_replay((SELECT id || '-1' FROM resthook_subscriptions WHERE event = 'ended'))", "has ended"),
    ("resthook_replay((SELECT id || '-1' FROM resthook_subscriptions WHERE event = 'live'))", "was not for this subscription"),
    ("resthook_replay((SELECT id || '-1x' FROM resthook_subscriptions WHERE event = 'live'))", "expected an id of"),
    ("resthook_replay((SELECT id || '-9' FROM resthook_subscriptions WHERE event = 'live'))", "no longer in the outbox"),
    ("resthook_payload(99)", "no event has the id 99"),
    ("resthook_payload('1')", "id is '1', expected an event's, a whole number"),
    # settings
    ("resthook_set('nothing', 1)", "there is no setting 'nothing'; known are capture_max"),
    ("resthook_set(NULL, 1)", "name is NULL"),
    ("resthook_get('nothing')", "there is no setting 'nothing'"),
    ("resthook_set('timeout', 'soon')", "timeout is 'soon', expected a number of seconds from 0.1 to 300"),
    ("resthook_set('timeout', 1e9)", "timeout is 1000000000.0, expected"),
    ("resthook_set('timeout', x'00')", "timeout is a BLOB of 1 bytes"),
    ("resthook_set('max_in_flight', 1.5)", "max_in_flight is 1.5, expected a whole number"),
    ("resthook_set('retry_schedule', '')", "retry_schedule '' "),
    ("resthook_set('retry_schedule', 5)", "retry_schedule 5 is not text"),
    # watches: more in test_watch.py
    ("resthook_watch('nothing', 'insert', 'a.b')", "nothing"),
    ("resthook_watch('item', 'insert', 'a b')", "a b"),
    ("resthook_watch('item', 'upsert', 'a.b')", "upsert"),
    ("resthook_watch('item', 'update of nothing', 'a.b')", "nothing"),
    ("resthook_watch('resthook_outbox', 'insert', 'a.b')", "resthook_outbox"),
    ("resthook_watch('sqlite_master', 'insert', 'a.b')", "sqlite_master"),
    ("resthook_watch('item_view', 'insert', 'a.b')", "item_view"),
    ("resthook_watch('item_fts', 'insert', 'a.b')", "item_fts"),
    ("resthook_watch('aux1.t', 'insert', 'a.b')", "aux1.t"),
    ("resthook_watch('aux_only', 'insert', 'a.b')", "aux_only"),
    ("resthook_watch('temporary', 'insert', 'a.b')", "temporary"),
    ("resthook_watch('item', 'insert', 'a.b', '{\"when\":\"NEW.\"}')", "NEW\\."),
    ("resthook_watch('item', 'insert', 'a.b', '{\"fields\":{\"x\":\"NEW.nothing\"}}')", "nothing"),
    ("resthook_watch('item', 'insert', 'a.b', '{\"when\":\"(SELECT secret FROM leak) IS NULL\"}')", "leak"),
    ("resthook_watch('item', 'insert', 'a.b', '{\"filter\":1}')", "there is no option 'filter'; known are fields"),
]


@contextlib.contextmanager
def rolled_back(db):
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")


@pytest.fixture(scope="module")
def bad_db(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bad")
    db = opened(directory / "app.db")
    db.executescript(f"""
        CREATE TABLE item(id INTEGER PRIMARY KEY, name);
        CREATE VIEW item_view AS SELECT * FROM item;
        CREATE VIRTUAL TABLE item_fts USING fts5(a);
        ATTACH '{directory / "aux.db"}' AS aux1; CREATE TABLE aux1.aux_only(a);
        CREATE TEMP TABLE temporary(a);
        SELECT resthook_init();
        CREATE VIRTUAL TABLE leak USING fts5(secret, content = 'resthook_subscription');
        SELECT resthook_subscribe('live', '{TARGET}');
        SELECT resthook_unsubscribe(resthook_subscribe('ended', '{TARGET}'));
        SELECT resthook_emit('a.b', '{{}}');
    """)
    yield db
    db.close()


@pytest.mark.parametrize("option", ["/**/content=", "--x\ncontent=", "\fcontent=", "\ufeffcontent=", "c=", "conten ="])
def test_an_index_of_our_secrets_is_found_however_its_option_is_written(bad_db, option):
    with rolled_back(bad_db):
        bad_db.execute(f"CREATE VIRTUAL TABLE spelled USING fts5(secret, {option} resthook_subscription)")
        assert one(bad_db, "SELECT count(secret) FROM spelled") > 0  # FTS5 does take it for that option
        with pytest.raises(sqlite3.Error, match="no such table: spelled"):
            bad_db.execute("""SELECT resthook_watch('item', 'insert', 'a.b',
                              '{"fields": {"x": "(SELECT secret FROM spelled)"}}')""").fetchall()


def test_an_index_with_other_options_is_read(bad_db):
    with rolled_back(bad_db):
        bad_db.execute("CREATE VIRTUAL TABLE sized USING fts5(content, columnsize=0, tokenize='porter ascii')")
        bad_db.execute("""SELECT resthook_watch('item', 'insert', 'a.b',
                          '{"fields": {"x": "(SELECT content FROM sized)"}}')""").fetchall()


@pytest.mark.parametrize("call, message, values", [(row[0], row[1], row[2:]) for row in BAD],
                         ids=[f"{number}:{row[0][:60]}" for number, row in enumerate(BAD)])
def test_what_is_refused(bad_db, call, message, values):
    before = dump(bad_db)
    with pytest.raises(sqlite3.Error, match=f"(?s)^{call.split('(')[0]}: .*{message}") as error:
        bad_db.execute(f"SELECT {call}", values).fetchall()
    assert len(str(error.value)) < 1000
    assert dump(bad_db) == before
    assert not bad_db.in_transaction


SECRETS = ["whsec_c2hvcnQ=", "hunter2-hunter2-hunter2-hunter2-hunter2", "whsec_!!!!hunter2",
           "whsk_c2hvcnQ=", "whsk_!!!!hunter2", "file:whsec_hunter2", "file:whsk_hunter2", "file:../hunter2", ""]


@pytest.mark.parametrize("call, value", [
    *[("resthook_subscribe('a.b', 'https://a.b/', ?)", json.dumps({"secret": secret})) for secret in SECRETS],
    ("resthook_subscribe('a.b', 'https://a.b/', ?)", json.dumps({"secret": ["hunter2"]})),
    ("resthook_subscribe('a.b', 'https://a.b/', ?)", json.dumps(["hunter2"])),
    ("resthook_subscribe('a.b', 'https://a.b/', ?)", json.dumps({"headers": {"Authorization": "hunter2\r\n"}})),
    ("resthook_subscribe('a.b', 'https://a.b/', ?)", json.dumps({"headers": {"Authorization": ["hunter2"]}})),
    ("resthook_subscribe('a.b', ?)", "https://user:hunter2@a.b/"),
    ("resthook_subscribe('a.b', ?)", "https://user:hunter2%40a.b/"),
    ("resthook_subscribe('https://user:hunter2@a.b/', ?)", "a.b"),
    ("resthook_subscribe(?, 'https://a.b/')", "whsec_hunter2 "),
    ("resthook_subscribe(?, 'https://a.b/')", "whsk_hunter2 "),
    ("resthook_subscribe('a.b', 'https://a.b/', ?)", json.dumps({"signing": "whsk_hunter2"})),
])
def test_no_error_shows_a_secret(bad_db, call, value):
    before = dump(bad_db)
    with pytest.raises(sqlite3.Error, match="^resthook_subscribe: ") as error:
        bad_db.execute(f"SELECT {call}", (value,))
    assert "hunter2" not in str(error.value) and "c2hvcnQ" not in str(error.value)
    assert dump(bad_db) == before


@pytest.mark.parametrize("call, value", [
    ("resthook_subscribe('a.b', 'https://a.b/', ?)", json.dumps({"status": "a\n\x1b[31m" + "é" * 100})),
    ("resthook_subscribe('a.b', 'https://a.b/', ?)", json.dumps({"retry_schedule": "a\n\x1b[31m" + "é" * 100})),
    ("resthook_subscribe('a.b', 'https://a.b/', ?)", json.dumps({"headers": {"é\n" * 100: 1}})),
    ("resthook_subscribe(?, 'https://a.b/')", "a\n\x1b[31m" + "é" * 20),
    ("resthook_subscribe('a.b', CAST(? AS TEXT))", b"https://\xff\xfe/"),
    ("resthook_emit('a.b', '1', ?)", json.dumps({"deliver_at": "a\n\x1b[31m" + "é" * 100})),
    ("resthook_emit('a.b', CAST(? AS TEXT))", b"\xff\xfe\x00"),
    ("resthook_set(?, 1)", "a\n\x1b[31m" + "é" * 40),
    ("resthook_set(?, 1)", "a\x80\x9b31m\x9f\x7f"),
])
def test_an_error_is_clean_text(bad_db, call, value):
    with pytest.raises(sqlite3.Error) as error:  # python decodes it as UTF-8, strictly
        bad_db.execute(f"SELECT {call}", (value,))
    assert not re.search(r"[\x00-\x1f\x7f-\x9f]", str(error.value))


def test_text_that_is_not_utf8_is_mended(db):
    sub = one(db, "SELECT resthook_subscribe('a.b', 'https://a.b/', CAST(? AS TEXT))", b'{"description":"a\xff"}')
    assert stored(db, sub, "description") == ("a\ufffd",)


def test_without_a_schema_or_with_a_newer_one(path):
    db = opened(path)
    with pytest.raises(sqlite3.Error, match=r"resthook_emit: .*SELECT resthook_init\(\) first"):
        db.execute("SELECT resthook_emit('a.b', '{}')")
    with pytest.raises(sqlite3.Error, match="resthook_subscribe: .*resthook_init"):
        subscribe(db)
    db.execute("SELECT resthook_init()")
    db.execute("UPDATE resthook_meta SET value = 99 WHERE name = 'schema'")
    before = dump(db)
    for call in ("resthook_init()", "resthook_emit('a.b', '{}')", "resthook_get('timeout')", "resthook_uninstall()"):
        with pytest.raises(sqlite3.Error, match="version 99, newer than this program's 2"):
            db.execute(f"SELECT {call}")
    assert dump(db) == before


def test_a_file_that_can_not_be_written(db, path):
    db.execute("PRAGMA query_only = 1")
    with pytest.raises(sqlite3.Error, match="resthook_subscribe: attempt to write a readonly database"):
        subscribe(db)


# How it is built.


def test_the_library_needs_libc_alone_and_exports_one_name():
    if "san" in str(BUILD):
        pytest.skip("the sanitizers are libraries too")
    if "GCOV_PREFIX" in os.environ:
        pytest.skip("make coverage puts its counters in")
    dynamic = subprocess.run(["readelf", "-d", BUILD / "resthook.so"], capture_output=True, text=True, check=True).stdout
    assert re.findall(r"NEEDED.*\[(.*)\]", dynamic) == ["libc.so.6"]
    names = subprocess.run(["nm", "-D", "--defined-only", BUILD / "resthook.so"], capture_output=True, text=True,
                           check=True).stdout
    assert [line.split()[-1] for line in names.splitlines()] == ["sqlite3_resthook_init"]


def test_it_builds_into_an_application(tmp_path):
    """As the README shows it: the sources, -DSQLITE_CORE, and one line that registers the functions."""
    (tmp_path / "main.c").write_text("""
        #include <sqlite3.h>
        #include <stdio.h>
        int sqlite3_resthook_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);
        int main(void) {
            sqlite3 *db;
            sqlite3_stmt *statement;
            sqlite3_auto_extension((void (*)(void))sqlite3_resthook_init);
            sqlite3_open(":memory:", &db);
            sqlite3_prepare_v2(db, "SELECT resthook_version() WHERE resthook_init() = 2", -1, &statement, 0);
            if (sqlite3_step(statement) == SQLITE_ROW) puts((const char *)sqlite3_column_text(statement, 0));
            sqlite3_finalize(statement);
            return sqlite3_close(db);
        }
    """)
    program = tmp_path / "program"
    subprocess.run(["cc", "-DSQLITE_CORE", f"-I{ROOT / 'ext'}", f"-I{BUILD / 'gen'}", "-o", program,
                    tmp_path / "main.c", *ROOT.glob("ext/*.c"), BUILD / "gen/sql.c", "-lsqlite3"], check=True)
    said = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", said)


@pytest.fixture(scope="module")
def sparse(tmp_path_factory):
    """sparse(WITHOUT, SQL): status, standard output, standard error."""
    program = tmp_path_factory.mktemp("sparse") / "sparse"
    subprocess.run(["cc", "-Wall", "-Werror", "-o", program, ROOT / "tests/sql/sparse.c", "-lsqlite3"], check=True)

    def run(*arguments):
        done = subprocess.run([program, BUILD / "resthook.so", *arguments], capture_output=True, text=True)
        return done.returncode, done.stdout.split(), done.stderr

    return run


def test_in_an_sqlite_without_progress_callbacks(sparse):
    """better-sqlite3 has one: there is no limit of steps then, and all else works."""
    assert sparse("progress_handler", """
        CREATE TABLE item(id INTEGER PRIMARY KEY, price, twice AS (price * 2));
        SELECT resthook_init();
        SELECT resthook_watch('item', 'insert', 'i', '{"record":"always","fields":{"t":"NEW.twice"}}');
        INSERT INTO item(price) VALUES (2.5);
        SELECT resthook_payload(id) FROM resthook_events;
    """) == (0, ["2", "resthook_watch_1", '{"t":5.0}'], "")


def test_in_an_sqlite_without_an_authorizer(sparse):
    """What needs one is refused with a reason; all else works."""

    def run(sql):
        return sparse("set_authorizer", """
            CREATE TABLE item(id INTEGER PRIMARY KEY);
            SELECT resthook_init();
            SELECT length(resthook_subscribe('item.*', 'https://example.org/'));
            SELECT resthook_emit('item.x', '{}');
            SELECT resthook_repair();
        """ + sql)

    assert run("") == (0, ["2", "28", "1", "0"], "")
    assert run("SELECT resthook_watch('item', 'insert', 'item.create')") == (1, ["2", "28", "1", "0"], (
        "resthook_watch: this SQLite was built without sqlite3_set_authorizer(), which expressions are checked by\n"))
    # What another program made is not computed, and said so.
    assert run("""
        INSERT INTO resthook_watch(id, table_name, operation, event, options, captured, primary_key, record, created_at)
          VALUES (7, 'item', 'insert', 'item.create', '{"when":"1"}', '[{"row":"new","column":"id"}]', '[]', 'always', 1);
        ALTER TABLE resthook_outbox ADD COLUMN v0;
        INSERT INTO resthook_outbox(watch, v0) VALUES (7, 1);
        SELECT resthook_payload(2);
    """)[2] == "resthook_payload: this SQLite was built without sqlite3_set_authorizer(), which expressions are checked by\n"


def test_an_older_sqlite_is_refused_when_it_loads(sparse):
    """make matrix loads the extension into real ones."""
    refused = f"resthook needs SQLite 3.31 or newer, this is {sqlite3.sqlite_version}\n"
    assert sparse("3030001", "SELECT resthook_version()") == (1, [], refused)
    assert sparse("3031000", "SELECT 1") == (0, ["1"], "")
