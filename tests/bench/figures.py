"""The figures: what users pay, each measured against the same thing done by the bare library, or without resthook.

Each function measures one group and returns {figure: [one value a round]}. Ours and the limit take turns within a
round, since the machine is never the same for long; so a ratio is one of two measurements that stood beside each other.
"""

import itertools
import signal
import statistics
import subprocess
import time

from stand import ANYWHERE, RECEIVER, SERIES, peak_mib, processor_ns

HOSTS = [f"127.0.0.{i}" for i in range(1, 11)]


class Sizes:
    """Of everything that is measured. quick: the harness itself is tried, and the figures mean nothing."""

    def __init__(self, quick):
        self.rounds = 1 if quick else 5
        self.drain = 2_000 if quick else 50_000
        self.beats = 50 if quick else 300
        self.writes = {1: 200, 10: 2_000, 100: 10_000, 1000: 10_000} if quick else \
            {1: 6_000, 10: 30_000, 100: 100_000, 1000: 200_000}
        self.full_writes = 100 if quick else 1_500
        self.prepares = 2_000 if quick else 20_000
        self.own_commits = 100 if quick else 750
        self.busy_commits = 100 if quick else 600
        self.own_drain = 5_000 if quick else 100_000
        self.loaded_backlog = 20_000 if quick else 800_000
        self.small, self.large = (3_000, 50_000) if quick else (10_000, 10_000_000)
        self.backlogs = [3_000, 50_000] if quick else [10_000, 100_000, 1_000_000, 10_000_000]
        self.subscribers = [1, 1_000] if quick else [1, 100, 10_000, 100_000]
        self.bad = 500 if quick else 9_999
        self.databases = 10 if quick else 100
        self.idle_seconds = 1 if quick else 10


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def rate(stand, process, count):
    """Requests a second, from the first arrival to the end of the process: by then every outcome is on record. And µs
    of the processor's for each."""
    run = stand.finish(process)
    taken = stand.take()
    if taken.count != count:
        raise RuntimeError(f"{taken.count} requests came, not {count}")
    return count / (run.ended - taken.first) * 1e9, run.cpu / count * 1e6


# ---- a backlog drains ----

def drain(stand, sizes, name, targets, options=(), settings=()):
    """The same number of deliveries by us, recorded each, and of requests by the bare loop."""
    rows = sizes.drain // len(targets)
    template = stand.watched("drain.db", *targets, rows=rows, settings=settings)
    keys = ["_ratio", "_per_s", "_bare_per_s", "_cpu_us", "_bare_cpu_us"]
    found = {name.replace("_ratio", key): [] for key in keys}
    stand.take()
    for _ in range(sizes.rounds):
        stand.copy(template, "run.db")
        count = rows * len(targets)
        dispatcher = stand.dispatcher("--once", "--max-in-flight", 64, *options, stand.path("run.db"))
        ours, cpu = rate(stand, dispatcher, count)
        bare, bare_cpu = rate(stand, stand.sender(count, 64, *targets), count)
        for key, value in zip(found, (ours / bare, ours, bare, cpu, bare_cpu)):
            found[key].append(value)
    return found


def drain_one(stand, sizes):
    return drain(stand, sizes, "drain_ratio", [stand.url()])


def drain_full(stand, sizes):
    """synchronous=FULL for each group of outcomes."""
    return drain(stand, sizes, "drain_full_ratio", [stand.url()], settings=[("sync_every", 0)])


def drain_fanout(stand, sizes):
    return drain(stand, sizes, "drain_fanout_ratio", [stand.url(host=host) for host in HOSTS])


def drain_tls(stand, sizes):
    return drain(stand, sizes, "drain_tls_ratio", [stand.url(tls=True)], options=["--ca", stand.ca])


# ---- from a commit to its arrival ----

INSERT = ("INSERT INTO item(id, name, email, course, status, seats, price, created_at) VALUES (?1, 'Ada Lovelace', "
          "'ada@example.com', 'NFdFJBSwwA8B', 'enrolled', 12, 49.5, 1790000000)")


def pace(stand, name, rows, per_second, sync, first=1, sql=INSERT, post=None, busy_timeout=5000):
    """Single commits at a steady pace. Returns {id: (committed, took)} in ns, and how many met BUSY."""
    out = stand.output([stand.build / "bench/pace_writer", stand.path(name), rows, per_second, sync, busy_timeout,
                        first, sql, *([post] if post else [])])
    words = [line.split() for line in out.splitlines()]
    return {int(i): (int(at), int(took)) for i, at, took in words[:-1]}, int(words[-1][1])


