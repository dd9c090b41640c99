"""resthookd check of files that somebody made for the purpose: what it prints is lines of its own, and it ends."""

import re

import pytest

from conftest import resthookd
from test_forging import CONTROL, FORGED, TERMINAL

EVIL = "a.b to https://fine/\n  forged: 0\x1b[31m" + FORGED + TERMINAL


def checked(db, status):
    """What it says, in lines; nothing in them is a terminal's."""
    done = resthookd("check", db.path)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Sanitizer" not in done.stderr
    lines = (done.stdout + done.stderr).removesuffix("\n").split("\n")
    assert not any(CONTROL.search(line) or "\r" in line for line in lines), lines
    assert not any(line.startswith(("2026-", "  forged: 0", "{")) for line in lines), lines
    return lines


def by_hand(db, sql, value):
    connection = db.connect()
    connection.execute("PRAGMA ignore_check_constraints=ON")
    connection.execute(sql, (value,))
    connection.close()


@pytest.mark.parametrize("column", ["id", "event", "target", "status", "secret", "filter"])
def test_a_subscription_is_one_line(db, column):
    db.subscribe("a.b", "https://example.com/hook?a=b")
    (plain,) = [line for line in checked(db, 0) if " to " in line]
    assert re.fullmatch(r"  sub_\w+ active a\.b to https://example\.com/hook\?a=b", plain)
    by_hand(db, f"UPDATE resthook_subscription SET {column} = ?", "file:" + EVIL if column == "secret" else EVIL)
    (line,) = [line for line in checked(db, 0) if re.match("  \\S.* to http|  .* to \"", line)]
    if column in ("id", "event", "target", "status"):
        assert line.count('"a.b to https://fine/\\x0a  forged: 0\\x1b[31m') == 1, "in quotes: it is one word"
    assert "can't sign" in line if column == "secret" else "can't sign" not in line


def test_a_subscription_of_which_nothing_is_there(db):
    """In a table that is not ours, as it was before."""
    db.shell("""DROP TABLE resthook_subscription;
        CREATE TABLE resthook_subscription(id, event, target, status, secret, filter, to_id);
        INSERT INTO resthook_subscription(filter) VALUES ('1');""")
    assert [line for line in checked(db, 0) if " to " in line] == ["  - - - to -: there is none; can't sign: its secret is not there"]


def test_values_are_one_line(db):
    """The version of the schema, and what SQLite says of a name."""
    by_hand(db, "UPDATE resthook_meta SET value = ? WHERE name = 'schema'", "2" + EVIL)
    lines = checked(db, 0)
    assert [line for line in lines if line.startswith("  schema: 2a.b to https://fine/\\x0a  forged: 0\\x1b[31m")], lines


def test_names_are_one_line(db):
    """A watch of a table that is gone is named in resthook_status, and a view names what is not there."""
    connection = db.connect()
    name = EVIL.replace('"', '""')
    connection.execute(f'CREATE TABLE "{name}"(id INTEGER PRIMARY KEY)')
    connection.execute("SELECT resthook_watch(?, 'insert', 'x.create')", (EVIL,))
    connection.execute(f'DROP TABLE "{name}"')
    connection.close()
    assert any("forged: 0\\x1b[31m" in line for line in checked(db, 0))
    db.shell(f"""DROP TABLE resthook_subscription; CREATE VIEW resthook_subscription AS SELECT * FROM "{name}";""")
    assert any(line.startswith("  error: no such table") and "\\x1b[31m" in line for line in checked(db, 74))


def test_an_error_of_run_is_one_line(db):
    """As check's, of a schema that can't be read."""
    connection = db.connect()
    connection.executescript("PRAGMA writable_schema=ON;")
    connection.execute("INSERT INTO sqlite_schema VALUES ('table', ?, ?, 0, 'CREATE TABLE nonsense')", (EVIL, EVIL))
    connection.close()
    (error,) = [line for line in checked(db, 74) if line.startswith("resthookd: ")]
    assert "\\x1b[31m" in error
    done = resthookd("--once", db.path)
    assert done.stderr == error + "\n"
    done = resthookd("sql", db.path, "SELECT * FROM item")
    assert not CONTROL.search(done.stderr.rstrip("\n")) and "\\x1b[31m" in done.stderr
