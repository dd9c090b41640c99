"""Watches: what a trigger captures, what it does to the application's statements (nothing), what comes out of it.

Two connections to one file, as in life: `admin` has the extension; `writer` is a stock sqlite3 with nothing loaded and
trusted_schema=OFF, and makes every write that is tested. Payloads are read with resthook_payload().
"""

import base64
import json
import math
import os
import random
import sqlite3
import struct
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("RESTHOOK_BUILD", "build")
SO = os.environ.get("RESTHOOK_SO", str(BUILD / "resthook.so"))
ALWAYS = '{"record":"always"}'
TARGET = "https://example.org/hook"


class Database:
    """One file and its two connections."""

    def __init__(self, path):
        self.path = path
        self.admin = sqlite3.connect(path, isolation_level=None)
        self.admin.enable_load_extension(True)
        self.admin.load_extension(SO)
        self.admin.enable_load_extension(False)
        self.admin.execute("PRAGMA journal_mode = WAL")
        self.ask("SELECT resthook_init()")
        self.writer = sqlite3.connect(path, isolation_level=None)
        self.writer.execute("PRAGMA trusted_schema = OFF")
        self.seen = 0

    def widen(self, width):
        """Gives the outbox so many columns at once. A watch adds them one by one, for which SQLite reads the whole
        schema again each time: half a minute for 1,900."""
        table = self.ask("SELECT sql FROM sqlite_master WHERE name = 'resthook_outbox'")
        columns = "".join(f", v{i}" for i in range(width + 1))
        self.admin.executescript(f"DROP TABLE resthook_outbox; {table.rstrip().removesuffix(')')}{columns});")

    def ask(self, sql, *values):
        """The first value of a query on the connection that has the functions."""
        row = self.admin.execute(sql, values).fetchone()
        return row[0] if row else None

    def watch(self, table, operation, event="t.event", **options):
        options.setdefault("record", "always")
        return self.ask("SELECT resthook_watch(?, ?, ?, ?)", table, operation, event, json.dumps(options))

    def write(self, sql, *values):
        return self.writer.execute(sql, values)

    def texts(self):
        """The payloads that were captured since the last call, as text."""
        rows = self.admin.execute("SELECT id, resthook_payload(id) FROM resthook_outbox WHERE id > ? ORDER BY id",
                                  (self.seen,)).fetchall()
        self.seen = max([self.seen] + [row[0] for row in rows])
        return [text for _, text in rows]

    def payloads(self):
        return [None if text is None else json.loads(text) for text in self.texts()]

    def count(self):
        return self.ask("SELECT count(*) FROM resthook_outbox")

    def image(self):
        """All that a refused call must leave as it was."""
        schema = self.admin.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid").fetchall()
        tables = ["resthook_meta", "resthook_watch", "resthook_interest", "resthook_outbox"]
        return schema, [self.admin.execute(f"SELECT * FROM {table}").fetchall() for table in tables]

    def close(self):
        self.admin.close()
        self.writer.close()


@pytest.fixture
def db(tmp_path):
    database = Database(str(tmp_path / "app.db"))
    yield database
    database.close()


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


# -------------------------------------------------------------------------------------------------------- atomic


def test_an_event_exists_if_its_transaction_committed(db):
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    assert db.watch("t", "insert") == "resthook_watch_1"
    db.write("BEGIN")
    db.write("INSERT INTO t VALUES (1, 'kept')")
    db.write("SAVEPOINT s")
    db.write("INSERT INTO t VALUES (2, 'undone')")
    db.write("ROLLBACK TO s")
    db.write("INSERT INTO t VALUES (3, 'kept')")
    assert db.count() == 0  # not yet seen by others
    db.write("COMMIT")
    db.write("BEGIN")
    db.write("INSERT INTO t VALUES (4, 'undone')")
    db.write("ROLLBACK")
    assert db.payloads() == [{"id": 1, "a": "kept"}, {"id": 3, "a": "kept"}]


def test_a_failing_statement_leaves_no_event(db):
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, a CHECK (a > 0))")
    db.watch("t", "insert")
    with pytest.raises(sqlite3.IntegrityError):
        db.write("INSERT INTO t VALUES (1, 1), (2, -1)")
    assert db.count() == 0


def test_nothing_is_captured_while_nobody_listens(db):
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    db.watch("t", "insert", "t.insert", record="subscribed")
    db.write("INSERT INTO t VALUES (1)")
    assert db.count() == 0
    db.ask("SELECT resthook_subscribe('t.*', ?)", TARGET)
    db.write("INSERT INTO t VALUES (2)")
    assert db.payloads() == [{"id": 2}]


def test_watching_in_the_transaction_that_makes_the_table(db):
    db.admin.execute("BEGIN")
    db.admin.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    db.watch("t", "insert", fields={"x": "NEW.a || (SELECT count(*) FROM t)"})
    db.admin.execute("INSERT INTO t VALUES (1, 'n=')")
    assert db.payloads() == [{"x": "n=1"}]
    db.admin.execute("ROLLBACK")
    assert db.ask("SELECT count(*) FROM sqlite_master WHERE name GLOB 'resthook_watch_*[0-9]'") == 0
    assert db.ask("SELECT count(*) FROM resthook_watch") == 0


def test_in_memory():
    db = Database(":memory:")
    db.admin.execute("CREATE TABLE t(a)")
    db.watch("t", "insert", fields={"a": "upper(NEW.a)"})
    db.admin.execute("INSERT INTO t VALUES ('x')")
    assert db.payloads() == [{"a": "X"}]
    db.close()


def test_calls_from_larger_statements(db):
    for i in range(3):
        db.write(f"CREATE TABLE t{i}(id INTEGER PRIMARY KEY, a)")
    names = db.admin.execute("SELECT resthook_watch(name, 'insert', 't.insert', ?) FROM sqlite_master "
                             "WHERE type = 'table' AND name GLOB 't[0-9]'", (ALWAYS,)).fetchall()
    assert len(names) == 3
    with pytest.raises(sqlite3.Error, match="it can't be called inside a statement that writes"):
        db.admin.execute("CREATE TABLE made AS SELECT resthook_watch('t0', 'delete', 't.delete', ?)", (ALWAYS,))
    db.watch("t0", "delete", "t.delete")
    for i in range(3):
        db.write(f"INSERT INTO t{i} VALUES (1, ?)", i)
    db.write("DELETE FROM t0")
    assert db.payloads() == [{"id": 1, "a": 0}, {"id": 1, "a": 1}, {"id": 1, "a": 2}, {"id": 1, "a": 0}]
    assert db.ask("SELECT count(*) FROM sqlite_master WHERE name = 'made'") == 0


# -------------------------------------------------------------------------------------------------------- harmless


def test_changes_last_insert_rowid_and_returning(db):
    """The same statements with and without a watch show the same."""
    def run(table):
        shown = []
        for sql in [f"INSERT INTO {table}(a) VALUES (1), (2), (3) RETURNING id, a",
                    f"UPDATE {table} SET a = a + 1 WHERE a > 1 RETURNING *",
                    f"DELETE FROM {table} WHERE a = 3 RETURNING id",
                    f"INSERT INTO {table}(id, a) VALUES (70, 7)"]:
            shown.append(db.write(sql).fetchall())
            shown.append(db.write("SELECT changes(), last_insert_rowid()").fetchone())
        return shown

    db.write("CREATE TABLE watched(id INTEGER PRIMARY KEY, a)")
    db.write("CREATE TABLE plain(id INTEGER PRIMARY KEY, a)")
    for operation in ("insert", "update", "delete"):
        db.watch("watched", operation, old=operation == "update")
    assert run("watched") == run("plain")
    assert len(db.texts()) == 7


def test_total_changes_counts_the_captured_row(db):
    """SQLite counts what triggers write there, and nowhere else."""
    fresh(db, "CREATE TABLE t(id INTEGER PRIMARY KEY)")
    before = db.writer.total_changes
    assert db.write("INSERT INTO t VALUES (1), (2)").rowcount == 2
    assert db.writer.total_changes - before == 4


