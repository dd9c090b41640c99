"""Steps that a database takes once in its life, or with a receiver that does nothing: each time in a database of its own.
The dispatcher is killed at the point, started again, and all must be as if nothing had been.
"""

import os
import re
import shutil
import sqlite3
import sys
import time

from stage import HERE, Run

sys.path.insert(0, str(HERE.parent / "e2e"))

from receiver import Receiver, hang  # noqa: E402

KEPT = HERE.parent / "kept"


class Lab:
    def __init__(self, build, folder, chance):
        self.build, self.folder, self.chance = build, folder, chance
        self.program = build / "faults" / "resthookd"
        self.extension = str(build / "resthook")
        self.runs = 0

    def play(self, name, point, count=1):
        """Whether the point was met at the count-th passage, and what is wrong."""
        self.folder.mkdir()
        self.count = count
        self.anywhere = point.startswith("disk.")  # then what was being sent comes once more
        self.path = self.folder / "app.db"
        self.wrong = []
        try:
            with Receiver() as self.receiver:
                met = LABS[name](self, point)
        finally:
            shutil.rmtree(self.folder)
        return met, [f"{name} at {point}:{count}: {line}" for line in self.wrong]

    # ---- what a lab is made of ----

    def sql(self, sql, *values, path=None):
        connection = sqlite3.connect(path or self.path, isolation_level=None, timeout=10)
        connection.enable_load_extension(True)
        connection.load_extension(self.extension)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def make(self, event="*"):
        self.sql(f"PRAGMA journal_mode={self.chance.choice(['WAL', 'DELETE'])}")
        self.sql("SELECT resthook_init()")
        self.sql("SELECT resthook_subscribe(?, ?)", event, self.receiver.url("/ok"))

    def emit(self, *numbers, payload="{}", event="a.a"):
        connection = sqlite3.connect(self.path)
        connection.executemany("INSERT INTO resthook_outbox(event, payload) VALUES (?, json_set(?, '$.n', ?))",
                               [(event, payload, n) for n in numbers])
        connection.commit()
        connection.close()

    def start(self, *options, fault=None, path=None):
        self.runs += 1
        return Run(self.program, ["--allow", "127.0.0.0/8", *options, path or self.path], self.folder / "run.log", fault)

    def once(self, *options, fault=None, path=None):
        run = self.start("--once", *options, fault=fault, path=path)
        status = run.wait(60)
        if status is None:
            run.kill()
        return run, status

    def killed(self, point, *options, path=None):
        """Whether it was, and both files are whole."""
        run, _ = self.once(*options, fault=f"{point}:{self.count}", path=path)
        self.whole(path or self.path)
        return run.died_of_fault()

    def whole(self, path):
        for file in (path, path.with_name(path.name + "-resthook")):
            if file.exists() and file.stat().st_size:
                connection = sqlite3.connect(file, timeout=10)
                said = connection.execute("PRAGMA integrity_check").fetchall()
                connection.close()
                self.check(said == [("ok",)], f"{file.name}: {said}")

    def check(self, true, otherwise):
        if not true:
            self.wrong.append(otherwise)

    def numbers(self, path="/ok"):
        return sorted(request.json()["n"] for request in self.receiver.received(path))

    def came(self, path, expected, what=""):
        """Just these numbers, each as often as it stands there; new ones once more where they may."""
        numbers = self.numbers(path)
        self.check(numbers == expected or (self.anywhere and set(numbers) == set(expected) and all(
            expected.count(n) <= numbers.count(n) <= expected.count(n) + (n > 3 or what == "birth") for n in expected)),
            f"{what} {numbers} came to {path}, expected {expected}")

    def states(self, path=None):
        side = (path or self.path).with_name("app.db-resthook")
        return self.sql("SELECT event_id, state, reason FROM resthook_deliveries ORDER BY event_id, state", path=side)

    # ---- the labs ----

    def birth(self, point):
        """A database's first dispatcher dies while it makes the side file."""
        self.make()
        self.path.chmod(0o640)
        self.emit(1, 2, 3)
        met = self.killed(point)
        run, status = self.once()
        self.check(status == 0, f"the next one ends with {status}: {run.text()}")
        self.came("/ok", [1, 2, 3], "birth")
        mode = self.path.with_name("app.db-resthook").stat().st_mode & 0o777
        self.check(mode == 0o640, f"the side file has mode {mode:o}, the database 640")
        return met

    def adopt(self, point):
        """A dispatcher dies while it makes a database its own: at its birth, moved, without its side file."""
        ways = ["moved", "lost"] + ["birth"] * (point not in ("adopt.done", "disk.write", "disk.half_write", "disk.truncate"))
        way = self.chance.choice(ways)
        if way == "birth":
            return self.birth(point)
        option = self.chance.choice(["--adopt", "--adopt=skip"])
        self.make()
        (paused,), = self.sql("SELECT resthook_subscribe('*', ?, '{\"status\":\"inactive\"}')", self.receiver.url("/paused"))
        self.emit(1, 2, 3)
        run, status = self.once()
        self.check(self.numbers() == [1, 2, 3], f"{self.numbers()} came before: {run.text()}")
        self.emit(4, 5)
        path = self.path
        if way == "lost":
            for suffix in ("-resthook", "-resthook-wal", "-resthook-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        else:
            elsewhere = self.folder / "elsewhere"
            elsewhere.mkdir()
            for file in self.folder.glob("app.db*"):
                file.rename(elsewhere / file.name)
            path = elsewhere / "app.db"
        met = self.killed(point, option, path=path)
        run, status = self.once(path=path)
        if status == 69:
            run, status = self.once(option, path=path)
        self.check(status in (0, 1), f"{way} {option}: ends with {status}: {run.text()}")
        self.sql("SELECT resthook_resume(?)", paused, path=path)
        self.emit_at(path, 6)
        run, status = self.once(path=path)
        self.check(status == 0, f"{way} {option}: in the end {status}: {run.text()}")
        for target, expected in zip(("/ok", "/paused"), {
            ("moved", "--adopt"): ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
            ("moved", "--adopt=skip"): ([1, 2, 3, 6], [6]),
            ("lost", "--adopt"): ([1, 1, 2, 2, 3, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
            ("lost", "--adopt=skip"): ([1, 2, 3, 6], [6]),
        }[way, option]):
            self.came(target, expected, f"{way} {option}:")
        if (way, option) == ("moved", "--adopt=skip"):
            states = self.states(path)
            self.check([state for state in states if state[1] == "cancelled"] ==
                       [(n, "cancelled", "skipped by --adopt=skip") for n in (1, 2, 3)], f"{way} {option}: {states}")
        self.whole(path)
        return met

    def emit_at(self, path, *numbers):
        before, self.path = self.path, path
        self.emit(*numbers)
        self.path = before

    def upgrade(self, point):
        """A dispatcher dies while it takes over the files of schema 1 (tests/kept)."""
        for file, name in ((self.path, "schema-1.sql"), (self.path.with_name("app.db-resthook"), "schema-1-resthook.sql")):
            text = (KEPT / name).read_text().replace("TARGET", self.receiver.url("")).replace("DATABASE", str(self.path))
            connection = sqlite3.connect(file)
            connection.executescript(text)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.close()
        side = self.path.with_name("app.db-resthook")
        delivered = "SELECT id, state, attempts, last_status FROM resthook_deliveries WHERE state = 'delivered'"
        before = self.sql(delivered, path=side)
        met = self.killed(point)
        run = self.start()
        end = time.monotonic() + 20
        while not all(len(self.receiver.received(path)) >= least for path, least in (("/ok", 1), ("/retry", 1), ("/dead", 2))):
            if time.monotonic() > end:
                self.wrong.append(f"{[(r.path, r.body) for r in self.receiver.received()]} came: {run.text()}")
                break
            run.wait(0.01)
        run.process.terminate()
        run.wait(20)
        came = [r.json() for r in self.receiver.received("/ok")]
        self.check(all(body == {"id": 3, "name": "three", "done": None} for body in came), f"{came} came")
        self.check(len(came) == 1 or (self.anywhere and len(came) == 2), f"{len(came)} came")
        self.check(set(before) <= set(self.sql(delivered, path=side)), "what was delivered is not known any more")
        self.check(self.sql("SELECT value FROM resthook_meta WHERE name = 'schema'") == [(2,)], "app.db is not brought up to date")
        self.check(self.sql("SELECT value FROM meta WHERE name = 'schema'", path=side) == [(2,)], "nor is the side file")
        self.whole(self.path)
        return met

    def spill(self, point):
        """More than the window holds, and a target that hangs: what waits for it makes way."""
        self.make()
        self.hang("*")
        met = self.killed_behind(point)
        for path in ("/ok", "/hung"):
            self.check(set(self.numbers(path)) == set(range(60)), f"{path}: not all came: {self.numbers(path)}")
        return met

    def fetch(self, point):
        """… and one event behind that is for another, who gets it before."""
        self.make("b.b")
        self.hang("a.a")
        met = self.killed_behind(point, 60)
        self.check(set(self.numbers("/hung")) == set(range(60)), f"not all came: {self.numbers('/hung')}")
        self.check(self.numbers() == [60], f"{self.numbers()} came")
        return met

    def hang(self, event):
        self.sql("SELECT resthook_subscribe(?, ?, '{\"max_in_flight\":1}')", event, self.receiver.url("/hung"))
        self.receiver.script("/hung", hang())

    def killed_behind(self, point, *others):
        self.emit(*range(60), payload='{"fill":"' + "x" * 200000 + '"}')
        self.emit(*others, event="b.b")
        run = self.start(fault=f"{point}:1")
        if run.wait(10) is None:
            run.kill()
        met = run.died_of_fault()
        self.whole(self.path)
        self.receiver.script("/hung", 200)
        run, status = self.once()
        self.check(status == 0, f"the next one ends with {status}: {run.text()}")
        return met

    def rewind(self, point):
        """After a power loss app.db is without its last commits, which both files knew."""
        self.make()
        self.emit(1, 2, 3, 4)
        self.once()
        (keeps,), = self.sql("SELECT sql FROM sqlite_master WHERE name = 'resthook_outbox_last'")
        self.sql("DROP TRIGGER resthook_outbox_last")
        self.sql("DELETE FROM resthook_outbox WHERE id > 2")
        self.sql(keeps)
        self.sql("UPDATE meta SET value = 'another' WHERE name = 'boot'", path=self.path.with_name("app.db-resthook"))
        self.emit(5)
        met = self.killed(point)
        run, status = self.once()
        self.check(status == 0, f"the next one ends with {status}: {run.text()}")
        self.came("/ok", [1, 2, 3, 4, 5])
        return met

    def keys(self, point):
        """Idempotency keys outlive their events, and go when they are too old."""
        self.make()
        for name, value in (("keep_events", 0), ("idempotency_window", 1)):
            self.sql("SELECT resthook_set(?, ?)", name, value)
        for key in "abc":
            self.sql("SELECT resthook_emit('a.a', '{\"n\":1}', ?)", f'{{"idempotency_key":"{key}"}}')
        self.emit(2)
        self.once()
        self.check(self.sql("SELECT count(*) FROM resthook_outbox") == [(1,)], "the events are still there")
        time.sleep(1.1)
        run = self.start(fault=f"{point}:1")  # with --once they go together with events
        if run.wait(10) is None:
            run.kill()
        met = run.died_of_fault()
        self.whole(self.path)
        run = self.start()
        run.wait_for(" ready ")
        end = time.monotonic() + 20
        while self.sql("SELECT count(*) FROM resthook_extra") != [(0,)] and time.monotonic() < end:
            run.wait(0.05)
        self.check(time.monotonic() < end, "the keys are still there")
        run.process.terminate()
        self.check(run.wait(20) == 0, f"it does not stop: {run.text()}")
        self.check(self.numbers() == [1, 1, 1, 2], f"{self.numbers()} came")
        return met


LABS = {"birth": Lab.birth, "adopt": Lab.adopt, "upgrade": Lab.upgrade, "spill": Lab.spill, "fetch": Lab.fetch,
        "rewind": Lab.rewind, "keys": Lab.keys}
