"""The option filter when it is set: what is taken, what is refused and why. What a filter does is in
tests/e2e/test_filters.py, how it runs in tests/unit/test_filter.c.

Every refusal names the filter and the reason, and leaves the whole database as it was.
"""

import json
import os
import re
import sqlite3
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("RESTHOOK_BUILD", "build")
FOR_EVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"


@pytest.fixture
def db():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.enable_load_extension(True)
    connection.load_extension(str(BUILD / "resthook"))
    connection.executescript("""
        CREATE TABLE item(id INTEGER PRIMARY KEY, name, price REAL, twice AS (price * 2));
        CREATE TABLE member(id INTEGER PRIMARY KEY, email, plan);
        CREATE TABLE "odd ""name"(payload, event, "a.b", [new]);
        CREATE VIEW paying AS SELECT * FROM member WHERE plan = 'paid';
        INSERT INTO member VALUES (1, 'ada@example.com', 'paid');
        SELECT resthook_init();
        SELECT resthook_watch('item', 'insert', 'item.create');
        SELECT resthook_watch('item', 'update', 'item.update');
        SELECT resthook_watch('item', 'update', 'item.moved', '{"old": true}');
        SELECT resthook_watch('item', 'delete', 'item.delete');
        SELECT resthook_watch('member', 'insert', 'member.create');
        SELECT resthook_watch('odd "name', 'insert', 'odd.create');
    """)
    yield connection
    connection.close()


def subscribe(db, event, text, target="https://example.org/"):
    return db.execute("SELECT resthook_subscribe(?, ?, ?)", (event, target, json.dumps({"filter": text}))).fetchone()[0]


def stored(db, sub):
    return db.execute("SELECT filter FROM resthook_subscriptions WHERE id = ?", (sub,)).fetchone()[0]


def state(db):
    return "\n".join(db.iterdump())


GOOD = [
    ("item.create", "NEW.price > 10"),
    ("item.create", "new.\"price\" > 10 OR [NEW].twice > 1"),
    ("item.create", "OLD.price IS NULL"),  # an insert has no old row: all NULL
    ("item.delete", "NEW.id IS NULL AND OLD.name LIKE 'a%'"),
    ("item.moved", "NEW.price > OLD.price"),
    ("item.*", "coalesce(NEW.id, 0) > 5"),
    ("*", "event LIKE 'item.%'"),
    ("*", "payload ->> '$.id' = 5 AND json_extract(payload, '$.name') <> ''"),
    ("*", "EXISTS (SELECT 1 FROM json_each(payload) WHERE json_each.key = 'id')"),
    ("item.create", "NEW.id IN (SELECT id FROM paying)"),
    ("odd.create", "payload <> NEW.payload AND NEW.event = event AND NEW.\"a.b\" = NEW.\"new\""),
    ("nobody.makes.it", "payload ->> '$.a' = 1 AND (SELECT count(*) FROM member) > 0"),
    ("item.create", "CASE WHEN NEW.id THEN 1 ELSE 0 END -- a remark"),
    ("item.create", "(/* ) */ 1)"),
    ("item.create", "';' = ')'"),
    ("item.create", "0"),
    ("item.create", "NEW.price > (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9) SELECT max(i) FROM n)"),
]


@pytest.mark.parametrize("event, text", GOOD)
def test_it_is_taken(db, event, text):
    sub = subscribe(db, event, text)
    assert stored(db, sub) == text
    assert subscribe(db, event, text) == sub
    db.execute("SELECT resthook_update(?, '{\"timeout\": 3}')", (sub,))
    assert stored(db, sub) == text
    db.execute("SELECT resthook_update(?, '{\"filter\": null}')", (sub,))
    assert stored(db, sub) is None
    db.execute("SELECT resthook_update(?, ?)", (sub, json.dumps({"filter": text})))
    assert stored(db, sub) == text