def test_conflict_clauses(db):
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE, a)")
    for operation in ("insert", "update", "delete"):
        db.watch("t", operation, f"t.{operation}", fields={"op": f"'{operation}'",
                                                           "a": "OLD.a" if operation == "delete" else "NEW.a"})

    def done(sql):
        db.write(sql)
        return [(p["op"], p["a"]) for p in db.payloads()]

    assert done("INSERT INTO t VALUES (1, 'x', 1)") == [("insert", 1)]
    assert done("INSERT OR IGNORE INTO t VALUES (1, 'y', 2)") == []
    assert done("INSERT OR IGNORE INTO t VALUES (2, 'z', 3)") == [("insert", 3)]
    assert done("INSERT INTO t VALUES (1, 'x', 4) ON CONFLICT DO NOTHING") == []
    assert done("INSERT INTO t VALUES (1, 'x', 4) ON CONFLICT(id) DO UPDATE SET a = excluded.a") == [("update", 4)]
    assert done("REPLACE INTO t VALUES (1, 'x', 5)") == [("insert", 5)]
    assert done("UPDATE OR REPLACE t SET id = 1 WHERE id = 2") == [("update", 3)]
    assert done("INSERT OR REPLACE INTO t VALUES (9, 'n', 6)") == [("insert", 6)]
    db.write("PRAGMA recursive_triggers = ON")
    assert done("REPLACE INTO t VALUES (1, 'x', 7)") == [("delete", 3), ("insert", 7)]
    assert done("DELETE FROM t") == [("delete", 7), ("delete", 6)]


def test_foreign_key_cascade(db):
    db.write("PRAGMA foreign_keys = ON")
    db.write("CREATE TABLE p(id INTEGER PRIMARY KEY)")
    db.write("CREATE TABLE c(id INTEGER PRIMARY KEY, p REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE)")
    db.watch("c", "delete", "c.delete")
    db.watch("c", "update", "c.update", old=True, fields={"was": "OLD.p", "is": "NEW.p"})
    db.write("INSERT INTO p VALUES (1)")
    db.write("INSERT INTO c VALUES (10, 1)")
    db.write("UPDATE p SET id = 2")
    db.write("DELETE FROM p")
    assert db.payloads() == [{"was": 1, "is": 2}, {"id": 10, "p": 2}]


def test_a_defensive_connection(db):
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    db.watch("t", "insert")
    script = ".dbconfig defensive on\nPRAGMA trusted_schema = OFF;\nINSERT INTO t VALUES (1, 'd');\n"
    shell = subprocess.run(["sqlite3", db.path], input=script, capture_output=True, text=True, check=False)
    assert (shell.returncode, shell.stderr) == (0, "")
    assert db.payloads() == [{"id": 1, "a": "d"}]


def test_the_outbox_column_default_without_trust(db):
    """created_at comes from a default that calls julianday()."""
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    db.watch("t", "insert")
    before = time.time()
    db.write("INSERT INTO t VALUES (1)")
    created = db.ask("SELECT created_at FROM resthook_outbox")
    assert isinstance(created, int)
    assert before - 1 <= created / 1000 <= time.time() + 1


def test_a_temp_table_of_the_same_name(db):
    """The trigger stands on main's table and writes main's outbox, whatever TEMP has."""
    db.admin.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    db.admin.execute("CREATE TEMP TABLE t(x)")
    db.watch("t", "insert")
    for table in ("resthook_outbox", "resthook_interest"):
        db.write(f"CREATE TEMP TABLE {table}(watch)")
    db.write("INSERT INTO t VALUES (1)")
    assert db.payloads() == [{"id": 1}]


# -------------------------------------------------------------------------------------------------------- exact


def capture(db, *values):
    """Writes values, given as bound parameters, through a typeless table; returns what the payload has as text."""
    if not db.ask("SELECT 1 FROM sqlite_master WHERE name = 'exact'"):
        db.write("CREATE TABLE exact(v)")
        db.watch("exact", "insert")
    db.writer.executemany("INSERT INTO exact VALUES (?)", [(value,) for value in values])
    texts = db.texts()
    assert all(text.startswith('{"v":') and text.endswith("}") for text in texts)
    return [text[5:-1] for text in texts]


def test_integers(db):
    values = [0, 1, -1, 2**53 + 1, 2**63 - 1, -(2**63)]
    assert capture(db, *values) == [str(value) for value in values]


def test_reals(db):
    chance = random.Random(7)
    values = [0.1, 0.1 + 0.2, 1.0, 1e15, 1e16, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 1 / 3, -2.5]
    while len(values) < 2000:
        value = struct.unpack("d", chance.getrandbits(64).to_bytes(8, "little"))[0]
        if math.isfinite(value):
            values.append(value)
    for text, value in zip(capture(db, *values), values):
        assert "." in text or "e" in text.lower()
        assert struct.pack("d", float(text)) == struct.pack("d", value)
    assert capture(db, math.inf, -math.inf, math.nan) == ["null", "null", "null"]


def test_text(db):
    values = ['a "quoted" \\ text', "\x00", "a\x00b", "\x01\x1f\x7f\t\r\n", "é 😀   </script>", "", "1", "null"]
    for text, value in zip(capture(db, *values), values):
        assert json.loads(text) == value
        assert all(ord(c) >= 32 for c in text)
    db.write("INSERT INTO exact VALUES (CAST(x'61ff62c328e2826380' AS TEXT))")
    assert db.payloads() == [{"v": "a�b�(�c�"}]


def test_blobs(db):
    """A BLOB is never taken for JSON: x'c30e…' is JSONB for an object in SQLite 3.45 and later."""
    jsonb = bytes.fromhex("c30e312c2261646d696e223a74727565")
    values = [b"", b"\x00\xff", jsonb, b'{"admin":true}', bytes(range(256))]
    for text, value in zip(capture(db, *values), values):
        assert base64.b64decode(json.loads(text), validate=True) == value


def test_a_value_forges_no_field(db):
    for text in ('","admin":true,"x":"', '"}', "\\", '\\"', "'); DROP TABLE t; --"):
        assert json.loads(capture(db, text)[0]) == text


def test_values_keep_the_types_they_were_stored_with(db):
    db.write("CREATE TABLE t(i INTEGER, r REAL, n NUMERIC, x TEXT, b BLOB)")
    db.watch("t", "insert", fields={"t": "typeof(NEW.i) || ' ' || typeof(NEW.r) || ' ' || typeof(NEW.n) || ' ' || "
                                         "typeof(NEW.x) || ' ' || typeof(NEW.b)"})
    db.watch("t", "insert", "t.plain")
    db.write("INSERT INTO t VALUES ('12', 12, '1.50', 12, 12), ('abc', x'00', '', x'31', '31')")
    assert sorted(db.texts()) == sorted([
        '{"t":"integer real real text integer"}', '{"i":12,"r":12.0,"n":1.5,"x":"12","b":12}',
        '{"t":"text blob text blob text"}', '{"i":"abc","r":"AA==","n":"","x":"MQ==","b":"31"}'])


def test_three_hundred_columns(db):
    names = [f"column_{i}" for i in range(300)]
    db.write(f"CREATE TABLE wide({','.join(names)})")
    db.watch("wide", "insert")
    db.write(f"INSERT INTO wide VALUES ({','.join('?' * 300)})", *range(300))
    assert [list(p.items()) for p in db.payloads()] == [[(name, i) for i, name in enumerate(names)]]


def test_nineteen_hundred_values_and_no_more(db):
    db.widen(1850)  # the outbox is widened a column at a time, which takes seconds for all of them
    names = ["id INTEGER PRIMARY KEY"] + [f"c{i}" for i in range(1899)]
    db.write(f"CREATE TABLE widest({','.join(names)})")
    db.write(f"CREATE TABLE wider({','.join(names)}, more)")
    before = db.image()
    with pytest.raises(sqlite3.Error, match="^resthook_watch: wider: 1901 values to capture, at most 1900 can be$"):
        db.watch("wider", "insert")
    with pytest.raises(sqlite3.Error, match="3800 values"):
        db.watch("widest", "update", old=True)
    assert db.image() == before
    db.watch("widest", "insert", fields={"first": "NEW.id", "last": "NEW.c1898"})
    db.write(f"INSERT INTO widest(id, {','.join(f'c{i}' for i in range(1899))}) VALUES ({','.join('?' * 1900)})",
             *range(1900))
    assert db.payloads() == [{"first": 0, "last": 1899}]


