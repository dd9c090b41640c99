"""The extension's memory in hosts that are not ours: Debian's sqlite3 shell and python3 under valgrind.

Every function, every virtual table and every trigger, calls that fail, statements that are left half read, an end by
unloading and one by leaving. Valgrind has nothing to say of reads and writes, and nothing that was allocated is lost.
What a sanitizer sees of our own code it sees in the other tests; it does not see into a host built without it.
"""

import os
import re
import shutil
import subprocess

import pytest

from test_functions import BUILD, opened
from test_history import App

PYTHON = "/usr/bin/python3"
VALGRIND = ["valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite",
            "--show-leak-kinds=definite", "--keep-debuginfo=yes"]
A, B = (f"(SELECT id FROM resthook_subscriptions WHERE target LIKE '%/{name}' ORDER BY created_at DESC LIMIT 1)" for name in "ab")
# One statement a line. One that begins with ! fails.
SCRIPT = f"""
SELECT resthook_version(), resthook_init(), resthook_init()
SELECT resthook_set('timeout', '20s'), resthook_get('timeout'), resthook_set('capture_max', 1024)
! SELECT resthook_set('timeout', 'soon')
! SELECT resthook_set('no such', 1)
! SELECT resthook_get(x'00')
SELECT resthook_watch('item', 'insert', 'item.create', '{{"fields":{{"id":"NEW.id","name.big":"upper(NEW.name)","twice:text?":"NEW.twice","image?":"NEW.image"}},"when":"NEW.name <> ''x''","key":"NEW.id"}}')
SELECT resthook_watch('item', 'update of name, price', 'item.update', '{{"changed":["name","price"],"old":true,"record":"always"}}')
SELECT resthook_watch('item', 'delete', 'item.delete')
! SELECT resthook_watch('item', 'upsert', 'item.upsert')
! SELECT resthook_watch('item', 'insert', 'item.create', '{{"fields":{{"a":"NEW.nothing"}}}}')
! SELECT resthook_watch('item', 'insert', 'item.create', '{{"fields":{{"a":"(SELECT"}}}}')
! SELECT resthook_watch('none', 'insert', 'item.create')
SELECT resthook_subscribe('item.*', 'https://example.com/a', '{{"filter":"NEW.price > 1 AND NEW.name LIKE ''t%''","headers":{{"x-a":"b"}},"retry_schedule":"0, 5s","retry_statuses":"408, 5xx","ordered":"stop","rate":2.5,"description":"é"}}')
SELECT resthook_subscribe('*', 'https://example.com/b', '{{"signing":"v1a","verify":"x-hook-secret","format":"change","status":"inactive"}}')
! SELECT resthook_subscribe('item.*', 'https://example.com/c', '{{"filter":"NEW.price >"}}')
! SELECT resthook_subscribe('item.*', 'https://example.com/c', '{{"headers":{{"x-a":"b","X-A":"c"}}}}')
! SELECT resthook_subscribe('item.*', 'https://example.com/c', '{{"secret":"whsec_x"}}')
! SELECT resthook_subscribe('item.*', 'https://example.com/c', '[1')
! SELECT resthook_subscribe('item.*', 'https://a:b@example.com/c')
! SELECT resthook_subscribe('item..a', 'https://example.com/c', zeroblob(10))
SELECT resthook_update({A}, '{{"format":"standard","filter":null,"headers":null,"timeout":3}}')
! SELECT resthook_update({A}, '{{"format":"xml"}}')
! SELECT resthook_update('sub_none', '{{}}')
SELECT resthook_secret({A}), resthook_rotate_secret({A}, 60), resthook_rotate_secret({A})
! SELECT resthook_rotate_secret({A}, -1)
! SELECT resthook_public_key({A})
! SELECT resthook_public_key({B})
! SELECT resthook_confirm({B}, 'wrong')
SELECT resthook_resume({B}), resthook_pause({A}), resthook_resume({A})
INSERT INTO item(name, price) VALUES ('tea', 2.5), ('it''s' || char(0) || '"', 9007199254740993), ('x', NULL), (x'c328', 1e999)
INSERT INTO item(name, image) VALUES ('large', zeroblob(2000))
UPDATE item SET price = price + 1
DELETE FROM item WHERE name = 'x'
SELECT id, resthook_payload(id) FROM resthook_events
! SELECT resthook_payload(-1)
SELECT resthook_emit('order.paid', '{{"a":[1,"é",null]}}', '{{"key":"k","deliver_at":"2030-01-31T12:00:00+01:00","idempotency_key":"i","headers":{{"x-b":"c"}}}}')
SELECT resthook_emit('order.paid', '{{}}', '{{"idempotency_key":"i","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}')
! SELECT resthook_emit('order.paid', '{{"a":')
! SELECT resthook_emit('order.paid', '{{}}', '{{"deliver_at":"soon"}}')
! SELECT resthook_emit('order.paid', '{{}}', '{{"no":1}}')
SELECT resthook_ping({A}), resthook_backfill({A}, 'item', 'price > 1')
! SELECT resthook_backfill({A}, 'item', 'price >')
SELECT count(resthook_replay(id)) FROM resthook_deliveries WHERE state = 'dead'
SELECT count(resthook_cancel(id)) FROM resthook_deliveries WHERE state = 'pending' AND event_id = 2
! SELECT resthook_replay('sub_none-1')
! SELECT resthook_cancel('-')
SELECT resthook_forget(2), resthook_forget(2)
SELECT d.*, a.*, i.id FROM resthook_deliveries AS d LEFT JOIN resthook_attempts AS a ON a.delivery_id = d.id LEFT JOIN item AS i ON i.id = d.event_id
SELECT * FROM resthook_deliveries WHERE id = (SELECT max(id) FROM resthook_deliveries)
SELECT * FROM resthook_attempts WHERE delivery_id IN (SELECT id FROM resthook_deliveries) LIMIT 1
SELECT * FROM resthook_status
SELECT * FROM resthook_subscriptions, resthook_watches
SELECT * FROM resthook_settings
ALTER TABLE item RENAME COLUMN name TO called
ALTER TABLE item DROP COLUMN image
SELECT resthook_repair()
SELECT resthook_unwatch('item', 'update of name'), resthook_unwatch('item')
! SELECT resthook_unwatch('item', 'upsert')
! CREATE VIEW bait AS SELECT resthook_secret('sub_x') AS s; SELECT s FROM bait
SELECT resthook_unsubscribe({A}), resthook_unsubscribe({B})
! SELECT resthook_subscribe()
SELECT resthook_uninstall(), resthook_uninstall()
! SELECT resthook_ping('sub_x')
SELECT resthook_init()
SELECT * FROM resthook_deliveries, resthook_status
""".strip().splitlines()

