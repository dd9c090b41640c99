#!/usr/bin/env python3
"""Everything at once for a while: does anything grow that should not, is anything lost?

    python3 tests/torture/soak.py [--build DIR] [--minutes N] [--seed S]

Writers, targets that fail, hang, say 410 or are down for seconds, subscriptions that come and go, pauses, strict order,
backfills, replays, cancellations, erasing, migrations: what torture.py plays with, without a kill, and with bounds of
age and number that are seconds. Each two seconds the dispatcher's memory and descriptors, the WALs, the rows of each of
resthook's tables and the age of the oldest that may go are written down; each minute everything is delivered and the
oracle judges.

How many rows there are is a matter of how fast the machine writes, and backfills grow with the tables they read: so of
the three tables that all events go through the age is bounded, at any time (AGES). Of everything else it is the size:
after a warm-up (a third of the time, at least two minutes: a round of retention is a minute) none may be larger than
BOUNDS says; so four minutes are the least that says something of growth. The figures are printed; the exit status is 1
when one is beyond its bound, or a promise was broken.
"""

import math
import os
import random
import sys
import time
from pathlib import Path

from acts import Acts
from oracle import Oracle, Story
from stage import IN_FLIGHT, SUBSCRIPTIONS, Run, Store, Target, Writers, command_line, free_ports, perform, reader

SETTINGS = [("keep_events", 5), ("keep_deliveries", 10), ("keep_dead", 10), ("keep_attempts", 5), ("keep_pending", 600),
            ("keep_pending_rows", 5000), ("idempotency_window", 2), ("backfill_rate", 2000), ("failing_after", 3),
            ("failing_probe", 0.2)]
WORDS = [word for word in SUBSCRIPTIONS if word != "doomed"] + ["dying", "down"]
SAMPLE = 2      # seconds
CHAPTER = 60
WORK, REST = 4, 1  # seconds: what is old goes when nobody writes (README, Limits)

# Seconds: what the settings above say, a minute between two rounds of retention, half a one for the round, and for an
# event a chapter until all are delivered, for a round passes over what a delivery needs; and for an attempt, which is
# written down as one of several when there is another.
AGES = {
    "outbox": 5 + 60 + 30 + CHAPTER + 30,
    "delivery": 10 + 60 + 30,
    "attempt": 5 + 60 + 30 + CHAPTER + 30,
}
AGED = {
    "outbox": """SELECT min(created_at) FROM resthook_outbox AS o WHERE id <= (SELECT value FROM side.meta WHERE name = 'cursor')
                 AND NOT EXISTS (SELECT 1 FROM side.delivery AS d WHERE d.event = o.id AND d.state < 3)
                 AND NOT EXISTS (SELECT 1 FROM side.anchor AS a WHERE a.id = o.id)""",
    "delivery": "SELECT min(ifnull(finished_at, created_at)) FROM side.delivery WHERE state >= 3",
    "attempt": "SELECT min(started_at) FROM side.attempt",
}

# After the warm-up: at most so many times what there was then at most, and so much more; None and 0: as many as
# subscriptions were made, since ended ones stay, for the history; None and None: see AGES.
BOUNDS = {
    "rss kB": (1.1, 4096),
    # Twice the places are kept as connections, as many are at work, and each database has nine.
    "descriptors": (0, 3 * IN_FLIGHT + 2 * 9 + 20),
    "wal kB": (1.0, 8192),
    "rows": (1.5, 2000),
    "resthook_outbox": (None, None),
    "side delivery": (None, None),
    "side attempt": (None, None),
    "resthook_subscription": (None, 0),
    "side subscription": (None, 0),
}


