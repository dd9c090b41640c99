"""The harness itself: a receiver or a verifier that is wrong would make every other test worthless."""

import http.client
import importlib.machinery
import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
import time

from pathlib import Path

import pytest

import receiver as scripted
from verify import BadSignature, sign, verify

# The vector of the Standard Webhooks libraries' own tests.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TIME = 1614265330
BODY = b'{"test": 2432232314}'
HEADERS = {"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": str(TIME),
           "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="}


def test_verifier_agrees_with_the_published_vector():
    assert sign(SECRET, HEADERS["webhook-id"], TIME, BODY) == HEADERS["webhook-signature"]
    verify(SECRET, HEADERS, BODY, now=TIME)
    verify(SECRET, HEADERS, BODY, now=TIME + 300)
    both = dict(HEADERS)
    both["webhook-signature"] = "v1,AAAA " + HEADERS["webhook-signature"]
    verify(SECRET, both, BODY, now=TIME)


@pytest.mark.parametrize("change", [
    {"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJel"}, {"webhook-id": "msg.1"}, {"webhook-id": None},
    {"webhook-timestamp": str(TIME + 1)}, {"webhook-timestamp": "1e9"},
    {"webhook-signature": "v1,AAAA"}, {"webhook-signature": HEADERS["webhook-signature"].replace("v1", "v2")},
])
def test_verifier_refuses_what_was_changed(change):
    with pytest.raises(BadSignature):
        verify(SECRET, {**HEADERS, **change}, BODY, now=TIME)


def test_verifier_refuses_another_body_key_or_time():
    for secret, body, now in [(SECRET, BODY + b" ", TIME), ("whsec_" + "A" * 32, BODY, TIME),
                              (SECRET, BODY, TIME + 301), (SECRET, BODY, TIME - 301)]:
        with pytest.raises(BadSignature):
            verify(secret, HEADERS, body, now=now)


def post(receiver, path, body=b"{}", timeout=5):
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=timeout)
    try:
        connection.request("POST", path, body, {"X-Some": "value"})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer
    finally:
        connection.close()


def test_receiver_records_and_follows_its_script(receiver):
    receiver.script("/a", 503, scripted.retry_after(429, 7), 200)
    assert [post(receiver, "/a")[0] for _ in range(4)] == [503, 429, 200, 200]
    assert post(receiver, "/b", b"\x00\xff")[0] == 200
    assert len(receiver.wait_for(4, "/a")) == 4
    last = receiver.wait_for(5)[-1]
    assert (last.method, last.path, last.body, last.connection) == ("POST", "/b", b"\x00\xff", 5)
    assert last.headers["x-some"] == "value" and "x-none" not in last.headers
    with pytest.raises(AssertionError, match="5 requests of 6"):
        receiver.wait_for(6, timeout=0.01)


def test_receiver_keeps_a_connection(receiver):
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=5)
    for i in range(3):
        connection.request("POST", "/", str(i))
        connection.getresponse().read()
    connection.close()
    assert [r.connection for r in receiver.received()] == [1, 1, 1]


def test_receiver_misbehaves_as_told(receiver):
    receiver.script("/reset", scripted.reset())
    receiver.script("/garbage", scripted.raw(b"\x00\x01 no http\r\n\r\n"))
    receiver.script("/hang", scripted.hang())
    receiver.script("/huge", scripted.huge(3_000_000))
    receiver.script("/drip", scripted.drip(b"abc", gap=0.01))
    receiver.script("/drip-head", scripted.drip(gap=0.001))
    receiver.script("/redirect", scripted.redirect("http://127.0.0.1:1/"))
    receiver.script("/close", scripted.answer(200, b"bye", close=True))
    with pytest.raises(ConnectionResetError):
        post(receiver, "/reset")
    with pytest.raises(http.client.BadStatusLine):
        post(receiver, "/garbage")
    with pytest.raises(TimeoutError):
        post(receiver, "/hang", timeout=0.1)
    assert len(post(receiver, "/huge")[1]) == 3_000_000
    assert post(receiver, "/drip")[1] == b"abc"
    assert post(receiver, "/drip-head")[0] == 200
    status, _, answer = post(receiver, "/redirect")
    assert (status, answer.headers["location"]) == (307, "http://127.0.0.1:1/")
    assert post(receiver, "/close")[2].headers["connection"] == "close"


def test_receiver_holds_until_its_gate_opens(receiver):
    gate = receiver.gate()
    receiver.script("/held", scripted.held(gate, 204))
    statuses = []
    waiting = threading.Thread(target=lambda: statuses.append(post(receiver, "/held")[0]))
    waiting.start()
    receiver.wait_for(1, "/held")
    assert statuses == []
    gate.open()
    waiting.join(5)
    assert statuses == [204]


def test_closing_a_receiver_ends_what_hangs():
    receiver = scripted.Receiver()
    receiver.script("/", scripted.hang())
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=5) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n")
        receiver.wait_for(1)
        since = time.monotonic()
        receiver.close()
        assert connection.recv(1) == b"" and time.monotonic() - since < 5


def test_receiver_as_a_process_of_its_own():
    process = subprocess.Popen([sys.executable, scripted.__file__, "--answer", "204"], stdout=subprocess.PIPE, text=True)
    try:
        port = int(process.stdout.readline().rstrip("/\n").rpartition(":")[2])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("POST", "/x", b"hello")
        assert connection.getresponse().status == 204
        connection.close()
        seen = json.loads(process.stdout.readline())
        assert (seen["path"], seen["body"]) == ("/x", "hello")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


