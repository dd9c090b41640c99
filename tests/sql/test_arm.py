"""A watch that nobody is interested in is disarmed: its trigger stands on the table, and no statement pays for it. Who
subscribes arms it, in the same transaction.
"""

import sqlite3

import pytest

from test_watch import TARGET, db  # noqa: F401 (db is a fixture)

ITEM = "CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)"
NOBODY = 'AFTER UPDATE OF "nobody subscribed" ON'


def triggers(db):
    """What each watch's trigger waits for, by its event."""
    rows = db.admin.execute("SELECT w.event, m.sql FROM resthook_watches AS w JOIN sqlite_master AS m ON m.name = w.trigger_name"
                            " ORDER BY w.id").fetchall()
    return {event: sql.partition('" ')[2].partition(" ON ")[0] for event, sql in rows}


def watched(db):
    db.write(ITEM)
    db.watch("t", "insert", "t.create", record="subscribed")
    db.watch("t", "update of b, a", "t.update", record="subscribed")
    db.watch("t", "delete", "t.delete", record="subscribed")
    db.watch("t", "delete", "kept.always")


def subscribe(db, event, target=TARGET):
    return db.ask("SELECT resthook_subscribe(?, ?)", event, target)


ASLEEP = 'AFTER UPDATE OF "nobody subscribed"'


def test_armed_while_somebody_is_subscribed(db):
    watched(db)
    of = 'AFTER UPDATE OF "b","a"'  # always: its text alone follows these names
    asleep = {"t.create": ASLEEP, "t.update": of, "t.delete": ASLEEP, "kept.always": "AFTER DELETE"}
    assert triggers(db) == asleep
    one = subscribe(db, "t.create")
    assert triggers(db) == {**asleep, "t.create": "AFTER INSERT"}
    two = subscribe(db, "t.*")
    awake = {"t.create": "AFTER INSERT", "t.update": of, "t.delete": "AFTER DELETE", "kept.always": "AFTER DELETE"}
    assert triggers(db) == awake
    db.ask("SELECT resthook_pause(?)", two)
    assert triggers(db) == awake, "who pauses has his events kept"
    db.ask("SELECT resthook_unsubscribe(?)", two)
    assert triggers(db) == awake and db.ask("SELECT resthook_repair()") == 0, "that it is armed is no mistake"
    assert triggers(db) == {**asleep, "t.create": "AFTER INSERT"}, "who makes triggers disarms, as the dispatcher does"
    db.ask("SELECT resthook_unsubscribe(?)", one)
    db.ask("SELECT resthook_init()")
    assert triggers(db) == asleep
    subscribe(db, "*")
    assert triggers(db) == awake
    db.watch("t", "insert", "t.again", record="subscribed")
    assert triggers(db) == {**awake, "t.again": "AFTER INSERT"}, "a watch made later"
    assert db.ask("SELECT resthook_repair()") == 0


def program(db, sql):
    """As a new connection compiles it: an EXPLAIN does not look whether the schema moved."""
    fresh = sqlite3.connect(db.path)
    rows = fresh.execute("EXPLAIN " + sql).fetchall()
    fresh.close()
    return [row[1:4] for row in rows]


@pytest.mark.parametrize("sql", ["INSERT INTO t VALUES (1, 2, 3)", "UPDATE t SET a = 1, b = 2", "DELETE FROM t",
                                 "REPLACE INTO t VALUES (1, 2, 3)"])
def test_a_statement_is_the_program_that_it_is_without_a_watch(db, sql):
    """What it costs that nobody wants: nothing."""
    db.write(ITEM)
    plain = program(db, sql)
    db.watch("t", "insert", "t.create", record="subscribed")
    db.watch("t", "update", "t.update", record="subscribed")
    db.watch("t", "delete", "t.delete", record="subscribed")
    assert program(db, sql) == plain
    subscribe(db, "t.*")
    assert program(db, sql) != plain


def test_a_writer_that_prepared_its_statement_before(db):
    """It has it compiled anew by itself, from the subscription's commit on, and at the end too."""
    watched(db)
    add = "INSERT INTO t(a, b) VALUES (?, ?)"
    for step in range(3):
        db.write(add, "nobody", step)
    id = subscribe(db, "t.create")
    db.write(add, "somebody", 1)
    db.ask("SELECT resthook_unsubscribe(?)", id)
    db.write(add, "nobody", 3)
    db.ask("SELECT resthook_repair()")
    db.write(add, "nobody", 4)
    subscribe(db, "t.create")
    db.write(add, "somebody", 2)
    assert db.payloads() == [{"id": 4, "a": "somebody", "b": 1}, {"id": 7, "a": "somebody", "b": 2}]


