"""README.md tells the truth: what it names is there, and what is there it names.

Its commands are run by tests/e2e/test_readme.py; here its lists are compared with the build: functions, options,
settings, columns, the dispatcher's options and exit statuses, the few lines of Python that verify a request.
"""

import os
import re
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from verify import sign

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("RESTHOOK_BUILD", "build")
README = (ROOT / "README.md").read_text()
OUTSIDE = {"curl", "sqlite3"}  # words in `code` that look like ours and are not


def section(title):
    """The text below a heading, to the next one of any level."""
    found = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##+ |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"README.md has no section {title!r}"
    return found[1]


def table(text):
    """The rows of the first table in a text, without its head; a row is a list of cells."""
    lines = re.search(r"^\|.*\n\|[-|: ]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)[1].splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def code(cell):
    return re.fullmatch(r"`(.*)`", cell)[1]


@pytest.fixture
def connection():
    opened = sqlite3.connect(":memory:", isolation_level=None)
    opened.enable_load_extension(True)
    opened.load_extension(str(BUILD / "resthook"))
    opened.execute("SELECT resthook_init()")
    yield opened
    opened.close()


def test_functions(connection):
    """Every function that is registered is in the table, and can be called with as many arguments as it says."""
    documented = {}
    for row in table(section("Functions")):
        name, arguments = re.fullmatch(r"(\w+)\((.*)\)", code(row[0])).groups()
        required = len(re.findall(r"\w+", re.sub(r"\[.*", "", arguments)))
        documented[name] = set(range(required, len(re.findall(r"\w+", arguments)) + 1))
    registered = {}
    for name, count in connection.execute("SELECT name, narg FROM pragma_function_list WHERE name LIKE 'resthook%'"):
        registered.setdefault(name, set()).add(count)
    assert sorted(documented) == sorted(registered)
    for name, counts in registered.items():
        assert counts == {-1} or counts == documented[name], name


def known_keys(connection, sql):
    """The keys that an options document may have, by the error for one that it may not."""
    with pytest.raises(sqlite3.Error) as error:
        connection.execute(sql)
    message = str(error.value)
    assert "no_such_key" in message
    return set(re.findall(r"\w+", message.split("no_such_key", 1)[1])), message


@pytest.mark.parametrize("title, sql", [
    ("Options of resthook_subscribe and resthook_update",
     "SELECT resthook_subscribe('a.b', 'https://example.com/', '{\"no_such_key\": 1}')"),
    ("Options of resthook_watch", "SELECT resthook_watch('t', 'insert', 'a.b', '{\"no_such_key\": 1}')"),
    ("Options of resthook_emit", "SELECT resthook_emit('a.b', '{}', '{\"no_such_key\": 1}')"),
])
def test_options(connection, title, sql):
    connection.execute("CREATE TABLE t(a)")
    words, message = known_keys(connection, sql)
    documented = {code(row[0]) for row in table(section(title))}
    assert documented <= words, message
    listed = set(re.findall(r"\w+", re.split(r"[:(]", message.split("no_such_key", 1)[1])[-1]))
    assert listed - documented - {"and", "or"} == set(), message


def test_settings(connection):
    """Names, defaults, units and bounds, as the table in ext/settings.c has them."""
    rows = connection.execute('SELECT name, "default", unit, least, most FROM resthook_settings ORDER BY name')
    there = {name: ["" if value is None else str(value) for value in rest] for name, *rest in rows}
    documented = {code(row[0]): [cell.strip("`") for cell in row[1:5]] for row in table(section("Settings"))}
    assert sorted(documented) == sorted(there)
    for name, (default, unit, least, most) in there.items():
        assert documented[name] == [default, unit, least, most], name


def test_what_can_be_read(connection):
    """Every view and virtual table with its columns, in their order."""
    documented = dict(re.findall(r"^\* `(\w+)\((.*?)\)`", section("What can be read"), re.MULTILINE))
    views = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'")}
    modules = {name for (name,) in connection.execute("SELECT name FROM pragma_module_list WHERE name LIKE 'resthook%'")}
    assert set(documented) == views | modules
    for name, columns in documented.items():
        there = connection.execute("SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid", (name,))
        assert [column for (column,) in there] == columns.split(", "), name


def test_the_dispatchers_options():
    told = subprocess.run([BUILD / "resthookd", "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    there = set(re.findall(r"--[a-z][a-z-]*", told))
    documented = {code(row[0]).split()[0].split("=")[0].split("[")[0]
                  for row in table(section("The dispatcher")) if row[0].startswith("`--")}
    assert documented == there


def test_exit_statuses():
    header = (ROOT / "dispatcher/command.h").read_text()
    there = {"0"} | set(re.findall(r"#define EXIT_\w+ (\d+)", header))
    assert {cell for row in table(section("Exit statuses")) for cell in row[:1]} == there


def test_options_that_are_not_there_are_refused(connection):
    missing = section("What is not there yet")
    for key in ("ordered", "filter", "rate", "verify"):
        assert f"`{key}`" in missing
        with pytest.raises(sqlite3.Error, match=key):
            connection.execute("SELECT resthook_subscribe('a.b', 'https://example.com/', ?)", (f'{{"{key}": null}}',))
    for option in re.findall(r"`(--[a-z]+)`", missing):
        done = subprocess.run([BUILD / "resthookd", option, "x", "y"], stderr=subprocess.PIPE, text=True)
        assert done.returncode == 64 and option in done.stderr


def test_the_python_verifies():
    namespace = {}
    exec(re.search(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)[1], namespace)
    secret, body = "whsec_" + "QUFB" * 8, b'{"id":1}'
    now = str(int(time.time()))
    headers = {"webhook-id": "t_1_2", "webhook-timestamp": now,
               "webhook-signature": "v1,other " + sign(secret, "t_1_2", now, body)}
    verify = namespace["verify"]
    assert verify(secret, headers, body)
    assert not verify(secret, headers, body + b" ")
    assert not verify("whsec_" + "QkJC" * 8, headers, body)
    assert not verify(secret, {**headers, "webhook-id": "t_1_3"}, body)
    old = {**headers, "webhook-timestamp": "1000", "webhook-signature": sign(secret, "t_1_2", "1000", body)}
    assert not verify(secret, old, body)


def test_what_it_points_to_is_there():
    for path in re.findall(r"\]\(((?!http|#)[^)]+)\)", README):
        assert (ROOT / path).exists(), path
    headings = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
                for title in re.findall(r"^##+ (.*)$", README, re.MULTILINE)}
    for anchor in re.findall(r"\]\(#([^)]+)\)", README):
        assert anchor in headings, anchor


def test_every_name_of_ours_exists(connection):
    """resthook_…() and resthook_… in the text are functions, tables, views or modules that are there."""
    there = {name for (name,) in connection.execute(
        "SELECT name FROM pragma_function_list UNION SELECT name FROM sqlite_master UNION SELECT name FROM pragma_module_list")}
    for name in set(re.findall(r"\bresthook_[a-z_]*[a-z]\b", README)):
        assert name in there, name


def test_its_tone():
    assert len(README.splitlines()) < 500
    assert not re.search(r"\bshould\b", README)