def test_nineteen_hundred_columns_without_a_key(db):
    """The rowid comes on top of them, and the mark of a large row behind it."""
    names = [f"c{i}" for i in range(1900)]
    db.widen(1900)
    db.write(f"CREATE TABLE widest({','.join(names)})")
    db.write(f"CREATE TABLE half({','.join(names[:950])})")
    db.ask("SELECT resthook_set('capture_max', 100000)")
    db.watch("widest", "insert")
    db.watch("half", "update", changed=names[:900], old=True)
    for table, count in (("widest", 1900), ("half", 950)):
        db.write(f"INSERT INTO {table} VALUES ({','.join('?' * count)})", *range(count))
    assert [list(p.items()) for p in db.payloads()] == [[(name, i) for i, name in enumerate(names)]]
    db.write("UPDATE half SET c899 = 'new', c949 = 'new'")
    changed = db.payloads()
    assert len(changed) == 1 and list(changed[0]) == names[:950] and changed[0]["c949"] == "new"
    db.write("UPDATE half SET c900 = 'none of changed'")
    assert db.payloads() == []
    db.write("INSERT INTO widest(rowid, c7) VALUES (5, zeroblob(200000))")
    assert db.payloads() == [{"rowid": 5, "truncated": True}]
    db.write(f"CREATE TABLE wider({','.join(names)}, more)")
    with pytest.raises(sqlite3.Error, match="wider: 1901 values to capture, at most 1900 can be"):
        db.watch("wider", "insert")


def test_the_error_of_a_wide_update_says_what_is_wrong_with_it(db):
    db.write(f"CREATE TABLE wide(id INTEGER PRIMARY KEY, {','.join(f'c{i}' for i in range(1000))})")
    with pytest.raises(sqlite3.Error, match="^resthook_watch: fields: x: .*no such column: NEW.nowhere.*; with the old row: "
                                            "wide: 2002 values to capture, at most 1900 can be$"):
        db.watch("wide", "update", fields={"x": "NEW.nowhere"})
    with pytest.raises(sqlite3.Error, match="no such column: OLD.c0.*; with the old row: wide: 2002 values"):
        db.watch("wide", "update", fields={"x": "OLD.c0"})
    db.write("CREATE TABLE narrow(id INTEGER PRIMARY KEY, a)")
    with pytest.raises(sqlite3.Error, match="no such column: NEW.nowhere: OLD.a [|]{2} NEW.nowhere$"):
        db.watch("narrow", "update", fields={"x": "OLD.a || NEW.nowhere"})


def test_names(db):
    table = "we \"ird' [t] 表"
    columns = ["id", "select", "a b", 'q"uote', "it's", "😀", "new", "OLD", "v0", "n0", "watch", "rowid", "[x]", "`"]
    db.write(f"CREATE TABLE {quoted(table)}({','.join(quoted(c) for c in columns)})")
    for operation in ("insert", "update", "delete"):
        db.watch(table.upper() if operation == "insert" else table, operation, f"t.{operation}")
    db.watch(table, "update of " + ",".join(quoted(c) for c in columns), "t.changed", changed=columns,
             fields={"x": 'NEW."q""uote" || OLD."it\'s"', "y": "NEW.[new] || NEW.\"OLD\""})
    values = [f"value {i}" for i in range(len(columns))]
    row = dict(zip(columns, values))
    db.write(f"INSERT INTO {quoted(table)} VALUES ({','.join('?' * len(values))})", *values)
    assert db.payloads() == [row]
    db.write(f"UPDATE {quoted(table)} SET {quoted(columns[0])} = 'changed'")
    row["id"] = "changed"
    assert sorted(map(str, db.payloads())) == sorted(map(str, [row, {"x": "value 3value 4", "y": "value 6value 7"}]))
    db.write(f"DELETE FROM {quoted(table)}")
    assert db.payloads() == [row]
    assert db.ask("SELECT table_name FROM resthook_watch WHERE operation = 'insert'") == table
    assert db.ask("SELECT resthook_repair()") == 0


# -------------------------------------------------------------------------------------------------------- tables


def test_generated_columns(db):
    db.write("CREATE TABLE t(v AS (a || 'v') VIRTUAL, id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE, "
             "s INT AS (id * 10) STORED, same AS (a = 'X'))")
    db.watch("t", "insert", "t.insert")
    db.watch("t", "update", "t.update", fields={"was": "OLD.v", "is": "NEW.v", "s": "NEW.s"}, when="NEW.v <> OLD.v")
    db.watch("t", "delete", "t.delete")
    db.write("INSERT INTO t(id, a) VALUES (1, 'x'), (2, NULL)")
    assert db.texts() == ['{"v":"xv","id":1,"a":"x","s":10,"same":1}', '{"v":null,"id":2,"a":null,"s":20,"same":null}']
    db.write("UPDATE t SET a = 'y' WHERE id = 1")
    assert db.payloads() == [{"was": "xv", "is": "yv", "s": 10}]
    db.write("DELETE FROM t WHERE id = 1")
    assert db.payloads() == [{"v": "yv", "id": 1, "a": "y", "s": 10, "same": 0}]


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be", "UTF-8"])
def test_text_in_every_encoding(tmp_path, encoding):
    """A generated column may show how text is kept; it is computed as SQLite did."""
    path = str(tmp_path / "app.db")
    made = sqlite3.connect(path)
    made.execute(f"PRAGMA encoding = '{encoding}'")
    made.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, h AS (hex(a)), n AS (length(CAST(a AS BLOB))), "
                 "j AS (json_extract(a, '$.k')), u AS (upper(a) || 'é€😀'), c AS (CAST(CAST(a AS BLOB) AS TEXT)))")
    made.commit()
    made.close()
    db = Database(path)
    db.write("PRAGMA trusted_schema = ON")  # SQLite 3.38 to 3.40 want it for json_extract() in a table
    db.watch("t", "insert", "t.row")
    db.watch("t", "insert", "t.fields", fields={"h": "NEW.h", "own": "hex(NEW.a)", "u:text": "NEW.u", "j:json": "NEW.j"},
             when="NEW.n = length(CAST(NEW.a AS BLOB))", key="NEW.u")
    db.watch("t", "update", "t.update", changed=["a"], fields={"was": "OLD.u", "is": "NEW.u"})
    text = '{"k":"ä😀"}'
    db.write("INSERT INTO t(id, a) VALUES (1, ?)", text)
    assert db.ask("PRAGMA encoding") == encoding
    row = dict(zip(("id", "a", "h", "n", "j", "u", "c"), db.write("SELECT * FROM t").fetchone()))
    assert row["h"] == text.encode(encoding).hex().upper()
    assert sorted(db.payloads(), key=len) == sorted([
        row, {"h": row["h"], "own": row["h"], "u": row["u"], "j": row["j"]}], key=len)
    db.write("UPDATE t SET a = '{}'")
    assert db.payloads() == [{"was": row["u"], "is": "{}é€😀"}]
    assert db.ask("SELECT resthook_repair()") == 0
    db.close()


def test_a_generated_column_that_fails_hurts_no_writer(db):
    """SQLite computes such a column in an INSERT and an UPDATE anyway, which fail without a watch too. A DELETE does not
    need it and succeeds; it must still when a trigger captures the row."""
    db.write("PRAGMA trusted_schema = ON")  # SQLite 3.38 to 3.40 want it for json_extract() in a table
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, doc)")
    db.write("INSERT INTO t(id, doc) VALUES (1, '{\"name\":\"good\"}'), (2, 'bad'), (-9223372036854775808, '{}')")
    db.write("ALTER TABLE t ADD COLUMN name AS (json_extract(doc, '$.name'))")
    db.write("ALTER TABLE t ADD COLUMN n AS (abs(id))")
    with pytest.raises(sqlite3.OperationalError):
        db.write("UPDATE t SET doc = 'still bad' WHERE id = 2")
    db.watch("t", "delete", "t.row")
    db.watch("t", "delete", "t.id", fields={"id": "OLD.id", "n": "OLD.n"})
    db.watch("t", "delete", "t.plain", fields={"id": "OLD.id"})
    db.write("DELETE FROM t")
    ok, failed = [], []
    for number, event in db.admin.execute("SELECT id, event FROM resthook_events ORDER BY id").fetchall():
        try:
            ok.append((event, db.ask("SELECT resthook_payload(?)", number)))
        except sqlite3.Error as error:
            failed.append((event, str(error)))
    assert sorted(ok) == [
        ("t.id", '{"id":1,"n":1}'),
        ("t.plain", '{"id":-9223372036854775808}'), ("t.plain", '{"id":1}'), ("t.plain", '{"id":2}'),
        ("t.row", '{"id":1,"doc":"{\\"name\\":\\"good\\"}","name":"good","n":1}')]
    assert sorted(failed) == [(event, f"resthook_payload: generated columns: {why}") for event in ("t.id", "t.row")
                              for why in ("integer overflow", "malformed JSON")]