def arrivals(stand, commits):
    """ms from each commit's return to its arrival, once all of them have arrived."""
    end, known = time.monotonic() + 30, {}
    while len(known) < len(commits):
        known.update({i: at for i, at in stand.take().timed.items() if i in commits})
        if time.monotonic() > end:
            raise RuntimeError(f"{len(commits) - len(known)} of {len(commits)} events did not arrive")
    return [(known[i] - commits[i][0]) / 1e6 for i in commits]


def latency(stand, sizes):
    """Ours and the floor: a writer that sends by curl itself. Of synchronous NORMAL and FULL the worse one counts."""
    found = {}
    for _ in range(sizes.rounds):
        worst = {}
        for sync in ("NORMAL", "FULL"):
            stand.watched("latency.db", stand.url("/timed"))
            dispatcher = stand.dispatcher(stand.path("latency.db"), core=ANYWHERE, ready=True)
            arrivals(stand, pace(stand, "latency.db", 10, 100, sync)[0])  # it is awake, and connected
            ours = arrivals(stand, pace(stand, "latency.db", sizes.beats, 100, sync, first=1000)[0])
            stand.stop(dispatcher)
            stand.plain("floor.db")
            floor = arrivals(stand, pace(stand, "floor.db", sizes.beats, 100, sync, post=stand.url("/timed"))[0])
            for key, value in (("latency_p50_ms", percentile(ours, 0.5)), ("latency_p99_ms", percentile(ours, 0.99)),
                               ("latency_floor_p50_ms", percentile(floor, 0.5)),
                               ("latency_floor_p99_ms", percentile(floor, 0.99))):
                found.setdefault(key + "_" + sync.lower(), []).append(value)
                worse = min if "floor" in key else max
                worst[key] = worse(value, worst.get(key, value))
        for key, value in worst.items():
            found.setdefault(key, []).append(value)
    return found


def latency_loaded(stand, sizes):
    """p99 of a healthy target while 100 targets hang and a backlog of another drains, over the same without them."""
    stand.watched("idle.db", stand.url("/timed"))
    stand.watched("load.db", stand.url("/timed"))
    stand.subscriptions("load.db", 100, "'hang.up'", f"'http://127.1.0.' || i || ':{stand.port}/hang'")
    stand.subscriptions("load.db", 1, "'other'", f"'{stand.url(host='127.0.0.2')}'")
    stand.sql("load.db", "BEGIN", *["INSERT INTO resthook_outbox(event, payload) VALUES ('hang.up', '{}')"] * 3,
              "INSERT INTO resthook_outbox(event, payload) " + SERIES.format(rows=sizes.loaded_backlog)
              + " SELECT 'other', json_object('i', i, 'text', 'some forty bytes of text') FROM n",
              "COMMIT", "PRAGMA wal_checkpoint(TRUNCATE)")
    found = {"latency_loaded_ratio": [], "latency_loaded_p99_ms": [], "latency_loaded_first_s": []}
    for _ in range(sizes.rounds):
        p99 = {}
        for name in ("idle.db", "load.db"):
            stand.copy(name, "run.db")
            stand.take()
            since = time.monotonic()
            dispatcher = stand.dispatcher(stand.path("run.db"), core=ANYWHERE, ready=True)
            arrivals(stand, pace(stand, "run.db", 1, 100, "NORMAL")[0])
            if name == "load.db":
                found["latency_loaded_first_s"].append(time.monotonic() - since)
            commits, _ = pace(stand, "run.db", sizes.beats, 200, "NORMAL", first=1000)
            p99[name] = percentile(arrivals(stand, commits), 0.99)
            time.sleep(0.1)
            if name == "load.db" and stand.take().count == 0 and sizes.rounds > 1:
                raise RuntimeError("the backlog was gone before the end: make it longer")
            dispatcher.kill()
            stand.finish(dispatcher, (-9,))
        found["latency_loaded_ratio"].append(p99["load.db"] / p99["idle.db"])
        found["latency_loaded_p99_ms"].append(p99["load.db"])
    return found


DEAD_SECONDS = 10
AMONG = ("among.db", "alone.db")


def dead_rounds(sizes):
    """Twice as many as else, each beginning with the other one: what is to be seen, a twentieth, is less than a run
    differs from the one before (up to a quarter, of a process that does the same)."""
    return [AMONG[::1 if i % 2 == 0 else -1] for i in range(1 if sizes.rounds == 1 else 2 * sizes.rounds)]


