"""Migrations under watches: what RENAME, DROP and rebuilds take from them, and what resthook_repair() makes of it.

The two connections of test_watch.py: `admin` has the extension, `writer` migrates and writes with nothing loaded.
"""

import json
import sqlite3

import pytest

from test_watch import TARGET, db, fresh  # noqa: F401

ITEM = "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)"
DROP = ("ALTER TABLE t DROP COLUMN a",)
REBUILD = ("BEGIN", "CREATE TABLE n(id INTEGER PRIMARY KEY, b)", "INSERT INTO n SELECT id, b FROM t", "DROP TABLE t",
           "ALTER TABLE n RENAME TO t", "COMMIT")


def repaired(db):
    """Repairs, and again: what is left then is nothing."""
    count = db.ask("SELECT resthook_repair()")
    assert db.ask("SELECT resthook_repair()") == 0
    return count


def options(db, event="t.event"):
    return json.loads(db.ask("SELECT options FROM resthook_watches WHERE event = ?", event))


def wrong(db):
    return [value for _, value in db.admin.execute("SELECT name, value FROM resthook_status WHERE name LIKE 'watch %'")]


def held(db):
    """The reasons of the events that have no payload."""
    reasons = []
    for (event,) in db.admin.execute("SELECT id FROM resthook_outbox").fetchall():
        try:
            db.ask("SELECT resthook_payload(?)", event)
        except sqlite3.Error as error:
            reasons.append(str(error))
    return reasons


# ------------------------------------------------------------------------------------------------- renamed columns


def test_of_and_changed_follow_a_renamed_column(db):
    db.write(ITEM)
    db.watch("t", "update of A, b", changed=["a", "b"])
    db.write("INSERT INTO t VALUES (1, 2, 3)")
    db.write('ALTER TABLE t RENAME COLUMN a TO "the ""new"" one"')
    assert repaired(db) == 1
    assert db.ask("SELECT of FROM resthook_watches") == '["the \\"new\\" one","b"]'
    assert options(db)["changed"] == ['the "new" one', "b"]
    db.write('UPDATE t SET "the ""new"" one" = 4')
    db.write('UPDATE t SET "the ""new"" one" = 4')
    assert db.payloads() == [{"id": 1, 'the "new" one': 4, "b": 3}] and wrong(db) == []
    db.write('ALTER TABLE t RENAME COLUMN "the ""new"" one" TO a')
    assert repaired(db) == 1 and options(db)["changed"] == ["a", "b"]
    assert db.watch("t", "update of a", changed=["a"]) and db.ask("SELECT count(*) FROM resthook_watches") == 1


def test_columns_that_changed_places(db):
    db.write(ITEM)
    db.watch("t", "update of a", changed=["a"], fields={"was a": "NEW.a", "was b": "NEW.b || OLD . [b]"})
    for old, new in (("a", "x"), ("b", "a"), ("x", "b")):
        db.write(f"ALTER TABLE t RENAME COLUMN {old} TO {new}")
    assert repaired(db) == 1
    db.write("INSERT INTO t(id, b, a) VALUES (1, 2, 3)")
    db.write("UPDATE t SET a = 4")
    db.write("UPDATE t SET b = 5")
    assert db.payloads() == [{"was a": 5, "was b": "44"}]


EXPRESSIONS = [
    ("NEW.a", 'NEW."z"'),
    ("new . \"a\" || '' || New.[A]", 'new . "z" || \'\' || New."z"'),
    ("NEW/* of it */.\n-- or not\n`a`", 'NEW/* of it */.\n-- or not\n"z"'),
    ("\"NEW\".'a'", '"NEW"."z"'),
    ("'NEW.a' || \"NEW\".b", "'NEW.a' || \"NEW\".b"),
    ("(SELECT o.a FROM other AS o WHERE o.new = NEW.a)", '(SELECT o.a FROM other AS o WHERE o.new = NEW."z")'),
    ("(SELECT other.new FROM other WHERE NEW.a)", '(SELECT other.new FROM other WHERE NEW."z")'),
    ("NEW.ab", "NEW.ab"),
    ("1.5 + NEW.a", '1.5 + NEW."z"'),
]