def test_in_the_subscribers_transaction(db):
    watched(db)
    before = db.image()
    db.admin.execute("BEGIN")
    db.admin.execute("INSERT INTO t VALUES (1, 'before', 0)")
    subscribe(db, "t.create")
    db.admin.execute("INSERT INTO t VALUES (2, 'after', 0)")
    assert db.payloads() == [{"id": 2, "a": "after", "b": 0}]
    db.admin.execute("ROLLBACK")
    db.seen = 0
    assert db.image() == before
    db.write("INSERT INTO t VALUES (3, 'c', 0)")
    assert db.payloads() == []


def test_within_a_statement_that_reads_the_table(db):
    watched(db)
    db.write("INSERT INTO t VALUES (1, 'a', 0), (2, 'b', 0), (3, 'c', 0)")
    db.admin.execute("SELECT resthook_subscribe('t.create', 'https://example.org/' || id) FROM t").fetchall()
    assert triggers(db)["t.create"] == "AFTER INSERT" and triggers(db)["t.delete"] == ASLEEP
    db.write("INSERT INTO t VALUES (30, 'd', 0)")
    assert db.payloads() == [{"id": 30, "a": "d", "b": 0}]


@pytest.mark.parametrize("call", ["subscribe('t.create', 'https://example.org/' || id)", "watch('t', 'insert', 'other')",
                                  "unwatch('t')", "repair()", "init()"])
def test_within_a_statement_that_writes(db, call):
    """SQLite takes a failed statement's triggers back on the disk and not in the connection, which then writes past an
    index that somebody else made. So there none is made."""
    watched(db)
    db.write("CREATE TABLE s(id INTEGER PRIMARY KEY, x)")
    db.write("INSERT INTO s VALUES (1, 0), (2, 0)")
    before = db.image()
    name = call.partition("(")[0]
    for sql in (f"INSERT INTO s SELECT id + 10, resthook_{call} FROM s", f"UPDATE s SET x = resthook_{call}"):
        with pytest.raises(sqlite3.OperationalError, match=f"^resthook_{name}: it can't be called inside a statement that writes$"):
            db.admin.execute(sql).fetchall()
    assert db.image() == before
    for n in range(2):
        db.write(f"CREATE INDEX i{n} ON t(a)")
    db.admin.execute("INSERT INTO t VALUES (1, 2, 3)")
    assert db.ask("PRAGMA integrity_check") == "ok"


def test_within_a_statement_that_writes_what_is_armed_already(db):
    watched(db)
    db.write("CREATE TABLE s(id INTEGER PRIMARY KEY, x)")
    db.write("INSERT INTO s VALUES (1, 0), (2, 0)")
    subscribe(db, "t.*")
    db.admin.execute("UPDATE s SET x = resthook_subscribe('t.create', 'https://example.org/' || id)").fetchall()
    db.admin.execute("UPDATE s SET x = resthook_unsubscribe(x)").fetchall()
    assert db.ask("SELECT count(*) FROM resthook_subscriptions WHERE status = 'ended'") == 2


def test_what_a_migration_did_meanwhile(db):
    """What is renamed is renamed in it; what is dropped passes."""
    watched(db)
    for sql in ("ALTER TABLE t RENAME TO thing", "ALTER TABLE thing RENAME COLUMN b TO \"b of it\"",
                "ALTER TABLE thing ADD COLUMN c", "ALTER TABLE thing DROP COLUMN a"):
        db.write(sql)
    subscribe(db, "t.*")
    assert triggers(db) == {"t.create": "AFTER INSERT", "t.update": 'AFTER UPDATE OF "b of it","a"',
                            "t.delete": "AFTER DELETE", "kept.always": "AFTER DELETE"}
    db.write("INSERT INTO thing VALUES (1, 2, 3)")
    db.write("UPDATE thing SET c = 4")
    db.write('UPDATE thing SET "b of it" = 5')
    assert db.ask("SELECT group_concat(table_name) FROM resthook_watches") == "thing,thing,thing,thing"
    assert [list(row) for row in db.payloads()] == [["id", "a", "b"]] * 2, "as it was captured before a repair"
    assert db.ask("SELECT resthook_repair()") == 4
    assert triggers(db)["t.update"] == 'AFTER UPDATE OF "b of it","a"'
    db.write('UPDATE thing SET "b of it" = 6')
    assert db.payloads() == [{"id": 1, "b of it": 6, "c": 4}]