def test_a_generated_column_of_the_applications_own_function(db):
    db.write("PRAGMA trusted_schema = ON")
    db.writer.create_function("own", 1, lambda v: v, deterministic=True)
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, o AS (own(id)))")
    with pytest.raises(sqlite3.Error, match="resthook_watch: the VIRTUAL generated columns of t can't be computed.*own"):
        db.watch("t", "insert")
    with pytest.raises(sqlite3.Error, match="no such column: NEW.o"):
        db.watch("t", "insert", fields={"o": "NEW.o"})
    db.watch("t", "insert", fields={"id": "NEW.id"})
    db.write("INSERT INTO t(id) VALUES (1)")
    assert db.payloads() == [{"id": 1}]


def test_without_rowid_and_composite_keys(db):
    db.write("CREATE TABLE w(b TEXT, a INT, x, PRIMARY KEY (a, b)) WITHOUT ROWID")
    db.write("CREATE TABLE c(x, b, a, PRIMARY KEY (a, b))")
    for table in ("w", "c"):
        for operation in ("insert", "update", "delete"):
            db.watch(table, operation, f"{table}.{operation}")
        db.write(f"INSERT INTO {table}(a, b, x) VALUES (1, 'k', 'v')")
        db.write(f"UPDATE {table} SET x = 'w'")
        db.write(f"DELETE FROM {table}")
        assert db.payloads() == [{"a": 1, "b": "k", "x": x} for x in ("v", "w", "w")]


def test_the_rowid_of_a_table_without_a_key(db):
    db.write("CREATE TABLE n(a)")
    db.write("CREATE TABLE r(rowid, _rowid_)")
    db.write("CREATE TABLE none(rowid, _rowid_, oid)")
    for table, field in (("n", "NEW.rowid"), ("r", "NEW.oid"), ("none", "NEW.oid")):
        db.watch(table, "insert", fields={"id": field})
    db.write("INSERT INTO n(rowid, a) VALUES (77, 'x')")
    db.write("INSERT INTO r(oid, rowid) VALUES (78, 'x')")
    db.write("INSERT INTO none(oid) VALUES (79)")
    assert db.payloads() == [{"id": 77}, {"id": 78}, {"id": 79}]
    db.watch("n", "delete")
    db.write("DELETE FROM n")
    assert db.payloads() == [{"a": "x"}]  # the rowid is no column


def test_strict_tables(db):
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB NOT NULL, x ANY, y TEXT AS (hex(b))) STRICT")
    db.watch("t", "insert")
    db.write("INSERT INTO t VALUES (1, x'0a', '07')")
    assert db.payloads() == [{"id": 1, "b": "Cg==", "x": "07", "y": "0A"}]


# -------------------------------------------------------------------------------------------------------- migrations


def fresh(db, sql, **options):
    db.write(sql)
    return db.watch("t", "insert", **options)


def test_add_column(db):
    fresh(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    db.write("ALTER TABLE t ADD COLUMN b DEFAULT 5")
    db.write("INSERT INTO t VALUES (1, 2, 3)")
    assert db.ask("SELECT resthook_repair()") == 1
    db.write("INSERT INTO t VALUES (4, 5, 6)")
    assert db.payloads() == [{"id": 1, "a": 2}, {"id": 4, "a": 5, "b": 6}]
    assert db.ask("SELECT resthook_repair()") == 0


def test_drop_column(db):
    fresh(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)")
    db.watch("t", "update of a, b", "t.update", changed=["a", "b"], old=True)
    db.write("INSERT INTO t VALUES (1, 2, 3)")
    db.write("ALTER TABLE t DROP COLUMN a")
    db.write("INSERT INTO t VALUES (2, 4)")
    db.write("UPDATE t SET b = 5 WHERE id = 2")
    db.write("UPDATE t SET b = 5 WHERE id = 2")
    assert db.payloads() == [{"id": 1, "a": 2, "b": 3}, {"id": 2, "a": None, "b": 4}, {"id": 2, "a": None, "b": 5}]
    # The second names a column that is gone, and compares what is left.
    assert db.ask("SELECT resthook_repair()") == 2
    db.write("INSERT INTO t VALUES (3, 6)")
    db.write("UPDATE t SET b = 7 WHERE id = 3")
    db.write("UPDATE t SET b = 7 WHERE id = 3")
    assert db.payloads() == [{"id": 3, "b": 6}, {"id": 3, "b": 7}]
    assert db.ask("SELECT resthook_repair()") == 0


def test_drop_column_with_generated_ones(db):
    """What was captured after the drop and before the repair is expanded by the old table's text."""
    fresh(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, a NOT NULL, b, v AS (b + 1))")
    db.write("ALTER TABLE t DROP COLUMN a")
    db.write("INSERT INTO t(id, b) VALUES (1, 2)")
    assert db.payloads() == [{"id": 1, "a": None, "b": 2, "v": 3}]


def test_rename_column(db):
    fresh(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)")
    db.watch("t", "insert", "t.fields", fields={"x": "NEW.a"})
    db.write("ALTER TABLE t RENAME COLUMN a TO z")
    db.write("INSERT INTO t VALUES (1, 2, 3)")
    assert sorted(db.texts()) == ['{"id":1,"a":2,"b":3}', '{"x":2}']
    # The second's expression follows.
    assert db.ask("SELECT resthook_repair()") == 2
    db.write("INSERT INTO t VALUES (2, 3, 4)")
    assert sorted(db.texts()) == ['{"id":2,"z":3,"b":4}', '{"x":3}']
    db.write("ALTER TABLE t DROP COLUMN b")
    db.write("INSERT INTO t VALUES (3, 4)")
    assert sorted(db.texts()) == ['{"id":3,"z":4,"b":null}', '{"x":4}']


@pytest.mark.parametrize("repairs", [True, False])
def test_a_column_that_was_renamed_is_dropped(db, repairs):
    """The one migration that needs the repair in between, as README says."""
    fresh(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)")
    db.write("ALTER TABLE t RENAME COLUMN a TO z")
    if repairs:
        assert db.ask("SELECT resthook_repair()") == 1
        db.write("ALTER TABLE t DROP COLUMN z")
    else:
        with pytest.raises(sqlite3.OperationalError, match="error in trigger resthook_watch_1 after drop column"):
            db.write("ALTER TABLE t DROP COLUMN z")
    db.write("INSERT INTO t(id, b) VALUES (1, 2)")
    assert db.texts() == [f'{{"id":1,"{"z" if repairs else "a"}":null,"b":2}}']


def test_rename_table(db):
    fresh(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    db.write("ALTER TABLE t RENAME TO u")
    db.write("INSERT INTO u VALUES (1, 2)")
    assert db.ask("SELECT resthook_repair()") == 1
    db.write("INSERT INTO u VALUES (3, 4)")
    assert db.payloads() == [{"id": 1, "a": 2}, {"id": 3, "a": 4}]
    assert db.ask("SELECT table_name FROM resthook_watches") == "u"
    assert db.ask("SELECT resthook_repair()") == 0


def test_a_renamed_table_is_the_same_watch(db):
    fresh(db, "CREATE TABLE t(id INTEGER PRIMARY KEY)")
    db.write("ALTER TABLE t RENAME TO u")
    db.watch("u", "insert")
    db.write("INSERT INTO u VALUES (1)")
    assert db.payloads() == [{"id": 1}]
    db.write("ALTER TABLE u RENAME TO v")
    assert db.ask("SELECT resthook_unwatch('v')") == 1


@pytest.mark.parametrize("reads", [False, True])
def test_a_twelve_step_rebuild(db, reads):
    """Of a watched table, and of one that a watch's expressions read; the repair in the same transaction."""
    db.write("CREATE TABLE m(id INTEGER PRIMARY KEY, name)")
    db.write("INSERT INTO m VALUES (1, 'one')")
    fresh(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, m)",
          fields={"name": "(SELECT name FROM m WHERE id = NEW.m)"})
    table, columns = ("m", "id INTEGER PRIMARY KEY, name TEXT") if reads else ("t", "id INTEGER PRIMARY KEY, m INT")
    db.admin.execute("BEGIN")
    db.admin.execute(f"CREATE TABLE rebuilt({columns})")
    db.admin.execute(f"INSERT INTO rebuilt SELECT * FROM {table}")
    db.admin.execute(f"DROP TABLE {table}")
    if reads:
        db.admin.execute("INSERT INTO t VALUES (5, 1)")  # while the other is missing
    db.admin.execute(f"ALTER TABLE rebuilt RENAME TO {table}")
    assert db.ask("SELECT resthook_repair()") == (0 if reads else 1)
    db.admin.execute("COMMIT")
    db.write("INSERT INTO t VALUES (6, 1)")
    assert db.payloads() == [{"name": "one"}] * (2 if reads else 1)


def test_repair_touches_nothing_that_is_fine(db):
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, a, g AS (a), s AS (a) STORED)")
    db.write("CREATE TABLE n(a, b)")
    db.watch("t", "insert", "t.insert")
    db.watch("t", "update of A, \"a\"", "t.update", changed=["A", "s"], when="OLD.g > 1", key="NEW.id")
    db.watch("t", "delete", "t.delete", fields={"x.y:json?": "OLD.a"})
    db.watch("n", "update", "n.update", old=True)
    before = db.image()
    assert db.ask("SELECT resthook_repair()") == 0
    assert db.image() == before
    db.admin.execute("VACUUM")
    assert db.ask("SELECT resthook_repair()") == 0