def dead(stand, sizes, name):
    """All others: half of them refuse the connection, half never answer, each an endpoint of its own."""
    place = "(i / 250) || '.' || (1 + i % 250)"
    stand.subscriptions(name, sizes.bad, "'bad.one'", f"CASE i % 2 WHEN 0 THEN 'http://127.2.' || {place} || ':9/' "
                        f"ELSE 'http://127.3.' || {place} || ':{stand.port}/hang' END")


DEAD_EVENT = "INSERT INTO resthook_outbox(event, payload) VALUES ('bad.one', '{}')"


def dead_subs_latency(stand, sizes):
    """ms from a commit to its arrival at the healthy one, while all others are tried, over those without them."""
    for name in AMONG:
        stand.watched(name, stand.url("/timed"))
    dead(stand, sizes, "among.db")
    found = {"dead_subs_latency_ratio": [], "dead_subs_p50_ms": [], "dead_subs_p99_ms": []}
    for order in dead_rounds(sizes):
        took = {}
        for name in order:
            stand.copy(name, "run.db")
            stand.take()
            dispatcher = stand.dispatcher(stand.path("run.db"), core=ANYWHERE, ready=True)
            arrivals(stand, pace(stand, "run.db", 10, 100, "NORMAL")[0])
            stand.sql("run.db", DEAD_EVENT)
            took[name] = arrivals(stand, pace(stand, "run.db", sizes.beats, 200, "NORMAL", first=1000)[0])
            dispatcher.kill()
            stand.finish(dispatcher, (-9,))
        found["dead_subs_latency_ratio"].append(percentile(took["among.db"], 0.5) / percentile(took["alone.db"], 0.5))
        found["dead_subs_p50_ms"].append(percentile(took["among.db"], 0.5))
        found["dead_subs_p99_ms"].append(percentile(took["among.db"], 0.99))
    return found


def take_turns(stand, sizes, processes):
    """Arrivals/s of each: they run by turns, never both, so that the machine's moods are the same for all. Ends when
    one has a fifth of its deliveries left, so that none is done within a turn, or has run for DEAD_SECONDS."""
    turn = sizes.drain / 250_000  # a fifth of a second: of some seconds that a drain takes
    came, ran = [0] * len(processes), [0.0] * len(processes)
    for i in itertools.cycle(range(len(processes))):
        before, since = stand.count(), time.monotonic()
        processes[i].send_signal(signal.SIGCONT)
        time.sleep(turn)
        processes[i].send_signal(signal.SIGSTOP)
        ran[i] += time.monotonic() - since
        time.sleep(0.01)  # what is on its way arrives
        came[i] += stand.count() - before
        if i + 1 == len(processes) and (max(came) > 0.8 * sizes.drain or ran[i] > DEAD_SECONDS):
            break
    return [arrived / seconds for arrived, seconds in zip(came, ran)]