ROOT = Path(__file__).resolve().parent.parent.parent


def program(name):
    """A program of the tests as a module."""
    loader = importlib.machinery.SourceFileLoader(name, str(ROOT / "tests" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


@pytest.fixture
def runner():
    return program("run")


def test_a_family_that_vanished_has_failed_and_one_that_was_skipped_has_not(runner, tmp_path):
    for skipped, failed in (([], 1), (["no network of its own is permitted here"], 0)):
        each = runner.Round(tmp_path, False)
        each.report("e2e/test_x.py", 0, 0, time.monotonic(), "", skipped)
        assert (each.failed, each.skipped) == (failed, skipped)


@pytest.mark.parametrize("said, status, passed, failed, skipped", [
    ("1..2\nok 1 - a\nok 2 - b\n", 0, 2, 0, 0),
    ("ok 1 - a\n1..1\n", 0, 1, 0, 0),
    ("1..3\nok 1 - a\nnot ok 2 # SKIP b\nok 3 # SKIP c\n", 0, 1, 0, 2),
    ("1..1\nok 1 - a\n# ok\n1..2\nok 1 - b\nok 2 - c\n", 0, 3, 0, 0),
    ("1..5\nok 1 - a\n", 0, 1, 4, 0),
    ("1..5\nok 1 - a\nnot ok 2 - b\n", 1, 1, 4, 0),
    ("1..1\nok 1 - a\nok 2 - b\n", 0, 2, 1, 0),
    ("ok 1 - a\n", 0, 1, 1, 0),
    ("", 0, 0, 1, 0),
    ("1..1\nok 1 - a\n", 1, 1, 1, 0),
], ids=["whole", "plan last", "skipped", "two groups", "ends early", "ends early and fails", "more than planned", "no plan",
        "nothing", "fails at its end"])
def test_the_runner_compares_results_with_the_plan(runner, tmp_path, said, status, passed, failed, skipped):
    (tmp_path / "said").write_text(said)
    each = runner.Round(tmp_path, False)
    each.tap("unit", {"x": ["sh", "-c", 'cat "$1"; exit "$2"', "sh", tmp_path / "said", str(status)]})
    assert (each.passed, each.failed, len(each.skipped)) == (passed, failed, skipped)


def test_coverage_of_nothing_does_not_suffice():
    coverage = program("coverage")

    def file(name, lines, branches):
        return {"filename": name, "line_total": lines, "line_covered": lines, "branch_total": branches,
                "branch_covered": branches}

    whole = [file("ext/a.c", 10, 4), file("ext/b.h", 2, 0), file("dispatcher/a.c", 10, 4)]
    assert coverage.row("ext/", whole[:2])[1] and coverage.uncounted(whole) == []
    line, suffices = coverage.row("ext/", [])
    assert not suffices and line.split()[1] == "0.0"
    assert not coverage.row("ext/", [file("ext/a.c", 0, 0)])[1]
    assert coverage.uncounted(whole[:2]) == ["dispatcher"] and coverage.uncounted([]) == ["ext", "dispatcher"]


def test_the_runner_says_what_was_skipped(runner, tmp_path):
    (tmp_path / "test_x.py").write_text("""
import pytest
def test_good(): pass
def test_bad(): assert False
@pytest.mark.skipif(True, reason="no node here")
def test_one(): pass
def test_two(): pytest.skip("no node here")
def test_three(): pytest.skip("only root")
""")
    results = tmp_path / "results.xml"
    subprocess.run([sys.executable, "-m", "pytest", "-q", f"--junitxml={results}", tmp_path / "test_x.py"], cwd=tmp_path,
                   capture_output=True)
    passed, failed, skipped = runner.Round.counts(results)
    assert runner.closing(passed, failed, skipped) == ["3 skipped: no node here (2 times); only root", "1 passed, 1 failed"]
    assert runner.closing(7, 0, []) == ["7 passed, 0 failed"]


def test_uninstalling_takes_away_what_installing_put_there(tmp_path):
    build = os.environ.get("RESTHOOK_BUILD", "build")

    def make(target):
        subprocess.run(["make", "-s", "-o", "all", f"BUILD={build}", target, f"DESTDIR={tmp_path}", "PREFIX=/opt/rest"],
                       cwd=ROOT, check=True, capture_output=True, env={**os.environ, "MAKEFLAGS": ""})
        return sorted(str(path.relative_to(tmp_path / "opt/rest")) for path in tmp_path.rglob("*") if path.is_file())

    assert make("install") == ["bin/resthookd", "lib/sqlite3/resthook.so", "lib/systemd/system/resthookd@.service",
                               "share/doc/resthook/LICENSE", "share/doc/resthook/README.md",
                               "share/doc/resthook/SECURITY.md", "share/resthook/strigo.sql"]
    other = tmp_path / "opt/rest/lib/sqlite3/other.so"
    other.write_bytes(b"")
    assert make("uninstall") == ["lib/sqlite3/other.so"]
    assert not (tmp_path / "opt/rest/share/resthook").exists() and not (tmp_path / "opt/rest/share/doc/resthook").exists()
    assert make("uninstall") == ["lib/sqlite3/other.so"], "again: nothing is left to do"