def test_repair_makes_a_missing_trigger(db):
    name = fresh(db, "CREATE TABLE t(id INTEGER PRIMARY KEY)")
    db.write(f"DROP TRIGGER {name}")
    db.write("INSERT INTO t VALUES (1)")
    assert db.ask("SELECT resthook_repair()") == 1
    db.write("INSERT INTO t VALUES (2)")
    assert db.payloads() == [{"id": 2}]
    db.write("DROP TABLE t")
    assert db.ask("SELECT resthook_repair()") == 0
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, later)")
    assert db.ask("SELECT resthook_repair()") == 1


def test_repair_follows_capture_max(db):
    fresh(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    db.ask("SELECT resthook_set('capture_max', 2000)")
    assert db.ask("SELECT resthook_repair()") == 1
    db.write("INSERT INTO t VALUES (1, zeroblob(3000))")
    assert db.payloads() == [{"id": 1, "truncated": True}]
    assert db.ask("SELECT resthook_repair()") == 0


def test_an_old_row_is_read_by_the_version_it_was_written_under(db):
    fresh(db, "CREATE TABLE t(id INTEGER PRIMARY KEY, a)", fields={"old_way": "NEW.a"})
    db.write("INSERT INTO t VALUES (1, 'x')")
    assert db.watch("T", "INSERT", fields={"new_way": "NEW.a || '!'"}) == "resthook_watch_2"
    db.write("INSERT INTO t VALUES (2, 'y')")
    db.ask("SELECT resthook_unwatch('t')")
    db.write("INSERT INTO t VALUES (3, 'z')")
    db.write("ALTER TABLE t RENAME TO gone")
    assert db.payloads() == [{"old_way": "x"}, {"new_way": "y!"}]


# -------------------------------------------------------------------------------------------------------- options


def test_fields(db):
    db.write("CREATE TABLE m(id TEXT PRIMARY KEY, email)")
    db.write("INSERT INTO m VALUES ('m1', 'me@example.org')")
    db.write("CREATE TABLE t(id TEXT PRIMARY KEY, owner, chat, labels, n, started)")
    db.watch("t", "insert", fields={
        "id": "NEW.id", "owner.email": "(SELECT email FROM m WHERE id = NEW.owner)", "chat:bool": "NEW.chat",
        "labels:json": "NEW.labels", "n:text": "NEW.n", "owner.id": "NEW.owner", "time.start?": "NEW.started",
        "time.end?": "NULL", "note": "'-- it''s /* not'  -- a comment"})
    db.write("INSERT INTO t VALUES ('a', 'm1', 1, '[1, \"x\"]', 9007199254740993, NULL)")
    db.write("INSERT INTO t VALUES ('b', 'm2', 0, '[1, ', 0.1, '2020')")
    db.write("INSERT INTO t VALUES ('c', NULL, NULL, x'5b5d', 'x', NULL)")
    assert db.texts() == [
        '{"id":"a","owner":{"email":"me@example.org","id":"m1"},"chat":true,"labels":[1, "x"],'
        '"n":"9007199254740993","note":"-- it\'s /* not"}',
        '{"id":"b","owner":{"email":null,"id":"m2"},"chat":false,"labels":"[1, ","n":"0.1",'
        '"time":{"start":"2020"},"note":"-- it\'s /* not"}',
        '{"id":"c","owner":{"email":null,"id":null},"chat":null,"labels":"W10=","n":"x","note":"-- it\'s /* not"}']


def test_expressions_see_the_values_as_they_were_written(db):
    db.write("CREATE TABLE t(v, x TEXT COLLATE NOCASE)")
    db.watch("t", "insert", fields={"type": "typeof(NEW.v)", "hex": "hex(NEW.v)", "size": "length(CAST(NEW.v AS BLOB))",
                                    "same": "NEW.x = 'A'", "v": "NEW.v"})
    db.write("INSERT INTO t VALUES (CAST(x'61ff0062' AS TEXT), 'a'), (x'61ff0062', 'A'), (9223372036854775807, NULL)")
    db.write("INSERT INTO t VALUES (?, 'a')", 0.1 + 0.2)
    assert db.texts()[:3] == [
        '{"type":"text","hex":"61FF0062","size":4,"same":0,"v":"a�\\u0000b"}',
        '{"type":"blob","hex":"61FF0062","size":4,"same":1,"v":"Yf8AYg=="}',
        '{"type":"integer","hex":"39323233333732303336383534373735383037","size":19,"same":null,'
        '"v":9223372036854775807}']


def test_when_by_sqls_truth(db):
    db.write("CREATE TABLE t(v)")
    db.watch("t", "insert", when="NEW.v")
    db.write("INSERT INTO t VALUES (1), (0), (NULL), ('x'), ('2x'), (0.1)")
    assert db.payloads() == [{"v": 1}, None, None, None, {"v": "2x"}, {"v": 0.1}]


def test_old_is_captured_when_it_is_needed(db):
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    for event, options in {"no": {}, "asked": {"old": True}, "field": {"fields": {"x": "OLD.a"}},
                           "when": {"when": "OLD.a IS NOT NEW.a"}, "key": {"key": "OLD.a"},
                           "text": {"fields": {"x": "'OLD.a'"}}}.items():
        db.watch("t", "update", f"t.{event}", **options)
        captured = json.loads(db.ask("SELECT captured FROM resthook_watch WHERE event = ?", f"t.{event}"))
        rows = {value["row"] for value in captured}
        assert rows == ({"new"} if event in ("no", "text") else {"new", "old"}), event
    db.watch("t", "delete", "t.gone", fields={"x": "OLD.a"})
    assert '"new"' not in db.ask("SELECT captured FROM resthook_watch WHERE event = 't.gone'")


def test_update_of(db):
    db.write('CREATE TABLE t(id INTEGER PRIMARY KEY, a, "b c", d)')
    db.watch("t", 'UPDATE of A , "b c"')
    for column, fires in (("a", 1), ("b c", 1), ("d", 0), ("id", 0)):
        db.write("INSERT OR IGNORE INTO t(id) VALUES (1)")
        db.write(f"UPDATE t SET {quoted(column)} = 1")
        assert len(db.texts()) == fires, column
    assert db.ask("SELECT of FROM resthook_watches") == '["a","b c"]'


def test_changed_is_byte_exact(db):
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, v, x TEXT COLLATE NOCASE, r REAL, n NUMERIC)")
    db.watch("t", "update", changed=["v", "x"], fields={"v": "typeof(NEW.v)"})
    db.watch("t", "update", "t.r", changed=["r"], fields={"r": "NEW.r"})
    db.write("INSERT INTO t VALUES (1, NULL, 'a', 0.1, 5)")
    tiny = math.nextafter(1.0, 2.0)

    def fires(column, value):
        db.write(f"UPDATE t SET {column} = ?", value)
        return len(db.texts()) == 1

    steps = [("v", None, False), ("v", 1, True), ("v", 1, False), ("v", 1.0, True), ("v", 1.0, False),
             ("v", tiny, True), ("v", tiny, False), ("v", "1", True), ("v", b"1", True), ("v", "1", True),
             ("v", "1\x00", True), ("v", "1\x00a", True), ("v", "1\x00b", True), ("v", 2**63 - 1, True),
             ("v", float(2**63), True), ("v", 2**53 + 1, True), ("v", float(2**53), True), ("v", None, True),
             ("x", "A", True), ("x", "A", False), ("x", "A ", True), ("x", "a", True), ("n", 6, False),
             ("r", 0.1, False), ("r", 0.1 + 2**-56, True), ("r", 0.1 + 2**-56, False)]
    for column, value, expected in steps:
        assert fires(column, value) is expected, (column, value)
    db.write("UPDATE t SET v = CAST(x'ff' AS TEXT)")
    db.write("UPDATE t SET v = CAST(x'fe' AS TEXT)")
    assert len(db.texts()) == 2


