"""resthook_deliveries, resthook_attempts and resthook_status: what both files know, as one.

The side file is made by a real dispatcher where its ordinary content is looked at, and by hand (from sql/journal.sql)
where an odd state is. Nothing here may write: not the database, not the side file.
"""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("RESTHOOK_BUILD", "build")
sys.path.insert(0, str(ROOT / "tests/e2e"))
from receiver import Receiver  # noqa: E402

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def opened(path, **options):
    connection = sqlite3.connect(path, isolation_level=None, **options)
    connection.enable_load_extension(True)
    connection.load_extension(str(BUILD / "resthook"))
    connection.enable_load_extension(False)
    return connection


class App:
    def __init__(self, path):
        self.path = path
        self.side_path = Path(str(path) + "-resthook")
        self.db = opened(path)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.one("SELECT resthook_init()")

    def one(self, sql, *values):
        return self.db.execute(sql, values).fetchone()[0]

    def all(self, sql, *values):
        return self.db.execute(sql, values).fetchall()

    def subscribe(self, target="https://example.org/", event="*", options=None):
        return self.one("SELECT resthook_subscribe(?, ?, ?)", event, target, options)

    def emit(self, event="a.b", count=1, **options):
        return [self.one("SELECT resthook_emit(?, '{}')", event) for _ in range(count)][-1]

    def run_once(self):
        env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        done = subprocess.run([BUILD / "resthookd", "--allow", "127.0.0.0/8", "--once", self.path], env=env,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode in (0, 1), done.stderr  # 1: something is left for later

    def side(self):
        """A side file made by hand, with no more in it than its schema."""
        side = sqlite3.connect(self.side_path, isolation_level=None)
        side.execute("PRAGMA journal_mode=WAL")
        side.executescript(f"BEGIN; {(ROOT / 'sql/journal.sql').read_text()} COMMIT;")
        side.execute("INSERT OR IGNORE INTO meta VALUES ('schema', 2), ('cursor', 0)")
        return side

    def states(self):
        return dict(self.all("SELECT state, count(*) FROM resthook_deliveries GROUP BY state"))

    def status(self):
        return dict(self.all("SELECT name, value FROM resthook_status"))


@pytest.fixture
def app(tmp_path):
    made = App(tmp_path / "app.db")
    yield made
    made.db.close()


@pytest.fixture
def receiver():
    with Receiver() as started:
        yield started


DELIVERY = ("id, event_id, event, subscription_id, target, state, reason, attempts, next_attempt_at, last_status,"
            " last_error, delivered_at")


def test_before_any_dispatcher_everything_is_pending(app):
    sub = app.subscribe()
    app.subscribe(event="other.*")
    app.emit()
    assert app.all(f"SELECT {DELIVERY} FROM resthook_deliveries") == [
        (f"{sub}-1", 1, "a.b", sub, "https://example.org/", "pending", None, 0, None, None, None, None)]
    assert app.all("SELECT * FROM resthook_attempts") == []
    assert app.status()["journal"] == "none: no dispatcher has run for this database yet"
    assert app.status()["unread"] == 1 and app.status()["pending"] == 1
    assert app.status()["oldest_pending_age"] in (0, 1) and app.status()["dispatcher"] == "never ran"
    assert [app.status()[name] for name in ("retrying", "held", "dead")] == [0, 0, 0]
    assert not app.side_path.exists(), "looking makes no file"


def test_what_a_dispatcher_recorded(app, receiver):
    receiver.script("/dead", 500, 502)
    well = app.subscribe(receiver.url("/well"))
    dead = app.subscribe(receiver.url("/dead"), options='{"retry_schedule": "0,0"}')
    later = app.subscribe(receiver.url("/later"), options='{"retry_schedule": "0,1h"}')
    receiver.script("/later", 503)
    paused = app.subscribe(receiver.url("/paused"), options='{"status": "inactive"}')
    app.emit()
    app.run_once()
    rows = {row[3]: row for row in app.all(f"SELECT {DELIVERY} FROM resthook_deliveries")}
    assert set(rows) == {well, dead, later, paused}
    assert rows[well][:11] == (f"{well}-1", 1, "a.b", well, receiver.url("/well"), "delivered", None, 1, None, 200, None)
    assert re.fullmatch(TIME, rows[well][11])
    assert rows[dead][5] == "dead" and rows[dead][6] and rows[dead][7] == 2 and rows[dead][9] == 502 and rows[dead][8] is None and rows[dead][11] is None
    assert rows[later][5] == "retrying" and rows[later][9] == 503 and re.fullmatch(TIME, rows[later][8])
    assert rows[paused][5] == "pending" and rows[paused][7] == 0
    tried = app.all("SELECT delivery_id, attempt, started_at, duration_ms, status, error, response, class, dns_ms,"
                    " connect_ms, tls_ms, first_byte_ms, response_headers"
                    " FROM resthook_attempts ORDER BY delivery_id, attempt")
    side = sqlite3.connect(app.side_path)
    assert side.execute("SELECT * FROM resthook_attempts ORDER BY delivery_id, attempt").fetchall() == tried
    side.close()
    assert {(row[0], row[1], row[4]) for row in tried} == {
        (f"{well}-1", 1, 200), (f"{dead}-1", 1, 500), (f"{dead}-1", 2, 502), (f"{later}-1", 1, 503)}
    for row in tried:
        assert re.fullmatch(TIME, row[2]) and row[3] >= 0 and (row[5] is None or isinstance(row[5], str))
        assert row[7] == (None if row[4] == 200 else "status")
        assert (row[8] is None) == (row[9] is None) and row[10] is None and isinstance(row[11], float)
        assert row[12] == (None if row[4] == 200 else "content-length: 0\n")
    assert any(row[8] is not None and 0 < row[8] <= row[9] <= row[11] for row in tried)
    status = app.status()
    assert status["pending"] == 1 and status["retrying"] == 1 and status["dead"] == 1 and status["held"] == 0
    assert status["unread"] == 0 and status["cursor"] == 1 and "journal" not in status
    assert status["dispatcher"].startswith("not running since 2")
    assert re.fullmatch(TIME, status["heartbeat"]) and status["journal_mode"] == "wal"
    assert "token" not in status
    app.emit()
    assert app.status()["pending"] == 5 and app.status()["unread"] == 1


def test_a_look_at_the_status_costs_the_same_however_much_is_pending(app):
    """Counts stop; what stops is the looking, not the counting alone: by SQLite's own steps."""
    app.emit(event="nobody.wants")
    app.subscribe()
    series = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT 'a.b', '{{}}' FROM n"
    steps = []
    for more in (6_000, 30_000):
        app.db.execute("INSERT INTO resthook_outbox(event, payload) " + series.format(more))
        ticks = []
        app.db.set_progress_handler(lambda: ticks.append(1) and None, 1000)
        status = app.status()
        app.db.set_progress_handler(None, 0)
        assert status["pending"] in (4_999, 5_000) and status["oldest_pending_age"] < 60
        steps.append(len(ticks))
    assert status["unread"] == 36_001
    assert steps[0] > 10 and steps[1] <= steps[0] * 1.1, steps


def side_that_knows(app, sub):
    side = app.side()
    side.execute("INSERT INTO subscription(n, id, target) VALUES (1, ?, 'https://example.org/')", (sub,))
    side.execute("INSERT INTO event_name VALUES (1, 'a.b')")
    return side


def test_a_row_is_shown_once_while_its_event_is_above_the_cursor(app):
    sub, other = app.subscribe(), app.subscribe("https://example.org/2")
    app.emit(count=3)
    side = side_that_knows(app, sub)
    side.execute("INSERT INTO delivery(sub, event, state, name) VALUES (1, 2, 3, 1), (1, 1, 4, 1)")
    side.execute("UPDATE meta SET value = 1 WHERE name = 'cursor'")
    assert sorted(app.all("SELECT subscription_id, event_id, state FROM resthook_deliveries")) == sorted([
        (sub, 1, "dead"), (sub, 2, "delivered"), (sub, 3, "pending"), (other, 2, "pending"), (other, 3, "pending")])


def test_every_state_has_its_name(app):
    side = app.side()
    side.execute("INSERT INTO subscription(n, id, target) VALUES (1, 'sub_x', 'https://example.org/')")
    for state in range(6):
        side.execute("INSERT INTO delivery(sub, event, state, name, reason) VALUES (1, ?, ?, 1, 'why')",
                     (state + 1, state))
    side.execute("UPDATE meta SET value = 6 WHERE name = 'cursor'")
    assert app.all("SELECT event_id, state, reason FROM resthook_deliveries ORDER BY event_id") == [
        (1, "pending", "why"), (2, "retrying", "why"), (3, "held", "why"), (4, "delivered", "why"), (5, "dead", "why"),
        (6, "cancelled", "why")]
    assert {name: app.status()[name] for name in ("pending", "retrying", "held", "dead", "held_reason")} == {
        "pending": 1, "retrying": 1, "held": 1, "dead": 1, "held_reason": "why"}


def test_what_was_fetched_from_behind_a_backlog_is_counted_once(app):
    sub = app.subscribe()
    app.emit(count=3)
    side = side_that_knows(app, sub)
    side.execute("INSERT INTO delivery(sub, event, state, name, reason) VALUES (1, 1, 0, 1, NULL), (1, 3, 0, 1, 'fetched')")
    side.execute("UPDATE meta SET value = 1 WHERE name = 'cursor'")
    assert app.status()["pending"] == 3
    assert app.all("SELECT event_id, reason FROM resthook_deliveries WHERE state = 'pending' ORDER BY 1") == [
        (1, None), (2, None), (3, "fetched")]


def test_who_is_meant(app):
    every, dotted, exact, ended = (app.subscribe(f"https://example.org/{i}", event=event)
                                   for i, event in enumerate(("*", "a.*", "a.b", "a.b")))
    app.emit("a.b")
    app.one("SELECT resthook_unsubscribe(?)", ended)
    app.emit("a.b.c")
    app.emit("ab")
    app.one("SELECT resthook_ping(?)", exact)
    meant = {}
    for event, sub in app.all("SELECT event_id, subscription_id FROM resthook_deliveries"):
        meant.setdefault(event, set()).add(sub)
    assert meant == {1: {every, dotted, exact, ended}, 2: {every, dotted}, 3: {every}, 4: {exact}}


def test_an_uncommitted_event_of_its_own_connection_is_seen(app):
    app.subscribe()
    app.db.execute("BEGIN")
    app.emit()
    assert app.states() == {"pending": 1}
    app.db.execute("ROLLBACK")
    assert app.states() == {}


@pytest.fixture
def many(app):
    """3 subscriptions with 100 recorded deliveries each, every tenth dead, and 10 events above the cursor."""
    app.db.execute("BEGIN")
    subs = sorted(app.subscribe(f"https://example.org/{i}") for i in range(3))
    app.emit(count=110)
    app.db.execute("COMMIT")
    side = app.side()
    side.execute("BEGIN")
    side.execute("INSERT INTO event_name VALUES (1, 'a.b')")
    for number, sub in enumerate(subs, 1):
        side.execute("INSERT INTO subscription(n, id, target) VALUES (?, ?, 'https://example.org/')", (number, sub))
        side.executemany("INSERT INTO delivery(sub, event, state, name, attempts, started_at) VALUES (?, ?, ?, 1, 2, 5)",
                         [(number, event, 4 if event % 10 == 0 else 3) for event in range(1, 101)])
        side.executemany("INSERT INTO attempt(sub, event, attempt, started_at) VALUES (?, ?, 1, 1)",
                         [(number, event) for event in range(1, 101)])
    side.execute("UPDATE meta SET value = 100 WHERE name = 'cursor'")
    side.execute("COMMIT")
    side.close()
    app.subs = subs
    return app


@pytest.mark.parametrize("where, values, count", [
    ("1", (), 330),
    ("subscription_id = ?", (0,), 110),
    ("event_id = 7", (), 3),
    ("event_id = '7'", (), 3),
    ("event_id = 7.5", (), 0),
    ("event_id = 'x'", (), 0),
    ("event_id IS NULL", (), 0),
    ("event_id = NULL", (), 0),
    ("subscription_id = NULL", (), 0),
    ("subscription_id = 7", (), 0),
    ("subscription_id = x'00'", (), 0),
    ("event_id = 105", (), 3),
    ("id = ? || '-7'", (1,), 1),
    ("id = ? || '-105'", (1,), 1),
    ("id = ? || '-07'", (1,), 0),
    ("id = ? || '-7x'", (1,), 0),
    ("id = '-7'", (), 0),
    ("id = 7", (), 0),
    ("id = NULL", (), 0),
    ("id = upper(? || '-7') COLLATE NOCASE", (1,), 1),
    ("subscription_id = upper(?) COLLATE NOCASE", (1,), 110),
    ("subscription_id = ? AND event_id = 7", (2,), 1),
    ("subscription_id = ? AND id = ? || '-7'", (0, 1), 0),
    ("event_id = 8 AND id = ? || '-7'", (1,), 0),
    ("event_id = 7 OR event_id = 105", (), 6),
    ("event_id IN (1, 2, 105, 999)", (), 9),
    ("event_id > 95", (), 45),
    ("state = 'dead'", (), 30),
    ("state = 'delivered'", (), 270),
    ("state = 'pending'", (), 30),
    ("state = 'held'", (), 0),
    ("state = 'no such state'", (), 0),
    ("state = NULL", (), 0),
    ("state = 4", (), 0),
    ("state = 'DEAD' COLLATE NOCASE", (), 30),
    ("state IN ('dead', 'pending', 'retrying')", (), 60),
    ("state = 'pending' AND event_id = 105", (), 3),
    ("state = 'dead' AND id = ? || '-10'", (1,), 1),
    ("state = 'dead' AND id = ? || '-11'", (1,), 0),
    ("subscription_id = 'x' || printf('%.200c', 'y')", (), 0),
    ("state = 'dead' AND subscription_id IN (?, ?)", (0, 1), 20),
])
def test_a_condition_narrows_and_never_loses(many, where, values, count):
    values = [many.subs[value] for value in values]
    assert many.one(f"SELECT count(*) FROM resthook_deliveries WHERE {where}", *values) == count
    rows = many.all("SELECT id, event_id, subscription_id, state FROM resthook_deliveries")
    many.db.execute("CREATE TEMP TABLE copy(id TEXT, event_id INTEGER, subscription_id TEXT, state TEXT)")
    many.db.executemany("INSERT INTO copy VALUES (?, ?, ?, ?)", rows)
    assert many.one(f"SELECT count(*) FROM copy WHERE {where}", *values) == count, "as of an ordinary table"


def test_order_limit_and_joins(many):
    assert [row[0] for row in many.all("SELECT event_id FROM resthook_deliveries ORDER BY event_id DESC LIMIT 4")] == [
        110, 110, 110, 109]
    assert many.one("SELECT count(*) FROM resthook_deliveries AS d JOIN resthook_attempts AS a ON a.delivery_id = d.id"
                    " WHERE d.state = 'dead'") == 60
    assert many.all("SELECT attempt FROM resthook_attempts WHERE delivery_id = ? ORDER BY 1", f"{many.subs[0]}-7") == [
        (1,), (2,)]
    assert many.one("SELECT count(*) FROM resthook_attempts AS a LEFT JOIN resthook_deliveries AS d ON"
                    " d.id = a.delivery_id WHERE d.id IS NULL") == 0
    plan = " ".join(str(row) for row in many.all("EXPLAIN QUERY PLAN SELECT 1 FROM resthook_deliveries AS d JOIN"
                                                 " resthook_attempts AS a ON a.delivery_id = d.id"))
    assert "SCAN d" in plan or "SCAN a" in plan


def test_they_may_stand_in_a_view_but_not_in_an_untrusted_schema(many):
    many.db.execute("CREATE VIEW broken AS SELECT * FROM resthook_deliveries WHERE state = 'dead'")
    assert many.one("SELECT count(*) FROM broken") == 30
    many.db.execute("PRAGMA trusted_schema = OFF")
    with pytest.raises(sqlite3.Error, match="unsafe use"):
        many.one("SELECT count(*) FROM broken")
    many.db.execute("CREATE TEMP VIEW mine AS SELECT * FROM resthook_deliveries WHERE state = 'dead'")
    assert many.one("SELECT count(*) FROM mine") == 30


def test_nothing_can_be_written(many):
    for sql in ("DELETE FROM resthook_deliveries", "UPDATE resthook_attempts SET status = 1",
                "INSERT INTO resthook_status VALUES (1, 2)"):
        with pytest.raises(sqlite3.Error, match="may not be modified"):
            many.db.execute(sql)


# What can't be read.


@pytest.mark.parametrize("spoil, message", [
    (lambda app: app.side_path.write_bytes(b"this is no database" * 100), "file is not a database"),
    (lambda app: app.side_path.write_bytes(b""), "no such table"),
    (lambda app: (app.side_path.unlink(), app.side_path.mkdir()), "it is not a file"),
    (lambda app: (app.side_path.unlink(), os.mkfifo(app.side_path)), "it is not a file"),
    (lambda app: (app.side_path.unlink(), app.side_path.symlink_to("nowhere")), "it is not a file"),
    (lambda app: app.side_path.symlink_to(app.side_path.rename(app.side_path.with_name("elsewhere"))), "it is not a file"),
    (lambda app: app.side().execute("DROP TABLE delivery"), "no such table: .*delivery"),
    (lambda app: app.side().execute("UPDATE meta SET value = 7 WHERE name = 'schema'"),
     "its schema is version 7, this program knows 2"),
])
def test_an_unreadable_side_file_gives_no_rows_and_a_line_of_status(many, spoil, message):
    for name in ("-wal", "-shm"):
        Path(str(many.side_path) + name).unlink(missing_ok=True)
    kept = spoil(many)  # a connection, perhaps
    for table in ("resthook_deliveries", "resthook_attempts"):
        assert many.all(f"SELECT * FROM {table}") == []
    assert re.search(f"(app.db-resthook|the side file) can't be read: .*{message}", many.status()["journal"])
    assert many.status()["unread"] in (10, 110), "the rest of it is there"
    del kept


def damage(many, name):
    """Overwrites the last page of a table or an index of the side file."""
    side = sqlite3.connect(many.side_path, isolation_level=None)
    side.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    side.execute("PRAGMA journal_mode=DELETE")
    size = side.execute("PRAGMA page_size").fetchone()[0]
    root, last = side.execute("SELECT rootpage, (SELECT max(pageno) FROM dbstat WHERE name = ?1) FROM sqlite_master"
                              " WHERE name = ?1", (name,)).fetchone()
    side.close()
    with open(many.side_path, "r+b") as file:
        file.seek((last - 1) * size)
        kept = file.read(size)
        file.seek((last - 1) * size)
        file.write(b"\xa5" * size)

    def mend():
        with open(many.side_path, "r+b") as file:
            file.seek((last - 1) * size)
            file.write(kept)
    return mend if last != root else None


@pytest.mark.parametrize("name, table", [("delivery", "resthook_deliveries"), ("attempt", "resthook_attempts")])
def test_a_damaged_page_ends_the_rows_and_is_a_line_of_status(many, name, table):
    side = sqlite3.connect(many.side_path)
    side.execute("UPDATE delivery SET error = printf('%.200c', 'e')")
    side.execute("UPDATE attempt SET error = printf('%.200c', 'e')")
    side.commit()
    side.close()
    whole = many.all(f"SELECT * FROM {table}")
    assert "journal" not in many.status()
    mend = damage(many, name)
    rows = many.all(f"SELECT * FROM {table}")
    assert 0 < len(rows) < len(whole) and rows == whole[:len(rows)], "what comes before it, and nothing after it"
    assert re.fullmatch("the side file can't be read: .*malformed", many.status()["journal"])
    assert len(many.all("SELECT * FROM resthook_status WHERE name = 'journal'")) == 1
    assert many.one(f"SELECT count(*) FROM {table} AS a JOIN {table} AS b USING ({'id' if name == 'delivery' else 'delivery_id'})") >= 0
    mend()
    assert many.all(f"SELECT * FROM {table}") == whole
    assert "journal" not in many.status()


@pytest.mark.parametrize("name", ["delivery_open", "delivery_dead", "meta", "gap", "subscription", "event_name"])
def test_whatever_page_is_damaged_is_no_error(many, name):
    damage(many, name)
    for table in ("resthook_deliveries", "resthook_attempts"):
        many.all(f"SELECT * FROM {table}")
        many.all(f"SELECT * FROM {table} WHERE {'delivery_' if 'attempts' in table else ''}id = ?", f"{many.subs[0]}-7")
    many.states()
    many.all("SELECT * FROM resthook_deliveries WHERE state = 'dead'")
    many.all("SELECT * FROM resthook_deliveries WHERE state = 'pending'")
    assert "can't be read" in many.status()["journal"]
    assert many.status()["unread"] in (10, 110)


def test_a_side_file_that_lacks_an_index(many):
    many.side().execute("DROP INDEX delivery_open")
    assert many.one("SELECT count(*) FROM resthook_deliveries") == 330
    assert "the side file can't be read: no such index: delivery_open" in many.status()["journal"]


def test_a_side_file_of_another_database(many):
    side = many.side()
    side.execute("INSERT INTO meta VALUES ('token', 'theirs')")
    many.db.execute("INSERT INTO resthook_meta VALUES ('token', 'ours')")
    assert many.states() == {}
    assert "belongs to another database" in many.status()["journal"]
    side.execute("UPDATE meta SET value = 'ours' WHERE name = 'token'")
    assert many.states()["dead"] == 30


def test_an_outbox_that_is_gone_and_a_newer_schema(many):
    many.db.execute("UPDATE resthook_meta SET value = 9 WHERE name = 'schema'")
    assert many.states() == {} and "newer than this program's 2" in many.status()["journal"]
    many.db.execute("UPDATE resthook_meta SET value = 2 WHERE name = 'schema'")
    many.db.execute("DROP TABLE resthook_outbox")
    many.status()
    assert many.one("SELECT count(*) FROM resthook_deliveries WHERE state = 'dead'") == 30


def test_a_locked_side_file_is_waited_for_shortly(many):
    lock = sqlite3.connect(many.side_path, isolation_level=None)
    lock.execute("PRAGMA journal_mode=DELETE")
    lock.execute("BEGIN EXCLUSIVE")
    assert many.states() == {}
    assert "can't be read: database is locked" in many.status()["journal"]
    lock.close()
    assert many.states()["dead"] == 30


def test_it_is_deleted_while_a_query_reads_it(many):
    rows = many.db.execute("SELECT id FROM resthook_deliveries")
    first = rows.fetchone()
    many.side_path.unlink()
    assert first is not None and len(rows.fetchall()) == 329
    assert many.states() == {"pending": 330}


def test_without_a_schema(tmp_path):
    db = opened(tmp_path / "plain.db")
    for table in ("resthook_deliveries", "resthook_attempts"):
        assert db.execute(f"SELECT * FROM {table}").fetchall() == []
    assert dict(db.execute("SELECT * FROM resthook_status"))["journal"].endswith("SELECT resthook_init() first")


def test_in_memory_by_symlink_and_by_uri(many, tmp_path):
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "other.db").symlink_to(many.path)
    for name, options in ((tmp_path / "link" / "other.db", {}), (f"file:{many.path}?mode=ro", {"uri": True})):
        db = opened(name, **options)
        assert db.execute("SELECT count(*) FROM resthook_deliveries").fetchone() == (330,)
        db.close()
    memory = App(":memory:")
    memory.subscribe()
    memory.emit()
    assert memory.states() == {"pending": 1}
    assert memory.status()["journal"] == "none: the database has no file of its own"
    odd = tmp_path / "a 'b' %c?#d.db"
    many.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(many.path, odd)
    shutil.copy(many.side_path, f"{odd}-resthook")
    db = opened(odd)
    assert db.execute("SELECT count(*) FROM resthook_deliveries WHERE state = 'dead'").fetchone() == (30,)


def test_a_watch_that_needs_something_has_a_line(app):
    app.db.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, name)")
    app.one("SELECT resthook_watch('item', 'insert', 'item.create')")
    assert not [name for name in app.status() if name.startswith("watch ")]
    app.db.execute("ALTER TABLE item RENAME TO thing")
    assert not [name for name in app.status() if name.startswith("watch ")], "its trigger went along"
    app.db.execute("ALTER TABLE thing ADD COLUMN price")
    assert "does not capture" in app.status()["watch resthook_watch_1"]
    app.db.execute("DROP TRIGGER resthook_watch_1")
    app.db.execute("ALTER TABLE thing RENAME TO item")
    assert "trigger is missing" in app.status()["watch resthook_watch_1"]
    app.db.execute("DROP TABLE item")
    assert app.status()["watch resthook_watch_1"] == "its table item is gone"


def test_a_gap_has_a_line(app):
    side = app.side()
    side.execute("INSERT INTO gap(event, table_name, from_at, to_at) VALUES ('item.create', 'item', 0, 1500)")
    assert app.status()["gap"] == ("1970-01-01T00:00:00.000Z to 1970-01-01T00:00:01.500Z: item.create of item had no"
                                   " trigger; what was written then is possibly missed")