def test_a_repair_leaves_disarmed_what_nobody_wants(db):
    watched(db)
    db.write("DROP TABLE t")
    db.write("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c)")
    assert db.ask("SELECT resthook_repair()") == 4
    assert triggers(db) == {"t.create": ASLEEP, "t.update": 'AFTER UPDATE OF "b","a"', "t.delete": ASLEEP,
                            "kept.always": "AFTER DELETE"}
    assert db.ask("SELECT resthook_repair()") == 0


def wrong(db):
    return dict(db.admin.execute("SELECT name, value FROM resthook_status WHERE name LIKE 'watch %'").fetchall())


def test_a_subscription_written_by_hand(db):
    """It arms nothing; that is said, and mended by any of the functions."""
    watched(db)
    columns = "(id, event, target, from_id, created_at, updated_at, secret)"
    hand = f"INSERT INTO resthook_subscription{columns} VALUES ('sub_hand', 't.create', '{TARGET}', 0, 0, 0, 'whsec_AAAA')"
    db.write(hand)
    assert wrong(db) == {"watch resthook_watch_1": "it is disarmed although somebody is subscribed: resthook_repair() arms it"}
    assert db.ask("SELECT resthook_repair()") == 1 and wrong(db) == {}
    db.write("INSERT INTO t VALUES (1, 2, 3)")
    assert db.payloads() == [{"id": 1, "a": 2, "b": 3}]
    db.write("UPDATE resthook_subscription SET to_id = 1, status = 'ended'")
    assert triggers(db)["t.create"] == "AFTER INSERT"
    db.write("INSERT INTO t VALUES (2, 2, 3)")
    assert db.payloads() == [], "its guard stops it"
    assert db.ask("SELECT resthook_repair()") == 0 and triggers(db)["t.create"] == ASLEEP
    db.write(hand.replace("sub_hand", "sub_other"))
    subscribe(db, "another.event")
    assert triggers(db)["t.create"] == "AFTER INSERT" and wrong(db) == {}


def test_a_column_of_that_name(db):
    """Nobody has one. A table that has is never disarmed."""
    db.write('CREATE TABLE t(id INTEGER PRIMARY KEY, "Nobody subscribed")')
    db.watch("t", "insert", "t.create", record="subscribed")
    db.watch("t", 'update of "nobody subscribed"', "t.update", record="subscribed")
    assert triggers(db) == {"t.create": "AFTER INSERT", "t.update": 'AFTER UPDATE OF "Nobody subscribed"'}
    db.write("INSERT INTO t VALUES (1, 1)")
    db.write('UPDATE t SET "nobody subscribed" = 2')
    assert db.payloads() == []
    subscribe(db, "t.*")
    db.write('ALTER TABLE t RENAME COLUMN "nobody subscribed" TO x')
    db.write("UPDATE t SET x = 3")
    db.write("INSERT INTO t VALUES (2, 2)")
    assert len(db.payloads()) == 2 and wrong(db) != {}, "under the old name until a repair"
    assert db.ask("SELECT resthook_repair()") == 2 and wrong(db) == {} and db.ask("SELECT resthook_repair()") == 0
    db.write('ALTER TABLE t RENAME COLUMN x TO "nobody subscribed"')
    assert db.ask("SELECT resthook_repair()") == 2 and db.ask("SELECT resthook_repair()") == 0
    db.write('UPDATE t SET "nobody subscribed" = 4')
    assert db.payloads() == [{"id": 1, "nobody subscribed": 4}, {"id": 2, "nobody subscribed": 4}]


