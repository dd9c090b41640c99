#!/usr/bin/env python3
"""SIGKILL everywhere: is anything that was committed not delivered, anything sent that was not committed?

    python3 tests/torture/torture.py [--build DIR] [--kills N] [--seed S] [--short]

Two databases, one in WAL mode and one with a rollback journal, are written to by plain SQLite programs and delivered by
one dispatcher to targets of every kind (stage.py). The dispatcher is killed at random moments and at every fault point
that its source names (dispatcher/fault.h), the writers, the receiver and a script of `resthookd sql` too; what can't be
brought about here happens in databases of its own (labs.py). After each kill: both files are whole, and nothing that was
final is pending. Every hundred kills and at the end everything is delivered and the oracle judges (oracle.py).

One line tells the figures. The exit status is 1, with the evidence, when a promise was broken or a point was not met.
--short: one point of each group, for the test suite.
"""

import random
import re
import sys
import time
from collections import Counter
from pathlib import Path

from acts import Acts
from labs import LABS, Lab
from oracle import Oracle, Story
from stage import IN_FLIGHT, ROOT, SUBSCRIPTIONS, Run, Store, Target, Writers, command_line, free_ports, perform

CHAPTER = 100       # kills between two judgements
BEHIND = 2000       # unread events at which the dispatcher is let be
PATIENCE = 2.5      # seconds until a point that was not met is given up for this time
DRAIN = 120         # seconds until everything has to be delivered
SETTINGS = [("keep_events", 2), ("keep_deliveries", 20), ("keep_attempts", 2), ("idempotency_window", 1),
            ("backfill_rate", 2000), ("connect_timeout", 2), ("retry_schedule", "0" + ",200ms" * 49)]
OFTEN = {"claim.taken", "send.begun", "send.answered", "settle.row", "settle.outcome", "expand.event", "disk.write",
         "disk.half_write"}


def points():
    """All that the source names."""
    text = "".join(file.read_text() for file in sorted((ROOT / "dispatcher").glob("*.c")))
    return sorted(set(re.findall(r'(?:fault_point|is_the_one)\("([a-z_.]+)"\)', text)))


def group(point):
    return point.split(".")[0]


