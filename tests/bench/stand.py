"""The stand that figures are measured on: files in a scratch folder, one receiver, and processes that are all ended.

Everything is a real process on a real file. Where the machine has two processors or more, whoever sends has one of them
and the receiver another, so that neither is moved about while it is measured.
"""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

COLUMNS = ("id INTEGER PRIMARY KEY, name TEXT, email TEXT, course TEXT, status TEXT, seats INTEGER, price REAL, "
           "created_at INTEGER")
VALUES = "'Ada Lovelace', 'ada@example.com', 'NFdFJBSwwA8B', 'enrolled', 12, 49.5, 1790000000"
SERIES = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SIDES = ("", "-wal", "-shm", "-resthook", "-resthook-wal", "-resthook-shm")


def pinned(core):
    """For Popen: the process has this processor, and ends with us."""
    cores = sorted(os.sched_getaffinity(0))

    def prepare():
        if core is not None and len(cores) > 1:
            os.sched_setaffinity(0, {cores[core % len(cores)]})

    return prepare


SENDER, RECEIVER, ANYWHERE = 0, 1, None


class Taken:
    """What the receiver knows of a run: how many came, when (ns, CLOCK_MONOTONIC), and when each timed id did."""

    def __init__(self, text):
        words = [line.split() for line in text.splitlines()]
        named = {name: int(value) for name, value in words if not name.isdigit() and name != "mark"}
        self.count, self.first, self.last = named["count"], named["first"], named["last"]
        self.marks = [int(value) for name, value in words if name == "mark"]
        self.timed = {}
        for name, value in words:
            if name.isdigit():
                self.timed.setdefault(int(name), int(value))  # a repeat is no arrival


class Run:
    """A process that has ended: its whole time, and its processor's."""

    def __init__(self, ended, usage):
        self.ended = ended
        self.cpu = usage.ru_utime + usage.ru_stime