@pytest.mark.parametrize("before, after", EXPRESSIONS, ids=[before for before, _ in EXPRESSIONS])
def test_expressions_follow_a_renamed_column(db, before, after):
    db.write("CREATE TABLE other(a, new)")
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, ab)")
    db.watch("t", "insert", fields={"f.g:json?": before, 'e"': "1"}, when=f"({before}) IS NOT 0", key=before)
    db.write("ALTER TABLE t RENAME COLUMN a TO z")
    assert repaired(db) == 1
    assert options(db) == {"fields": {"f.g:json?": after, 'e"': "1"}, "when": f"({after}) IS NOT 0", "key": after,
                           "record": "always"}
    assert wrong(db) == []


@pytest.mark.parametrize("expression, value", [("a", 4), ("(SELECT new.a + NEW.b FROM t AS new)", 9)])
def test_a_name_that_may_be_another_row_is_not_followed(db, expression, value):
    """The trigger works: it stays, and so do its names; what still compiles is right, and the watch is reported."""
    db.write(ITEM)
    name = db.watch("t", "insert", fields={"a": "NEW.a", "c": expression})
    db.write("ALTER TABLE t RENAME COLUMN a TO z")
    assert db.ask("SELECT resthook_repair()") == 0
    assert db.ask("SELECT trigger_name FROM resthook_watches") == name
    assert "resthook_watch() if an expression no longer compiles" in wrong(db)[0]
    db.write("INSERT INTO t VALUES (1, 4, 5)")
    assert db.payloads() == [{"a": 4, "c": value}]
    db.watch("t", "insert", fields={"a": "NEW.z"})
    assert wrong(db) == []


def test_a_column_that_took_the_name_of_one_that_is_gone(db):
    """The trigger takes one for the other: nobody can say which is meant, so names count as they stand."""
    db.write(ITEM)
    db.watch("t", "insert", fields={"x": "NEW.a", "y": "NEW.b"})
    db.write("ALTER TABLE t DROP COLUMN a")
    db.write("ALTER TABLE t RENAME COLUMN b TO a")
    assert repaired(db) == 1
    db.write("INSERT INTO t VALUES (1, 2)")
    assert options(db)["fields"] == {"x": "NEW.a", "y": "NEW.b"}
    assert len(held(db)) == 1 and "no such column: NEW.b" in held(db)[0]


# ------------------------------------------------------------------------------------------------- dropped columns


@pytest.mark.parametrize("how", [DROP, REBUILD], ids=["drop", "rebuild"])
def test_a_column_of_changed_that_is_gone_never_changes(db, how):
    db.write(ITEM)
    db.watch("t", "update of a, b", changed=["a", "b"])
    for sql in how:
        db.write(sql)
    assert repaired(db) == 1 and wrong(db) == []
    db.write("INSERT INTO t(id, b) VALUES (1, 2)")
    db.write("UPDATE t SET b = 2")
    db.write("UPDATE t SET b = 3")
    assert db.payloads() == [{"id": 1, "b": 3}]


@pytest.mark.parametrize("operation, more, says", [
    ("update of a", {}, "it can't fire: table t has none of the columns of its update of"),
    ("update", {"changed": ["a"]}, "it can't fire: table t has none of the columns of its option changed"),
])
@pytest.mark.parametrize("how", [DROP, REBUILD], ids=["drop", "rebuild"])
def test_a_watch_of_gone_columns_alone_is_reported_and_comes_back(db, how, operation, more, says):
    db.write(ITEM)
    db.watch("t", operation, **more)
    for sql in how:
        db.write(sql)
    assert repaired(db) == 1 and wrong(db) == [says]
    db.write("INSERT INTO t(id, b) VALUES (1, 2)")
    db.write("UPDATE t SET b = 3")
    db.write("ALTER TABLE t RENAME COLUMN b TO c")
    assert repaired(db) == 1 and wrong(db) == [says] and db.payloads() == []
    db.write("ALTER TABLE t ADD COLUMN a")
    assert repaired(db) == 1 and wrong(db) == []
    db.write("UPDATE t SET a = 1")
    assert db.payloads() == [{"id": 1, "c": 3, "a": 1}]


