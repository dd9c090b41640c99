"""Migrations of watched tables: none fails because of a hook, and the dispatcher puts back what they took."""

import json

import pytest

REBUILD = """
BEGIN;
CREATE TABLE "new__item"(id INTEGER PRIMARY KEY, name, price REAL DEFAULT 0);
INSERT INTO "new__item"(id, name) SELECT id, name FROM item;
DROP TABLE item;
ALTER TABLE "new__item" RENAME TO item;
{last}
COMMIT;
"""
# How the tools rebuild a table that SQLite can't alter, as their SQL logs show it; TABLE is the table.
STYLES = {
    "django": """
        PRAGMA foreign_keys = OFF; BEGIN;
        CREATE TABLE "new__TABLE" ("id" integer NOT NULL PRIMARY KEY, "name" text NULL, "price" real NULL);
        INSERT INTO "new__TABLE" ("id", "name", "price") SELECT "id", "name", NULL FROM "TABLE";
        DROP TABLE "TABLE"; ALTER TABLE "new__TABLE" RENAME TO "TABLE";
        COMMIT; PRAGMA foreign_keys = ON; PRAGMA foreign_key_check;
    """,
    "alembic": """
        BEGIN;
        CREATE TABLE _alembic_tmp_TABLE (id INTEGER NOT NULL, name VARCHAR, price FLOAT, PRIMARY KEY (id));
        INSERT INTO _alembic_tmp_TABLE (id, name) SELECT TABLE.id, TABLE.name FROM TABLE;
        DROP TABLE TABLE; ALTER TABLE _alembic_tmp_TABLE RENAME TO TABLE;
        COMMIT;
    """,
    "rails": """
        PRAGMA defer_foreign_keys = ON; PRAGMA foreign_keys = OFF; BEGIN;
        CREATE TEMPORARY TABLE "aTABLE" ("id" integer NOT NULL PRIMARY KEY, "name" text);
        INSERT INTO "aTABLE" ("id", "name") SELECT "id", "name" FROM "TABLE"; DROP TABLE "TABLE";
        CREATE TABLE "TABLE" ("id" integer NOT NULL PRIMARY KEY, "name" text, "price" real);
        INSERT INTO "TABLE" ("id", "name") SELECT "id", "name" FROM "aTABLE"; DROP TABLE "aTABLE";
        COMMIT;
    """,
    "prisma": """
        PRAGMA foreign_keys=OFF;
        CREATE TABLE "new_TABLE" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "name" TEXT, "price" REAL);
        INSERT INTO "new_TABLE" ("id", "name") SELECT "id", "name" FROM "TABLE";
        DROP TABLE "TABLE"; ALTER TABLE "new_TABLE" RENAME TO "TABLE";
        PRAGMA foreign_key_check; PRAGMA foreign_keys=ON;
    """,
    "the other way round": """
        BEGIN; ALTER TABLE TABLE RENAME TO old_TABLE;
        CREATE TABLE TABLE(id INTEGER PRIMARY KEY, name, price);
        INSERT INTO TABLE(id, name) SELECT id, name FROM old_TABLE; DROP TABLE old_TABLE; COMMIT;
    """,
}


def triggers(db):
    return db.shell("SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'item'"
                    " AND name LIKE 'resthook_watch_%'")


def payloads(receiver):
    return [request.json() for request in receiver.received("/")]


def gaps(db):
    return db.journal("SELECT event, table_name, to_at - from_at FROM gap")


def test_a_rebuilt_table_gets_its_trigger_back(db, receiver, dispatcher, eventually):
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    db.shell("INSERT INTO item VALUES (1, 'a');")
    receiver.wait_for(1)
    db.shell(REBUILD.format(last=""))
    running.wait_log("triggers repaired")
    assert triggers(db) == "1"
    db.shell("INSERT INTO item VALUES (2, 'b', 9.5);")
    receiver.wait_for(2)
    assert payloads(receiver) == [{"id": 1, "name": "a"}, {"id": 2, "name": "b", "price": 9.5}], \
        "copying the rows is no event, and the new column is there"
    (event, table, length), = gaps(db)
    assert (event, table) == ("item.create", "item") and 0 <= length < 60000
    running.stop()
    again = dispatcher(db)
    db.shell("INSERT INTO item VALUES (3, 'c', 1);")
    receiver.wait_for(3)
    assert "made again" not in again.text() and len(gaps(db)) == 1