# -------------------------------------------------------------------------------------------------------- capture_max


def test_rows_larger_than_capture_max(db):
    db.ask("SELECT resthook_set('capture_max', 2000)")
    db.write("CREATE TABLE i(id INTEGER PRIMARY KEY, a, b)")
    db.write("CREATE TABLE k(a, b, y TEXT, x, PRIMARY KEY (x, y)) WITHOUT ROWID")
    db.write("CREATE TABLE n(a, b)")
    for table in "ikn":
        db.watch(table, "insert", f"{table}.insert", when="NEW.a = 'never'" if table == "n" else "1")
    db.watch("i", "update", "i.update", old=True)
    db.watch("i", "delete", "i.delete")

    def wrote(sql, *values):
        db.write(sql, *values)
        return db.payloads()

    assert wrote("INSERT INTO i VALUES (7, ?, ?)", "x" * 1000, b"y" * 1000) == [{"id": 7, "truncated": True}]
    assert wrote("INSERT INTO i VALUES (8, ?, ?)", "x" * 999, b"y" * 1000)[0]["id"] == 8  # 2,000 bytes to the byte
    assert wrote("INSERT INTO i VALUES (9, ?, NULL)", "x\x00" * 1000) == [{"id": 9, "truncated": True}]
    assert wrote("INSERT INTO i VALUES (10, NULL, ?)", "é" * 1000) == [{"id": 10, "truncated": True}]
    assert wrote("INSERT INTO i VALUES (11, NULL, ?)", "é" * 999)[0]["id"] == 11
    assert wrote("INSERT INTO k VALUES (zeroblob(3000), 0, 'two', 1)") == [{"y": "two", "x": 1, "truncated": True}]
    assert wrote("INSERT INTO k VALUES (0, 0, ?, 1)", "k" * 3000) == [{"y": None, "x": 1, "truncated": True}]
    assert wrote("INSERT INTO n(rowid, a) VALUES (5, zeroblob(3000))") == [{"rowid": 5, "truncated": True}]
    assert wrote("INSERT INTO n(rowid, a) VALUES (6, 0)") == [None]
    assert wrote("UPDATE i SET a = 1, b = 1 WHERE id = 7") == [{"id": 7, "truncated": True}]  # OLD was too large
    assert wrote("UPDATE i SET a = 2 WHERE id = 7") == [{"id": 7, "a": 2, "b": 1}]
    assert wrote("DELETE FROM i WHERE id = 9") == [{"id": 9, "truncated": True}]


def test_a_key_that_is_called_as_the_mark_is(db):
    db.ask("SELECT resthook_set('capture_max', 2000)")
    db.write("CREATE TABLE t(truncated INTEGER PRIMARY KEY, a)")
    db.write("CREATE TABLE u(truncated, _truncated, TRUNCATED_, a, PRIMARY KEY (_truncated, truncated))")
    db.write("CREATE TABLE v(Truncated INTEGER PRIMARY KEY, a)")
    for table in "tuv":
        db.watch(table, "insert", f"{table}.insert")
    db.write("INSERT INTO t VALUES (7, zeroblob(3000))")
    db.write("INSERT INTO u VALUES (8, 9, 10, zeroblob(3000))")
    db.write("INSERT INTO v VALUES (11, zeroblob(3000))")
    assert db.texts() == ['{"truncated":7,"_truncated":true}', '{"truncated":8,"_truncated":9,"__truncated":true}',
                          '{"Truncated":11,"truncated":true}']
@pytest.mark.parametrize("when, values, sent", [
    ("NEW.status = 'x'", {"status": "x"}, True),
    ("NEW.status = 'x'", {"status": "y"}, False),
    ("NEW.status = 'x'", {}, False),  # NULL is not true
    ("NEW.status = 'x'", {"status": "y" * 1000}, False),
    ("NEW.status = 'x'", {"status": "y" * 1001}, True),  # not captured: it can't be asked
    ("NEW.status = 'x' OR NEW.more", {"status": "y" * 500, "more": b"n" * 501}, True),
    ("NEW.status = 'x' OR NEW.more", {"status": "y" * 500, "more": b"n" * 500}, False),
    ("new.[STATUS] IS NOT 1", {"status": 1}, False),
    ("status = 2", {"status": 1}, False),
    ("NEW.id > 7", {}, False),
    ("NEW.id = 7", {}, True),
    ("NEW.v = 2", {"status": 1}, True),  # computed of what is not there
    ("(SELECT count(*) FROM (SELECT * FROM NEW WHERE status = 2)) > 0", {"status": 1}, True),
    ("(SELECT count(*) FROM NEW WHERE status = 2) > 0", {"status": 1}, False),
    ("NEW.status * 2 = 3", {"status": 1}, False),
    ("EXISTS (SELECT 1 FROM m WHERE id = NEW.more)", {"more": 1}, True),
    ("EXISTS (SELECT 1 FROM m WHERE id = NEW.more)", {"more": 2}, False),
])
def test_when_of_a_row_larger_than_capture_max(db, when, values, sent):
    """It is asked, if what it reads is small; otherwise the row is sent."""
    db.write("CREATE TABLE m(id)")
    db.write("INSERT INTO m VALUES (1)")
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, big, status, more, v AS (status))")
    db.watch("t", "insert", when=when, fields={"s": "json(NEW.big)"})
    db.write("INSERT INTO t(id, big, status, more) VALUES (7, zeroblob(2000000), ?, ?)", values.get("status"),
             values.get("more"))
    assert db.payloads() == [{"id": 7, "truncated": True} if sent else None]
    assert db.ask("SELECT resthook_repair()") == 0


def test_when_of_an_update_larger_than_capture_max(db):
    db.write("CREATE TABLE t(id TEXT PRIMARY KEY, big, status)")
    db.watch("t", "update of status", changed=["status"], when="NEW.status = 'done' AND OLD.status IS NOT 'done'")
    db.write("INSERT INTO t VALUES ('k', zeroblob(2000000), NULL)")
    for status in ("begun", "done", "done", "ended"):
        db.write("UPDATE t SET status = ?", status)
    assert db.payloads() == [None, {"id": "k", "truncated": True}, None]
    db.write("ALTER TABLE t DROP COLUMN status")
    db.write("ALTER TABLE t ADD COLUMN other")
    assert db.ask("SELECT resthook_repair()") == 1


