"""Says whether every promise was kept: from what the writers wrote down, what the application's tables say of it, what
the receiver wrote down, and what the side file says has become of each delivery.

Requests are read as they come; what needs to know all that was committed is judged at the end of a chapter, when
everything has been delivered and nobody writes (chapter_ends), and then a new one begins.
"""

import json
from collections import Counter, defaultdict

GROUP = 256  # outcomes that one commit of the dispatcher holds at most
DELIVERED, DEAD, CANCELLED = 3, 4, 5
WORDS_NEVER_DEAD = {"all", "down", "flaky", "order", "paused", "filter", "hung"}


def matches(pattern, event):
    if pattern == "*":
        return not event.startswith("resthook.")
    return event.startswith(pattern[:-1]) if pattern.endswith(".*") else pattern == event


class Lines:
    """The whole lines that a growing file has got since the last look."""

    def __init__(self, path):
        self.path, self.at = path, 0

    def read(self):
        if not self.path.exists():
            return []
        with open(self.path, "rb") as file:
            file.seek(self.at)
            data = file.read()
        end = data.rfind(b"\n") + 1
        self.at += end
        return data[:end].decode().splitlines()


class Pair:
    """What came of an event for a target."""

    __slots__ = ("id", "event", "mark", "came", "answered", "accepted_in")

    def __init__(self, id, event, mark, came):
        self.id, self.event, self.mark, self.came = id, event, mark, came
        self.answered = None     # when a 2xx was first on its way
        self.accepted_in = None  # the run in which a 2xx had been sent whole, until it comes again


class Story:
    """What is known of a store."""

    def __init__(self, store, logs):
        self.store = store
        self.logs = {log.stem: Lines(log) for log in logs}
        self.finals = set()  # (sub, event) of the side file, as one number: they were final once
        self.replayed = set()
        self.settled = 0     # the newest event of the chapters before
        self.known = set()   # runs of resthook_backfill
        self.sampled_at = 0
        self.begin()

    def begin(self):
        self.events = {}       # id: (event, mark, key), committed
        self.transactions = {}  # (writer, n): those events, committed or not
        self.backfilled = []   # (subscription, first, last)
        self.forgotten = set()
        self.cancelled = set()
        self.ended = {}        # (subscription, event): (state, reason), dead or cancelled

    def read_logs(self):
        for name, log in self.logs.items():
            for line in log.read():
                entry = json.loads(line)
                if "t" in entry:
                    self.transactions[name, entry["t"]] = entry["e"]

    def read_backfills(self):
        for n, sub, first, last in self.store.ext("SELECT id, subscription, first_id, last_id FROM resthook_backfill_run"):
            if n not in self.known:
                self.known.add(n)
                self.backfilled.append((sub, first, last))

    def resolve(self):
        """Which of the transactions were committed; when no writer is in one."""
        committed = set(self.store.ext("SELECT writer, n FROM tx"))
        for which, events in self.transactions.items():
            if which in committed:
                self.events.update((id, (event, mark, key)) for id, event, mark, key in events)

    def is_backfill(self, event):
        return any(first <= event <= last for _, first, last in self.backfilled)

    def sample(self):
        """Takes in what the side file says; returns what is wrong with it."""
        wrong = []
        number = {}
        rows = self.store.journal(
            "SELECT d.sub, d.event, d.state, d.reason, s.id, d.finished_at FROM delivery AS d JOIN subscription AS s"
            " ON s.n = d.sub WHERE d.state < 3 OR d.finished_at >= ?", self.sampled_at)
        for sub, event, state, reason, text, finished_at in rows:
            number[text] = sub
            key = sub << 40 | event
            if state < 3:
                if key in self.finals and (text, event) not in self.replayed:
                    wrong.append(f"{self.store.name}: {self.store.subs.get(text, text)} {event} was final and is pending again")
                continue
            self.finals.add(key)
            self.sampled_at = max(self.sampled_at, finished_at - 5000)
            if state != DELIVERED:
                self.ended[text, event] = state, reason
                if not reason:
                    wrong.append(f"{self.store.name}: {self.store.subs.get(text, text)} {event} ended without a reason")
        return wrong


