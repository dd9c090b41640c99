"""README.md tells the truth: what it names is there, and what is there it names.

Its commands are run by tests/e2e/test_readme.py; here its lists are compared with the build and its sources: functions,
options, settings, columns, the dispatcher's options, exit statuses and log lines, the texts it quotes, the few lines of
Python and JavaScript that verify a request.
"""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pitfalls import table as catalogue
from verify import sign

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / os.environ.get("RESTHOOK_BUILD", "build")
README = (ROOT / "README.md").read_text()


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
    return re.search(r"there is no option 'no_such_key'; known are (.*)$", str(error.value))[1].split(", ")


@pytest.mark.parametrize("title, sql", [
    ("Options of resthook_subscribe and resthook_update",
     "SELECT resthook_subscribe('a.b', 'https://example.com/', '{\"no_such_key\": 1}')"),
    ("Options of resthook_watch", "SELECT resthook_watch('t', 'insert', 'a.b', '{\"no_such_key\": 1}')"),
    ("Options of resthook_emit", "SELECT resthook_emit('a.b', '{}', '{\"no_such_key\": 1}')"),
])
def test_options(connection, title, sql):
    connection.execute("CREATE TABLE t(a)")
    assert [code(row[0]) for row in table(section(title))] == known_keys(connection, sql)


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


def test_each_figure_that_has_an_aim_is_told():
    text = subprocess.run([sys.executable, "-B", "-c", "import figures; print(*(name for name, figure in "
                           "figures.FIGURES.items() if figure[2]))"], cwd=ROOT / "tests/bench", stdout=subprocess.PIPE,
                          text=True, check=True).stdout
    missing = [name for name in text.split() if f"`{name}`" not in section("What it costs")]
    assert not missing


def test_the_points_of_the_torture_are_counted():
    sys.path.insert(0, str(ROOT / "tests/torture"))
    from torture import points
    assert f"each of {len(points())} named points" in README


def test_log_lines():
    """Every line of info and above that the dispatcher's sources say, with its level, and no other."""
    there = set()
    for source in (ROOT / "dispatcher").glob("*.c"):
        for call in re.findall(r"log_line\((.*?)\);", source.read_text(), re.DOTALL):
            level = re.match(r"\s*LOG_(ERROR|WARN|INFO),", call)
            if level:
                # The message: the texts before the first pair of key and value.
                message = re.match(r"(?:[^\"]*?\"[^\"]*\")+?(?=\s*,)", call[level.end():])[0]
                texts = re.findall(r'"([^"]*)"', message) if "?" in message else ["".join(re.findall(r'"([^"]*)"', message))]
                there |= {(text, level[1].lower()) for text in texts}
    documented = {(text, row[1]) for row in table(section("Log")) for text in re.findall(r"`([^`]+)`", row[0])}
    documented |= {("outcomes are written again", "info")}  # beside the line that it ends
    by_state = {"delivery is dead", "delivery stops its key"}  # of a table, by what became of the delivery
    assert there == documented - {(text, "warn") for text in by_state}
    assert all(f'"{text}"' in (ROOT / "dispatcher/delivery.c").read_text() for text in by_state)


def test_texts_that_are_quoted_are_said():
    """What somebody will search this page for."""
    sources = " ".join(path.read_text() for room in ("ext", "dispatcher") for path in (ROOT / room).glob("*.c"))
    sources = re.sub(r'"\s*"', "", sources)
    quoted = re.findall(r"`((?:refused|tls|timeout|gone|its side file|it was moved|the event that|this database)[^`]*)`", README)
    assert len(quoted) >= 8
    for text in quoted:
        assert text.removesuffix("…").strip() in sources, text


def test_the_version(connection):
    assert f"user-agent: resthookd/{connection.execute('SELECT resthook_version()').fetchone()[0]}\n" in README


def verifying(kind):
    """The lines of README that verify a request, in a language."""
    (lines,) = re.findall(rf"^```{kind}\n((?:(?!```).*\n)*?.*verify\(.*\n(?:.*\n)*?)```$", README, re.MULTILINE)
    return lines


