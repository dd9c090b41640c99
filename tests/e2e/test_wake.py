"""No commit waits for the slow poll: 2,000 commits, each awaited before the next.

Not a test of time: the dispatcher itself counts what caused each read that found something new, and the safety poll
must have found nothing. (It has its part: without it a commit would be lost that no notice announces.) Under the
sanitizers, where nothing of this is different but slower, a quarter of them."""

import os
import random
import sqlite3
import time

import pytest

COMMITS = 125 if os.environ.get("RESTHOOK_BUILD", "").endswith("/san") else 500


@pytest.mark.parametrize("synchronous", ["NORMAL", "FULL"])
@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_every_commit_is_noticed(db, receiver, dispatcher, journal, synchronous):
    chance = random.Random(f"{journal} {synchronous}")
    writer = sqlite3.connect(db.path, isolation_level=None, timeout=5)
    assert writer.execute(f"PRAGMA journal_mode={journal}").fetchone()[0].upper() == journal
    writer.execute(f"PRAGMA synchronous={synchronous}")
    db.subscribe("item.create", receiver.url("/"))
    running = dispatcher(db)
    for i in range(1, COMMITS + 1):
        writer.execute("INSERT INTO item(name) VALUES ('Ada')")
        receiver.wait_for(i)
        time.sleep(chance.uniform(0, 0.02))  # the application's pause, not a wait for ours
    writer.close()
    assert running.stop() == 0
    assert len(receiver.received()) == COMMITS
    found = {cause: db.meta(f"wakes_{cause}") for cause in ("hint", "recheck", "poll")}
    assert found["poll"] == 0, found
    assert 0 < found["hint"] + found["recheck"] <= COMMITS, found