class Torture:
    def __init__(self, build, folder, kills, seed, short):
        self.folder, self.wanted, self.short = folder, kills, short
        self.chance = random.Random(seed)
        self.program = build / "faults" / "resthookd"
        self.kills = Counter()
        self.passed = Counter()
        self.runs = 0
        self.broken = []
        ports = free_ports(3)
        self.stores = [Store(build, folder / f"{name}.db", ports).make(mode, SETTINGS)
                       for name, mode in (("wal", "WAL"), ("del", "DELETE"))]
        for store in self.stores:
            store.subscribe_all(word for word in SUBSCRIPTIONS if word not in ("dying", "down"))  # those are the soak's
        self.target = Target(folder / "target.log", ports)
        self.start(None, "--once").wait(30)  # both have a side file then
        self.writers = Writers(folder, self.stores, 1 if short else 2, seed, 150 if short else 50)
        self.stories = [Story(store, [self.writers.log(name) for name, (of, _) in self.writers.running.items() if of is store])
                        for store in self.stores]
        self.acts = [Acts(store, story, self.chance) for store, story in zip(self.stores, self.stories)]
        self.oracle = Oracle(self.target, self.stories)
        self.lab = Lab(build, folder / "lab", self.chance)
        self.todo = points()
        self.chance.shuffle(self.todo)
        if short:
            self.todo = list({group(point): point for point in self.todo}.values())

    # ---- the dispatcher ----

    def start(self, fault=None, *options):
        self.runs += 1
        self.target.note("r", self.runs)
        return Run(self.program, ["--allow", "127.0.0.0/8", "--max-in-flight", IN_FLIGHT, *options,
                                  *(store.path for store in self.stores)], self.folder / "run.log", fault)

    def ended(self, run):
        """After a run: what does it look like?"""
        status = run.process.poll()
        if status not in (0, -9) and not (status == 1 and "undelivered" in run.text()):
            self.broken.append(f"resthookd ended with {status}, {run.fault}:\n{run.text()[-2000:]}")
        self.target.settle()
        self.oracle.after_kill()
        for store in self.stores:
            self.broken += store.integrity()

    def met(self, run, point):
        if run.died_of_fault():
            self.passed[point] += 1
            self.kills["at points"] += 1
            return True
        return False

    # ---- what brings a point about ----

    def stimulate(self, name, acts):
        """Before the dispatcher starts; returns its options and what is to be done once it runs."""
        self.writers.go_on()
        if name in ("retention", "notice", "effect"):
            self.writers.pause()  # a quiet moment
        if name == "retention":
            acts.rewatch()
            acts.emit()
            acts.cancel()
            return ["--once"], None
        if name == "request":
            self.chance.choice([acts.replay, acts.cancel, acts.forget])()
            acts.notes(2)
            acts.replay("d.state = 4")
            acts.cancel()
            acts.forget()
        elif name == "repair":
            acts.rebuild()
        elif name == "effect":
            acts.come("gone")
            for _ in range(60):
                acts.emit()
        elif name == "end":
            acts.come("transient")
            return [], acts.go
        elif name == "order":
            acts.cancel(word="order")
            acts.toggle_order()
        elif name == "held":
            acts.break_or_mend()
            acts.notes()
            return [], acts.break_or_mend
        elif name == "failing":
            acts.store.ext("SELECT resthook_pause(?)", acts.store.sub("paused"))
            return [], lambda: acts.store.ext("SELECT resthook_resume(?)", acts.store.sub("paused"))
        elif name == "roster":
            return [], acts.toggle_pause
        return [], None

    def count(self, point):
        if self.chance.random() < 0.4:
            return 1
        return self.chance.randrange(1, 300 if point in OFTEN else 4)

    def at_point(self, point):
        """A run that ends at it, if it is met."""
        name = group(point)
        lab, count = "keys" if "keys" in point else name, 1
        if lab in LABS or name == "disk" and self.chance.random() < 0.3:
            if name == "disk":
                lab, count = self.chance.choice(["birth", "adopt", "upgrade", "rewind"]), self.chance.randrange(1, 60)
            met, wrong = self.lab.play(lab, point, count)
            self.broken += wrong
            self.passed[point] += met
            self.kills["at points"] += met
            return
        acts = self.chance.choice(self.acts)
        if name == "sql" or name == "disk" and self.chance.random() < 0.3:
            self.script(point, acts)
            return
        options, then = self.stimulate(name, acts)
        if acts.store.name == "wal" and point == "disk.unlink":
            acts = self.acts[1]  # only a rollback journal is removed
        count = 1 if self.passed[point] == 0 else self.count(point)
        if point == "disk.unlink":
            options, then = ["--once"], None
            self.writers.pause()
            acts.rewatch()
        run = self.start(f"{point}:{count}", *options)
        if name == "stop":
            run.wait_for(" ready ")
            run.process.terminate()
        elif then is not None:
            if run.wait_for(" ready "):
                run.wait(self.chance.random() * 0.1)
            then()
        self.meanwhile(run)
        if name == "failing" and run.wait(PATIENCE) is None:  # on a busy machine it read its subscriptions after that
            self.stimulate(name, acts)
            run.wait(PATIENCE / 4)
            then()
        if run.wait(PATIENCE) is None:
            run.kill()
            self.kills["at random"] += 1
        self.met(run, point)
        self.ended(run)
        if then is not None and name == "held":
            acts.mend()

    def at_random(self):
        run = self.start()
        self.meanwhile(run)
        run.wait(min(1.5, self.chance.expovariate(4)))
        run.kill()
        self.kills["at random"] += 1
        self.ended(run)

    def meanwhile(self, run):
        """Others die too."""
        if self.chance.random() < 0.15:
            run.wait(self.chance.random() * 0.1)
            self.writers.kill(self.chance.choice(sorted(self.writers.running)))
            self.kills["writers"] += 1
        if self.chance.random() < 0.05:
            run.wait(self.chance.random() * 0.3)
            self.target.kill()
            self.target.start()
            self.kills["receiver"] += 1

    def script(self, point, acts):
        """A program that subscribes, replays, forgets … is killed. resthookd looks on."""
        sql, tell = acts.script()
        file = self.folder / "script.sql"
        file.write_text(sql)
        command = Run("sh", ["-c", f'exec "{self.program}" sql "{acts.store.path}" < "{file}"'], self.folder / "script.log",
                      f"{point}:{self.chance.randrange(1, 9 if point.startswith('sql') else 40)}")
        status = command.wait(30)
        self.met(command, point)
        if status not in (0, -9):
            self.broken.append(f"resthookd sql ended with {status}:\n{sql}\n{command.text()}")
        tell()
        self.broken += acts.store.integrity()

    # ---- chapters ----

    def behind(self):
        return max(store.newest() - store.cursor() for store in self.stores)

    def undrained(self):
        return [store for store in self.stores if not store.is_drained()]

    def chapter(self):
        """Everything comes to its end."""
        self.kills["writers"] += len(self.writers.running)
        self.writers.stop()
        for acts in self.acts:
            acts.calm()
        run = self.start()
        run.wait_for(" ready ")  # SIGTERM before that would end it at once
        end = time.monotonic() + DRAIN
        while self.undrained() and run.wait(0.05) is None and time.monotonic() < end:
            for acts in self.acts:
                acts.unstop()
            self.oracle.after_kill()  # what ends now may be forgotten soon
        for store in self.undrained():
            rows = store.journal("SELECT s.target, d.* FROM delivery AS d JOIN subscription AS s ON s.n = d.sub"
                                 " WHERE d.state < 3 LIMIT 10")
            self.broken.append(f"{store.name} is not delivered after {DRAIN} s: cursor {store.cursor()} of {store.newest()},"
                               f" unfinished {rows}\n{run.text()[-1000:]}")
        run.process.terminate()
        if run.wait(30) is None:
            self.broken.append("resthookd does not stop:\n" + run.text()[-2000:])
            run.kill()
        self.ended(run)
        self.oracle.chapter_ends()
        for store in self.stores:
            for n in range(1 if self.short else 2):
                self.writers.start(store, f"{store.name}{n}")

    # ---- all of it ----

    def missing(self):
        return [point for point in self.todo if not self.passed[point]]

    def done(self):
        return sum(self.kills.values())

    def next_point(self):
        missing = self.missing()
        if missing and (self.short or self.chance.random() < 0.5):
            return self.chance.choice(missing)
        return self.chance.choice(self.todo)

    def play(self):
        tries, told = 0, 0
        while (self.done() < self.wanted or self.missing()) and not self.evidence():
            tries += 1
            if tries > 2 * self.wanted + 300:
                break
            if not self.short or tries % 4 == 0:
                self.chance.choice(self.acts).any()
            if not self.short and self.chance.random() < 0.4:
                self.at_random()
            else:
                self.at_point(self.next_point())
            self.writers.check()
            if self.done() // CHAPTER > told or self.behind() > BEHIND:
                self.chapter()
                told = self.done() // CHAPTER
                print(f"  {self.figures()}", file=sys.stderr, flush=True)
        if not self.evidence():
            self.chapter()
        self.oracle.judge_repeats()
        if self.missing() and not self.evidence():
            self.broken.append("points that were not met: " + ", ".join(self.missing()))

    def evidence(self):
        return self.broken + self.oracle.evidence()

    def figures(self):
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kills.items()))
        most = max(self.oracle.repeats.values(), default=0)
        return (f"events {self.oracle.events}  requests {self.oracle.requests}  kills {self.done()} ({kinds})  "
                f"points {len(self.todo) - len(self.missing())} of {len(self.todo)}  lost {len(self.oracle.lost)}  "
                f"ghosts {len(self.oracle.ghosts)}  repeats {sum(self.oracle.repeats.values())}"
                f" (at most {most} by one kill, bound {self.oracle.bound})")

    def close(self):
        self.writers.stop()
        self.target.kill()
        for store in self.stores:
            store.close()


def main():
    parser = command_line()
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--short", action="store_true")
    given = parser.parse_args()
    return perform("torture", given,
                   lambda build, folder: Torture(build, folder, given.kills, given.seed, given.short))


if __name__ == "__main__":
    sys.exit(main())
