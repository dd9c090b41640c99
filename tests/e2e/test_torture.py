"""The torture (tests/torture) in its short form, and that nothing of its fault points is in what is installed."""

import re
import signal
import subprocess
import sys

import pytest

import conftest
from conftest import BUILD, EXTENSION, RESTHOOKD, ROOT
from receiver import held

FAULTY = BUILD / "faults" / "resthookd"
TORTURE = ROOT / "tests" / "torture"

pytestmark = pytest.mark.skipif(not FAULTY.exists(), reason="build/faults/resthookd is not built; make faults builds it")


def points():
    sys.path.insert(0, str(TORTURE))
    from torture import points
    return points()


def test_what_is_installed_has_no_fault_points():
    names = [name.encode() for name in points()] + [b"RESTHOOK_FAULT"]
    faulty = FAULTY.read_bytes()
    assert len(names) > 70 and [name for name in names if name + b"\0" not in faulty] == []
    for file in (RESTHOOKD, EXTENSION):
        program = file.read_bytes()
        assert [name for name in names if name in program] == []
        assert "fault_" not in subprocess.run(["nm", file], stdout=subprocess.PIPE, text=True, check=True).stdout


# Commits without a point, and why.
NO_POINT = {
    "commit": "its callers have them", "writer_end": "the same",
    "sync_side": "retention.locked follows", "is_intact": "it only reads", "outbox_hold": "it is said again",
    "failing_sleep": "of many databases only: when the next probe is",
}


def test_every_commit_has_its_points():
    """So a new step can't be forgotten: a function that commits names the moment before it or after it."""
    seen = []
    for file in sorted((ROOT / "dispatcher").glob("*.c")):
        for name, body in re.findall(r"^[a-z][^\n;]*?\b(\w+)\((?:[^;{]*)\) \{\n(.*?)^\}", file.read_text(), re.M | re.S):
            if re.search(r'(journal_commit|writer_end)\(|db_exec\([^;]*COMMIT', body):
                assert ("fault_point" in body) != (name in NO_POINT), f"{file.name}: {name}"
                seen.append(name)
    assert len(seen) > 20 and set(NO_POINT) <= set(seen), seen


@pytest.fixture(scope="module")
def soak(tmp_path_factory):
    """Begins with the first test and is waited for by the last: it takes its seconds beside the others."""
    folder = tmp_path_factory.mktemp("soak")
    process = subprocess.Popen([sys.executable, TORTURE / "soak.py", "--build", BUILD, "--minutes", "0.1", "--dir", folder],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    yield process
    process.kill()
    process.wait()


def test_every_group_of_points(tmp_path, soak):
    """One point of each group, and what is killed beside: nothing lost, nothing sent that was not committed."""
    done = subprocess.run([sys.executable, TORTURE / "torture.py", "--build", BUILD, "--short", "--kills", "20",
                           "--dir", tmp_path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    assert done.returncode == 0, done.stdout
    assert re.search(r" points (\d+) of \1  lost 0  ghosts 0 ", done.stdout), done.stdout


def test_the_oracle_sees_what_is_wrong():
    """It is no test if it can't fail: a story in which everything that it watches for has happened."""
    sys.path.insert(0, str(TORTURE))
    from self_test import faults_found
    found, said, all_of_them = faults_found()
    assert found == all_of_them, said


def test_a_cancellation_survives_a_kill(db, receiver, dispatcher, monkeypatch):
    """Of a delivery in flight and of one that waits behind it, both of which no row knows yet: the dispatcher is killed
    when it has taken the requests."""
    gate = receiver.gate()
    receiver.script("/", held(gate))
    sub, _ = db.subscribe("*", receiver.url("/"), max_in_flight=1)
    db.shell("INSERT INTO item VALUES (1, 'a'), (2, 'b');")
    monkeypatch.setattr(conftest, "RESTHOOKD", FAULTY)
    monkeypatch.setenv("RESTHOOK_FAULT", "request.after_commit:2")  # the first are the subscriptions themselves
    running = dispatcher(db)
    receiver.wait_for(1)
    db.ext("SELECT resthook_cancel(? || column1) FROM (VALUES ('-1'), ('-2'))", sub)
    assert running.wait() == -signal.SIGKILL and "fault request.after_commit" in running.text()
    gate.open()
    monkeypatch.delenv("RESTHOOK_FAULT")
    dispatcher(db)
    db.shell("INSERT INTO item VALUES (3, 'c');")
    receiver.wait_for(2)
    assert [request.json()["id"] for request in receiver.received()] == [1, 3]
    assert db.ext("SELECT event_id, state, reason FROM resthook_deliveries WHERE event_id < 3 ORDER BY 1") == [
        (1, "cancelled", "cancelled"), (2, "cancelled", "cancelled")]


def test_all_at_once_for_seconds(soak):
    said, _ = soak.communicate(timeout=600)
    assert soak.returncode == 0 and re.search(r"events [1-9]\d+ .* lost 0  ghosts 0", said), said
