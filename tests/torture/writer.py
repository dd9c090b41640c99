"""A writer of an application's database that knows nothing of resthook: plain SQLite, nothing loaded. It is killed.

    python3 writer.py DATABASE NAME SEED LOG PAUSE PACE

Transactions of inserts, updates, deletes and emitted events, some rolled back, some with savepoints that are. Every row
carries a mark that nothing else carries, so that whatever a receiver gets is known by it. Before it commits it writes
to LOG, and on to the disk, what the transaction is of; afterwards that it did:

    {"t": number, "e": [[event id, event, mark, key], …], "x": [marks that are rolled back]}
    {"c": number}

What became of one without the second line, the application's own table `tx` says, which has a row of each committed
transaction. While the file PAUSE is there it begins none; between two it waits PACE milliseconds on average.
"""

import json
import os
import random
import sqlite3
import sys
import time

OWNERS = ["ada", "bob", "cyd", "dan", "eve"]
SCHEMA = """
CREATE TABLE tx(writer TEXT, n INTEGER, PRIMARY KEY(writer, n)) WITHOUT ROWID;
CREATE TABLE item(id INTEGER PRIMARY KEY, owner TEXT, n INTEGER, mark TEXT);
CREATE TABLE note(id INTEGER PRIMARY KEY, owner TEXT, mark TEXT);
CREATE TABLE label(owner TEXT PRIMARY KEY, text TEXT);
CREATE TABLE spare(id INTEGER PRIMARY KEY, mark TEXT);
"""


class Writer:
    def __init__(self, path, name, seed, log, pause, pace):
        self.name = name
        self.chance = random.Random(seed)
        self.log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.pause = pause
        self.pace = pace / 1000
        self.db = sqlite3.connect(path, isolation_level=None, timeout=20)
        (last,) = self.db.execute("SELECT max(n) FROM tx WHERE writer = ?", (name,)).fetchone()
        self.n = last or 0
        self.marks = 0

    def write(self, entry):
        os.write(self.log, (json.dumps(entry, separators=(",", ":")) + "\n").encode())
        os.fsync(self.log)

    def mark(self):
        self.marks += 1
        return f"{self.name}.{self.n}.{self.marks}"

    def newest(self):
        return self.db.execute("SELECT max(id) FROM resthook_outbox").fetchone()[0]

    def change(self):
        """One statement that is one event: [id, event, mark, key]."""
        owner = self.chance.choice(OWNERS)
        mark = self.mark()
        what = self.chance.random()
        row = self.db.execute("SELECT id, owner, mark FROM item WHERE id >= ? LIMIT 1",
                              (self.chance.randrange(1, 1 + self.top),)).fetchone() if what > 0.4 else None
        if what > 0.85:
            self.db.execute("INSERT INTO resthook_outbox(event, payload, key) VALUES ('emit.made', ?, ?)",
                            (json.dumps({"mark": mark}), owner))
            return [self.newest(), "emit.made", mark, owner]
        if what > 0.8:
            self.db.execute("INSERT INTO note(owner, mark) VALUES (?, ?)", (owner, mark))
            return [self.newest(), "note.create", mark, None]
        if row is not None and what > 0.68:
            self.db.execute("DELETE FROM item WHERE id = ?", (row[0],))
            return [self.newest(), "item.delete", row[2], row[1]]
        if row is not None:
            self.db.execute("UPDATE item SET mark = ?, n = n + 1 WHERE id = ?", (mark, row[0]))
            return [self.newest(), "item.update", mark, row[1]]
        n = self.chance.randrange(100)
        mark += ".odd" if n % 2 else ".even"
        self.db.execute("INSERT INTO item(owner, n, mark) VALUES (?, ?, ?)", (owner, n, mark))
        return [self.newest(), "item.create", mark, owner]

    def changes(self):
        return [self.change() for _ in range(self.chance.randrange(1, 4))]

    def transaction(self):
        self.n += 1
        self.marks = 0
        self.db.execute("BEGIN IMMEDIATE")
        self.top = self.db.execute("SELECT ifnull(max(id), 1) FROM item").fetchone()[0]
        self.db.execute("INSERT INTO tx(writer, n) VALUES (?, ?)", (self.name, self.n))
        events, undone = self.changes(), []
        if self.chance.random() < 0.25:
            self.db.execute("SAVEPOINT s")
            inner = self.changes()
            if self.chance.random() < 0.6:
                self.db.execute("ROLLBACK TO s")
                # Marks of updates, inserts and emits alone: a deleted row's is that of an event that stands.
                undone = [mark for _, event, mark, _ in inner if event != "item.delete"]
                inner = []
            self.db.execute("RELEASE s")
            events += inner
            events += self.changes()
        rolls_back = self.chance.random() < 0.15
        if rolls_back:
            undone += [mark for _, event, mark, _ in events if event != "item.delete"]
            events = []
        self.write({"t": self.n, "e": events, "x": undone})
        self.db.execute("ROLLBACK" if rolls_back else "COMMIT")
        if not rolls_back:
            self.write({"c": self.n})

    def run(self):
        while True:
            if os.path.exists(self.pause):
                time.sleep(0.005)
                continue
            try:
                self.transaction()
            except sqlite3.OperationalError as error:  # locked for long: what was begun is not committed
                if self.db.in_transaction:
                    self.db.execute("ROLLBACK")
                self.write({"error": str(error), "t": self.n, "e": [], "x": []})
            time.sleep(self.chance.expovariate(1 / self.pace) if self.pace else 0)


if __name__ == "__main__":
    path, name, seed, log, pause, pace = sys.argv[1:]
    Writer(path, name, int(seed), log, pause, int(pace)).run()