def test_a_migration_that_repairs_leaves_no_gap(db, receiver, dispatcher, eventually):
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    connection = db.connect()
    connection.executescript(REBUILD.format(last="SELECT resthook_repair(); INSERT INTO item VALUES (2, 'b', 1);"))
    receiver.wait_for(1)
    assert payloads(receiver) == [{"id": 2, "name": "b", "price": 1.0}]
    db.shell("INSERT INTO item VALUES (3, 'c', 1);")
    receiver.wait_for(2)
    connection.close()
    running.stop()
    assert gaps(db) == [] and "missing" not in running.text()


def test_a_migration_while_nobody_dispatches(db, receiver, dispatcher, eventually):
    db.subscribe("*", receiver.url("/"))
    dispatcher(db).stop()
    db.shell(REBUILD.format(last=""))
    db.shell("INSERT INTO item VALUES (1, 'missed', 1);")
    running = dispatcher(db)
    running.wait_log("triggers repaired")
    db.shell("INSERT INTO item VALUES (2, 'heard', 1);")
    receiver.wait_for(1)
    assert [payload["id"] for payload in payloads(receiver)] == [2]
    assert len(gaps(db)) == 1


def test_a_subscription_written_by_hand_arms_its_watch(db, receiver, dispatcher, eventually):
    """Past the functions, as who copies a table's rows from another file does."""
    dispatcher(db).stop()
    armed = "SELECT count(*) FROM sqlite_master WHERE name = 'resthook_watch_1' AND sql LIKE '%AFTER INSERT ON%'"
    running = dispatcher(db)
    assert db.shell(armed) == "0"
    db.shell("INSERT INTO resthook_subscription(id, event, target, secret, from_id, created_at, updated_at)"
             f" VALUES ('sub_hand', 'item.create', '{receiver.url('/')}', 'whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX', 0, 0, 0);"
             "INSERT INTO item VALUES (1, 'missed');")
    running.wait_log("triggers repaired")
    db.shell("INSERT INTO item VALUES (2, 'heard');")
    receiver.wait_for(1)
    assert payloads(receiver) == [{"id": 2, "name": "heard"}]
    assert [row[:2] for row in gaps(db)] == [("item.create", "item")]
    running.stop()
    # Nothing is looked for again that is in order.
    db.shell("UPDATE resthook_subscription SET description = 'x';")
    again = dispatcher(db)
    db.shell("INSERT INTO item VALUES (3, 'heard');")
    receiver.wait_for(2)
    assert db.shell("SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'resthook_watch_%'") == "1"
    assert "repaired" not in again.text()


def test_a_watch_is_disarmed_when_a_410_ended_its_last_subscription(db, receiver, dispatcher, eventually):
    """By the dispatcher, since no function was called; and armed again by the next subscriber."""
    receiver.script("/gone", 410)
    db.subscribe("item.*", receiver.url("/gone"))
    db.subscribe("item.create", receiver.url("/"))
    running = dispatcher(db)
    armed = "SELECT sql LIKE '%AFTER INSERT ON%' FROM sqlite_master WHERE name = 'resthook_watch_1'"
    db.shell("INSERT INTO item VALUES (1, 'a');")
    receiver.wait_for(2)
    status = "SELECT status FROM resthook_subscriptions ORDER BY created_at, event DESC"
    eventually(lambda: sorted(db.shell(status).split()) == ["active", "ended"])
    assert db.shell(armed) == "1", "somebody is left"
    receiver.script("/", 410)
    db.shell("INSERT INTO item VALUES (2, 'b');")
    eventually(lambda: db.shell(armed) == "0")
    running.wait_log("triggers repaired")
    receiver.script("/", 200)
    db.subscribe("item.create", receiver.url("/"))
    assert db.shell(armed) == "1"
    db.shell("INSERT INTO item VALUES (3, 'c');")
    receiver.wait_for(4)
    assert payloads(receiver)[-1] == {"id": 3, "name": "c"} and gaps(db) == []


