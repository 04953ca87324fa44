"""The places of a run: apart from each other, from other runs, and from what is not loadgen's."""

import errno
import fcntl
import gzip
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from loadgen.config import RunSettings
from loadgen.errors import OutputUnwritable, UsageError
from loadgen.record import write
from loadgen.report import write_page
from loadgen.runner import run_to_end
from loadgen.runner.claims import RECORDS, check_apart, claim
from loadgen.runner.prepare import check_files
from tests.report.manifests import manifest as manifest_of_a_run
from tests.report.manifests import run_of

LINE = b'{"ts":1,"userId":2,"sessionId":2000001,"page":"Home","method":"GET"}\n'


def settings(**given: Any) -> RunSettings:
    return RunSettings.model_validate({"seed": 5, "start_ms": 1_767_571_200_000} | given)


def claimed(run_id: str = "20260105-000000-aaaa", **given: Any) -> list[str]:
    """What is said by a run that takes its places and ends at once."""
    said: list[str] = []
    with ExitStack() as stack:
        claim(settings(**given), run_id, stack, said.append)
    return said


def write_events(folder: Path, run_id: str) -> Path:
    """What a run leaves in a folder."""
    day = folder / "year=2026/month=01/day=05"
    day.mkdir(parents=True, exist_ok=True)
    path = day / f"events_{run_id}_m0w0.jsonl"
    path.write_bytes(LINE)
    return path


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"output": "a"}, {"manifest": "a"}),
        ({"output": "a"}, {"manifest": "b/../a"}),
        ({"output": "a"}, {"report": "link"}),
        ({"output": "linked/x"}, {"report": "b/x"}),
        ({"output": "m.reached"}, {"manifest": "m"}),
        ({"folder": "b"}, {"output": "linked"}),
        ({"percentile_log": "b"}, {"report": "b", "discard": True}),
        ({"output": "here"}, {"manifest": "hard"}),
    ],
)
def test_two_places_that_are_one_are_refused(
    one: dict[str, Any], other: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("b").mkdir()
    Path("link").symlink_to("a")
    Path("linked").symlink_to("b")
    Path("here").write_bytes(b"")
    os.link("here", "hard")
    with pytest.raises(UsageError, match="must be two places"):
        check_apart(settings(**one, **other))


def test_places_apart_are_taken(tmp_path: Path) -> None:
    check_apart(settings(output=tmp_path / "a", manifest=tmp_path / "b", report=tmp_path / "c.html"))


def test_one_device_may_be_two_places(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    check_apart(settings(output="/dev/null", percentile_log="/dev/null"))
    check_apart(settings(output="/dev/null", percentile_log=tmp_path / "link"))


def test_a_run_takes_its_places_before_its_first_event(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text("mine")
    with pytest.raises(UsageError, match="must be two places"):
        run_to_end(settings(output=path, manifest=path, events=10, rate="max"))
    with pytest.raises(OutputUnwritable, match="loadgen did not write it"):
        run_to_end(settings(output=path, events=10, rate="max"))
    assert path.read_text() == "mine"


@pytest.mark.parametrize("flag", ["output", "manifest", "report"])
def test_a_second_run_names_the_first(flag: str, tmp_path: Path) -> None:
    given = {"discard": True} if flag != "output" else {}
    path, link = tmp_path / "a", tmp_path / "link"
    link.symlink_to(path)
    with ExitStack() as stack:
        claim(settings(**{flag: path}, **given), "first", stack, print)
        for spelling in (path, link):
            with pytest.raises(OutputUnwritable, match=f"is being written by run first, process {os.getpid()}"):
                claimed("second", **{flag: spelling}, **given)
    assert claimed("second", **{flag: path}, **given) == []
    assert os.listdir(tmp_path) == ["link"]


def test_a_lock_that_its_holder_removes_while_it_is_waited_for_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, locked = fcntl.flock, list[int]()

    def remove_first(fd: int, how: int) -> None:
        if not locked:
            (tmp_path / ".a.lock").unlink()
        locked.append(fd)
        flock(fd, how)

    with ExitStack() as stack:
        monkeypatch.setattr(fcntl, "flock", remove_first)
        claim(settings(output=tmp_path / "a"), "first", stack, print)
        with pytest.raises(OutputUnwritable, match="by run first"):
            claimed("second", output=tmp_path / "a")


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import os; from contextlib import ExitStack; from tests.runner.test_claims import *; "
        f"claim(settings(output={str(tmp_path / 'a')!r}), 'first', ExitStack(), print); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert claimed(output=tmp_path / "a") == []
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("flag", ["output", "manifest", "report"])
def test_a_file_of_somebody_else_is_left_as_it_is(flag: str, tmp_path: Path) -> None:
    path = tmp_path / "thesis"
    path.write_text('{"chapter": 1}\n')
    given: dict[str, Any] = {flag: path, "discard": flag != "output"}
    with pytest.raises(OutputUnwritable, match=r"loadgen did not write it.*--overwrite"):
        claimed(**given)
    assert path.read_text() == '{"chapter": 1}\n'
    assert len(claimed(**given, overwrite=True)) == 1


@pytest.mark.parametrize(
    ("flag", "content"),
    [
        ("output", '{"ts": 5, "temperature": 20.1}\n'),
        ("output", '{"user": "ann", "age": 30}\n'),
        ("report", "<!doctype html>\n<title>My page</title>\n"),
    ],
)
def test_a_file_of_the_same_kind_is_not_therefore_ours(flag: str, content: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.html"
    path.write_text(content)
    given: dict[str, Any] = {flag: path, "discard": flag != "output"}
    with pytest.raises(OutputUnwritable, match="loadgen did not write it"):
        claimed(**given)
    assert path.read_text() == content


def test_what_a_former_run_wrote_is_replaced_and_a_line_says_so(tmp_path: Path) -> None:
    plain, packed, manifest, report = (tmp_path / name for name in ("a", "a.gz", "m.json", "r.html"))
    plain.write_bytes(LINE)
    packed.write_bytes(gzip.compress(LINE))
    write(manifest, run_of(manifest_of_a_run(), "former"))
    write_page(report, [run_of(manifest_of_a_run(), str(manifest))])
    assert claimed(output=plain) == [f"--output {plain}: replaces the file that was there"]
    assert claimed(output=packed) == [f"--output {packed}: replaces the file that was there"]
    assert claimed(discard=True, manifest=manifest) == [f"--manifest {manifest}: replaces the file that was there"]
    assert claimed(discard=True, report=report) == [f"--report {report}: replaces the file that was there"]


def test_devices_and_empty_files_are_nothing_to_lose(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert claimed(output="/dev/null") == claimed(output=tmp_path / "empty") == []


def test_the_same_events_are_not_written_into_a_folder_twice(tmp_path: Path) -> None:
    claimed("first", folder=tmp_path)
    former = write_events(tmp_path, "first")
    with pytest.raises(OutputUnwritable, match=r"there already, by run first.*--folder.*--seed.*--overwrite"):
        claimed("second", folder=tmp_path)
    assert former.exists()
    assert claimed("third", folder=tmp_path, seed=6) == claimed("fourth", folder=tmp_path, start_ms=1) == []
    assert claimed("fifth", folder=tmp_path, overwrite=True) == [
        f"--folder {tmp_path}: replaces the 1 files of run first"
    ]
    assert not former.exists()


def test_events_that_were_removed_by_hand_may_be_written_again(tmp_path: Path) -> None:
    claimed("first", folder=tmp_path)
    write_events(tmp_path, "first").unlink()
    assert claimed("second", folder=tmp_path) == []
    assert sorted(path.name for path in (tmp_path / RECORDS).iterdir()) == ["second.json"]


def test_a_folder_takes_several_runs_at_once_unless_their_events_are_the_same(tmp_path: Path) -> None:
    with ExitStack() as stack:
        claim(settings(folder=tmp_path, shard="0/2"), "first", stack, print)
        claim(settings(folder=tmp_path, shard="1/2"), "second", stack, print)
        claim(settings(folder=tmp_path, seed=6), "third", stack, print)
        for overwrite in (False, True):
            with pytest.raises(OutputUnwritable, match="are being written, by run"):
                claimed("fourth", folder=tmp_path, overwrite=overwrite)


def test_stdout_that_is_closed_is_refused_as_an_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(UsageError, match="stdout, which is closed"):
        check_apart(settings(output="-"))


def test_a_place_where_no_manifest_can_be_written_names_the_flag(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputUnwritable, match="--manifest PATH"):
        check_files(settings(discard=True, manifest=tmp_path / "file/m.json"))


def test_where_the_file_system_has_no_locks_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(fd: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    (said,) = claimed(output=tmp_path / "a")
    assert said.endswith("cannot be locked there (No locks available), so let no other run write to it")