def test_a_row_that_no_outbox_could_hold(db):
    """The write succeeds whatever the size: nothing is copied that SQLite could find too big."""
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)")
    db.watch("t", "insert")
    db.writer.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 3_000_000) if hasattr(db.writer, "setlimit") else None
    db.write("INSERT INTO t VALUES (1, zeroblob(2999000), NULL)")
    assert db.payloads() == [{"id": 1, "truncated": True}]


def test_values_are_copied_once(db):
    """What is read for the sum of sizes alone is not copied, and nothing is put aside in a table of the moment."""
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)")
    db.watch("t", "insert")
    db.write("INSERT INTO t VALUES (0, 0, 0)")  # EXPLAIN alone would not see that the schema has changed
    # The trigger's program is a sub-program of the statement's; EXPLAIN lists it too.
    program = [op[1] for op in db.write("EXPLAIN INSERT INTO t VALUES (1, 2, 3)")]
    assert program.count("Param") == 3 + 2 + 1  # the row; what may be large; NEW.id for a row that is too large
    assert program.count("Copy") <= 3 + 1 and "OpenEphemeral" not in program, program  # 1: the newest event's number


# -------------------------------------------------------------------------------------------------------- refusals

NOTHING_CHANGED = [
    # arguments, what the error says
    (("nowhere", "insert", "t.e"), "table 'nowhere': no such table"),
    (("main.t", "insert", "t.e"), "table 'main.t': no such table"),
    (("", "insert", "t.e"), "table '': no such table"),
    (("a" * 900, "insert", "t.e"), "no such table in the main database$"),
    (("t", "update of " + "a" * 900, "t.e"), "update of: table t has no column a"),
    (("t", "insert" + "x" * 900, "t.e"), "[(]906 bytes[)]: insert, update, delete or update of columns is expected$"),
    (("t", "insert", "t.e", json.dumps({"fields": {"é" * 900 + ":int": "1"}})), "unknown type"),
    (("t", "insert", "t.e", json.dumps({"record": "é" * 900})), "[(]1800 bytes[)], expected subscribed or always$"),
    (("v", "insert", "t.e"), "table 'v': a view"),
    (("f", "insert", "t.e"), "table 'f': a virtual table"),
    (("f_content", "insert", "t.e"), "table 'f_content': a shadow table"),
    (("resthook_outbox", "insert", "t.e"), "table 'resthook_outbox': a table of resthook"),
    (("RESTHOOK_subscription", "insert", "t.e"), "table 'RESTHOOK_subscription': a table of resthook"),
    (("sqlite_master", "insert", "t.e"), "table 'sqlite_master': a table of resthook or of SQLite"),
    (("sqlite_sequence", "insert", "t.e"), "sqlite_sequence"),
    (("only_temp", "insert", "t.e"), "table 'only_temp': no such table in the main database"),
    (("only_attached", "insert", "t.e"), "table 'only_attached': no such table in the main database"),
    (("other.only_attached", "insert", "t.e"), "no such table in the main database"),
    ((1, "insert", "t.e"), "table"),
    ((None, "insert", "t.e"), "table"),
    (("t", "upsert", "t.e"), "operation 'upsert': insert, update, delete or"),
    (("t", "update of", "t.e"), "operation 'update of'"),
    (("t", "update of a,", "t.e"), "column name"),
    (("t", "update of nothing", "t.e"), "update of: table t has no column nothing"),
    (("t", "update of s", "t.e"), "s is a generated column"),
    (("t", "update of g", "t.e"), "g is a VIRTUAL generated column"),
    (("t", "insert", "no good"), "event 'no good' has a char.*, expected a name"),
    (("t", "insert", "a.*"), r"event 'a\.\*' "),
    (("t", "insert", ""), "event"),
    (("t", "insert", "resthook.ping"), "event 'resthook.ping' is reserved"),
    (("t", "insert", "a" * 300), "event"),
    (("t", "insert", "t.e", "{"), "options"),
    (("t", "insert", "t.e", "[]"), "options|object"),
    (("t", "insert", "t.e", '{"feilds":{}}'), "feilds"),
    (("t", "insert", "t.e", '{"fields":[]}'), "fields"),
    (("t", "insert", "t.e", '{"fields":{}}'), "fields: {}"),
    (("t", "insert", "t.e", '{"fields":{"a":1}}'), "fields: a: "),
    (("t", "insert", "t.e", '{"fields":{"a":"1","a.b":"1"}}'), "a.b: the path is both a value and an object"),
    (("t", "insert", "t.e", '{"fields":{"a":"1","a:bool":"1"}}'), "a:bool: the path is there twice"),
    (("t", "insert", "t.e", '{"fields":{"a:int":"1"}}'), "a:int: unknown type"),
    (("t", "insert", "t.e", '{"fields":{"a..b":"1"}}'), r"a\.\.b: "),
    (("t", "insert", "t.e", r'{"when":"1\u0000 + 1"}'), "NUL"),
    (("t", "insert", "t.e", '{"record":"never"}'), "option record is 'never', expected"),
    (("t", "insert", "t.e", '{"old":true}'), "old: an insert has no old row"),
    (("t", "insert", "t.e", '{"changed":["a"]}'), "changed: insert"),
    (("t", "update", "t.e", '{"changed":[]}'), "changed: at least one column"),
    (("t", "update", "t.e", '{"changed":["z"]}'), "changed: table t has no column z"),
    (("t", "update", "t.e", '{"changed":[1]}'), "changed: table t has no column 1"),
    (("t", "update", "t.e", '{"changed":["g"]}'), "changed: g is a VIRTUAL generated column"),
    (("t", "update", "t.e", '{"changed":"a"}'), "changed"),
]

BAD_EXPRESSIONS = [
    "", "  ", "-- nothing", "NEW.nothing", "nothing", '"nothing"', "1;", "1; DELETE FROM t", "1)", "(1", "1) FROM t --",
    "1) UNION SELECT (2", "1, 2", "'open", "/* open", "?", "?1", ":x", "@x", "$x", "nofunction(1)", "NEW.a AS b",
    "SELECT 1 FROM nowhere", "(SELECT 1, 2)", "count(*)", "max(NEW.a)", "(SELECT sum(NEW.a))",
    "row_number() OVER ()", "OLD.a", "(SELECT secret FROM resthook_subscription)", "(SELECT id FROM resthook_subscriptions)",
    "(SELECT sql FROM sqlite_master)", "(SELECT name FROM sqlite_schema)", "(SELECT target FROM peek)",
    "(SELECT name FROM pragma_table_info('t'))", "load_extension('x')", "readfile('/etc/passwd')",
    "writefile('x', 'y')", "fts3_tokenizer('simple')", "edit('x')", "resthook_emit('a.b', '{}')", "resthook_version()",
    "(SELECT resthook_payload(1))", "(DELETE FROM t)", "(SELECT x FROM only_temp)", "(SELECT x FROM other.only_attached)",
    "(SELECT a FROM t INDEXED BY nothing)",
]


@pytest.fixture
def furnished(db, tmp_path):
    db.admin.execute("CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a, g AS (a), s AS (a) STORED)")
    db.admin.execute("CREATE VIEW v AS SELECT * FROM t")
    db.admin.execute("CREATE VIEW peek AS SELECT target FROM resthook_subscription")
    db.admin.execute("CREATE VIRTUAL TABLE f USING fts5(x)")
    db.admin.execute("CREATE TEMP TABLE only_temp(x)")
    db.admin.execute("ATTACH ? AS other", (str(tmp_path / "other.db"),))
    db.admin.execute("CREATE TABLE other.only_attached(x)")
    db.watch("t", "insert", "t.e", fields={"kept": "NEW.a"})
    yield db


@pytest.mark.parametrize(("arguments", "says"), NOTHING_CHANGED)
def test_refusals_change_nothing(furnished, arguments, says):
    before = furnished.image()
    marks = ",".join("?" * len(arguments))
    with pytest.raises(sqlite3.Error, match=rf"^resthook_watch: .*({says})"):
        furnished.admin.execute(f"SELECT resthook_watch({marks})", arguments).fetchone()
    assert furnished.image() == before


