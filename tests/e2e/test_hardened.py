"""What was built: the guards that the compiler and the linker put in, as the files themselves have them."""

import os
import re
import subprocess

import pytest

from conftest import BUILD, EXTENSION, RESTHOOKD

FILES = pytest.mark.parametrize("file", [RESTHOOKD, EXTENSION], ids=lambda path: path.name)


def readelf(*arguments):
    return subprocess.run(["readelf", "--wide", *map(str, arguments)], capture_output=True, text=True, check=True).stdout


@FILES
def test_what_is_loaded_can_not_be_changed(file):
    """The table of foreign functions is filled when it starts and read-only from then on; no segment can be written
    and executed; the stack can't be executed."""
    segments = {line.split()[0]: line for line in readelf("--segments", file).splitlines() if " 0x" in line}
    assert "GNU_RELRO" in segments
    assert re.search(r" RW +0x", segments["GNU_STACK"]), segments["GNU_STACK"]
    assert not any(re.search(r" RWE ", line) for line in segments.values())
    assert re.search(r"\bBIND_NOW\b|\bFlags:.*\bNOW\b", readelf("--dynamic", file))


def test_the_program_can_stand_anywhere():
    assert re.search(r"^ *Type: +DYN ", readelf("--file-header", RESTHOOKD), re.MULTILINE)
    assert re.search(r"\(FLAGS_1\).*\bPIE\b", readelf("--dynamic", RESTHOOKD))


@FILES
def test_the_stack_and_the_buffers_are_watched(file):
    if BUILD.name == "san":
        pytest.skip("the sanitizers watch buffers themselves, and more closely")
    if "GCOV_PREFIX" in os.environ:
        pytest.skip("make coverage builds without the optimizer, which the library's guards need")
    names = readelf("--dyn-syms", file)
    assert "__stack_chk_fail" in names
    assert "__snprintf_chk" in names and "__vsnprintf_chk" in names
