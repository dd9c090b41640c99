"""At least once, never silently zero: SIGKILL in the middle of a drain, fifty times (promise 4)."""

import collections
import random

import pytest

from receiver import Receiver, hang

EVENTS = 5000
KILLS = 50
IN_FLIGHT = 64
GROUP = 256  # outcomes that one commit of the dispatcher holds at most


@pytest.mark.parametrize("seed", [1])
def test_killed_fifty_times_in_a_drain(db, receiver, dispatcher, seed):
    """5,000 events to two healthy targets and a third that hangs until the last start. Each pair arrives at least
    once with the bytes it has, and what one SIGKILL makes the next runs repeat is at most what was in flight and one
    unflushed group."""
    chance = random.Random(seed)
    with Receiver() as hung:
        hung.script("/hung", hang())
        db.subscribe("item.create", receiver.url("/a"))
        db.subscribe("item.create", receiver.url("/b"))
        db.subscribe("item.create", hung.url("/hung"), timeout=0.1, retry_schedule="0" + ",1s" * 40)
        db.shell(f"""WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {EVENTS})
                     INSERT INTO item(id, name) SELECT i, 'name ' || i FROM n;""")

        starts = []  # number of connections when each run began: a request belongs to the run of its connection
        for _ in range(KILLS):
            starts.append(receiver.connections)
            seen = len(receiver.received())
            running = dispatcher(db, "--max-in-flight", IN_FLIGHT)
            receiver.wait_for(seen + chance.randint(1, 2 * EVENTS * 2 // KILLS * 3 // 4))
            running.kill()
        starts.append(receiver.connections)
        assert len({(r.path, r.id) for r in receiver.received()}) < 2 * EVENTS, "it was not killed in the drain"

        hung.script("/hung", 200)
        running = dispatcher(db, "--max-in-flight", IN_FLIGHT)
        for where, pairs in ((receiver, 2 * EVENTS), (hung, EVENTS)):
            arrived = Arrived()
            where.wait_until(lambda requests: arrived.count(requests) >= pairs, timeout=60)
        assert running.stop(timeout=60) == 0

    bodies = {f'{{"id":{i},"name":"name {i}"}}'.encode() for i in range(1, EVENTS + 1)}
    for requests in (receiver.received("/a"), receiver.received("/b"), hung.received("/hung")):
        by_id = collections.defaultdict(set)
        for request in requests:
            by_id[request.id].add(request.body)
        assert len(by_id) == EVENTS
        assert all(len(same) == 1 for same in by_id.values())
        assert {body for same in by_id.values() for body in same} == bodies

    for run, repeated in enumerate(repeats(receiver.received(), starts)):
        assert repeated <= IN_FLIGHT + GROUP, f"kill {run + 1} made later runs repeat {repeated}"


class Arrived:
    """How many different deliveries are in a growing list of requests; reads each request once."""

    def __init__(self):
        self.read = 0
        self.pairs = set()

    def count(self, requests):
        for request in requests[self.read :]:
            self.pairs.add((request.path, request.id))
        self.read = len(requests)
        return len(self.pairs)


def repeats(requests, starts):
    """For each run but the last: how many of the deliveries that it had sent a later run sent again."""
    runs = [set() for _ in starts]
    for request in requests:
        runs[max(i for i, first in enumerate(starts) if request.connection > first)].add((request.path, request.id))
    later = set()
    counts = []
    for sent in reversed(runs):
        counts.append(len(sent & later))
        later |= sent
    return list(reversed(counts))[:-1]