class Soak:
    def __init__(self, build, folder, seconds, seed):
        self.seconds = seconds
        self.chance = random.Random(seed)
        ports = free_ports(3)
        self.stores = [Store(build, folder / f"{name}.db", ports).make(mode, SETTINGS)
                       for name, mode in (("wal", "WAL"), ("del", "DELETE"))]
        for store in self.stores:
            store.subscribe_all(WORDS)
        self.target = Target(folder / "target.log", ports)
        self.target.note("r", 1)
        arguments = ["--allow", "127.0.0.0/8", "--max-in-flight", IN_FLIGHT, "--log-level", "error",
                     *(store.path for store in self.stores)]
        Run(build / "resthookd", ["--once", *arguments], folder / "run.log").wait(60)  # both have a side file then
        self.writers = Writers(folder, self.stores, 2, seed, 20)
        self.stories = [Story(store, [self.writers.log(name) for name, (of, _) in self.writers.running.items() if of is store])
                        for store in self.stores]
        self.acts = [Acts(store, story, self.chance) for store, story in zip(self.stores, self.stories)]
        self.oracle = Oracle(self.target, self.stories)
        self.run = Run(build / "resthookd", arguments, folder / "run.log")
        self.samples = []  # (seconds, {figure: value})
        self.broken = []

    # ---- figures ----

    def sample(self, at):
        pid = self.run.process.pid
        status = Path(f"/proc/{pid}/status").read_text()
        figures = {"rss kB": int(status.split("VmRSS:")[1].split()[0]), "descriptors": len(os.listdir(f"/proc/{pid}/fd"))}
        for store in self.stores:
            for what, file in (("app", store.path), ("side", store.side)):
                wal = file.with_name(file.name + "-wal")
                figures[f"{store.name} {what} wal kB"] = wal.stat().st_size // 1024 if wal.exists() else 0
                connection = reader(file)
                tables = [name for (name,) in connection.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'table'"
                    + (" AND name GLOB 'resthook_*'" if what == "app" else ""))]
                for table in tables:
                    name = f"{store.name} {'side ' if what == 'side' else ''}{table}"
                    figures[name] = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                connection.close()
            figures |= self.ages(store)
        self.samples.append((at, figures))

    def ages(self, store):
        """Seconds since the oldest that may go was written or finished."""
        connection = reader(store.path, beside=store.side)
        oldest = {name: connection.execute(query).fetchone()[0] for name, query in AGED.items()}
        connection.close()
        return {f"{store.name} {name} age s": round(time.time() - when / 1000) if when else 0 for name, when in oldest.items()}

    def bound(self, figure, warm):
        if figure.endswith(" age s"):
            return AGES[figure.split()[1]]
        kind = next((kind for kind in BOUNDS if figure.endswith(kind)), "rows")
        times, more = BOUNDS[kind]
        if more is None:
            return math.inf
        if times is None:
            return max(len(store.subs) for store in self.stores)
        return warm * times + more

    def figures(self):
        """What is beyond its bound is broken."""
        warmed_up = max(self.seconds / 3, 120)
        lines = [f"{'':34}{'warm-up':>10}{'after':>10}{'last':>10}{'bound':>10}"]
        for figure in self.samples[-1][1]:
            warm = max(values.get(figure, 0) for at, values in self.samples if at < warmed_up)
            after = max([values.get(figure, 0) for at, values in self.samples if at >= warmed_up] or [0])
            bound = self.bound(figure, warm)
            lines.append(f"{figure:34}{warm:10}{after:10}{self.samples[-1][1][figure]:10}"
                         + (f"{bound:10.0f}" if bound < math.inf else ""))
            if max(warm, after) > bound:
                self.broken.append(f"{figure} is {max(warm, after)}, at most {bound:.0f} after {warm} in the warm-up")
        return "\n".join([*lines, f"events {self.oracle.events}  requests {self.oracle.requests}  lost {len(self.oracle.lost)}  "
                          f"ghosts {len(self.oracle.ghosts)}  repeats {sum(self.oracle.repeats.values())}"])

    # ---- what happens ----

    def chapter(self):
        self.writers.stop()
        for acts in self.acts:
            acts.calm()
        end = time.monotonic() + 90
        while not all(store.is_drained() for store in self.stores) and time.monotonic() < end:
            for acts in self.acts:
                acts.unstop()
            self.oracle.after_kill()
            self.run.wait(0.1)
        for store in self.stores:
            if not store.is_drained():
                rows = store.journal("SELECT s.target, d.* FROM delivery AS d JOIN subscription AS s ON s.n = d.sub"
                                     " WHERE d.state < 3 LIMIT 10")
                self.broken.append(f"{store.name} is not delivered: cursor {store.cursor()} of {store.newest()}, {rows}")
        self.oracle.chapter_ends()

    def play(self):
        began = time.monotonic()
        next_chapter, next_sample = CHAPTER, 0
        while (at := time.monotonic() - began) < self.seconds and not self.evidence():
            if self.run.process.poll() is not None:
                self.broken.append(f"resthookd ended with {self.run.process.poll()}")
                break
            if at >= next_sample:
                self.sample(at)
                next_sample = at + SAMPLE
                self.oracle.after_kill()
            if at >= next_chapter:
                self.chapter()
                self.start_writers()
                next_chapter = time.monotonic() - began + CHAPTER
            (self.writers.pause if at % (WORK + REST) > WORK else self.writers.go_on)()
            self.chance.choice(self.acts).any()
            self.run.wait(0.1)
        self.writers.go_on()
        if not self.evidence():
            self.chapter()
            self.sample(time.monotonic() - began)

    def start_writers(self):
        for store in self.stores:
            for n in range(2):
                self.writers.start(store, f"{store.name}{n}")

    def evidence(self):
        return self.broken + self.oracle.evidence()

    def close(self):
        self.run.process.terminate()
        if self.run.wait(30) != 0:
            self.broken.append(f"resthookd ended with {self.run.process.poll()} when it was asked to")
            self.run.kill()
        if self.run.text():
            self.broken.append("errors in the log:\n" + self.run.text()[-2000:])
        self.writers.stop()
        self.target.kill()
        for store in self.stores:
            store.close()


def main():
    parser = command_line()
    parser.add_argument("--minutes", type=float, default=5)
    given = parser.parse_args()
    return perform("soak", given, lambda build, folder: Soak(build, folder, given.minutes * 60, given.seed))


if __name__ == "__main__":
    sys.exit(main())
