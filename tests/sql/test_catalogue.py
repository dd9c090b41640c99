"""The catalogue of pitfalls (tests/catalogue/pitfalls.py), run by a writer in C over all settings, and by the stock
sqlite3 shell. The writer sees exactly what it sees without hooks; the events are those that the row says.

RESTHOOK_WRITER names another writer than the one built here: make matrix runs the catalogue with other SQLites.
"""

import itertools
import json
import os
import re
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from host import HOST
from pitfalls import ITEM, PITFALLS, i

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("RESTHOOK_BUILD", "build")
# For who loads nothing of ours: without the library that tests/run preloads for who loads a sanitized extension.
ALONE = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}

SETTINGS = ("trusted_schema", "defensive", "recursive_triggers", "foreign_keys")
ALL = [dict(zip(SETTINGS, values)) for values in itertools.product((0, 1), repeat=len(SETTINGS))]
TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'resthook%' AND name NOT LIKE 'sqlite%'"


@pytest.fixture(scope="session")
def writer(tmp_path_factory):
    """The program, and the version of SQLite that it has."""
    program = os.environ.get("RESTHOOK_WRITER")
    if program is None:
        program = tmp_path_factory.mktemp("writer") / "writer"
        subprocess.run(["cc", "-O1", "-Wall", "-Werror", "-o", program, ROOT / "tests/catalogue/writer.c", "-lsqlite3"],
                       check=True)
    version = subprocess.run([program, ":memory:"], input="SELECT sqlite_version();", capture_output=True, text=True,
                             check=True, env=ALONE).stdout.split()[2]
    numbers = [int(part) for part in version.split(".")]
    return program, numbers[0] * 1000000 + numbers[1] * 1000 + numbers[2]