class Stand:
    """build: where the programs are; scratch: a folder of ours, on the disk that is measured."""

    def __init__(self, build, scratch):
        self.build = build
        self.scratch = scratch
        self.running = []
        self.certificate()
        receiver = self.start([build / "bench/receiver", self.ca, scratch / "key.pem"], core=RECEIVER,
                              stdout=subprocess.PIPE)
        self.port, self.tls_port = (int(receiver.stdout.readline()) for _ in range(2))

    def certificate(self):
        self.ca = self.scratch / "ca.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "1", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", self.scratch / "key.pem", "-out", self.ca], check=True, capture_output=True)

    def close(self):
        for process in self.running:
            if process.poll() is None:
                process.kill()
            process.wait()

    # ---- processes ----

    def start(self, command, core=ANYWHERE, **options):
        process = subprocess.Popen([str(word) for word in command], preexec_fn=pinned(core),
                                   stdin=subprocess.DEVNULL, **options)
        self.running.append(process)
        return process

    def finish(self, process, expected=(0,)):
        """Waits for its end."""
        _, status, usage = os.wait4(process.pid, 0)
        ended = time.monotonic_ns()
        process.returncode = os.waitstatus_to_exitcode(status)
        self.running.remove(process)
        if process.returncode not in expected:
            raise RuntimeError(f"{process.args} ended with {process.returncode}")
        return Run(ended, usage)

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        return self.finish(process)

    def output(self, command, core=ANYWHERE):
        """Runs one of the benchmark's programs to its end and returns what it printed."""
        return subprocess.run([str(word) for word in command], preexec_fn=pinned(core), check=True,
                              stdout=subprocess.PIPE, text=True).stdout

    def dispatcher(self, *arguments, core=SENDER, ready=False):
        """ready: waits until it has said so. What else it says is thrown away."""
        process = self.start([self.build / "resthookd", "--allow", "127.0.0.0/8", *arguments], core=core,
                             stderr=subprocess.PIPE if ready else subprocess.DEVNULL)
        if ready:
            line = process.stderr.readline()
            if b" ready " not in line:
                raise RuntimeError(f"resthookd did not start: {line.decode()}")
            threading.Thread(target=process.stderr.read, daemon=True).start()
        return process

    def sender(self, requests, in_flight, *urls, core=SENDER):
        return self.start([self.build / "bench/bare_sender", requests, in_flight, self.ca, *urls], core=core)

    # ---- the receiver ----

    def url(self, path="/", host="127.0.0.1", tls=False):
        return f"http{'s' if tls else ''}://{host}:{self.tls_port if tls else self.port}{path}"

    def ask(self, path):
        with urllib.request.urlopen(self.url(path), timeout=60) as answer:
            return answer.read().decode()

    def take(self):
        """What came since this was asked last."""
        return Taken(self.ask("/take"))

    def count(self):
        return int(self.ask("/count").split()[1])

    def wait_for(self, count, seconds=60):
        """Returns how many came in this time."""
        end = time.monotonic() + seconds
        while (came := self.count()) < count and time.monotonic() < end:
            time.sleep(0.01)
        return came

    # ---- databases ----

    def path(self, name):
        return self.scratch / name

    def remove(self, name):
        for side in SIDES:
            self.path(name + side).unlink(missing_ok=True)

    def sql(self, name, *statements):
        """In a connection with the extension. Returns the last statement's rows."""
        connection = self.connect(name)
        for statement in statements:
            rows = connection.execute(statement).fetchall()
        connection.close()
        return rows

    def connect(self, name):
        connection = sqlite3.connect(self.path(name), isolation_level=None, timeout=10)
        connection.enable_load_extension(True)
        connection.load_extension(str(self.build / "resthook"))
        return connection

    def plain(self, name):
        """The application's database without resthook: one table of eight columns, in WAL mode."""
        self.remove(name)
        self.sql(name, "PRAGMA journal_mode=WAL", f"CREATE TABLE item({COLUMNS})", "CREATE TABLE own(a)")
        return name

    def least(self, name):
        """The least that a trigger does which records that there is a row: another row, of a constant."""
        self.plain(name)
        self.sql(name, "CREATE TABLE least(id INTEGER PRIMARY KEY, watch)",
                 "CREATE TRIGGER least_item AFTER INSERT ON item BEGIN INSERT INTO least(watch) VALUES (1); END")
        return name

    def watched(self, name, *targets, rows=0, settings=()):
        """The same, each insert an event item.create, and who is to have it."""
        self.plain(name)
        self.sql(name, "SELECT resthook_init()", "SELECT resthook_watch('item', 'insert', 'item.create')")
        for target in targets:
            self.sql(name, f"SELECT resthook_subscribe('item.create', '{target}')")
        for setting, value in settings:
            self.sql(name, f"SELECT resthook_set('{setting}', {value})")
        if rows:
            self.insert(name, rows)
        return name

    def insert(self, name, rows):
        """As an application does, through the trigger."""
        self.sql(name, "BEGIN", "INSERT INTO item(name, email, course, status, seats, price, created_at) "
                 + SERIES.format(rows=rows) + f" SELECT {VALUES} FROM n", "COMMIT", "PRAGMA wal_checkpoint(TRUNCATE)")

    def backlog(self, name, rows, target):
        """Events written straight into the outbox, as the trigger would have: ten million in seconds."""
        self.watched(name, target)
        self.sql(name, "PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", "PRAGMA cache_size=-200000", "BEGIN",
                 "INSERT INTO resthook_outbox(created_at, watch, v0, v1, v2, v3, v4, v5, v6, v7) "
                 + SERIES.format(rows=rows) + f" SELECT {time.time_ns() // 1000000}, 1, i, {VALUES} FROM n",
                 "COMMIT", "PRAGMA journal_mode=WAL")
        return name

    def subscriptions(self, name, count, event, target):
        """Many at once, to all events that are there too; event and target are SQL expressions over i, from 1."""
        self.sql(name, "BEGIN", "INSERT INTO resthook_subscription(id, event, target, secret, from_id, created_at, "
                 "updated_at) " + SERIES.format(rows=count) + f" SELECT 'sub_' || lower(hex(randomblob(12))), {event}, "
                 f"{target}, '{SECRET}', 0, 0, 0 FROM n", "COMMIT")

    def copy(self, name, to):
        """On the disk too: else it is written there while something else is measured, whose syncs wait for it."""
        self.remove(to)
        shutil.copyfile(self.path(name), self.path(to))
        with open(self.path(to), "rb") as file:
            os.fsync(file)
        return to


def folder(build):
    scratch = build / "bench/scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    return scratch


def processor_ns(pid):
    """Time on a processor so far, of all its threads: there is one."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def peak_mib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmHWM")


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")
