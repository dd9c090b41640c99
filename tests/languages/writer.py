"""Writes as tests/languages/run says: writer.py FILE EXTENSION URL, with Python's own sqlite3."""

import json
import platform
import sqlite3
import sys

file, extension, url = sys.argv[1:]

db = sqlite3.connect(file, timeout=5)
add = "INSERT INTO item(name, price, stock, photo, note) VALUES (?, ?, ?, ?, ?)"
emit = "INSERT INTO resthook_outbox(event, payload) VALUES (?, ?)"
with db:
    id = db.execute(add, ["tea", 2.5, 2**53 + 1, b"\x00\x01\x7f\x80\xff", None]).lastrowid
    db.execute(add, ["it's \"é\" 🎓\0 end", 0.1, -(2**63), b"", None])
    db.execute(add, ["lost", 1.0, 0, None, None])
    changed = db.execute("UPDATE item SET price = ?, stock = ? WHERE id = ?", [1 / 3, 2**63 - 1, id]).rowcount
    db.execute("DELETE FROM item WHERE name = ?", ["lost"])
    db.execute(emit, ["item.counted", json.dumps({"by": "hand"}, separators=(",", ":"))])

db.execute(add, ["never", 0.0, 0, None, None])
db.execute(emit, ["item.counted", "{}"])
db.rollback()
(rows,) = db.execute("SELECT count(*) FROM item").fetchone()
print(f"id {id}, changed {changed}, rows {rows}")
db.close()

db = sqlite3.connect(file, timeout=5)
db.enable_load_extension(True)
db.load_extension(extension)
with db:
    db.execute("SELECT resthook_watch('note', 'insert', 'note.create')")
    db.execute("SELECT resthook_subscribe('note.*', ?)", [url])
    db.execute("INSERT INTO note(text) VALUES (?)", ["loaded"])
    db.execute("SELECT resthook_emit('note.counted', ?)", [json.dumps({"notes": 1}, separators=(",", ":"))])
db.execute("BEGIN")
db.execute("SELECT resthook_emit('note.counted', '{}')")
db.execute("SELECT resthook_unwatch('note')")
db.rollback()
print(f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}")