def test_a_column_of_changed_that_became_virtual_is_not_read(db):
    db.write(ITEM)
    db.watch("t", "update", "t.one", changed=["a"])
    db.watch("t", "update", "t.two", changed=["a", "b"])
    db.write("ALTER TABLE t DROP COLUMN a")
    db.write("ALTER TABLE t ADD COLUMN a AS (abs(b)) VIRTUAL")
    assert repaired(db) == 2
    assert wrong(db) == ["it can't fire: table t has none of the columns of its option changed"]
    db.write("INSERT INTO t(id, b) VALUES (1, 2)")
    db.write("UPDATE t SET b = 3")
    assert db.ask("SELECT group_concat(sql) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 't'").count('"a"') == 0
    assert db.admin.execute("SELECT event FROM resthook_events").fetchall() == [("t.two",)]


@pytest.mark.parametrize("repair", [True, False], ids=["repaired", "not repaired"])
@pytest.mark.parametrize("watch", [
    {"fields": {"x": "NEW.a"}}, {"when": "NEW.a > 0"}, {"key": "NEW.a"},
], ids=["fields", "when", "key"])
def test_events_that_need_a_dropped_column_are_held(db, watch, repair):
    """What was captured before it was dropped goes out; what came since is held, and goes out when the watch is mended."""
    db.write(ITEM)
    db.watch("t", "insert", **watch)
    db.write("INSERT INTO t VALUES (1, 2, 3)")
    db.write("ALTER TABLE t DROP COLUMN a")
    db.write("INSERT INTO t VALUES (2, 4)")
    if repair:
        assert repaired(db) == 1
        db.write("INSERT INTO t VALUES (3, 5)")
    reasons = held(db)
    assert len(reasons) == 1 + repair and all("no such column: NEW.a" in reason for reason in reasons)
    assert db.ask("SELECT resthook_payload(1)") == ('{"x":2}' if "fields" in watch else '{"id":1,"a":2,"b":3}')
    db.watch("t", "insert", fields={"y": "NEW.b"})
    db.write("INSERT INTO t VALUES (4, 6)")
    assert db.payloads()[1:] == [{"y": 4}] + [{"y": 5}] * repair + [{"y": 6}]


def test_a_dropped_column_that_no_expression_needs_holds_nothing(db):
    db.write(ITEM)
    db.watch("t", "insert", fields={"b": "NEW.b"}, when="NEW.b IS NOT NULL")
    db.write("ALTER TABLE t DROP COLUMN a")
    db.write("INSERT INTO t VALUES (1, 2)")
    assert db.payloads() == [{"b": 2}]
    assert repaired(db) == 1
    db.write("INSERT INTO t VALUES (2, 3)")
    assert db.payloads() == [{"b": 3}]


def test_a_value_that_moved_to_a_new_column_is_captured(db):
    """ADD, copy, DROP, as one renames where RENAME COLUMN is not there: the repair captures the new one at once."""
    db.write(ITEM)
    db.watch("t", "insert", fields={"x": "NEW.a"})
    db.write("ALTER TABLE t ADD COLUMN z")
    db.write("UPDATE t SET z = a")
    db.write("ALTER TABLE t DROP COLUMN a")
    assert repaired(db) == 1
    db.write("INSERT INTO t(id, z) VALUES (1, 'kept')")
    assert "no such column: NEW.a" in held(db)[0]
    db.watch("t", "insert", fields={"x": "NEW.z"})
    assert db.payloads() == [{"x": "kept"}]


def test_a_null_before_a_rename_is_still_read_by_its_own_version(db):
    db.write(ITEM)
    db.watch("t", "insert", fields={"x": "NEW.a"})
    db.write("INSERT INTO t VALUES (1, NULL, 3)")
    db.write("ALTER TABLE t RENAME COLUMN a TO z")
    assert repaired(db) == 1
    assert db.payloads() == [{"x": None}]
    db.watch("t", "insert", fields={"y": "NEW.z"})
    assert db.ask("SELECT resthook_payload(1)") == '{"x":null}'