@pytest.mark.parametrize("change, insert, expected", [
    ("ALTER TABLE item ADD COLUMN price", "INSERT INTO item VALUES (2, 'b', 7)", {"id": 2, "name": "b", "price": 7}),
    ("ALTER TABLE item RENAME COLUMN name TO title", "INSERT INTO item VALUES (2, 'b')", {"id": 2, "title": "b"}),
    ("ALTER TABLE item DROP COLUMN name", "INSERT INTO item VALUES (2)", {"id": 2}),
    ("ALTER TABLE item RENAME TO thing", "INSERT INTO thing VALUES (2, 'b')", {"id": 2, "name": "b"}),
])
def test_a_changed_table_is_captured_as_it_is(db, receiver, dispatcher, eventually, change, insert, expected):
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    db.shell("INSERT INTO item VALUES (1, 'a');")
    receiver.wait_for(1)
    db.shell(f"{change};")
    running.wait_log("triggers repaired")
    db.shell(f"{insert};")
    receiver.wait_for(2)
    assert payloads(receiver)[1] == expected
    assert gaps(db) == [], "its trigger worked all the time"


def test_a_dropped_table_is_reported_once_and_comes_back(db, receiver, dispatcher, eventually):
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    db.shell("DROP TABLE item;")
    running.wait_log("table is gone")
    db.shell("CREATE TABLE item(id INTEGER PRIMARY KEY, label);")
    running.wait_log("triggers repaired")
    db.shell("INSERT INTO item VALUES (1, 'x');")
    receiver.wait_for(1)
    assert payloads(receiver) == [{"id": 1, "label": "x"}]


def test_expressions_that_no_longer_compile_hold_their_events(db, receiver, dispatcher, eventually):
    """The column that `fields` names is gone, and so is the trigger: rows are captured all the same, and held."""
    db.subscribe("*", receiver.url("/"))
    db.ext("SELECT resthook_unwatch('item')")
    db.ext("SELECT resthook_watch('item', 'insert', 'item.create', ?)", json.dumps({"fields": {"n": "NEW.name"}}))
    running = dispatcher(db)
    db.shell("BEGIN; CREATE TABLE i2(id INTEGER PRIMARY KEY, title); DROP TABLE item; ALTER TABLE i2 RENAME TO item;"
             " COMMIT;")
    running.wait_log("triggers repaired")
    db.shell("INSERT INTO item VALUES (1, 'kept');")
    eventually(lambda: db.journal("SELECT count(*) FROM resthook_deliveries WHERE state = 'held'") == [(1,)])
    db.ext("SELECT resthook_watch('item', 'insert', 'item.create', ?)", json.dumps({"fields": {"n": "NEW.title"}}))
    db.shell("INSERT INTO item VALUES (2, 'new');")
    receiver.wait_for(2)
    assert sorted(payload["n"] for payload in payloads(receiver)) == ["kept", "new"]


@pytest.mark.parametrize("runs", [True, False], ids=["dispatcher runs", "nobody dispatches"])
@pytest.mark.parametrize("style", STYLES)
def test_the_tools_rebuild_what_is_watched_and_what_is_looked_up(db, receiver, dispatcher, style, runs):
    """item is watched, and its payload looks up owner. Both are rebuilt, with rows in them, and nothing fails."""
    db.shell("CREATE TABLE owner(id INTEGER PRIMARY KEY, name); INSERT INTO owner VALUES (1, 'Ada'), (2, 'Bob');")
    db.ext("SELECT resthook_unwatch('item')")
    db.ext("SELECT resthook_watch('item', 'insert', 'item.create', ?)", json.dumps({"fields": {
        "id": "NEW.id", "owner": "(SELECT name FROM owner WHERE id = NEW.name)"}}))
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    db.shell("INSERT INTO item VALUES (1, 1);")
    receiver.wait_for(1)
    if not runs:
        running.stop()
    for table in ("owner", "item"):
        db.shell(STYLES[style].replace("TABLE", "\0").replace("CREATE \0", "CREATE TABLE").replace("DROP \0", "DROP TABLE")
                 .replace("ALTER \0", "ALTER TABLE").replace("TEMPORARY \0", "TEMPORARY TABLE").replace("\0", table))
    if not runs:
        running = dispatcher(db)
    running.wait_log("triggers repaired")
    db.shell("INSERT INTO item(id, name) VALUES (2, 2);")
    receiver.wait_for(2)
    assert payloads(receiver) == [{"id": 1, "owner": "Ada"}, {"id": 2, "owner": "Bob"}]
    assert db.shell("SELECT group_concat(id || name) FROM owner") == "1Ada,2Bob"
    assert db.shell("PRAGMA integrity_check") == "ok" and triggers(db) == "1"


