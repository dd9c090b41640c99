"""The benchmark's harness works: with small sizes it prints its figures. What they are is nobody's business here."""

import json
import os
import subprocess
import sys

from conftest import BUILD, ROOT, own_environment

PROGRAMS = ["receiver", "bare_sender", "bare_writer", "pace_writer", "poll_reader"]


def test_a_quick_round_prints_its_figures(tmp_path):
    make = ["make", "-s", f"BUILD={tmp_path}", *[str(tmp_path / "bench" / name) for name in PROGRAMS]]
    env = {name: value for name, value in own_environment().items() if name not in ("MAKEFLAGS", "SAN", "BUILD")}
    subprocess.run(make, cwd=ROOT, env=env, check=True, timeout=60)
    for name in ("resthookd", "resthook.so"):
        os.symlink(BUILD / name, tmp_path / name)
    done = subprocess.run([sys.executable, str(ROOT / "tests/bench/run"), "--build", str(tmp_path), "--quick", "--only",
                           "drain_ratio", "write_ratio_1000", "busy0_rollback_delete"], text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    printed = {line.split()[0]: float(line.split()[1]) for line in done.stdout.splitlines() if "[" in line}
    assert {"drain_ratio", "drain_per_s", "write_ratio_1000", "busy0_rollback_delete", "busy0_rollback_persist_reader"} <= printed.keys()
    written = json.loads((tmp_path / "bench/figures.json").read_text())
    assert written["quick"] and written["figures"].keys() == printed.keys()
    assert not (tmp_path / "bench/scratch").exists()