def test_rename_and_then_drop_needs_the_repair_in_between(db):
    """The one migration that a hook refuses: SQLite renames NEW.a in the trigger, and nothing that stands for it there."""
    db.write(ITEM)
    name = db.watch("t", "insert")
    db.write("ALTER TABLE t RENAME COLUMN a TO z")
    with pytest.raises(sqlite3.Error, match=f"^error in trigger {name} after drop column: no such column: NEW.z$"):
        db.write("ALTER TABLE t DROP COLUMN z")
    db.write("INSERT INTO t VALUES (1, 2, 3)")
    assert repaired(db) == 1
    db.write("ALTER TABLE t DROP COLUMN z")
    db.write("INSERT INTO t VALUES (2, 4)")
    assert db.payloads() == [{"id": 1, "a": 2, "b": 3}, {"id": 2, "z": None, "b": 4}]


@pytest.mark.parametrize("stand_in", [
    "(SELECT NULL a)new", "(SELECT NEW.a)new", "(SELECT NEW.a FROM (SELECT NULL a)new)new",
    "(SELECT * FROM (SELECT NEW.a FROM (SELECT NULL a)new))new", "(SELECT 1) LEFT JOIN t AS new ON 0",
])
def test_no_form_of_a_trigger_would_let_it_pass(stand_in):
    """After the DROP something else must be found by the column's name, and RENAME gives the new name to nothing but what
    is the column: nothing is both. Should a form pass one day, the trigger can have it."""
    db = sqlite3.connect(":memory:")
    db.executescript("CREATE TABLE t(id INTEGER PRIMARY KEY, a); CREATE TABLE o(v); CREATE TRIGGER r AFTER INSERT ON t BEGIN"
                     f" INSERT INTO o SELECT (SELECT NEW.a) FROM {stand_in}; END; ALTER TABLE t RENAME COLUMN a TO z;")
    with pytest.raises(sqlite3.Error, match="^error in trigger r after drop column: no such column: NEW.z$"):
        db.execute("ALTER TABLE t DROP COLUMN z")


# ------------------------------------------------------------------------------------- tables that are looked up


LOOKS_UP = {"m": "(SELECT name FROM m WHERE id = NEW.a)"}


@pytest.mark.parametrize("change, mended", [
    (("ALTER TABLE m RENAME TO w",), "(SELECT name FROM w WHERE id = NEW.a)"),
    (("ALTER TABLE m RENAME COLUMN name TO title",), "(SELECT title FROM m WHERE id = NEW.a)"),
    (("ALTER TABLE m DROP COLUMN name",), "(SELECT 'one' FROM m WHERE id = NEW.a)"),
    (("DROP TABLE m",), "'one'"),
], ids=lambda value: value[0] if isinstance(value, tuple) else "")
@pytest.mark.parametrize("also", [(), ("ALTER TABLE t ADD COLUMN more",), ("ALTER TABLE t RENAME TO u",)],
                         ids=["alone", "and the watched table gets a column", "and the watched table is renamed"])
def test_a_table_that_is_looked_up_changes(db, change, mended, also):
    """No statement fails, the trigger that works stays, its events are held and go out when the watch is mended."""
    table = "u" if also and "RENAME" in also[0] else "t"
    db.write("CREATE TABLE m(id INTEGER PRIMARY KEY, name)")
    db.write("INSERT INTO m VALUES (1, 'one')")
    db.write(ITEM)
    name = db.watch("t", "insert", fields=LOOKS_UP)
    for sql in change + also:
        db.write(sql)
    assert db.ask("SELECT resthook_repair()") == 0
    assert db.ask("SELECT trigger_name FROM resthook_watches") == name
    db.write(f"INSERT INTO {table}(id, a) VALUES (1, 1)")
    assert len(held(db)) == 1 and "no such" in held(db)[0]
    db.watch(table, "insert", fields={"m": mended})
    db.write(f"INSERT INTO {table}(id, a) VALUES (2, 1)")
    assert db.payloads() == [{"m": "one"}, {"m": "one"}] and repaired(db) == 0


# ------------------------------------------------------------------------------------------------ renamed tables