@pytest.mark.parametrize("runs", [True, False], ids=["dispatcher runs", "nobody dispatches"])
def test_payloads_follow_a_renamed_column(db, receiver, dispatcher, runs):
    db.ext("SELECT resthook_unwatch('item')")
    db.ext("SELECT resthook_watch('item', 'update of name', 'item.rename', ?)", json.dumps(
        {"fields": {"n": "NEW.name", "was": "OLD.name"}, "when": "NEW.name <> ''", "changed": ["name"]}))
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    db.shell("INSERT INTO item VALUES (1, 'a'); UPDATE item SET name = 'b';")
    receiver.wait_for(1)
    if not runs:
        running.stop()
    db.shell("ALTER TABLE item RENAME COLUMN name TO title; UPDATE item SET title = 'c';")
    if not runs:
        running = dispatcher(db)
    running.wait_log("triggers repaired")
    db.shell("UPDATE item SET title = 'd'; UPDATE item SET title = 'd';")
    receiver.wait_for(3)
    assert sorted(payload["n"] + payload["was"] for payload in payloads(receiver)) == ["ba", "cb", "dc"]
    assert json.loads(db.ext("SELECT options FROM resthook_watches")[0][0])["changed"] == ["title"]
    assert gaps(db) == []


@pytest.mark.parametrize("runs", [True, False], ids=["dispatcher runs", "nobody dispatches"])
@pytest.mark.parametrize("change, reason, mended", [
    ("ALTER TABLE item DROP COLUMN name", "no such column: NEW.name", "NEW.id"),
    ("DROP TABLE owner", "no such table: owner", "NEW.id"),
    ("ALTER TABLE owner RENAME TO person", "no such table: owner", "(SELECT id FROM person WHERE id = NEW.id)"),
    ("ALTER TABLE owner RENAME COLUMN name TO title", "no such column: owner.name", "(SELECT id FROM owner WHERE id = NEW.id)"),
], ids=lambda value: value if "ALTER" in value or "DROP" in value else "")
def test_what_a_migration_takes_from_an_expression_holds_its_events(db, receiver, dispatcher, eventually, runs, change,
                                                                     reason, mended):
    """Nothing fails, the trigger captures on, `when` leaves nothing out unseen, and all goes out when the watch is mended."""
    db.shell("CREATE TABLE owner(id INTEGER PRIMARY KEY, name); INSERT INTO owner VALUES (1, 'a'), (2, 'b'), (3, 'c');")
    db.ext("SELECT resthook_unwatch('item')")
    db.ext("SELECT resthook_watch('item', 'insert', 'item.create', ?)", json.dumps({
        "fields": {"n": "NEW.id"}, "when": "(SELECT owner.name FROM owner WHERE id = NEW.id) = NEW.name"}))
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    db.shell("INSERT INTO item VALUES (1, 'a');")
    receiver.wait_for(1)
    if not runs:
        running.stop()
    db.shell(f"{change}; INSERT INTO item(id) VALUES (2);")
    if not runs:
        running = dispatcher(db)
    if "item" in change:
        running.wait_log("triggers repaired")
    db.shell("INSERT INTO item(id) VALUES (3);")
    eventually(lambda: db.ext("SELECT count(*) FROM resthook_deliveries WHERE state = 'held'") == [(2,)])
    assert reason in db.ext("SELECT value FROM resthook_status WHERE name = 'held_reason'")[0][0]
    assert len(db.ext("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'item'")) == 1
    db.ext("SELECT resthook_watch('item', 'insert', 'item.create', ?)", json.dumps({"fields": {"n": mended}}))
    receiver.wait_for(3)
    assert sorted(payload["n"] for payload in payloads(receiver)) == [1, 2, 3]
    assert gaps(db) == []


def test_a_gap_is_in_the_status(db, receiver, dispatcher, eventually):
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db)
    db.shell(REBUILD.format(last=""))
    running.wait_log("triggers repaired")
    (gap,), = db.ext("SELECT value FROM resthook_status WHERE name = 'gap'")
    assert gap.endswith("item.create of item had no trigger; what was written then is possibly missed")