BAD = [
    # no expression, or more than one
    ("*", "", "an expression is expected"),
    ("*", "  -- nothing", "an expression is expected"),
    ("*", "1) OR (1", "a closing parenthesis has no opening one"),
    ("*", "1)) --", "a closing parenthesis has no opening one"),
    ("*", "(1", "a parenthesis is not closed"),
    ("*", "1 /* ", "a comment is not closed"),
    ("*", "'x", "a quote is not closed"),
    ("*", "1; DELETE FROM item", "a semicolon can't be part of an expression"),
    ("*", "1;", "a semicolon can't be part of an expression"),
    ("*", "1, 2", "row value misused"),
    ("*", "(SELECT 1, 2)", "sub-select returns 2 columns|row value misused"),
    ("*", "1 ORDER BY 1", "syntax error"),
    ("*", "1 UNION SELECT 1", "syntax error"),
    ("*", "1 FROM item", "syntax error"),
    ("*", "?", "a parameter can't be part of an expression"),
    ("*", ":x", "a parameter can't be part of an expression"),
    ("*", "count(*)", "misuse of aggregate"),
    ("item.create", "sum(NEW.price) > 1", "misuse of aggregate"),
    ("item.create", "row_number() OVER ()", "misuse of window function"),
    ("*", "'" + "x" * 10000 + "'", "is 10002 bytes long, expected at most 10000"),
    # what is not there
    ("item.create", "NEW.colour = 'red'", r"no such column: NEW.colour \(in item.create, insert of table item\)"),
    ("item.update", "OLD.price < 1", r"no such column: OLD.price \(in item.update, update of table item, whose watch keeps no OLD: option old\)"),
    ("item.*", "OLD.price < 1", r"no such column: OLD.price \(in item.update"),
    ("*", "NEW.price > 1", r"no such column: NEW.price \(in member.create, insert of table member\)"),
    ("nobody.makes.it", "NEW.price > 1", r"no such column: NEW.price \(no watch makes nobody.makes.it, so it has no NEW and no OLD\)"),
    ("nobody.makes.it", "OLD.price > 1", r"no watch makes nobody.makes.it"),
    ("*", "EXISTS (SELECT 1 FROM elsewhere)", "no such table: elsewhere"),
    ("*", "no_such_function(1)", "no such function: no_such_function"),
    ("*", "colour = \"red\"", "no such column: colour"),
    ("item.create", "price > 1", "ambiguous column name: price"),
    # what fails or does not end, whatever it reads
    ("*", f"({FOR_EVER} SELECT count(*) FROM n)", "it takes more than 1,000,000 steps"),
    ("item.create", f"NEW.id IN ({FOR_EVER} SELECT i FROM n)", "it takes more than 1,000,000 steps"),
    ("*", f"({FOR_EVER} SELECT sum(length(hex(zeroblob(500000 + i % 2))) + length(hex(zeroblob(500000)))) FROM n)",
     "it takes more than 2 seconds of the processor"),
    ("*", "'a' LIKE '%' || replace(hex(zeroblob(50)), '0', 'a')", "LIKE or GLOB pattern too complex"),
    ("*", "'a' GLOB '*' || replace(hex(zeroblob(50)), '0', '[a-z]')", "LIKE or GLOB pattern too complex"),
    ("*", "randomblob(1e9)", "string or blob too big"),
    ("*", "zeroblob(2000000)", "string or blob too big"),
    ("*", "length(replace(hex(zeroblob(2e8)), '0', 'xxxxxxxxxx'))", "string or blob too big"),
    ("*", "payload ->> '$['", "JSON path error|bad JSON path"),
    ("*", "abs(-9223372036854775807 - 1)", "integer overflow"),
]


@pytest.mark.parametrize("event, text, why", BAD)
def test_it_is_refused(db, event, text, why):
    before = state(db)
    with pytest.raises(sqlite3.OperationalError) as error:
        subscribe(db, event, text)
    assert re.match("resthook_subscribe: option filter is ", str(error.value))
    assert re.search(why, str(error.value)), error.value
    assert state(db) == before
    sub = subscribe(db, event, "1")
    before = state(db)
    with pytest.raises(sqlite3.OperationalError, match="resthook_update: option filter is"):
        db.execute("SELECT resthook_update(?, ?)", (sub, json.dumps({"filter": text, "timeout": 9})))
    assert state(db) == before


