"""Writers in other languages: those of tests/languages whose runtime is there and costs little; make languages runs
all of them. And README.md's lines for each language are lines of these programs.
"""

import os
import re
import subprocess
import sys

import pytest

from conftest import BUILD, ROOT

README = (ROOT / "README.md").read_text()
CHEAP = ("python", "shell", "perl", "ruby", "php-sqlite3", "php-pdo", "tcl", "lua")
ALWAYS_THERE = ("python", "shell")


@pytest.fixture(scope="module")
def said():
    """What tests/languages/run --short says, its last line too, by the first word."""
    done = subprocess.run([sys.executable, ROOT / "tests/languages/run", "--short"], stdout=subprocess.PIPE, text=True,
                          timeout=120, env={**os.environ, "RESTHOOK_BUILD": str(BUILD)})
    return dict(re.findall(r"(?m)^([\w-]+) +(\S.*(?:\n .*)*)$", done.stdout))


@pytest.mark.parametrize("language", CHEAP)
def test_a_writer(said, language):
    if said[language].startswith("skipped: ") and language not in ALWAYS_THERE:
        pytest.skip(said[language])
    assert re.search(r": \d+ events", said[language]), said[language]


def test_each_is_counted(said):
    skipped = sum(line.startswith("skipped: ") for line in said.values())
    assert said[str(len(CHEAP) - skipped)] == "passed, 0 failed"


def test_the_readmes_lines_are_lines_of_the_programs():
    section = re.search(r"^## From your language\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)[1]
    shown = re.findall(r"^\[[^]]+\]\(tests/languages/([^)]+)\)[^\n]*:\n```\w+\n(.*?)^```$", section,
                       re.MULTILINE | re.DOTALL)
    programs = {path.name: path.read_text() for path in (ROOT / "tests/languages").glob("[wW]riter*")}
    assert {name for name, _ in shown} == set(programs) - {"writer.py", "writer.sh"}  # those have sections of their own
    assert len(shown) == section.count("```") // 2
    for name, lines in shown:
        there = [line.strip() for line in programs[name].splitlines()]
        assert lines.count("\n") == 3
        for line in lines.splitlines():
            assert line in there, f"tests/languages/{name} has no line\n{line}"
