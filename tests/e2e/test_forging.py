"""Whatever something is called, whatever is written and whatever is answered: it is data, and forges no SQL, no field of
a JSON document, no header, no line of the log and nothing that a terminal obeys."""

import json
import re

import pytest

from receiver import answer, raw

NAMES = [
    'x"); DROP TABLE item; --', '")v1', "'); DELETE FROM item; --", "a;b", "/* a", "*/ b", "-- c", "a\nb", "a\r\nb: c",
    "\x1b[31mred\x1b[0m", "\x9b31m", "%s%n%*d", "\\", "\\u0022", "`", "[a]", "]", "${HOME}", "$1", "?1", ":a", "@a",
    '{"id":1}', 'a","b":"c', " ", "\t", "null", "v0", "NEW", "OLD", "event", "sqlite", "a\u2028b", "\u202egnp", "\ufeff",
]
FORGED = "\n2026-01-01T00:00:00.000Z error forged database=/x\r\n{\"level\":\"error\",\"message\":\"forged\"}"
TERMINAL = "\x1b[2J\x1b]0;owned\x07\x9b31m\x08\x7f"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warn|info|debug) [^=\"]+"
                  r"( \w+=(\"([^\"\\]|\\.)*\"|[^\s\"=]+))*")


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def check_log(running, form):
    running.stop()
    for line in running.log:
        assert not CONTROL.search(line), line
        if form == "json":
            assert json.loads(line)["message"] != "forged"
        else:
            assert LINE.fullmatch(line) and " forged" not in line.partition("=")[0], line


def shown(db):
    """Every text that the views show of what was delivered."""
    return [value for view in ("resthook_deliveries", "resthook_attempts", "resthook_subscriptions", "resthook_status")
            for row in db.ext(f"SELECT * FROM {view}") for value in row if isinstance(value, str)]


def check_shown(db):
    for text in shown(db):
        assert not CONTROL.search(text), text


@pytest.mark.parametrize("form", ["text", "json"])
def test_names(db, receiver, dispatcher, eventually, form):
    connection = db.connect()
    for i, name in enumerate(NAMES):
        table, column = "t " + name, name  # the table's is never one that SQLite keeps for itself
        connection.execute(f"CREATE TABLE {quoted(table)}(key INTEGER PRIMARY KEY, {quoted(column)}, {quoted('2 ' + name)} AS (1))")
        for operation in ("insert", "delete"):
            connection.execute("SELECT resthook_watch(?, ?, ?)", (table, operation, f"n{i}.{operation}"))
        connection.execute("SELECT resthook_watch(?, ?, ?, ?)", (table, "update of " + quoted(column), f"n{i}.update", json.dumps(
            {"changed": [column], "fields": {"is": f"NEW.{quoted(column)}", "was": f"OLD.{quoted(column)}"},
             "when": f"NEW.{quoted(column)} <> ''", "key": f"OLD.{quoted(column)}"})))
    schema = connection.execute("SELECT count(*) FROM sqlite_schema").fetchall()
    db.subscribe("*", receiver.url("/"), description="\n".join(NAMES))
    running = dispatcher(db, "--log-format", form, "--log-level", "debug", ready=False)
    # On a busy machine these writers may keep the lock from it for longer than a start waits, and it ends with 74.
    running.wait_log(r"\bready\b")
    for name in NAMES:
        table = quoted("t " + name)
        connection.executescript(f"INSERT INTO {table} VALUES (1, NULL); UPDATE {table} SET {quoted(name)} = 'b';"
                                 f"DELETE FROM {table};")
    got = {request.headers["x-event-type"]: request.json() for request in receiver.wait_for(3 * len(NAMES), timeout=60)}
    for i, name in enumerate(NAMES):
        assert got[f"n{i}.insert"] == {"key": 1, name: None, "2 " + name: 1}
        assert got[f"n{i}.update"] == {"is": "b", "was": None}
        assert got[f"n{i}.delete"] == {"key": 1, name: "b", "2 " + name: 1}
    assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchall() == schema
    assert connection.execute("SELECT count(*) FROM item").fetchone() == (0,)
    for name in NAMES:  # the log says that they are gone
        connection.execute(f"DROP TABLE {quoted('t ' + name)}")
    running.wait_log("a watch's table is gone", count=3 * len(NAMES))
    check_log(running, form)
    connection.close()