class Oracle:
    def __init__(self, target, stories):
        self.log = Lines(target.log)
        self.stories = {story.store.name: story for story in stories}
        self.run = 0
        self.line = 0
        self.events = self.requests = 0
        self.lost, self.ghosts, self.broken = [], [], []
        self.repeats = Counter()  # (run, store): deliveries that this run had sent and a later one sent again
        self.begin()

    def begin(self):
        self.seen = defaultdict(dict)  # path: {event id: Pair}
        self.numbers = {}              # request that may be accepted: Pair

    def look(self):
        for line in self.log.read():
            self.line += 1
            kind, *words = line.split(" ")
            if kind == "i":
                self.came(*words)
            elif kind == "o":
                pair = self.numbers[words[0]]
                if not words[1].startswith("2"):
                    del self.numbers[words[0]]
                elif pair.answered is None:
                    pair.answered = self.line
            elif kind == "s" and words[0] in self.numbers:
                self.numbers.pop(words[0]).accepted_in = self.run
            elif kind == "r":
                self.run = int(words[0])

    def came(self, number, path, id, event, sequence, mark):
        self.requests += 1
        story = self.stories[path.split("/")[1]]
        n = int(sequence)
        pair = self.seen[path].get(n)
        if pair is None:
            pair = self.seen[path][n] = Pair(id, event, mark, self.line)
            if n <= story.settled and not self.may_repeat(story, path, n):
                self.broken.append(f"{path} {n} came again although it had been recorded")
        elif pair.id != id:
            self.broken.append(f"{path} {n} came as {pair.id} and as {id}")
        elif (pair.event, pair.mark) != (event, mark):
            self.broken.append(f"{path} {n} came with two bodies: {pair.event} {pair.mark}, {event} {mark}")
        elif pair.accepted_in is not None and not self.may_repeat(story, path, n):
            if pair.accepted_in == self.run and not path.endswith("/hung"):
                self.broken.append(f"{path} {n} came again in the run {self.run} that had seen it accepted")
            else:
                self.repeats[pair.accepted_in, story.store.name] += 1
            pair.accepted_in = None
        self.numbers[number] = pair

    @staticmethod
    def may_repeat(story, path, event):
        return any((sub, event) in story.replayed for sub, at in story.store.subs.items() if at == path)

    def after_kill(self):
        """When nothing runs: what can be judged at once."""
        for story in self.stories.values():
            story.read_logs()
            self.broken += story.sample()
        self.look()

    def chapter_ends(self):
        """When everything is delivered."""
        self.after_kill()
        for story in self.stories.values():
            story.resolve()
            self.judge(story)
            self.events += len(story.events)
            story.settled = story.store.newest()
            story.begin()
        self.begin()

    def judge(self, story):
        store = story.store
        for path, pairs in self.seen.items():
            if path.split("/")[1] == store.name:
                self.judge_ghosts(story, path, pairs)
        rows = store.ext("SELECT id, event, target, from_id, ifnull(to_id, 1 << 60) FROM resthook_subscription")
        for sub, pattern, target, from_id, to_id in rows:
            path = "/" + target.split("/", 3)[3]
            word = path.rsplit("/", 1)[1]
            wanted = {id: what for id, what in story.events.items()
                      if from_id < id <= to_id and id not in story.forgotten and matches(pattern, what[0])
                      and (word != "filter" or what[1].endswith(".even"))}
            self.judge_lost(story, sub, path, word, wanted)
            if word in ("order", "stop"):
                self.judge_order(story, sub, path, wanted)
        if "watcher" in {path.rsplit("/", 1)[1] for path in store.subs.values()}:
            self.judge_notices(story)

    def judge_ghosts(self, story, path, pairs):
        for n, pair in pairs.items():
            if n <= story.settled or pair.event.startswith("resthook.") or n in story.forgotten or story.is_backfill(n):
                continue
            event, mark, _ = story.events.get(n, (None, None, None))
            if (event, mark) != (pair.event, pair.mark):
                self.ghosts.append(f"{path} {n} came as {pair.event} {pair.mark}, committed is {event} {mark}")

    def judge_lost(self, story, sub, path, word, wanted):
        ids = list(wanted)
        for of, first, last in story.backfilled:
            if of == sub:
                ids += [id for id in range(first, last + 1) if id not in story.forgotten]
        for id in ids:
            pair = self.seen[path].get(id)
            if pair is not None and pair.answered is not None:
                continue
            state, reason = story.ended.get((sub, id), (None, None))
            allowed = (state == CANCELLED and ((sub, id) in story.cancelled or word not in WORDS_NEVER_DEAD)
                       or state == DEAD and word not in WORDS_NEVER_DEAD)
            if not allowed:
                self.lost.append(f"{path} {sub} {id} {wanted.get(id)}: " + (
                    "no request came" if pair is None else "no request was accepted") + f", recorded: {state} {reason}")

    def judge_order(self, story, sub, path, wanted):
        keys = defaultdict(list)
        for id in sorted(wanted):
            keys[wanted[id][2]].append(id)
        for key, ids in keys.items():
            before = 0, None
            for id in ids:
                pair = self.seen[path].get(id)
                if pair is None:
                    continue
                if pair.came < before[0]:
                    self.broken.append(f"{path} {key}: {id} came before {before[1]} was done")
                after = (sub, id) in story.replayed or (sub, id) in story.ended
                done = pair.came if pair.answered is None or after else pair.answered
                before = max(before, (done, id))

    def judge_notices(self, story):
        told = {pair.mark for pair in self.seen[f"/{story.store.name}/watcher"].values()
                if pair.event == "resthook.delivery.dead"}
        for (sub, event), (state, reason) in story.ended.items():
            if state == DEAD and story.store.subs.get(sub, "").endswith(("/doomed", "/dying")) and f"{sub}-{event}" not in told \
                    and event > story.settled:
                self.lost.append(f"no notice tells that {sub}-{event} is dead: {reason}")

    def judge_repeats(self):
        """After the last chapter."""
        for (run, store), count in self.repeats.items():
            if count > self.bound:
                self.broken.append(f"run {run} of {store}: {count} were sent again, at most {self.bound} may be")

    bound = 64 + GROUP

    def evidence(self):
        return [f"lost: {line}" for line in self.lost] + [f"ghost: {line}" for line in self.ghosts] + self.broken