HOST = """
import sqlite3, sys
path, extension, *lines = sys.argv[1:]

def opened():
    db = sqlite3.connect(path, isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension(extension)
    db.load_extension(extension)
    return db

def fails(db, sql):
    try:
        db.execute(sql).fetchall()
    except sqlite3.Error as error:
        return str(error)
    return ""

db, other = opened(), opened()
half = other.execute("SELECT * FROM resthook_deliveries"), other.execute("SELECT * FROM resthook_attempts")
print([each.fetchone() is not None for each in half])
for line in lines:
    parts = line.lstrip("! ").split("; ")
    if bool([error for error in (fails(db, part) for part in parts) if error]) != line.startswith("!"):
        print("unlike what it says:", line, fails(db, parts[-1]))
for call in ("SELECT resthook_subscribe('a.b', 'https://example.com/')", "SELECT resthook_init()",
             "SELECT resthook_watch('item', 'insert', 'a.b')", "SELECT * FROM resthook_deliveries"):
    db.set_authorizer(lambda *_: sqlite3.SQLITE_DENY)
    print("denied", fails(db, call) != "")
    db.set_authorizer(None)
    db.set_progress_handler(lambda: 1, 1)
    print("interrupted", fails(db, call) != "")
    db.set_progress_handler(None, 1)
db.execute("BEGIN; ")
db.execute("SELECT resthook_emit('a.b', '{}')")
db.close()
left = other.execute("SELECT * FROM resthook_status")
print(left.fetchone() is not None)
"""


@pytest.fixture
def app(tmp_path):
    """A database with a history: a delivery that is dead, and one to come."""
    if not shutil.which("valgrind"):
        pytest.skip("there is no valgrind here; sh .ci/deps lint installs it")
    if BUILD.name == "san":
        pytest.skip("valgrind and a sanitizer do not go together")
    made = App(tmp_path / "app.db")
    made.db.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, name, price, twice AS (price * 2), image)")
    made.subscribe("http://127.0.0.1:1/", options='{"retry_schedule":"0"}')
    made.emit(count=2)
    made.run_once()
    made.emit()
    made.db.close()
    return made


def valgrind(*command, **options):
    done = subprocess.run([*VALGRIND, *map(str, command)], text=True, capture_output=True, errors="replace", timeout=120, **options)
    assert "==" not in done.stderr and done.returncode != 9, done.stderr
    return done


def test_the_script_calls_everything():
    db = opened(":memory:")
    names = {name for (name,) in db.execute("SELECT name FROM pragma_function_list WHERE name LIKE 'resthook%'"
                                            " UNION SELECT name FROM pragma_module_list WHERE name LIKE 'resthook%'")}
    assert len(names) > 20 and names <= set(re.findall(r"resthook_\w+", "".join(SCRIPT)))


def test_in_the_sqlite3_shell(app):
    script = "".join(f"{line.lstrip('! ')};\n" for line in SCRIPT)
    done = valgrind("sqlite3", app.path, input=f".load {BUILD / 'resthook'}\n{script}.open :memory:\n.quit\n")
    failed = [int(line) for line in re.findall(r"error near line (\d+)", done.stderr)]
    assert failed == [number for number, line in enumerate(SCRIPT, 2) if line.startswith("!")], done.stderr


def test_in_python(app):
    done = valgrind(PYTHON, "-I", "-S", "-c", HOST, app.path, BUILD / "resthook", *SCRIPT, env={**os.environ, "PYTHONMALLOC": "malloc"})
    assert done.stdout.splitlines() == ["[True, True]", *["denied True", "interrupted True"] * 4, "True"], done.stdout + done.stderr