HEADS = [
    ("status", b"HTTP/1.1 500 No" + (TERMINAL + FORGED).replace("\n", " ").encode() + b"\r\ncontent-length: 0\r\n\r\n"),
    ("header", b"HTTP/1.1 500 No\r\nx-a: b" + TERMINAL.encode() + b"\rforged: yes\r\ncontent-length: 0\r\n\r\n"),
    ("name", b"HTTP/1.1 500 No\r\nx-\x1b[31m: b\r\ncontent-length: 0\r\n\r\n"),
    ("fold", b"HTTP/1.1 500 No\r\nx-a: b\r\n\t" + TERMINAL.encode() + b"\r\ncontent-length: 0\r\n\r\n"),
    ("nul", b"HTTP/1.1 500 No\r\nx-a: b\0c\r\ncontent-length: 0\r\n\r\n"),
    ("latin", b"HTTP/1.1 500 No\r\nx-a: \xe9\x9b31m\xff\r\ncontent-length: 0\r\n\r\n"),
    ("retry", b"HTTP/1.1 503 No\r\nretry-after: 1" + TERMINAL.encode() + b"\r\ncontent-length: 0\r\n\r\n"),
]


@pytest.mark.parametrize("form", ["text", "json"])
def test_answers(db, receiver, dispatcher, eventually, form):
    bodies = {"/forged": FORGED.encode(), "/terminal": TERMINAL.encode(), "/json": b'","error":"forged","x":"\\',
              "/bytes": bytes(range(256)), "/c1": b"\xc2\x80\xc2\x9b31m\xc2\x9f\xc2\x85"}
    for path, body in bodies.items():
        receiver.script(path, answer(500, body))
    for name, head in HEADS:
        receiver.script("/" + name, raw(head))
    for path in [*bodies, *("/" + name for name, _ in HEADS)]:
        db.subscribe("item.create", receiver.url(path), retry_schedule="0")
    db.subscribe("resthook.delivery.dead", receiver.url("/notices"))
    running = dispatcher(db, "--log-format", form, "--log-level", "debug", ready=False)
    db.shell("INSERT INTO item(name) VALUES ('Ada')")
    count = len(bodies) + len(HEADS)
    for request in receiver.wait_for(count, "/notices", timeout=20):
        assert not CONTROL.search(request.body.decode()) and "forged" not in request.body.decode().replace("/forged", "")
    eventually(lambda: db.journal("SELECT count(*) FROM resthook_attempts WHERE class IS NOT NULL") == [(count,)])
    check_shown(db)
    assert not any("\nforged:" in text for text in shown(db)), "a header of its own"
    check_log(running, form)


def test_what_an_expression_says_of_a_value(db, receiver, dispatcher, eventually):
    """SQLite's own errors repeat what they are about."""
    db.ext("SELECT resthook_watch('item', 'insert', 'item.create', ?)",
           json.dumps({"fields": {"x": "json_extract('{}', NEW.name)"}}))
    db.subscribe("item.create", receiver.url("/"))
    db.subscribe("item.*", receiver.url("/b"), filter="json_extract('{}', NEW.name) IS NULL")
    running = dispatcher(db, "--log-level", "debug")
    for text in (TERMINAL, FORGED):
        db.shell(f"INSERT INTO item(name) VALUES ('$[{text}')")
    eventually(lambda: len(db.journal("SELECT reason FROM resthook_deliveries WHERE reason <> ''")) == 4)
    assert all(reason and "path" in reason for (reason,) in db.journal("SELECT reason FROM resthook_deliveries"))
    check_shown(db)
    check_log(running, "text")


def test_events_that_were_written_by_hand(db, receiver, dispatcher):
    """A name that could be another header, or a line, is no name."""
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db, "--log-level", "debug")
    bad = ["a.b\r\nx-forged: 1", "a.b\n", "a b", "é", "a.b\x00c", "\x1b[31m", "*", "", "a" * 1000, "a.b:"]
    connection = db.connect()
    for name in bad:
        connection.execute("INSERT INTO resthook_outbox(event, payload) VALUES (?, '{}')", (name,))
    connection.execute("INSERT INTO resthook_outbox(event, payload) VALUES ('good.one', '{}')")
    connection.close()
    (request,) = receiver.wait_for(1)
    assert request.headers["x-event-type"] == "good.one" and "x-forged" not in request.headers
    running.wait_log("has no event name", count=len(bad))
    check_log(running, "text")
    assert len(receiver.received()) == 1
