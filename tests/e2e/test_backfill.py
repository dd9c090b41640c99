"""resthook_backfill: what is there already is sent as if it had just been inserted, without gap or overlap."""

import sqlite3

import pytest


def insert(db, *names):
    db.shell("".join(f"INSERT INTO item(name) VALUES ('{name}');" for name in names))


def names(receiver, path="/"):
    return sorted(r.json()["name"] for r in receiver.received(path))


def progress(db):
    return [row[0] for row in db.ext("SELECT value FROM resthook_status WHERE name = 'backfill'")]


def test_a_new_subscriber_gets_what_is_there_and_then_what_comes(db, receiver, dispatcher):
    insert(db, "a", "b", "c")
    dispatcher(db)
    connection = db.connect()
    connection.execute("BEGIN")
    sub = connection.execute("SELECT resthook_subscribe('item.create', ?)", (receiver.url("/"),)).fetchone()[0]
    assert connection.execute("SELECT resthook_backfill(?, 'item')", (sub,)).fetchone() == (3,)
    connection.execute("COMMIT")
    insert(db, "d")
    receiver.wait_for(4)
    assert names(receiver) == ["a", "b", "c", "d"]
    backfilled = min(receiver.received("/"), key=lambda request: request.json()["id"])  # several are under way at once
    assert backfilled.headers["x-event-type"] == "item.create" and backfilled.json() == {"id": 1, "name": "a"}


def test_it_is_for_that_subscription_alone(db, receiver, dispatcher):
    insert(db, "a")
    sub, _ = db.subscribe("item.*", receiver.url("/one"))
    db.subscribe("*", receiver.url("/two"))
    db.ext("SELECT resthook_backfill(?, 'item')", sub)
    insert(db, "b")
    dispatcher(db)
    receiver.wait_for(2, "/one")
    receiver.wait_for(1, "/two")
    assert names(receiver, "/one") == ["a", "b"] and names(receiver, "/two") == ["b"]


def test_what_was_sent_live_is_not_sent_twice(db, receiver, dispatcher):
    insert(db, "before")
    sub, _ = db.subscribe("item.create", receiver.url("/"))
    insert(db, "live")
    assert db.one("SELECT resthook_backfill(?, 'item')", sub) == 1
    assert db.one("SELECT resthook_backfill(?, 'item')", sub) == 0, "nor twice"
    db.ext("SELECT resthook_watch('item', 'insert', 'item.create', '{\"old\":false}')")  # another version
    assert db.one("SELECT resthook_backfill(?, 'item')", sub) == 0
    dispatcher(db)
    receiver.wait_for(2)
    insert(db, "last")
    receiver.wait_for(3)
    assert names(receiver) == ["before", "last", "live"]


def test_where_and_the_watch_choose(db, receiver, dispatcher):
    insert(db, "a", "b", "c", "d")
    db.ext("""SELECT resthook_watch('item', 'insert', 'item.create',
              '{"fields":{"name":"upper(NEW.name)"},"when":"NEW.name <> ''c''"}')""")
    sub, _ = db.subscribe("item.create", receiver.url("/"))
    assert db.one("SELECT resthook_backfill(?, 'item', 'NEW.id > 1 AND name < ''e''')", sub) == 3
    dispatcher(db)
    receiver.wait_for(2)
    insert(db, "last")
    receiver.wait_for(3)
    assert names(receiver) == ["B", "D", "LAST"]


def test_a_row_too_large_to_capture_is_asked_as_the_trigger_asks_it(db, receiver, dispatcher):
    db.shell("CREATE TABLE file(id INTEGER PRIMARY KEY, state, body);"
             "INSERT INTO file VALUES (1, 'draft', zeroblob(2000000)), (2, 'done', zeroblob(2000000)), (3, 'done', 'x');")
    db.ext("SELECT resthook_watch('file', 'insert', 'file.create', '{\"when\":\"NEW.state = ''done''\"}')")
    sub, _ = db.subscribe("file.create", receiver.url("/"))
    assert db.one("SELECT resthook_backfill(?, 'file')", sub) == 3
    db.shell("INSERT INTO file VALUES (4, 'draft', zeroblob(2000000)), (5, 'done', zeroblob(2000000));")
    dispatcher(db)
    receiver.wait_for(3)
    assert sorted(r.json()["id"] for r in receiver.received("/")) == [2, 3, 5]