def test_a_renamed_table_and_a_new_one_under_its_name(db):
    fresh(db, ITEM)
    db.write("ALTER TABLE t RENAME TO old_t")
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, other)")
    db.watch("t", "insert")
    tables = "SELECT group_concat(table_name) FROM (SELECT table_name FROM resthook_watches ORDER BY id)"
    assert db.ask(tables) == "old_t,t"
    db.write("INSERT INTO t VALUES (1, 2)")
    db.write("INSERT INTO old_t VALUES (3, 4, 5)")
    assert db.payloads() == [{"id": 1, "other": 2}, {"id": 3, "a": 4, "b": 5}]
    assert db.ask("SELECT resthook_unwatch('t')") == 1 and db.ask(tables) == "old_t"
    assert db.ask("SELECT resthook_unwatch('t')") == 0
    assert db.ask("SELECT resthook_unwatch('OLD_T')") == 1


def test_a_table_that_is_renamed_and_dropped_gives_its_watch_to_the_new_one(db):
    """The rebuild the other way round."""
    fresh(db, ITEM)
    for sql in ("ALTER TABLE t RENAME TO old_t", "CREATE TABLE t(id INTEGER PRIMARY KEY, b)",
                "INSERT INTO t SELECT id, b FROM old_t", "DROP TABLE old_t"):
        db.write(sql)
    assert repaired(db) == 1
    db.write("INSERT INTO t VALUES (1, 2)")
    assert db.payloads() == [{"id": 1, "b": 2}]


# -------------------------------------------------------------------------------------------- interest, unwatch


@pytest.mark.parametrize("by", ["SELECT resthook_init()", "SELECT resthook_repair()"])
@pytest.mark.parametrize("damage, right", [
    ("DELETE FROM resthook_interest", "1,3,5"),
    ("INSERT INTO resthook_interest VALUES (2), (99)", "1,3,5"),
    ("DELETE FROM resthook_subscription", "3"),
    ("DELETE FROM resthook_watch WHERE id = 1", "3,5"),
])
def test_who_listens_is_found_out_anew(db, by, damage, right):
    db.write(ITEM)
    db.watch("t", "insert", "heard.exactly", record="subscribed")
    db.watch("t", "update", "unheard", record="subscribed")
    db.watch("t", "delete", "kept.always")
    db.watch("t", "delete", "heard.gone", record="subscribed")
    db.ask("SELECT resthook_unwatch('t', 'delete', 'heard.gone')")
    db.watch("t", "delete", "below.it", record="subscribed")
    db.ask("SELECT resthook_subscribe('heard.exactly', ?)", TARGET)
    db.ask("SELECT resthook_subscribe('below.*', ?)", TARGET)
    interest = "SELECT group_concat(watch) FROM (SELECT watch FROM resthook_interest ORDER BY watch)"
    assert db.ask(interest) == "1,3,5"
    db.write(damage)
    db.ask(by)
    assert db.ask(interest) == right
    changes = db.admin.total_changes
    db.ask("SELECT resthook_repair()")
    assert db.admin.total_changes == changes, "what is right is not written"


def test_unwatch_by_columns(db):
    db.write(ITEM)
    db.watch("t", "update", "t.any")
    db.watch("t", "update of a", "t.a")
    db.watch("t", "update of b, a", "t.ab")
    assert db.ask("SELECT resthook_unwatch('t', 'update of b')") == 0
    assert db.ask("SELECT resthook_unwatch('t', 'update of nothing')") == 0
    assert db.ask("SELECT resthook_unwatch('t', 'update of A, [b]', 't.a')") == 0
    assert db.ask("SELECT resthook_unwatch('t', 'update of A, [b]')") == 1
    db.write("ALTER TABLE t RENAME COLUMN a TO z")
    assert db.ask("SELECT resthook_unwatch('t', 'update of a')") == 0, "it is called otherwise now"
    assert db.ask("SELECT resthook_unwatch('t', 'update of z')") == 1
    assert db.ask("SELECT group_concat(event) FROM resthook_watches") == "t.any"
    assert db.ask("SELECT resthook_unwatch('t', 'update')") == 1
