"""Every command in README.md runs, in the order it is there, and prints what README.md says it prints.

A block fenced as ```sh runs in bash, one fenced as ```sql in the sqlite3 shell with the extension loaded, on the
app.db of the folder that the README works in, one fenced as ```python in python3: in a copy of the tree, with the
build under test as build/. All of them are one session: what one block starts or makes is there for the next. Between
blocks the dispatcher, if it runs, has the time that a reader would give it. A comment on the line before a block says
otherwise:

    <!-- long: SHORT FORM -->    runs the short form instead (\\n in it is a new line)
    <!-- not run: REASON -->     allowed only where every line fetches or installs something: those are tried in a
                                 bare Debian, not here

Behind a block, <!-- it prints --> and a ```text block are what it prints: each line is among the lines printed, in this
order unless the block starts something in the background; … stands for anything. <!-- it prints nothing --> is what
it says.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from conftest import BUILD, ROOT

README = ROOT / "README.md"
BLOCK = re.compile(r"^(?:<!-- (?P<mark>long|not run): (?P<what>.*?) -->\n)?```(?P<kind>sh|sql|python)\n(?P<text>.*?)^```$"
                   r"(?:\n\n<!-- it prints(?: (?P<nothing>nothing) -->| -->\n```text\n(?P<prints>.*?)^```)$)?",
                   re.MULTILINE | re.DOTALL)
FETCHES = re.compile(r"git clone|apt-get|apt |\.ci/deps|^#|^cd ")
PORT = "8737"

# What was started in the background has begun; a dispatcher has recorded all there is.
SETTLED = """
settled() {
    for i in $(seq 200); do
        if jobs -r | grep -q receiver.py && ! (: </dev/tcp/127.0.0.1/PORT) 2>/dev/null; then sleep 0.1; continue; fi
        jobs -r | grep -q build/resthookd || return 0
        case $(build/resthookd sql app.db "SELECT group_concat(value) FROM (SELECT value FROM resthook_status
               WHERE name IN ('dispatcher', 'unread') ORDER BY name)" 2>/dev/null) in running,0) return 0 ;; esac
        sleep 0.1
    done
    echo 'what runs in the background does not get done'
    return 1
}
"""


def blocks(text):
    """(line, kind, what to run, what it prints or None) of each block that is run; AssertionError for one that is left
    out without right."""
    found = []
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("text"))
        run = match["text"]
        prints = "" if match["nothing"] else match["prints"]
        if match["mark"] == "long":
            run = match["what"].replace("\\n", "\n") + "\n"
        elif match["mark"] == "not run":
            for command in run.strip().splitlines():
                assert FETCHES.search(command), f"README.md:{line}: only what fetches or installs may be left out"
            continue
        found.append((line, match["kind"], run, prints))
    return found


def script(text, port, folder):
    """The README as one bash script that stops at the first command that fails and says where. What the block at line
    n prints is in folder/n."""
    lines = ["set -eu", "at=0", """trap 'test $? -eq 0 || echo "README.md: the block at line $at failed" >&3' EXIT""",
             SETTLED.replace("PORT", port)]
    for line, kind, run, _ in blocks(text):
        lines.append(f"at={line}; exec >{folder}/{line} 2>&1")
        if kind == "sh":
            lines.append(run)
        else:
            host = {"sql": "sqlite3 -bail -cmd '.load build/resthook' app.db", "python": "python3 -"}[kind]
            lines.append(f"{host} <<'END_OF_BLOCK'\n{run}END_OF_BLOCK")
        lines.append("settled")
    return "\n".join(lines) + "\n"


def check_printed(line, run, prints, printed):
    """What a block should print against what it did."""
    if not prints.strip():
        assert printed.strip() == "", f"README.md:{line} says that nothing is printed, and there is:\n{printed}"
    wanted = [each for each in prints.splitlines() if each.strip() not in ("", "…")]
    there = printed.splitlines()
    in_order = not re.search(r"&\s*(#.*)?$", run, re.MULTILINE)
    at = 0
    for each in wanted:
        pattern = re.compile(".*".join(re.escape(part) for part in each.strip().split("…")))
        hits = [i for i, other in enumerate(there) if i >= at and pattern.fullmatch(other.strip())]
        assert hits, f"README.md:{line} is said to print {each!r}, and prints:\n{printed}"
        at = hits[0] + 1 if in_order else 0


def test_marks_are_understood():
    text = ("```sh\nmake\n```\n<!-- long: make -n test -->\n```sh\nmake test\n```\n"
            "<!-- not run: fetches -->\n```sh\ngit clone x\n```\n```sql\nSELECT 1;\n```\n\n<!-- it prints -->\n```text\n1\n```\n"
            "```text\nno\n```\n```python\nprint\n```\n\n<!-- it prints nothing -->\n")
    assert [block[1:] for block in blocks(text)] == [
        ("sh", "make\n", None), ("sh", "make -n test\n", None), ("sql", "SELECT 1;\n", "1\n"), ("python", "print\n", "")]
    with pytest.raises(AssertionError, match="README.md:2"):
        blocks("<!-- not run: slow -->\n```sh\nmake test\n```\n")
    check_printed(1, "a", "x…z\n…\nb", "w\nxyz\n\nb\n")
    check_printed(1, "a &   # c", "b\na", "a\nb\n")
    for prints, printed in (("b\na", "a\nb\n"), ("a", "ab\n"), ("", "a\n")):
        with pytest.raises(AssertionError, match="README.md:1"):
            check_printed(1, "a", prints, printed)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return str(taken.getsockname()[1])


def test_every_command_of_the_readme_runs(tmp_path):
    tree, bin, printed = tmp_path / "resthook", tmp_path / "bin", tmp_path / "printed"
    tree.mkdir()
    for part in ("ext", "dispatcher", "sql", "tests", ".ci", "Makefile", "README.md", "LICENSE"):  # not what a reader made
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, tree / part)
    # What was built and nothing that make would want to mend: the build under test is left as it is.
    (tree / "build").mkdir()
    for name in ("resthook.so", "resthookd", "gen"):
        (tree / "build" / name).symlink_to(BUILD / name)
    bin.mkdir()
    (bin / "python3").symlink_to(sys.executable)
    printed.mkdir()
    text = README.read_text()
    assert len(blocks(text)) == len(re.findall(r"^```(?:sh|sql|python)$", text, re.MULTILINE)) - text.count("<!-- not run:")
    assert sum(block[3] is not None for block in blocks(text)) == text.count("<!-- it prints")
    port = free_port()  # other tests may run beside this one
    text = text.replace(PORT, port)
    with open(tmp_path / "failed", "w+") as failed:
        # A session of its own, so that what a block leaves running in the background is ended with it.
        shell = subprocess.Popen(["bash", "-c", f"exec 3>{failed.name}\n" + script(text, port, printed)], cwd=tree,
                                 stdin=subprocess.DEVNULL, start_new_session=True,
                                 env={**os.environ, "PATH": f"{bin}:{BUILD}:{os.environ['PATH']}"})
        try:
            status = shell.wait(timeout=180)
        finally:
            try:
                os.killpg(shell.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # nothing was left
            shell.wait()
        failed.seek(0)
        where = failed.read()
    if status != 0:
        last = max(printed.iterdir(), key=lambda file: int(file.name))
        raise AssertionError(f"{where}{last.read_text()}")
    for line, _, run, prints in blocks(text):
        if prints is not None:
            check_printed(line, run, prints, (printed / str(line)).read_text())