def test_it_is_spread_out_and_live_events_pass_it(db, receiver, dispatcher, eventually):
    insert(db, *"abcdefghij")
    sub, _ = db.subscribe("item.create", receiver.url("/"))
    db.ext("SELECT resthook_set('backfill_rate', 2)")
    db.ext("SELECT resthook_backfill(?, 'item')", sub)
    at = [row[0] for row in db.ext("SELECT deliver_at FROM resthook_outbox ORDER BY id")]
    assert {b - a for a, b in zip(at, at[1:])} == {500}
    insert(db, "live")
    dispatcher(db)
    receiver.wait_for(3)
    assert "live" in names(receiver) and len(receiver.received("/")) < 11
    eventually(lambda: db.journal("SELECT count(*) FROM resthook_deliveries")[0][0] == 11)
    eventually(lambda: progress(db) == [f"1 of 10 rows of item are finished for {sub}"] or len(receiver.received("/")) > 2)
    db.ext("SELECT resthook_set('backfill_rate', 0)")
    other, _ = db.subscribe("item.create", receiver.url("/other"))
    db.ext("SELECT resthook_backfill(?, 'item')", other)
    receiver.wait_for(11, "/other")
    eventually(lambda: f"11 of 11 rows of item are finished for {other}" in progress(db))
    db.ext("SELECT resthook_unsubscribe(?)", sub)
    eventually(lambda: f"10 of 10 rows of item are finished for {sub}" in progress(db))


def test_what_is_known_of_it_goes_with_its_events(db, receiver, dispatcher, eventually):
    insert(db, "a")
    sub, _ = db.subscribe("item.create", receiver.url("/"))
    db.ext("SELECT resthook_backfill(?, 'item')", sub)
    assert progress(db) == [], "no dispatcher has run yet"
    db.ext("SELECT resthook_set('keep_events', 0)")
    insert(db, *"bcd")
    dispatcher(db)
    eventually(lambda: db.shell("SELECT count(*) FROM resthook_backfill_run") == "0")


def test_it_is_undone_with_its_transaction(db):
    insert(db, "a")
    sub, _ = db.subscribe("item.create", "https://example.org/")
    connection = db.connect()
    connection.execute("BEGIN")
    assert connection.execute("SELECT resthook_backfill(?, 'item')", (sub,)).fetchone() == (1,)
    connection.execute("ROLLBACK")
    connection.close()
    assert db.shell("SELECT count(*) FROM resthook_outbox UNION ALL SELECT count(*) FROM resthook_backfill_run") == "0\n0"


def test_any_table(db, receiver, dispatcher):
    """No key, a composite one, WITHOUT ROWID, generated columns, a row that is too large, quoted names."""
    db.shell("""
        CREATE TABLE "a ""b"(x, "new" INT, v AS (x || '!'));
        CREATE TABLE pair(a, b, c, PRIMARY KEY(b, a)) WITHOUT ROWID;
        INSERT INTO "a ""b" VALUES ('x', 1), ('x', 1), (x'00ff', NULL);
        INSERT INTO pair VALUES (1, 2, 3), (2, 1, zeroblob(2000000));
    """)
    db.ext("SELECT resthook_watch('a \"b', 'insert', 'odd.create')")
    db.ext("SELECT resthook_watch('pair', 'insert', 'pair.create')")
    sub, _ = db.subscribe("*", receiver.url("/"))
    assert db.one("SELECT resthook_backfill(?, 'A \"b')", sub) == 3
    assert db.one("SELECT resthook_backfill(?, 'pair')", sub) == 2
    assert db.one("SELECT resthook_backfill(?, 'pair')", sub) == 0
    dispatcher(db)
    receiver.wait_for(5)
    bodies = [r.json() for r in sorted(receiver.received("/"), key=lambda r: int(r.id.split("_")[1]))]
    assert bodies[:2] == [{"x": "x", "new": 1, "v": "x!"}] * 2 and bodies[2]["x"] == "AP8="
    assert bodies[3] == {"b": 1, "a": 2, "truncated": True} and bodies[4] == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize("sql, error", [
    ("resthook_backfill('sub_x', 'item')", "there is no subscription 'sub_x', or it has ended"),
    ("resthook_backfill(?1, 'nothing')", "table 'nothing': no watch of its inserts makes an event"),
    ("resthook_backfill(?1, 'item', 'nosuch = 1')", "no such column: nosuch"),
    ("resthook_backfill(?1, 'item', '1) OR (1')", "where '1\\) OR \\(1'"),
    ("resthook_backfill(?1, 'item', 7)", "where"),
    ("resthook_backfill(?1, 7)", "table"),
])
def test_what_is_refused_changes_nothing(db, sql, error):
    insert(db, "a")
    sub, _ = db.subscribe("item.create", "https://example.org/")
    with pytest.raises(sqlite3.OperationalError, match="resthook_backfill: .*" + error):
        db.ext(f"SELECT {sql}", *([sub] if "?1" in sql else []))
    assert db.shell("SELECT count(*) FROM resthook_outbox") == "0"
    db.ext("SELECT resthook_unsubscribe(?)", sub)
    with pytest.raises(sqlite3.OperationalError, match="or it has ended"):
        db.ext("SELECT resthook_backfill(?, 'item')", sub)
