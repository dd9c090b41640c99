"""What the dispatcher gives up when it starts, and whose the files are that it makes."""

import os
import re
import signal
import stat
import subprocess

import pytest

from conftest import BUILD, RESTHOOKD

NOBODY = 65534
KEPT = {"chown": 0, "dac_override": 1, "fowner": 3}  # capabilities(7), by their numbers


def status_of(running):
    """/proc/PID/status as a dictionary."""
    with open(f"/proc/{running.process.pid}/status") as lines:
        return dict(line.rstrip("\n").split(":\t", 1) for line in lines)


def core_limit(running):
    with open(f"/proc/{running.process.pid}/limits") as lines:
        return next(line.split()[4] for line in lines if line.startswith("Max core file size"))


def test_no_more_rights_and_few_powers(db, dispatcher):
    status = status_of(dispatcher(db))
    assert status["NoNewPrivs"] == "1"
    kept = sum(1 << number for number in KEPT.values())
    for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        assert int(status[name], 16) & ~kept == 0, name
    if os.geteuid() == 0:
        assert int(status["CapEff"], 16) != 0, "root needs some for what is not its own"


def test_the_memory_is_nobodys_business(db, dispatcher, nobody):
    """What /proc shows of a process that can't be dumped is root's alone, even to its own user."""
    for path in (db.path.parent, db.path):
        os.chown(path, NOBODY, NOBODY)
    running = dispatcher(db, command=nobody)
    files = [f"/proc/{running.process.pid}/{name}" for name in ("mem", "environ", "maps")]
    assert {os.stat(file).st_uid for file in files} == {0}
    reading = subprocess.run([*nobody[:-1], "cat", *files[1:]], capture_output=True)
    assert reading.stdout == b"" and b"Permission denied" in reading.stderr
    assert core_limit(running) == "0"
    running.stop()
    running = dispatcher(db, "--core", command=("prlimit", "--core=65536:65536", *nobody))
    files = [f"/proc/{running.process.pid}/{name}" for name in ("mem", "environ", "maps")]
    assert {os.stat(file).st_uid for file in files} == {NOBODY}
    assert core_limit(running) == ("0" if BUILD.name == "san" else "65536")  # the sanitizer wants none


def test_a_crash_leaves_no_dump(db, dispatcher):
    running = dispatcher(db, command=("prlimit", "--core=unlimited:unlimited", RESTHOOKD) if os.geteuid() == 0 else (RESTHOOKD,))
    running.process.send_signal(signal.SIGABRT)
    ended = os.waitid(os.P_PID, running.process.pid, os.WEXITED | os.WNOWAIT)
    assert (ended.si_code, ended.si_status) == (os.CLD_KILLED, signal.SIGABRT)
    assert running.wait() == -signal.SIGABRT
    running.process.returncode = 0  # it ended as it had to


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o660, 0o604, 0o666])
def test_no_file_is_wider_than_the_database(db, dispatcher, receiver, mode):
    """Whatever the umask says: one that hides nothing, and one that hides all."""
    for folder_of_its_own, umask in enumerate(("000", "077")):
        for file in db.path.parent.glob("app.db?*"):
            file.unlink()
        db.path.chmod(mode)
        running = dispatcher(db, *["--adopt"] * folder_of_its_own,
                             command=("sh", "-c", f'umask {umask}; exec "$@"', "sh", RESTHOOKD))
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in db.path.parent.glob("app.db*")}
        assert {"app.db", "app.db-wal", "app.db-shm", "app.db-resthook", "app.db-resthook-wal",
                "app.db-resthook-shm"} <= set(modes)
        assert set(modes.values()) == {mode}, modes
        assert running.stop() == 0


def test_roots_dispatcher_makes_files_of_the_databases_owner(db, dispatcher):
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(db.path, NOBODY, 1)
    db.path.chmod(0o640)
    dispatcher(db)
    for file in db.path.parent.glob("app.db*"):
        info = file.stat()
        assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (NOBODY, 1, 0o640), file


@pytest.mark.parametrize("groups, owner, mode", [("--clear-groups", NOBODY, 0o606), ("--groups=1", 1, 0o666)])
def test_another_users_database(db, dispatcher, nobody, groups, owner, mode):
    """The side file has the database's group if the dispatcher is in it, and otherwise nothing for any group."""
    os.chown(db.path, 1, 1)
    db.path.chmod(0o666)
    db.path.parent.chmod(0o777)
    db.shell("PRAGMA journal_mode=DELETE;")
    dispatcher(db, command=[re.sub("--clear-groups", groups, word) if isinstance(word, str) else word for word in nobody])
    info = db.side.stat()
    assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (NOBODY, owner, mode)
