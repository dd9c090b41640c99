"""What the torture and the soak play on: databases with subscriptions of every kind, writers, a receiver, a dispatcher,
each a process of its own, and the ways to end and to start them again.
"""

import argparse
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from writer import SCHEMA

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
IN_FLIGHT = 64
WATCHES = [
    ("item", "insert", "item.create", {"key": "NEW.owner"}),
    ("item", "update", "item.update", {"key": "NEW.owner", "old": True}),
    ("item", "delete", "item.delete", {"key": "OLD.owner"}),
    ("note", "insert", "note.create",
     {"fields": {"mark": "NEW.mark", "label?": "(SELECT text FROM label WHERE owner = NEW.owner)"}}),
    ("spare", "insert", "spare.create", {}),
]
# The last word of a target's path, which says how it answers (target.py): pattern, options, port.
SUBSCRIPTIONS = {
    "all": ("*", {}, 0),
    "flaky": ("item.*", {"retry_schedule": "0" + ",200ms" * 49}, 1),
    "doomed": ("item.delete", {"retry_schedule": "0,50ms"}, 0),
    "hung": ("emit.*", {"retry_schedule": "0" + ",200ms" * 49, "timeout": 0.5}, 2),
    "order": ("item.*", {"retry_schedule": "0" + ",50ms" * 49, "ordered": True}, 0),
    "stop": ("item.update", {"retry_schedule": "0,50ms", "ordered": "stop"}, 0),
    "paused": ("item.create", {}, 0),
    "filter": ("item.create", {"filter": "NEW.n % 2 = 0"}, 0),
    "watcher": ("resthook.*", {}, 0),
    "dying": ("item.delete", {"retry_schedule": "0,50ms"}, 0),
    "down": ("item.update", {"retry_schedule": "0" + ",200ms" * 49}, 0),
}


def below_pdeath(command):
    """It does not outlive this process."""
    return ["setpriv", "--pdeathsig", "KILL", *map(str, command)]


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def reader(file, beside=None):
    """A connection that leaves the file as it is, and sees one state of it until it is closed: what a dispatcher left in the
    WAL stays there. The journal that a killed writer left it may not roll back: it waits until somebody else has. beside:
    another file, attached as side."""
    late = time.monotonic() + 10
    while True:
        connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10, isolation_level=None)
        try:
            if beside:
                connection.execute("ATTACH ? AS side", (f"file:{beside}?mode=ro",))
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM sqlite_master")
            if beside:
                connection.execute("SELECT count(*) FROM side.sqlite_master")
            return connection
        except sqlite3.OperationalError as error:
            connection.close()
            if "readonly" not in str(error) or time.monotonic() > late:
                raise
            time.sleep(0.01)


class Store:
    """A database of the application's, and its side file."""

    def __init__(self, build, path, ports):
        self.extension = str(build / "resthook")
        self.path = Path(path)
        self.side = self.path.with_name(self.path.name + "-resthook")
        self.name = self.path.stem
        self.ports = ports
        self.subs = {}  # id: path of the target
        self.connection = None

    def connect(self):
        if self.connection is None:
            self.connection = sqlite3.connect(self.path, isolation_level=None, timeout=30)
            self.connection.enable_load_extension(True)
            self.connection.load_extension(self.extension)
        return self.connection

    def ext(self, sql, *values):
        return self.connect().execute(sql, values).fetchall()

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def make(self, mode, settings=()):
        connection = self.connect()
        connection.execute(f"PRAGMA journal_mode={mode}")
        connection.executescript(SCHEMA)
        connection.execute("INSERT INTO label VALUES ('ada', 'A'), ('bob', 'B')")
        connection.execute("SELECT resthook_init()")
        for table, operation, event, options in WATCHES:
            connection.execute("SELECT resthook_watch(?, ?, ?, ?)", (table, operation, event, json.dumps(options)))
        for name, value in settings:
            connection.execute("SELECT resthook_set(?, ?)", (name, value))
        return self

    def target(self, word, port=0):
        return f"http://127.0.0.1:{self.ports[port]}/{self.name}/{word}"

    def subscribe(self, event, word, port=0, **options):
        ((sub,),) = self.ext("SELECT resthook_subscribe(?, ?, ?)", event, self.target(word, port), json.dumps(options))
        self.subs[sub] = f"/{self.name}/{word}"
        return sub

    def subscribe_all(self, words):
        for word in words:
            event, options, port = SUBSCRIPTIONS[word]
            self.subscribe(event, word, port, **options)

    def sub(self, word):
        return next(sub for sub, path in self.subs.items() if path == f"/{self.name}/{word}")

    def journal(self, sql, *values):
        """A query of the side file, which is not touched: what a dispatcher left in its WAL stays there."""
        connection = reader(self.side)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def cursor(self):
        return self.journal("SELECT ifnull(max(value), 0) FROM meta WHERE name = 'cursor'")[0][0]

    def newest(self):
        return self.ext("SELECT ifnull(max(id), 0) FROM resthook_outbox")[0][0]

    def is_drained(self):
        """Is everything delivered, and known to have been?"""
        ((left,),) = self.journal("SELECT (SELECT count(*) FROM delivery WHERE state < 3) + (SELECT count(*) FROM notice)"
                                  " + (SELECT count(*) FROM effect)")
        return left == 0 and self.cursor() >= self.newest()

    def integrity(self):
        """What is broken in either file; nothing."""
        wrong = []
        for file in (self.path, self.side):
            if not file.exists():
                continue
            for mode in ("ro", "rw"):  # a hot journal can't be looked past
                connection = sqlite3.connect(f"file:{file}?mode={mode}", uri=True, timeout=30)
                try:
                    said = [row[0] for row in connection.execute("PRAGMA integrity_check")]
                    wrong += [f"{file.name}: {line}" for line in said if line != "ok"]
                    break
                except sqlite3.OperationalError as error:
                    if mode == "rw":
                        wrong.append(f"{file.name}: {error}")
                finally:
                    connection.close()
        return wrong