def opened(path):
    db = sqlite3.connect(path, isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension(str(BUILD / "resthook"))
    return db


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """made(row, journal, record): the directory with a plain and a hooked database of a row, made once."""
    cache = {}

    def make(row, journal, record="always"):
        if (row["name"], journal, record) not in cache:
            directory = tmp_path_factory.mktemp("made")
            for name in ("plain", "hooked"):
                db = opened(directory / f"{name}.db")
                db.execute(f"PRAGMA journal_mode={journal}")
                db.executescript(row["schema"])
                if name == "hooked":
                    db.execute("SELECT resthook_init()")
                    for table, operation, event, options in row["watches"]:
                        db.execute("SELECT resthook_watch(?, ?, ?, ?)",
                                   (table, operation, event, json.dumps({"record": record, **options})))
                db.close()
            cache[row["name"], journal, record] = directory
        return cache[row["name"], journal, record]

    return make


def events_of(path):
    db = opened(path)
    rows = db.execute("SELECT e.event, resthook_payload(e.id) FROM resthook_events AS e ORDER BY e.id").fetchall()
    db.close()
    # By their text: 1 and 1.0 are two things.
    return [[event, json.loads(payload, parse_float=lambda text: float(text))] for event, payload in rows]


def text_of(events, unordered=False):
    texts = [json.dumps(event, sort_keys=True) for event in events]
    return sorted(texts) if unordered else texts


def content(path):
    """Every table of the application's, with its SQL and its rows."""
    db = sqlite3.connect(path)
    db.text_factory = bytes
    tables = {}
    for (name,) in db.execute(TABLES).fetchall():
        quoted = name.decode().replace('"', '""')
        tables[name] = db.execute(f'SELECT * FROM "{quoted}"').fetchall()
    db.close()
    return tables


def expected(row, settings):
    return row["events"](settings) if callable(row["events"]) else row["events"]


def check(row, directory, tmp_path, settings, run, nobody=False):
    """run(database) writes, and returns what the writer saw. nobody: is interested."""
    seen = {}
    for name in ("plain", "hooked"):
        for path in tmp_path.glob(f"{name}.db*"):
            path.unlink(missing_ok=True)  # a WAL of the run before
        for path in directory.glob(f"{name}.db*"):
            shutil.copy(path, tmp_path / path.name)
        seen[name] = run(tmp_path / f"{name}.db")
    if row.get("loose"):
        seen = {name: re.sub(r"changes \d+, last_insert_rowid \d+", "", str(text)) for name, text in seen.items()}
    if row.get("refused"):
        assert str(seen["hooked"]).count(row["refused"]) == 1 and row["refused"] not in str(seen["plain"])
    else:
        assert seen["hooked"] == seen["plain"], f"what the writer sees, with {settings}"
        assert content(tmp_path / "hooked.db") == content(tmp_path / "plain.db")
    unordered = row.get("unordered", False)
    events = [] if nobody else expected(row, settings)
    assert text_of(events_of(tmp_path / "hooked.db"), unordered) == text_of(events, unordered), settings


def write_in_c(row, writer, made, tmp_path, all_settings, record, nobody=False):
    program, version = writer
    if version < row.get("since", 0) or sqlite3.sqlite_version_info < (3, row.get("since", 0) // 1000 % 1000):
        pytest.skip("newer syntax than this SQLite has")
    # One row of ten thousand is enough under one setting.
    many = len(row["write"]) and row["name"].startswith("many")
    for number, settings in enumerate(all_settings[:1] if many else all_settings):
        journal = ("WAL", "DELETE")[number % 2 ^ (number // 2) % 2]
        options = [f"{name}={value}" for name, value in settings.items()] + row.get("attached", False) * ["attached=1"]

        def run(path):
            return subprocess.run([program, path, *options], input=row["write"], capture_output=True, text=True,
                                  check=True, env=ALONE).stdout

        check(row, made(row, journal, record), tmp_path, settings, run, nobody)


@pytest.mark.parametrize("row", PITFALLS, ids=[row["name"] for row in PITFALLS])
def test_in_c(row, writer, made, tmp_path):
    write_in_c(row, writer, made, tmp_path, ALL, "always")


@pytest.mark.parametrize("row", PITFALLS, ids=[row["name"] for row in PITFALLS])
def test_in_c_while_nobody_is_subscribed(row, writer, made, tmp_path):
    """The triggers are disarmed: they stand on the tables, and pass through all of it. Then somebody subscribes."""
    write_in_c(row, writer, made, tmp_path, [ALL[0], ALL[-1]], "subscribed", nobody=True)
    db = opened(tmp_path / "hooked.db")
    disarmed = ("SELECT ifnull(sum(m.sql LIKE '%AFTER UPDATE OF \"nobody subscribed\" ON %'), 0), ifnull(sum(w.of IS NULL), 0)"
                " FROM sqlite_master AS m JOIN resthook_watches AS w ON w.trigger_name = m.name")
    before, of_all = db.execute(disarmed).fetchone()
    db.execute("SELECT resthook_subscribe('*', 'https://example.com/')")
    assert before == of_all and db.execute(disarmed).fetchone() == (0, of_all)
    assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    db.close()


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_in_a_host(writer, tmp_path, journal):
    """The writer loads the extension."""
    program, _ = writer
    steps = [(f"PRAGMA journal_mode={journal};", [f"text {journal.lower()}"]),
             (f"SELECT load_extension('{BUILD / 'resthook'}');", ["null "]), *HOST]
    said = subprocess.run([program, tmp_path / "host.db", "load_extension=1"], input="\n".join(sql for sql, _ in steps),
                          capture_output=True, text=True, check=True).stdout
    answers = [line.removeprefix("row: ") for line in said.splitlines() if line.startswith(("row: ", "error"))]
    assert answers == [answer for _, expected in steps for answer in expected]


@pytest.mark.parametrize("row", [row for row in PITFALLS if not row.get("attached")], ids=lambda row: row["name"])
def test_in_the_shell(row, made, tmp_path):
    settings = {"trusted_schema": 0, "defensive": 1, "recursive_triggers": 0, "foreign_keys": 1}
    version = subprocess.run(["sqlite3", "--version"], capture_output=True, text=True, env=ALONE).stdout.split()[0].split(".")
    if int(version[1]) < row.get("since", 0) // 1000 % 1000:
        pytest.skip("newer syntax than this SQLite has")
    before = ".dbconfig trusted_schema off\n.dbconfig defensive on\nPRAGMA foreign_keys = ON;\n.limit length 10000000\n"

    def run(path):
        done = subprocess.run(["sqlite3", str(path)], input=before + row["write"] + "\n", capture_output=True,
                              errors="replace", text=True, env=ALONE)
        return done.stdout, done.stderr.replace(str(path), "")

    check(row, made(row, "WAL"), tmp_path, settings, run)


def test_import_and_dump_of_the_shell(tmp_path):
    """.import is a writer like any other. What .dump wrote, read back, is the same file with the same events: the rows
    of the dump are no events of their own."""
    path, again = tmp_path / "app.db", tmp_path / "again.db"
    db = opened(path)
    db.execute(ITEM)
    db.execute("SELECT resthook_init()")
    db.execute("SELECT resthook_watch('item', 'insert', 'i', '{\"record\":\"always\"}')")
    db.close()
    (tmp_path / "rows.csv").write_text("1,a\n2,b\n")
    subprocess.run(["sqlite3", path], check=True, text=True, env=ALONE,
                   input=f".import --csv {tmp_path / 'rows.csv'} item\n")
    events = [i(1, "a"), i(2, "b")]
    assert events_of(path) == events
    dump = subprocess.run(["sqlite3", path, ".dump"], check=True, text=True, env=ALONE, capture_output=True).stdout
    subprocess.run(["sqlite3", "-bail", again], check=True, text=True, env=ALONE, input=dump)
    assert events_of(again) == events
    subprocess.run(["sqlite3", again, "INSERT INTO item VALUES (3, 'c')"], check=True, env=ALONE)
    assert events_of(again) == [*events, i(3, "c")]


def test_blobs_at_the_limit_of_the_writer(tmp_path):
    """600 MB, and as much as `.limit length` lets the writer have: the write succeeds, the event is its key and a mark;
    what the limit refuses, it refuses without hooks as well."""
    path = tmp_path / "app.db"
    db = opened(path)
    db.execute(ITEM)
    db.execute("SELECT resthook_init()")
    db.execute("SELECT resthook_watch('item', 'insert', 'i', '{\"record\":\"always\"}')")
    wrote = subprocess.run(["sqlite3", str(path)], capture_output=True, text=True, env=ALONE, input="""
        PRAGMA synchronous = OFF;
        INSERT INTO item VALUES (1, zeroblob(600000000));
.limit length 1000000
        INSERT INTO item VALUES (2, zeroblob(999000));
        INSERT INTO item VALUES (3, zeroblob(1000001));
        SELECT group_concat(id) FROM item;
    """)
    assert wrote.stdout.split()[-1] == "1,2" and "too big" in wrote.stderr
    first, second = (json.loads(payload) for (payload,) in db.execute("SELECT resthook_payload(id) FROM resthook_events"))
    assert first == {"id": 1, "truncated": True}
    assert second["id"] == 2 and len(second["name"]) == 999000 / 3 * 4
    db.close()
