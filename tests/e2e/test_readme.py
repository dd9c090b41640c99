"""Every command in README.md runs, in the order it is there.

A block fenced as ```sh runs in bash, one fenced as ```sql in the sqlite3 shell with the extension loaded, on the
app.db of the folder that the README works in: a copy of the tree, with the build under test as build/. All of them are
one session: what one block starts or makes is there for the next. A comment on the line before a block says otherwise:

    <!-- long: SHORT FORM -->    runs the short form instead (\\n in it is a new line)
    <!-- not run: REASON -->     allowed only where every line fetches or installs something: those are tried in a
                                 bare Debian, not here
"""

import os
import re
import shutil
import signal
import subprocess

import pytest

from conftest import BUILD, ROOT

README = ROOT / "README.md"
BLOCK = re.compile(r"^(?:<!-- (?P<mark>long|not run): (?P<what>.*?) -->\n)?```(?P<kind>sh|sql)\n(?P<text>.*?)^```$",
                   re.MULTILINE | re.DOTALL)
FETCHES = re.compile(r"git clone|apt-get|apt |\.ci/deps|^#|^cd ")


def blocks(text):
    """(line, kind, what to run) of each block that is run; AssertionError for one that is left out without right."""
    found = []
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("text"))
        run = match["text"]
        if match["mark"] == "long":
            run = match["what"].replace("\\n", "\n") + "\n"
        elif match["mark"] == "not run":
            for command in run.strip().splitlines():
                assert FETCHES.search(command), f"README.md:{line}: only what fetches or installs may be left out"
            continue
        found.append((line, match["kind"], run))
    return found


def script(text):
    """The README as one bash script that stops at the first command that fails and says where."""
    lines = ["set -eu", "at=0", """trap 'test $? -eq 0 || echo "README.md: the block at line $at failed" >&2' EXIT"""]
    for line, kind, run in blocks(text):
        lines.append(f"at={line}")
        if kind == "sql":
            lines.append(f"sqlite3 -bail -cmd '.load build/resthook' app.db <<'END_OF_SQL'\n{run}END_OF_SQL")
        else:
            lines.append(run)
    return "\n".join(lines) + "\n"


def test_marks_are_understood():
    text = ("```sh\nmake\n```\n<!-- long: make -n test -->\n```sh\nmake test\n```\n"
            "<!-- not run: fetches -->\n```sh\ngit clone x\n```\n```sql\nSELECT 1;\n```\n```text\nno\n```\n")
    assert [(kind, run) for _, kind, run in blocks(text)] == [
        ("sh", "make\n"), ("sh", "make -n test\n"), ("sql", "SELECT 1;\n")]
    with pytest.raises(AssertionError, match="README.md:2"):
        blocks("<!-- not run: slow -->\n```sh\nmake test\n```\n")


def test_every_command_of_the_readme_runs(tmp_path):
    tree = tmp_path / "resthook"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))
    (tree / "build").symlink_to(BUILD)
    text = README.read_text()
    assert len(blocks(text)) == len(re.findall(r"^```(?:sh|sql)$", text, re.MULTILINE)) - text.count("<!-- not run:")
    with open(tmp_path / "output", "w+") as output:
        # A session of its own, so that what a block leaves running in the background is ended with it.
        shell = subprocess.Popen(["bash", "-c", script(text)], cwd=tree, stdin=subprocess.DEVNULL, stdout=output,
                                 stderr=subprocess.STDOUT, start_new_session=True,
                                 env={**os.environ, "PATH": f"{BUILD}:{os.environ['PATH']}"})
        try:
            status = shell.wait(timeout=120)
        finally:
            try:
                os.killpg(shell.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # nothing was left
            shell.wait()
        output.seek(0)
        assert status == 0, output.read()