class Target:
    """The receiver's process. Its log outlives it."""

    def __init__(self, log, ports):
        self.log, self.ports, self.process = log, ports, None
        self.start()

    def start(self):
        self.process = subprocess.Popen(below_pdeath([sys.executable, HERE / "target.py", self.log, *self.ports]),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "listening\n", "the receiver does not start"

    def note(self, *words):
        with open(self.log, "a") as log:
            log.write(" ".join(map(str, words)) + "\n")

    def settle(self):
        """Until it has no open connection: all that a dispatcher that is gone had sent is in the log."""
        self.process.stdin.write("idle\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "idle\n", "the receiver ended"

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Writers:
    """Processes of writer.py, so many a database."""

    def __init__(self, folder, stores, count, seed, pace):
        self.folder, self.seed, self.pace = folder, seed, pace
        self.pause_file = folder / "pause"
        self.lives = 0
        self.running = {}
        for store in stores:
            for n in range(count):
                self.start(store, f"{store.name}{n}")

    def log(self, name):
        return self.folder / f"{name}.log"

    def start(self, store, name):
        self.lives += 1
        command = [sys.executable, HERE / "writer.py", store.path, name, self.seed * 10007 + self.lives, self.log(name),
                   self.pause_file, self.pace]
        self.running[name] = (store, subprocess.Popen(below_pdeath(command), stdin=subprocess.DEVNULL))

    def kill(self, name, restart=True):
        store, process = self.running.pop(name)
        process.kill()
        process.wait()
        if restart:
            self.start(store, name)

    def pause(self):
        self.pause_file.touch()

    def go_on(self):
        self.pause_file.unlink(missing_ok=True)

    def check(self):
        for name, (_, process) in self.running.items():
            assert process.poll() is None, f"the writer {name} ended with {process.returncode}"

    def stop(self):
        for name in list(self.running):
            self.kill(name, restart=False)


class Run:
    """A run of resthookd, its log in a file."""

    def __init__(self, program, arguments, log, fault=None):
        env = dict(os.environ)
        env.pop("RESTHOOK_FAULT", None)
        if env.pop("LD_PRELOAD", None):
            env["ASAN_OPTIONS"] = "detect_leaks=1"
        if fault:
            env["RESTHOOK_FAULT"] = fault
        self.log, self.fault = log, fault
        with open(log, "w") as file:
            self.process = subprocess.Popen(below_pdeath([program, *arguments]), stdin=subprocess.DEVNULL, stdout=file,
                                            stderr=file, env=env)

    def text(self):
        return self.log.read_text(errors="replace")

    def wait(self, seconds):
        """Its exit status, negative for a signal; None: it runs."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def wait_for(self, words, seconds=20):
        """Until its log has them; False: it ended before, or did not say so in time."""
        end = time.monotonic() + seconds
        while words not in self.text():
            if self.process.poll() is not None or time.monotonic() > end:
                return words in self.text()
            time.sleep(0.003)
        return True

    def kill(self):
        self.process.kill()
        return self.process.wait()

    def died_of_fault(self):
        return self.process.poll() == -9 and any(line.startswith("fault ") for line in self.text().splitlines()[-1:])


def command_line():
    """What each play takes; it adds its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir", help="where the files are made, and stay when something is broken")
    return parser


def perform(name, given, make):
    """Plays what make(build, folder) returns, and tells its figures. Returns the exit status: 1, with the evidence, when
    something is broken."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # a kill takes nothing from the disk's cache
    folder = Path(given.dir or tempfile.mkdtemp(prefix=f"{name}-", dir=memory))
    folder.mkdir(exist_ok=True)
    play = make((ROOT / given.build).resolve(), folder)
    try:
        play.play()
    finally:
        play.close()
    print(play.figures(), flush=True)
    evidence = play.evidence()
    for line in evidence[:30]:
        print(line)
    if evidence:
        print(f"{len(evidence)} in all; seed {given.seed}; the files are in {folder}")
        return 1
    if not given.dir:
        shutil.rmtree(folder)
    return 0