def test_more_than_a_hundred_watches_stay_armed(db):
    """Each trigger that is made has SQLite read the whole schema."""
    db.write(ITEM)
    for i in range(100):
        db.watch("t", "insert", f"t.e{i}", record="subscribed")
    assert set(triggers(db).values()) == {ASLEEP}
    db.watch("t", "insert", "t.more", record="subscribed")
    assert triggers(db)["t.more"] == "AFTER INSERT"
    subscribe(db, "t.e5")
    assert set(triggers(db).values()) == {"AFTER INSERT"}
    db.write("INSERT INTO t VALUES (1, 2, 3)")
    assert db.count() == 1


def test_a_damaged_watch_of_another_event(db):
    watched(db)
    db.watch("t", "insert", "other", record="subscribed")
    one = subscribe(db, "other")
    db.write("UPDATE resthook_watch SET captured = 'x' WHERE event = 't.delete'")
    db.ask("SELECT resthook_unsubscribe(?)", one)
    assert db.ask("SELECT status FROM resthook_subscriptions") == "ended"
    subscribe(db, "no.watch")


def test_triggers_that_are_not_ours(db):
    """One that is gone stays gone until it is repaired; one that somebody changed, or that only has such a name, is left."""
    watched(db)
    db.write("DROP TRIGGER resthook_watch_1")
    db.write("DROP TRIGGER resthook_watch_2")
    db.write("CREATE TRIGGER resthook_watch_2 AFTER UPDATE ON t BEGIN SELECT 1; END")
    db.write(f'CREATE TRIGGER resthook_watch_99 {NOBODY} t BEGIN SELECT 1; END')
    subscribe(db, "t.*")
    names = dict(db.admin.execute("SELECT name, sql FROM sqlite_master WHERE name LIKE 'resthook_watch_%'").fetchall())
    assert "resthook_watch_1" not in names
    assert names["resthook_watch_2"] == "CREATE TRIGGER resthook_watch_2 AFTER UPDATE ON t BEGIN SELECT 1; END"
    assert NOBODY in names["resthook_watch_99"]
    assert triggers(db)["t.delete"] == "AFTER DELETE"
    assert db.ask("SELECT resthook_repair()") == 2
    assert triggers(db)["t.create"] == "AFTER INSERT" and triggers(db)["t.update"] == 'AFTER UPDATE OF "b","a"'


@pytest.mark.parametrize("denied", [sqlite3.SQLITE_CREATE_TRIGGER, sqlite3.SQLITE_DROP_TRIGGER])
def test_who_may_not_make_a_trigger_can_not_subscribe_first(db, denied):
    """Nothing of it is done: better than a subscriber who waits for what nobody records."""
    watched(db)
    before = db.image()
    db.admin.set_authorizer(lambda action, *_: sqlite3.SQLITE_DENY if action == denied else sqlite3.SQLITE_OK)
    with pytest.raises(sqlite3.DatabaseError, match="^resthook_subscribe: not authorized$"):
        subscribe(db, "t.create")
    db.admin.set_authorizer(None)
    assert db.image() == before
    subscribe(db, "t.create")
    db.admin.set_authorizer(lambda action, *_: sqlite3.SQLITE_DENY if action == denied else sqlite3.SQLITE_OK)
    second = subscribe(db, "t.create", TARGET + "/2")
    db.ask("SELECT resthook_unsubscribe(?)", second)
    db.admin.set_authorizer(None)


def test_with_as_many_columns_as_there_can_be(db):
    """The text of its trigger is turned as it is, whatever its size."""
    names = [f"c{i}" for i in range(600)] + ['on', '" ON "', "'; --", "/*"]
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    db.write(f"CREATE TABLE \"a \"\" ON b\"({', '.join(quoted)})")
    db.widen(len(names) + 1)
    db.watch('a " ON b', "update", "t.update", record="subscribed")
    db.watch('a " ON b', f"update of {', '.join(quoted[-4:])}", "t.four", record="subscribed")
    assert triggers(db)["t.update"] == ASLEEP
    subscribe(db, "t.update")
    db.write(f"INSERT INTO \"a \"\" ON b\"(c0, \"on\") VALUES (1, 2)")
    db.write("UPDATE \"a \"\" ON b\" SET c1 = 1")
    db.write("UPDATE \"a \"\" ON b\" SET \"on\" = 1")
    first, row = db.payloads()
    assert first["c1"] == 1 and (row["c0"], row["on"]) == (1, 1) and len(row) == 604
    assert db.ask("SELECT resthook_repair()") == 0