@pytest.mark.parametrize("expression", BAD_EXPRESSIONS)
@pytest.mark.parametrize("place", ["fields", "when", "key"])
def test_refused_expressions_change_nothing(furnished, expression, place):
    """One good field, one bad expression; the error names it, and the watch that was there is there still."""
    options = {"fields": {"good": "NEW.a"}}
    if place == "fields":
        options["fields"]["ba.d"] = expression
    else:
        options[place] = expression
    before = furnished.image()
    with pytest.raises(sqlite3.Error, match="^resthook_watch: " + ("fields: ba.d" if place == "fields" else place)) as e:
        furnished.watch("t", "insert", "t.e", **options)
    assert expression in str(e.value)
    assert furnished.image() == before
    furnished.write("INSERT INTO t(a) VALUES ('works')")
    assert furnished.payloads() == [{"kept": "works"}]


def test_what_expressions_may_do(furnished):
    furnished.watch("t", "insert", "t.e", fields={
        "select": "SELECT 1", "view": "(SELECT count(*) FROM v)", "fts": "(SELECT count(*) FROM f WHERE f MATCH 'x')",
        "cte": "(WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 10) SELECT sum(n) FROM r)",
        "each": "(SELECT group_concat(value, '+') FROM json_each('[1,2]'))", "row": "(SELECT a FROM NEW)",
        "aggregate": "(SELECT max(x) FROM (SELECT NEW.a AS x))", "exists": "EXISTS (SELECT 1 FROM t WHERE id = NEW.id)"})
    furnished.write("INSERT INTO t(a) VALUES ('q')")
    assert furnished.payloads() == [{"select": 1, "view": 1, "fts": 0, "cte": 55, "each": "1+2", "row": "q",
                                     "aggregate": "q", "exists": 1}]


def test_an_expression_that_fails_is_an_error_of_resthook_payload_alone(db):
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    db.watch("t", "insert", fields={"x": "abs(NEW.a)"})
    db.write("INSERT INTO t VALUES (1, -9223372036854775808)")
    with pytest.raises(sqlite3.Error, match="^resthook_payload: integer overflow$"):
        db.texts()
    assert db.ask("SELECT a FROM t") == -(2**63)


def test_an_expression_is_checked_again_when_the_schema_has_changed(db):
    """What an expression reached when the watch was made may be something else when it runs."""
    db.write("CREATE TABLE m(target)")
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    db.watch("t", "insert", fields={"x": "(SELECT target FROM m)"})
    db.ask("SELECT resthook_subscribe('a.b', ?)", TARGET)
    db.write("INSERT INTO t VALUES (1)")
    assert db.payloads() == [{"x": None}]
    db.seen = 0
    db.write("DROP TABLE m")
    with pytest.raises(sqlite3.Error, match="^resthook_payload: .*no such table: m"):
        db.texts()
    db.write("CREATE VIEW m AS SELECT secret AS target FROM resthook_subscription")
    with pytest.raises(sqlite3.Error, match="^resthook_payload: .*prohibited"):
        db.texts()


def test_the_payload_of_what_any_program_emitted_is_what_is_sent(db):
    """Invalid UTF-8 is mended; what is not JSON is dead, and here an error."""
    for payload, sent in (("CAST(x'22ff22' AS TEXT)", '"\ufffd"'), ("5", "5"), ("2.5", "2.5"), ("'[1, 2]'", "[1, 2]")):
        db.write(f"INSERT INTO resthook_outbox(event, payload) VALUES ('a.b', {payload})")
        assert db.texts() == [sent]
    for event, payload, says in (("'a.b'", "'{'", "event %d is not sent: its payload is not JSON, .* at byte 1"),
                                 ("'a.b'", "NULL", "event %d is not sent: its payload is not JSON, but NULL"),
                                 ("'a.b'", "x'7b7d'", "event %d is not sent: its payload is not JSON, but a BLOB"),
                                 ("'a.b'", "9e999", "event %d is not sent: its payload is not JSON, .* at byte 0"),
                                 ("'a b'", "'{}'", "event %d is not sent: it has no name, or a bad one"),
                                 ("NULL", "'{}'", "event %d is not sent: it has no name, or a bad one")):
        db.write(f"INSERT INTO resthook_outbox(event, payload) VALUES ({event}, {payload})")
        number = db.ask("SELECT max(id) FROM resthook_outbox")
        with pytest.raises(sqlite3.Error, match="^resthook_payload: " + says % number):
            db.ask("SELECT resthook_payload(?)", number)


def test_a_boolean_of_text(db):
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")
    db.watch("t", "insert", fields={"v:bool": "NEW.v"})
    for value, expected in (("true", True), ("TRUE", True), ("False", False), ("false", False), ("1", True), ("0", False),
                            ("0.5", True), ("yes", False), ("", False), ("true ", False), (b"true", False), (-1, True),
                            (0.0, False), (None, None), ("true\x00", False)):
        db.write("INSERT INTO t(v) VALUES (?)", value)
        assert db.payloads() == [{"v": expected}], value


def test_payload_of_emitted_and_unknown_events(db):
    db.write("INSERT INTO resthook_outbox(event, payload) VALUES ('a.b', '{\"x\": 1}')")
    assert db.texts() == ['{"x": 1}']
    for bad in (99, -1, "x", None, 1.5):
        with pytest.raises(sqlite3.Error, match="^resthook_payload: "):
            db.ask("SELECT resthook_payload(?)", bad)


def test_functions_are_for_direct_use_only(db):
    db.admin.execute("CREATE VIEW sly AS SELECT resthook_watch('t', 'insert', 't.e')")
    with pytest.raises(sqlite3.OperationalError, match="unsafe use of resthook_watch"):
        db.ask("SELECT * FROM sly")


# -------------------------------------------------------------------------------------------------------- unwatch


def test_unwatch(db):
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    db.write("CREATE TABLE u(id INTEGER PRIMARY KEY)")

    def watch_all():
        for table in ("t", "u"):
            for operation in ("insert", "update", "delete"):
                db.watch(table, operation, f"{table}.{operation}")
        db.watch("t", "insert", "t.more")

    watch_all()
    assert db.ask("SELECT resthook_unwatch('nowhere')") == 0
    assert db.ask("SELECT resthook_unwatch('t', 'insert', 't.nothing')") == 0
    assert db.ask("SELECT resthook_unwatch('T', 'INSERT', 't.more')") == 1
    assert db.ask("SELECT resthook_unwatch('t', 'insert')") == 1
    assert db.ask("SELECT resthook_unwatch('t')") == 2
    assert db.ask("SELECT resthook_unwatch('t')") == 0
    assert db.ask("SELECT count(*) FROM resthook_watches") == 3
    assert db.ask("SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name GLOB 'resthook_watch_*'") == 3
    watch_all()
    db.write("DROP TABLE t")
    assert db.ask("SELECT resthook_unwatch('t')") == 4
    assert db.ask("SELECT count(*) FROM resthook_interest") == 3
    with pytest.raises(sqlite3.Error, match="^resthook_unwatch: operation 'x'"):
        db.ask("SELECT resthook_unwatch('u', 'x')")


def test_identity(db):
    """(table, kind of operation, event): the same again replaces, anything else adds."""
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, a)")
    db.watch("t", "update", "t.one")
    db.watch("T", "update of a", "t.one")
    db.watch("t", "UPDATE", "t.two")
    db.watch("t", "insert", "t.one")
    assert db.ask("SELECT group_concat(id) FROM resthook_watches") == "2,3,4"
    triggers = db.ask("SELECT group_concat(name) FROM (SELECT name FROM sqlite_master WHERE type = 'trigger' "
                      "AND name GLOB 'resthook_watch_[0-9]*' ORDER BY name)")
    assert triggers == "resthook_watch_2,resthook_watch_3,resthook_watch_4"


def test_the_outbox_is_widened_only_as_far_as_needed(db):
    def width():
        return db.ask("SELECT count(*) FROM pragma_table_info('resthook_outbox') WHERE name GLOB 'v[0-9]*'")

    db.write("CREATE TABLE t(a, b, c)")
    db.write("CREATE TABLE u(a PRIMARY KEY)")
    assert width() == 0
    db.watch("t", "insert")
    assert width() == 5  # three columns, the rowid, the mark
    db.watch("u", "insert")
    db.watch("t", "delete")
    assert width() == 5
