"""Streams that are closed, full or of another encoding, and limits of the system: said in words, and no bug."""

import errno
import io
import json
import os
import re
import resource
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from loadgen import analyze
from loadgen.cli import main
from loadgen.config import AnalyzeSettings
from loadgen.errors import NotEnoughMemory
from loadgen.imports import MIB, check_address_space
from loadgen.terminal import say


def shell(command: str) -> "subprocess.CompletedProcess[str]":
    """Run a line of shell in which $L is the program, with streams that are buffered as they usually are."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    env |= {"L": f"{sys.executable} -m loadgen"}
    return subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True, check=False)


FAULTS = [
    OSError(errno.ENOSPC, "full"),
    OSError(errno.EMFILE, "many"),
    OSError("Memory mapping file failed: Cannot allocate memory"),
    MemoryError(),
    ImportError("libarrow.so: failed to map segment from shared object"),
    RuntimeError("can't start new thread"),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_limit_of_the_system_is_no_bug(
    fault: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: AnalyzeSettings) -> int:
        raise fault

    monkeypatch.setattr(analyze, "main", fail)
    assert main(["analyze", "."]) == 1
    said = capsys.readouterr().err
    assert "the system" in said
    assert "bug" not in said


def test_a_result_that_has_nowhere_to_go_is_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    say("so\n")


def test_a_result_that_waits_in_the_buffer_at_the_end_is_written_before_a_verb_is_called_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def only_print(_: AnalyzeSettings) -> int:
        print("figures")
        return 0

    monkeypatch.setattr(analyze, "main", only_print)
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(["analyze", "."]) == 1
    assert "the disk is full" in capsys.readouterr().err


def test_letters_that_the_encoding_of_a_result_lacks_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1"))
    say("Ünal 봄\n")
    assert written.getvalue() == "Ünal ?\n".encode("latin-1")


def test_help_goes_where_it_can_and_says_where_it_cannot() -> None:
    narrow = shell("PYTHONIOENCODING=latin-1 $L run --help | head -c 50000 >/dev/null; exit ${PIPESTATUS[0]}")
    assert (narrow.returncode, narrow.stderr) == (0, "")
    full = shell("$L --help >/dev/full")
    assert full.returncode == 1
    assert full.stderr.startswith("error: the system refuses: ")
    assert len(full.stderr.splitlines()) == 1
    closed = shell("$L run --output - --events 10 >&- 2>&1 | cat; $L run --output - --events 10 --quiet >&-")
    assert closed.returncode == 2
    assert "stdout, which is closed" in closed.stderr


def test_a_run_without_enough_open_files_or_memory_says_which_limit_to_raise() -> None:
    files = shell("ulimit -n 12; $L run --events 1 --output /dev/null")
    assert (files.returncode, files.stderr.splitlines()[-1:]) == (
        1,
        ["error: a run needs at least 20 open files, and the system allows 12; raise `ulimit -n`"],
    )
    memory = shell("ulimit -v 400000; $L run --events 1 --output /dev/null")
    assert memory.returncode == 1
    assert "`ulimit -v`" in memory.stderr
    for said in (files.stderr, memory.stderr):
        assert "Traceback" not in said
        assert "bug" not in said


@pytest.mark.parametrize("words", ["run --events 1 --output /dev/null", "compare m.json m.json"])
def test_numpy_is_not_imported_where_it_would_end_the_process_with_words_of_its_own(words: str, tmp_path: Path) -> None:
    """A run starts its fork server before it imports NumPy itself."""
    manifest = {"schema": 1, "run_id": "r"}
    (tmp_path / "m.json").write_text(json.dumps(manifest))
    done = shell(f"cd {tmp_path}; ulimit -v 100000; $L {words}")
    assert done.returncode == 1
    assert re.fullmatch(
        r"error: loadgen needs 128 MiB of address space to begin, and the system's limit of 97 MiB leaves \d+; "
        r"raise `ulimit -v`\n",
        done.stderr,
    )


@pytest.mark.parametrize(("left", "is_enough"), [(100, False), (140, True), (None, True)])
def test_how_much_address_space_is_left_counts(
    left: int | None, is_enough: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = resource.RLIM_INFINITY if left is None else taken + left * MIB
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    with nullcontext() if is_enough else pytest.raises(NotEnoughMemory, match=r"leaves (99|100); raise `ulimit -v`"):
        check_address_space()
