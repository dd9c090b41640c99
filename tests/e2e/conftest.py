"""What the tests with real processes stand on: a database, a receiver, dispatchers, and an end to all of them.

The build under test is in RESTHOOK_BUILD (default build). Every process that a test starts is ended, by its pid, when
the test ends; should the test runner be killed, the kernel ends them.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import pytest

from receiver import Receiver

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("RESTHOOK_BUILD", "build")
RESTHOOKD = BUILD / "resthookd"
EXTENSION = BUILD / "resthook.so"
LOOPBACK = ("--allow", "127.0.0.0/8")


def own_environment():
    """For resthookd: a sanitizer's library that tests/run preloads for foreign hosts is in it already, and its own
    leaks do count. And for the sqlite3 shell when it loads nothing."""
    env = dict(os.environ)
    if env.pop("LD_PRELOAD", None):
        env["ASAN_OPTIONS"] = "detect_leaks=1"
    return env


def resthookd(*arguments, stdin=None, command=None, timeout=60):
    """Runs resthookd to its end. command: what starts it, when that is more. Returns status, stdout and stderr."""
    command = command or (RESTHOOKD,)
    return subprocess.run([*map(str, command), *map(str, arguments)], input=stdin, text=True, capture_output=True,
                          timeout=timeout, env=own_environment())


class Database:
    """An application's database file, and the ways to it."""

    def __init__(self, path):
        self.path = path
        self.side = path.with_name(path.name + "-resthook")

    def shell(self, sql, *options, env=None):
        """The plain sqlite3 shell with nothing loaded, and a busy_timeout, as README asks of writers. Returns what it
        prints, without the last newline. env: os.environ for one that loads the extension."""
        done = subprocess.run(["sqlite3", "-bail", "-cmd", ".timeout 10000", *options, str(self.path)], input=sql,
                              text=True, capture_output=True, timeout=60,
                              env=env or own_environment())
        assert done.returncode == 0, done.stderr
        return done.stdout.removesuffix("\n")

    def connect(self):
        """A connection of python's own SQLite with the extension loaded, in autocommit."""
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=10, check_same_thread=False)
        connection.enable_load_extension(True)
        connection.load_extension(str(EXTENSION.with_suffix("")))
        connection.enable_load_extension(False)
        return connection

    def ext(self, sql, *values):
        """One statement in a connection with the extension. Returns its rows."""
        connection = self.connect()
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def one(self, sql, *values):
        """The first value of the first row of ext()."""
        return self.ext(sql, *values)[0][0]

    def subscribe(self, event, target, **options):
        """Returns the id and the secret. An option that is None is left out."""
        connection = self.connect()
        try:
            given = {name: value for name, value in options.items() if value is not None}
            row = connection.execute("SELECT resthook_subscribe(?, ?, ?)",
                                     (event, target, json.dumps(given) if given else None)).fetchone()
            secret = connection.execute("SELECT resthook_secret(?)", row).fetchone()
            return row[0], secret[0]
        finally:
            connection.close()

    def journal(self, sql, *values):
        """One statement on the side file, by plain SQLite. Returns its rows."""
        connection = sqlite3.connect(f"file:{self.side}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def meta(self, name):
        rows = self.journal("SELECT value FROM meta WHERE name = ?", name)
        return rows[0][0] if rows else None


class Dispatcher:
    """A running resthookd. Its log is collected from the start; `ready` has been said when start() returns."""

    def __init__(self, arguments, command=None, env=None):
        command = command or (RESTHOOKD,)
        # pdeathsig: it does not outlive a runner that is killed. The program is the process started here.
        self.process = subprocess.Popen([*map(str, command[:-1]), "setpriv", "--pdeathsig", "KILL", str(command[-1]),
                                         *map(str, arguments)],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                        errors="replace", env={**own_environment(), **(env or {})})
        self.changed = threading.Condition()
        self.log = []
        self.ended = False
        self.reader = threading.Thread(target=self.collect, daemon=True)
        self.reader.start()

    def collect(self):
        for line in self.process.stderr:
            with self.changed:
                self.log.append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def text(self):
        with self.changed:
            return "\n".join(self.log)

    def wait_log(self, pattern, timeout=60, count=1):
        """Waits until `count` lines match, and returns the last of them; AssertionError with the log after that, or
        when the process ends without them."""
        def matching():
            return [line for line in self.log if re.search(pattern, line)]

        with self.changed:
            self.changed.wait_for(lambda: len(matching()) >= count or self.ended, timeout)
            found = matching()
            if len(found) < count:
                state = "ended" if self.ended else "runs"
                raise AssertionError(f"no line of the log matches {pattern!r}; resthookd {state}:\n" + "\n".join(self.log))
            return found[count - 1]

    def wait(self, timeout=60):
        """Waits for its end and returns the exit status, negative for a signal."""
        status = self.process.wait(timeout)
        self.reader.join(timeout)
        return status

    def stop(self, timeout=60):
        """SIGTERM: it finishes what is in flight. Returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def stop_now(self, timeout=10):
        """It leaves what is in flight. For make coverage: a process writes what it has counted when it ends itself."""
        for number in (signal.SIGCONT, signal.SIGTERM, signal.SIGINT):
            self.process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout)

    def kill(self):
        """SIGKILL."""
        if self.process.poll() is None:
            self.process.kill()
        return self.wait()


def watched(path):
    """A database in WAL mode with resthook in it and one watched table, item(id, name): item.create."""
    database = Database(path)
    database.shell("PRAGMA journal_mode=WAL; CREATE TABLE item(id INTEGER PRIMARY KEY, name);")
    database.ext("SELECT resthook_init()")
    database.ext("SELECT resthook_watch('item', 'insert', 'item.create')")
    return database


@pytest.fixture
def eventually():
    """eventually(true, timeout=30): for what a process does of its own accord and only its files tell."""

    def wait(true, timeout=30):
        end = time.monotonic() + timeout
        while not true():
            assert time.monotonic() < end, f"it did not come true in {timeout} s"
            time.sleep(0.01)

    return wait


@pytest.fixture
def db(tmp_path):
    return watched(tmp_path / "app.db")


@pytest.fixture
def nobody(tmp_path):
    """The command that runs resthookd as nobody, who can reach it and the test's folder (pytest makes that for its
    owner alone, and the tree may be anywhere)."""
    if os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    for folder in [tmp_path, *tmp_path.parents]:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    program = shutil.copy(RESTHOOKD, tmp_path / "resthookd")
    return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program)


@pytest.fixture
def receiver():
    with Receiver() as started:
        yield started


@pytest.fixture
def dispatcher():
    """dispatcher(db, *options, allow=LOOPBACK, ready=True) starts one; ready: waits until it says so. command: what
    starts it, the program last; env: what its environment has besides."""
    started = []

    def start(database, *options, allow=LOOPBACK, ready=True, command=None, env=None):
        running = Dispatcher([*allow, *options, getattr(database, "path", database)], command, env)
        started.append(running)
        if ready:
            running.wait_log(r" ready\b")
        return running

    yield start
    for each in started:
        status = each.process.poll()
        if status is None and "GCOV_PREFIX" in os.environ:
            each.stop_now()
        each.kill()
        # Whatever the test was about: a dispatcher that a test left alone runs, and no sanitizer has spoken.
        assert status is None or status >= 0 or status in (-signal.SIGKILL, -signal.SIGTERM), each.text()
        assert "Sanitizer" not in each.text() and "runtime error" not in each.text(), each.text()