def test_resequencing():
    (lines,) = re.findall(r"^```python\n(newest = .*\n(?:.*\n)*?)```$", README, re.MULTILINE)
    names = {}
    exec(lines, names)
    came = [(7, 3), (7, 5), (7, 4), (8, 4), (7, 5), (8, 6), (7, 9)]
    news = [names["is_news"]({"webhook-sequence": str(sequence)}, {"id": id}) for id, sequence in came]
    assert news == [True, True, False, True, False, True, True]


def requests_to_verify():
    """(secret, headers, body, whether it is good)"""
    secret, body, now = "whsec_" + "QUFB" * 8, b'{"id":1,"name":"Gr\xc3\xbc\xc3\x9fe"}', str(int(time.time()))
    good = {"webhook-id": "t_1_2", "webhook-timestamp": now, "webhook-signature": sign(secret, "t_1_2", now, body)}
    return [
        (secret, good, body, True),
        (secret, {**good, "webhook-signature": "v1,other " + good["webhook-signature"]}, body, True),
        (secret, good, body + b" ", False),
        ("whsec_" + "QkJC" * 8, good, body, False),
        (secret, {**good, "webhook-id": "t_1_3"}, body, False),
        (secret, {**good, "webhook-signature": ""}, body, False),
        (secret, {**good, "webhook-timestamp": "1000", "webhook-signature": sign(secret, "t_1_2", "1000", body)}, body, False),
    ]


def test_the_python_verifies():
    namespace = {}
    exec(verifying("python"), namespace)
    for secret, headers, body, good in requests_to_verify():
        assert namespace["verify"](secret, headers, body) == good


@pytest.mark.skipif(not shutil.which("node"), reason="there is no node here; sh .ci/deps lint installs it")
def test_the_javascript_verifies():
    cases = [(secret, headers, body.decode()) for secret, headers, body, _ in requests_to_verify()]
    program = (verifying("js") + f"const cases = {json.dumps(cases)};\n"
               "console.log(JSON.stringify(cases.map(([s, h, b]) => verify(s, h, Buffer.from(b)))));\n")
    env = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}  # its memory is no sanitizer's
    said = subprocess.run(["node", "-"], input=program, stdout=subprocess.PIPE, text=True, check=True, env=env).stdout
    assert json.loads(said) == [good for *_, good in requests_to_verify()]


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


def test_what_a_writer_may_do_is_the_catalogue():
    assert catalogue() in section("What your writer may do"), "python3 tests/catalogue/pitfalls.py prints it"


def test_complaints():
    """tests/complaints.md: all 44, each with tests that are there, or with words that README.md says."""
    text = (ROOT / "tests/complaints.md").read_text()
    rows = table(text)
    assert [row[0] for row in rows] == [str(i) for i in range(1, 45)]
    for number, complaint, here, shown in rows:
        tests, words = re.findall(r"`([^`]*)`", shown), re.findall(r'README: "([^"]*)"', here)
        assert complaint and here and (tests or words), number
        for path, name in (test.split("::") for test in tests):
            begin = "static void" if path.endswith(".c") else "def"
            assert re.search(rf"^{begin} {name}\(", (ROOT / "tests" / path).read_text(), re.MULTILINE), f"{number}: {path}::{name}"
        for quoted in words:
            assert quoted in README, f"{number}: {quoted}"
    assert not re.search(r"\bshould\b", text)


def test_security():
    """SECURITY.md names tests that are there, and every program's file that it names."""
    text = (ROOT / "SECURITY.md").read_text()
    rows = table(text[text.index("## What is checked"):])
    assert len(rows) >= 12
    for boundary, holds, tests in rows:
        named = re.findall(r"`(tests/[^`]*)`", tests)
        assert boundary and holds and named
        for path in named:
            assert (ROOT / path).exists(), path
    for option in re.findall(r"`(--[a-z-]+)`", text):
        assert f"| `{option}" in section("The dispatcher"), option
    assert not re.search(r"\bshould\b", text) and len(text.splitlines()) < 80


def test_its_tone():
    assert len(README.splitlines()) < 1100
    assert not re.search(r"\bshould\b", README)
