"""The n-th call of the network fails, for every n until all pass: everything arrives in the end, and each failure that
cost an attempt is recorded with its reason. (Of the disk, of memory and of power: tests/unit/test_failures.c.)"""

import errno
import os

import pytest

from conftest import BUILD, own_environment

EVENTS = 3
# The sanitizers' library has to be the first.
PRELOAD = ":".join([*filter(None, [os.environ.get("LD_PRELOAD")]), str(BUILD / "faults/net.so")])
CALLS = {"socket": [errno.EMFILE, errno.ENOBUFS], "connect": [errno.ECONNREFUSED, errno.ENETUNREACH],
         "send": [errno.EPIPE, errno.ECONNRESET], "recv": [errno.ECONNRESET, errno.ETIMEDOUT]}


@pytest.mark.parametrize("call, error", [(call, error) for call, errors in CALLS.items() for error in errors],
                         ids=lambda value: value if isinstance(value, str) else errno.errorcode[value])
def test_the_nth_call_fails(db, receiver, dispatcher, eventually, tmp_path, call, error):
    db.subscribe("*", receiver.url("/"), retry_schedule="0,0,0")
    recorded = 0
    for n in range(1, 100):
        mark = tmp_path / f"failed-{n}"
        running = dispatcher(db, env=dict(own_environment(), LD_PRELOAD=PRELOAD, NET_FAILS=f"{call} {n} {error}",
                                          NET_FAILED=str(mark)))
        for i in range(EVENTS):  # one after the other, so that connections are used again
            db.shell("INSERT INTO item(name) VALUES ('Ada');")
            eventually(lambda: db.journal("SELECT count(*) FROM resthook_deliveries WHERE state = 'delivered'")
                       == [(EVENTS * (n - 1) + i + 1,)])
        assert running.stop() == 0
        failures = db.journal("SELECT class, error FROM resthook_attempts WHERE status IS NULL OR status <> 200")
        # One that found its kept connection closed sends at once over another: that costs no attempt.
        assert recorded <= len(failures) <= recorded + mark.exists(), failures
        assert all(kind in ("connect", "send", "receive") and text for kind, text in failures), failures
        recorded = len(failures)
        if not mark.exists():
            break
    assert n > 1 and not mark.exists() and recorded > 0
    ids = {request.id for request in receiver.received()}
    assert len(ids) == EVENTS * n


STUCK = ":".join([*filter(None, [os.environ.get("LD_PRELOAD")]), str(BUILD / "faults/stuck.so")])


def test_a_sync_that_takes_long_holds_nobody_up(db, receiver, dispatcher, eventually, tmp_path):
    """Neither deliveries nor their records: only what a power loss would take back grows."""
    stuck, seen = tmp_path / "stuck", tmp_path / "seen"
    db.subscribe("*", receiver.url("/"))
    running = dispatcher(db, env=dict(own_environment(), LD_PRELOAD=STUCK, STUCK_WHILE=str(stuck), STUCK_SEEN=str(seen)))
    db.shell("INSERT INTO item(name) VALUES ('Ada');")
    receiver.wait_for(1)
    stuck.touch()
    count = 1
    while not seen.exists() or count < 20:
        count += 1
        db.shell("INSERT INTO item(name) VALUES ('Ada');")
        receiver.wait_for(count)
    for _ in range(20):
        count += 1
        db.shell("INSERT INTO item(name) VALUES ('Ada');")
        receiver.wait_for(count)
    eventually(lambda: db.journal("SELECT count(*) FROM resthook_deliveries WHERE state = 'delivered'") == [(count,)])
    stuck.unlink()
    assert running.stop() == 0 and "error" not in running.text()
