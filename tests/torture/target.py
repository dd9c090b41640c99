"""The receiver of the torture and the soak, a process of its own that may be killed: it writes down each request before
it answers, and how it answers.

    python3 target.py LOG PORT…        prints "listening" when it is

A line of LOG, which others append to as well:

    i <number> <path> <webhook-id> <event> <sequence> <mark>    a request came; its mark, or "-"
    o <number> <status>                                         now its answer is sent …
    s <number>                                                  … and now it was

The last word of a path says how it is answered (ANSWERS). On standard input a line "idle" asks for the line "idle" when
no connection is open any more, for example since the process at the other end is gone.
"""

import itertools
import os
import re
import socket
import sys
import threading
import time
import zlib
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))

from receiver import Receiver, answer, hang, reset  # noqa: E402

MARK = re.compile(rb'"(?:mark|delivery)": ?"([^"]*)"')  # a notice has the delivery that it is of


class Log:
    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.numbers = itertools.count(1)
        self.life = os.getpid()
        self.seen = Counter()

    def write(self, *words):
        os.write(self.file, (" ".join(map(str, words)) + "\n").encode())


def share(request, attempt, salt=""):
    """0 to 1, the same for the same attempt at a delivery."""
    return zlib.crc32(f"{request.path} {request.id} {attempt} {salt}".encode()) / 2**32


def flaky(request, attempt):
    """Fails now and then, in the ways that say nothing of the endpoint and in those that do."""
    chance = share(request, attempt)
    return reset() if chance < 0.01 else 503 if chance < 0.03 else 404 if chance < 0.2 else 200


def hung(request, attempt):
    return hang() if share(request, attempt) < 0.1 and attempt < 3 else 200


def once_in(n, status):
    """One delivery in n is answered so, at each attempt."""
    return lambda request, attempt: status if share(request, 0) < 1 / n else 200


def stops(request, attempt):
    """One delivery in 40 fails twice, which is the end of its schedule: a replay succeeds."""
    return 404 if share(request, 0) < 1 / 40 and attempt < 3 else 200


ANSWERS = {
    "flaky": flaky,
    "hung": hung,
    "doomed": lambda request, attempt: 404,
    "order": lambda request, attempt: 404 if share(request, attempt) < 0.1 else 200,
    "stop": stops,
    "gone": once_in(60, 410),
    "dying": once_in(10, 404),
    "down": lambda request, attempt: 404 if time.time() % 25 < 8 else 200,  # for seconds, again and again
}


class Target(Receiver):
    def __init__(self, port, log):
        self.log = log
        super().__init__(port=port)

    def record(self, request):
        with self.changed:
            number = f"{self.log.life}.{next(self.log.numbers)}"
            self.log.seen[request.path, request.id] += 1
            attempt = self.log.seen[request.path, request.id]
        mark = MARK.search(request.body)
        self.log.write("i", number, request.path, request.id, request.headers["x-event-type"],
                       request.headers["webhook-sequence"], mark[1].decode() if mark else "-")
        what = ANSWERS.get(request.path.rsplit("/", 1)[1], lambda *_: 200)(request, attempt)

        def act(exchange):
            self.log.write("o", number, what if isinstance(what, int) else 0)
            alive = (answer(what) if isinstance(what, int) else what)(exchange)
            if isinstance(what, int):
                self.log.write("s", number)
            return alive

        return act


def take_all_in(port):
    """Until each connection that was made so far is accepted: they are in the order they came in, and this is one."""
    with socket.create_connection(("127.0.0.1", port)) as last:
        last.shutdown(socket.SHUT_WR)
        last.recv(1)


def main(log, *ports):
    log = Log(log)
    targets = [Target(int(port), log) for port in ports]
    print("listening", flush=True)
    changed = threading.Event()
    for line in sys.stdin:
        for port in ports:
            take_all_in(int(port))
        while any(target.open for target in targets):
            changed.wait(0.005)
        print(line.strip(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