# What somebody may try who is allowed to name a filter and nothing else.
ATTEMPTS = [
    "ATTACH 'x.db' AS x",
    "(ATTACH 'x.db' AS x)",
    "DETACH main",
    "PRAGMA writable_schema = 1",
    "(PRAGMA user_version)",
    "(DELETE FROM item RETURNING 1)",
    "(INSERT INTO item VALUES (1) RETURNING 1)",
    "(UPDATE item SET id = 1 RETURNING 1)",
    "(DROP TABLE item)",
    "(VACUUM)",
    "(BEGIN)",
    "(WITH x AS (DELETE FROM item RETURNING id) SELECT * FROM x)",
    "(VALUES (1)) ; --",
    "load_extension('/tmp/x')",
    "readfile('/etc/passwd') IS NULL",
    "writefile('/tmp/x', 'y')",
    "edit('x')",
    "eval('DELETE FROM item')",
    "fts3_tokenizer('simple')",
    "lsmode('x')",
    "resthook_secret('sub_x') > ''",
    "resthook_unsubscribe('sub_x')",
    "resthook_emit('a.b', '{}')",
    "resthook_set('timeout', 1)",
    "RAISE(ABORT, 'x')",
    "(SELECT secret FROM resthook_subscription) > ''",
    "(SELECT count(*) FROM main.resthook_subscription)",
    "(SELECT count(*) FROM \"RESTHOOK_Subscription\")",
    "(SELECT count(*) FROM (SELECT * FROM resthook_subscription))",
    "(SELECT count(*) FROM resthook_subscriptions)",
    "(SELECT count(*) FROM resthook_outbox)",
    "(SELECT count(*) FROM resthook_deliveries)",
    "(SELECT value FROM resthook_meta WHERE name = 'token') > ''",
    "1 IN resthook_subscription",
    "'x' IN (TABLE resthook_subscription)",
    "(SELECT secret FROM secrets) > ''",
    "(SELECT count(*) FROM counted) > 0",
    "(SELECT count(*) FROM nested) > 0",
    "(SELECT count(*) FROM shown WHERE shown MATCH 'whsec*') > 0",
    "(SELECT secret FROM tabbed) > ''",
    "(SELECT secret FROM older) > ''",
    "(SELECT optimize(plain) FROM plain)",
    "json_patch('{}', '{}') = '{}'",
    "(SELECT count(*) FROM sqlite_master)",
    "(SELECT count(*) FROM sqlite_schema)",
    "(SELECT sql FROM sqlite_temp_master) > ''",
    "(SELECT count(*) FROM temp.sqlite_temp_schema)",
    "(SELECT count(*) FROM sqlite_sequence)",
    "(SELECT count(*) FROM sqlite_dbpage)",
    "(SELECT count(*) FROM dbstat)",
    "(SELECT count(*) FROM pragma_table_info('resthook_subscription'))",
    "(SELECT count(*) FROM pragma_database_list)",
    "(SELECT count(*) FROM pragma_function_list)",
    "(SELECT * FROM pragma_journal_mode)",
    "(SELECT count(*) FROM pragma_wal_checkpoint)",
    "(SELECT count(*) FROM fsdir('/'))",
    "(SELECT count(*) FROM zipfile('x'))",
    "(SELECT count(*) FROM bytecode('SELECT 1'))",
    "(SELECT count(*) FROM tables_used('SELECT 1'))",
    "(SELECT count(*) FROM completion('S'))",
    "(SELECT count(*) FROM aside.item)",
    "1) FROM NEW, (SELECT secret FROM resthook_subscription",
    "1)) UNION SELECT 1 FROM resthook_subscription --",
    "1 /*",
    "1 --\n)\n OR (SELECT 1 FROM resthook_subscription",
    "\"\") OR (1",
    "$x(1) OR 1",
    "@x",
    "#1",
    "NEW.id = 1 LIMIT 1",
    "NEW.id COLLATE nosuch = 1",
]