def dead_subs(stand, sizes):
    """Deliveries/s of the one healthy subscription, while all others have a pending event each, over its deliveries/s
    alone, from its first delivery on."""
    rows = sizes.drain
    for name in AMONG:
        stand.watched(name, stand.url())
        if name == "among.db":
            dead(stand, sizes, name)
        stand.insert(name, rows // 10)
        stand.sql(name, DEAD_EVENT)
        stand.insert(name, rows - rows // 10)
    found = {"dead_subs_ratio": []}
    for order in dead_rounds(sizes):
        running = []
        for name in order:
            stand.copy(name, "run-" + name)
            stand.take()
            running.append(stand.dispatcher(stand.path("run-" + name)))
            stand.wait_for(1)
            running[-1].send_signal(signal.SIGSTOP)
        speed = dict(zip(order, take_turns(stand, sizes, running)))
        for dispatcher in running:
            dispatcher.kill()
            stand.finish(dispatcher, (-9,))
        found["dead_subs_ratio"].append(speed["among.db"] / speed["alone.db"])
    return found


# ---- the application's own writes ----

def write(stand, name, rows, per_transaction, sync, how="keep"):
    return float(stand.output([stand.build / "bench/bare_writer", stand.path(name), rows, per_transaction, sync, how],
                              core=RECEIVER))


def write_ratio(stand, sizes, key, rows, per_transaction, sync, subscribed=True, how="keep"):
    """ns a row with the watch over ns a row without; and with the least trigger, which is the limit of any."""
    name = key.replace("_ratio", "")
    found = {key: [], f"{key}_least": [], f"{name}_us": [], f"{name}_plain_us": []}
    for _ in range(sizes.rounds + 2):
        watched = stand.watched("ours.db", *([stand.url()] if subscribed else []))
        ours = write(stand, watched, rows, per_transaction, sync, how)
        bare = write(stand, stand.plain("bare.db"), rows, per_transaction, sync, how)
        if subscribed:
            found[f"{key}_least"].append(write(stand, stand.least("least.db"), rows, per_transaction, sync, how) / bare)
        found[key].append(ours / bare)
        found[f"{name}_us"].append(ours / 1000)
        found[f"{name}_plain_us"].append(bare / 1000)
    return {name: values for name, values in found.items() if values}


def write_1(stand, sizes):
    return write_ratio(stand, sizes, "write_ratio_1", sizes.full_writes, 1, "FULL")


def write_1_normal(stand, sizes):
    return write_ratio(stand, sizes, "write_ratio_1_normal", sizes.writes[1], 1, "NORMAL")


def write_1000(stand, sizes):
    return write_ratio(stand, sizes, "write_ratio_1000", sizes.writes[1000], 1000, "NORMAL")


def write_nosub(stand, sizes):
    return write_ratio(stand, sizes, "write_ratio_nosub", sizes.writes[1000], 1000, "NORMAL", subscribed=False)


def prepare(stand, sizes):
    return write_ratio(stand, sizes, "prepare_ratio", sizes.prepares, 1000, "NORMAL", subscribed=False, how="prepare")


def prepare_subscribed(stand, sizes):
    return write_ratio(stand, sizes, "prepare_ratio_subscribed", sizes.prepares, 1000, "NORMAL", how="prepare")


def writer(stand, sizes):
    """The application's own commits, of a table nobody watches, while deliveries drain, over the same when there are
    none. And, for comparison, while the bare loop sends: what of it is the processor's share, not ours."""
    own = "INSERT INTO own(a) VALUES (?1)"
    found = {"writer_p99_ratio": [], "writer_p99_limit_ratio": [], "writer_idle_p99_ms": [], "writer_busy": []}
    stand.watched("busy.db", stand.url(), rows=sizes.own_drain)
    for _ in range(sizes.rounds):
        p99 = {}
        for what in ("idle", "drain", "bare"):
            if what == "drain":
                stand.copy("busy.db", "run.db")
            else:
                stand.watched("run.db", stand.url())
            stand.take()
            process = stand.sender(10_000_000, 64, stand.url(), core=ANYWHERE) if what == "bare" else \
                stand.dispatcher(stand.path("run.db"), core=ANYWHERE, ready=True)
            if what != "idle":
                stand.wait_for(1)
            commits, busy = pace(stand, "run.db", sizes.own_commits, 500, "FULL", sql=own, busy_timeout=0)
            if what == "drain" and stand.take().count >= sizes.own_drain and sizes.rounds > 1:
                raise RuntimeError("the drain was over before the writer was")
            p99[what] = percentile([took for _, took in commits.values()], 0.99)
            if what == "drain":
                found["writer_busy"].append(busy)
            process.kill()
            stand.finish(process, (-9,))
        found["writer_p99_ratio"].append(p99["drain"] / p99["idle"])
        found["writer_p99_limit_ratio"].append(p99["bare"] / p99["idle"])
        found["writer_idle_p99_ms"].append(p99["idle"] / 1e6)
    return found


ROLLBACK_ROWS = 32  # of a look of the dispatcher's (dispatcher/fanout.c)
MODES = ("delete", "truncate", "persist")


def busy0(stand, sizes):
    """With a rollback journal every reader can make a commit fail that doesn't wait: failures in 1,000 commits of a
    writer at busy_timeout 0, while deliveries drain, and while a plain reader polls the same table instead, for as many
    rows a second, as many at a time, as the dispatcher delivered."""
    own = "INSERT INTO own(a) VALUES (?1)"
    found = {}
    for mode in MODES:
        ours, readers = (found.setdefault(f"busy0_rollback_{mode}{end}", []) for end in ("", "_reader"))
        stand.watched("busy.db", stand.url(), rows=sizes.own_drain)
        stand.sql("busy.db", f"PRAGMA journal_mode={mode}")
        for _ in range(sizes.rounds):
            stand.copy("busy.db", "run.db")
            stand.sql("run.db", f"PRAGMA journal_mode={mode}")
            stand.take()
            dispatcher = stand.dispatcher(stand.path("run.db"), core=ANYWHERE, ready=True)
            stand.wait_for(1)
            _, busy = pace(stand, "run.db", sizes.busy_commits, 500, "FULL", sql=own, busy_timeout=0)
            taken = stand.take()
            if taken.count >= sizes.own_drain and sizes.rounds > 1:
                raise RuntimeError("the drain was over before the writer was")
            dispatcher.kill()
            stand.finish(dispatcher, (-9,))
            ours.append(busy / sizes.busy_commits * 1000)
            stand.copy("busy.db", "run.db")
            stand.sql("run.db", f"PRAGMA journal_mode={mode}")
            per_second = int(taken.count / (taken.last - taken.first) * 1e9)
            reader = stand.start([stand.build / "bench/poll_reader", stand.path("run.db"), per_second, ROLLBACK_ROWS],
                                 stdout=subprocess.PIPE)
            reader.stdout.readline()
            _, busy = pace(stand, "run.db", sizes.busy_commits, 500, "FULL", sql=own, busy_timeout=0)
            reader.kill()
            stand.finish(reader, (-9,))
            readers.append(busy / sizes.busy_commits * 1000)
        found[f"busy0_rollback_{mode}_ratio"] = [sum(ours) / sum(readers)] if sum(readers) else []
    return {name: values for name, values in found.items() if values}


# ---- how it grows ----

def cost(stand, name, arrived):
    """µs a delivery, from the thousandth arrival to the last but a thousand; seconds until the first one; MiB."""
    stand.take()
    since = time.monotonic_ns()
    dispatcher = stand.dispatcher(stand.path(name))
    if stand.wait_for(arrived) < arrived:
        raise RuntimeError(f"{name}: deliveries stopped")
    memory = peak_mib(dispatcher.pid)
    stand.stop(dispatcher)
    taken = stand.take()
    last = arrived // 1000 - 1
    return (taken.marks[last - 1] - taken.marks[0]) / (last - 1) / 1e6, (taken.first - since) / 1e9, memory


def subscribed(stand, name, count, rows):
    """A database whose one event one subscription wants, and count - 1 want others."""
    stand.watched(name, stand.url(), rows=rows)
    if count > 1:
        stand.subscriptions(name, count - 1, "'other.' || i", f"'{stand.url('/other')}'")
    return name


def subs_growth(stand, sizes):
    found = {"subs_growth": []}
    few = subscribed(stand, "few.db", 1, sizes.small)
    many = subscribed(stand, "many.db", sizes.subscribers[-1], sizes.small)
    for _ in range(sizes.rounds):
        among = cost(stand, stand.copy(many, "run.db"), sizes.small)[0]
        alone = cost(stand, stand.copy(few, "run.db"), sizes.small)[0]
        found["subs_growth"].append(among / alone)
    return found


def timed(connection, sql):
    """ms, the median of several."""
    spent = []
    for _ in range(9):
        since = time.monotonic_ns()
        rows = connection.execute(sql).fetchall()
        spent.append((time.monotonic_ns() - since) / 1e6)
        if not rows:
            raise RuntimeError(f"no row: {sql}")
    return statistics.median(spent)


def large(stand, sizes):
    """All that is asked of a file with ten million pending events; it is made once."""
    found = {key: [] for key in ("backlog_growth", "start_10m_s", "look_10m_ms", "look_10m_status_ms", "rss_mib")}
    stand.backlog("large.db", sizes.large, stand.url())
    stand.backlog("small.db", sizes.small, stand.url())
    for _ in range(sizes.rounds):
        big, start, _ = cost(stand, "large.db", sizes.small)
        little, _, _ = cost(stand, stand.copy("small.db", "run.db"), sizes.small)
        found["backlog_growth"].append(big / little)
        found["start_10m_s"].append(start)
        connection = stand.connect("large.db")
        (subscription,), = connection.execute("SELECT id FROM resthook_subscriptions")
        one = f"SELECT * FROM resthook_deliveries WHERE id = '{subscription}-%d'"
        found["look_10m_ms"].append(max(timed(connection, one % event) for event in (1, sizes.large // 2, sizes.large)))
        found["look_10m_status_ms"].append(timed(connection, "SELECT * FROM resthook_status"))
        connection.close()
    for host in HOSTS[1:4]:  # four targets have 64 requests in flight each: 256, the most there are
        stand.subscriptions("large.db", 1, "'item.create'", f"'{stand.url(host=host)}'")
    found["rss_mib"].append(cost(stand, "large.db", min(4 * sizes.small, sizes.large))[2])
    stand.remove("large.db")
    return found


def idle(stand, sizes):
    """Share of one processor, by a dispatcher of many databases in which nothing happens, once they sleep."""
    files = [stand.watched(f"idle{i}.db", stand.url()) for i in range(sizes.databases)]
    dispatcher = stand.dispatcher(*map(stand.path, files))
    time.sleep(sizes.idle_seconds)
    found = []
    for _ in range(1 if sizes.rounds == 1 else 2):
        before, since = processor_ns(dispatcher.pid), time.monotonic_ns()
        time.sleep(sizes.idle_seconds)
        found.append((processor_ns(dispatcher.pid) - before) / (time.monotonic_ns() - since) * 100)
    stand.stop(dispatcher)
    for name in files:
        stand.remove(name)
    return {"idle_cpu_percent": found}


def growth(stand, sizes):
    """For the plot: [title, unit of x, {line: [(x, y)]}], one measurement each."""
    writes = {"watched, one subscriber": [], "watched, nobody subscribed": [], "plain": []}
    for each, rows in sizes.writes.items():
        for line, make in zip(writes, (lambda: stand.watched("w.db", stand.url()), lambda: stand.watched("w.db"),
                                       lambda: stand.plain("w.db"))):
            spent = statistics.median(write(stand, make(), rows, each, "NORMAL") for _ in range(3))
            writes[line].append((each, spent / 1000))
    pending, memory, subscriptions = [], [], []
    for rows in sizes.backlogs:
        spent, _, mib = cost(stand, stand.backlog("g.db", rows, stand.url()), sizes.small)
        pending.append((rows, spent))
        memory.append((rows, mib))
        stand.remove("g.db")
    for count in sizes.subscribers:
        subscriptions.append((count, cost(stand, subscribed(stand, "g.db", count, sizes.small), sizes.small)[0]))
    return [["a delivery, µs", "pending events", {"resthookd": pending}],
            ["resident memory, MiB", "pending events", {"resthookd": memory}],
            ["a delivery, µs", "subscriptions of other events", {"resthookd": subscriptions}],
            ["a row written, µs", "rows in a transaction", writes]]


# What measures each figure, its unit, and the target: a number and which side of it is good.
AT_LEAST, AT_MOST = ">=", "<="
FIGURES = {
    "drain_ratio": (drain_one, "", AT_LEAST, 0.75),
    "drain_full_ratio": (drain_full, "", AT_LEAST, 0.60),
    "drain_fanout_ratio": (drain_fanout, "", AT_LEAST, 0.70),
    "drain_tls_ratio": (drain_tls, "", AT_LEAST, 0.80),
    "latency_p50_ms": (latency, "ms", AT_MOST, lambda known: 1.5 * known["latency_floor_p50_ms"] + 0.15),
    "latency_p99_ms": (latency, "ms", AT_MOST, 2),
    "latency_floor_p50_ms": (latency, "ms", None, None),
    "latency_loaded_ratio": (latency_loaded, "", AT_MOST, 3),
    "dead_subs_ratio": (dead_subs, "", AT_LEAST, 0.95),
    "dead_subs_latency_ratio": (dead_subs_latency, "", AT_MOST, 1 / 0.95),
    "write_ratio_1": (write_1, "", AT_MOST, 1.10),
    "write_ratio_1_normal": (write_1_normal, "", AT_MOST, 1.6),
    "write_ratio_1000": (write_1000, "", AT_MOST, 2.8),
    "write_ratio_nosub": (write_nosub, "", AT_MOST, 1.6),
    "prepare_ratio": (prepare, "", AT_MOST, 5),
    "prepare_ratio_subscribed": (prepare_subscribed, "", None, None),
    "writer_p99_ratio": (writer, "", AT_MOST, 1.5),
    "writer_busy": (writer, "commits", AT_MOST, 0),
    **{f"busy0_rollback_{mode}": (busy0, "of 1,000 commits", None, None) for mode in MODES},
    "backlog_growth": (large, "", AT_MOST, 1.15),
    "start_10m_s": (large, "s", AT_MOST, 1),
    "look_10m_ms": (large, "ms", AT_MOST, 1),
    "look_10m_status_ms": (large, "ms", AT_MOST, 10),
    "subs_growth": (subs_growth, "", AT_MOST, 1.2),
    "rss_mib": (large, "MiB", AT_MOST, 40),
    "idle_cpu_percent": (idle, "%", AT_MOST, 0.2),
}