@pytest.mark.parametrize("text", ATTEMPTS)
def test_an_attempt_to_reach_further(db, text, tmp_path):
    db.executescript(f"""
        CREATE VIEW secrets AS SELECT id, secret FROM resthook_subscription;
        CREATE VIEW counted AS SELECT (SELECT count(*) FROM resthook_subscription) AS n;
        CREATE VIEW nested AS SELECT * FROM secrets;
        CREATE VIRTUAL TABLE shown USING fts5(secret, content='resthook_subscription');
        CREATE VIRTUAL TABLE tabbed USING fts5(secret, \x0bcontent='resthook_subscription');
        CREATE VIRTUAL TABLE older USING fts4(secret, \x0bcontent='resthook_subscription');
        CREATE VIRTUAL TABLE plain USING fts4(a);
        ATTACH '{tmp_path / "aside.db"}' AS aside; CREATE TABLE aside.item(a);
        CREATE TEMP TABLE item_of_mine(a);
        SELECT resthook_subscribe('a.b', 'https://example.org/secret');
    """)
    before = state(db)
    with pytest.raises(sqlite3.OperationalError, match="resthook_subscribe: option filter is"):
        subscribe(db, "item.create", text)
    assert state(db) == before


def test_no_error_shows_a_secret(db):
    subscribe(db, "item.create", "1")
    secret = db.execute("SELECT secret FROM resthook_subscription").fetchone()[0]
    with pytest.raises(sqlite3.OperationalError) as error:
        subscribe(db, "item.create", f"'{secret}' = (SELECT secret FROM resthook_subscription)")
    assert secret not in str(error.value)


def test_another_type(db):
    with pytest.raises(sqlite3.OperationalError, match="option filter is 1, expected a text"):
        db.execute("SELECT resthook_subscribe('*', 'https://example.org/', '{\"filter\": 1}')")


def test_it_is_checked_with_what_the_transaction_has_made(db):
    db.executescript("""BEGIN; CREATE TABLE fresh(id INTEGER PRIMARY KEY, colour);
                        SELECT resthook_watch('fresh', 'insert', 'fresh.create');""")
    sub = subscribe(db, "fresh.create", "NEW.colour = 'red' AND (SELECT count(*) FROM fresh) > 1")
    assert stored(db, sub)
    db.execute("ROLLBACK")
    assert db.execute("SELECT count(*) FROM resthook_subscription").fetchone() == (0,)


def test_a_host_with_an_authorizer_of_its_own_keeps_it(db):
    asked = []

    def authorizer(action, *names):
        asked.append(action)
        return sqlite3.SQLITE_OK

    db.set_authorizer(authorizer)
    subscribe(db, "item.create", "NEW.price > 10")
    del asked[:]
    db.execute("SELECT count(*) FROM item").fetchall()
    assert asked


def test_no_row_of_the_application_is_read_when_it_is_set(db):
    """It is tried where all tables are empty: one that would take long with the rows there is taken at once."""
    db.executescript(f"INSERT INTO item(name) {FOR_EVER.replace('FROM n)', 'FROM n LIMIT 3000)')} SELECT i FROM n")
    subscribe(db, "item.create", "(SELECT count(*) FROM item AS a, item AS b, item AS c) > 0")


def test_a_table_whose_virtual_columns_need_a_function_of_the_application(db):
    db.create_function("mine", 1, lambda x: x, deterministic=True)
    db.executescript("""CREATE TABLE t(id INTEGER PRIMARY KEY, a, m AS (mine(a)));
                        SELECT resthook_watch('t', 'insert', 't.create', '{"fields": {"id": "NEW.id"}}');""")
    subscribe(db, "t.create", "NEW.a = 1")
    with pytest.raises(sqlite3.OperationalError, match="no such column: NEW.m"):
        subscribe(db, "t.create", "NEW.m = 1")
