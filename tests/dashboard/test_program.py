"""The dashboard as a program: where it is, how it ends, what it does when its reading process dies."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import orjson
import psutil
import pytest

from loadgen.cli import main
from loadgen.dashboard import feed as feeds
from loadgen.dashboard.aggregates import Aggregates
from loadgen.dashboard.feed import DashboardFeed, Link, Origin, source_of
from loadgen.dashboard.stored import StoredEvents
from loadgen.formats import known_formats
from loadgen.hosts import listen
from loadgen.store import open_store
from tests.dashboard.reader import batch_name, put, put_batch, rows_of
from tests.dashboard.records import FIRST_MS, as_recounted, record, recount
from tests.rows import ROWS

ROOT = Path(__file__).parents[2]
WAIT_S = 30.0


def wait_for(what: Callable[[], Any], wait_s: float = WAIT_S) -> Any:
    """The first true answer."""
    deadline_s = time.monotonic() + wait_s
    while not (found := what()):
        assert time.monotonic() < deadline_s, "it never came"
        time.sleep(0.05)
    return found


class Program:
    """A dashboard in a process of its own."""

    def __init__(self, *flags: str) -> None:
        command = [sys.executable, "-m", "loadgen", "dashboard", "--port", "0", "--json", *flags]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.where = json.loads(self.process.stdout.readline())

    def health(self) -> dict[str, Any]:
        """What /health says."""
        found: dict[str, Any] = httpx.get(f"{self.where['url']}/health", timeout=5).json()
        return found

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """The exit code and what was said on stderr."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=90)
        return self.process.returncode, said


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 0),
        *(pytest.param(*one, marks=pytest.mark.slow) for one in ((signal.SIGINT, 130), (signal.SIGHUP, 0))),
    ],
)
def test_it_says_where_it_is_and_ends_cleanly(tmp_path: Path, number: signal.Signals, code: int) -> None:
    put_batch(tmp_path, 0, 9)
    program = Program("--store", str(tmp_path), "--quiet")
    try:
        wait_for(lambda: program.health()["status"] == "ok")
        children = psutil.Process(program.process.pid).children(recursive=True)
        assert program.health()["events"] == 10
        assert program.end(number) == (code, f"dashboard: {program.where['url']}\n")
        assert program.where["port"] == int(program.where["url"].rsplit(":", 1)[1])
        wait_for(lambda: not any(child.is_running() for child in children))
    finally:
        program.process.kill()


def test_a_taken_port_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert main(["dashboard", "--store", str(tmp_path), "--port", str(port)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: port {port} of 127.0.0.1 must be free")


@pytest.mark.parametrize("flags", [["--store", "hdfs://"], ["--brokers", "a:1", "--kafka-option", "no.such=1"]])
def test_what_can_never_work_is_wrong_usage(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboard", "--port", "0", *flags]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_feed_reads_a_store_and_says_all_figures(tmp_path: Path) -> None:
    put_batch(tmp_path, 0, 99)
    said: list[bytes] = []
    clock = [0.0]
    feed = DashboardFeed(source_of(Origin(store=str(tmp_path))), said.append, lambda: clock[0])
    for _ in range(3):
        clock[0] += 2.0
        feed.turn()
    last = orjson.loads(said[-1])
    assert (last["state"]["status"], last["arrived_last_minute"]) == ("ok", 100)
    expected = recount([record(number) for number in range(100)])
    tracks = expected["top_tracks"].items()
    expected["top_tracks"] = dict(sorted(tracks, key=lambda item: (item[1], item[0]), reverse=True)[:10])
    found = as_recounted(last["figures"])
    assert found == expected


def test_latency_is_that_of_what_comes_and_not_of_what_was_there_before(tmp_path: Path) -> None:
    put_batch(tmp_path, 0, 99)
    clock = [0.0]
    source = StoredEvents(open_store(str(tmp_path)), lambda: clock[0])
    feed = DashboardFeed(source, lambda _: None, lambda: clock[0], lambda: FIRST_MS / 1000 + 200.0 + clock[0])
    clock[0] += 3.0
    feed.turn()
    assert feed.snapshot()["latency"] is None
    put_batch(tmp_path, 100, 199)
    clock[0] += 3.0
    feed.turn()
    after = feed.snapshot()["latency"]
    assert after["n_events"] == 100
    assert (after["p50_ms"], after["p99_ms"]) == (pytest.approx(56_000, rel=0.02), pytest.approx(105_000, rel=0.02))


def _dies(pipe: Connection, origin: Origin) -> None:
    """A reading process that says something once, and dies."""
    figures = Aggregates().figures()
    state = {"status": "ok", "reason": "", "share": None}
    pipe.send_bytes(orjson.dumps({"state": state, "name": "x", "arrived_last_minute": 0, "figures": figures}))


def test_a_reading_process_that_dies_is_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "RESTART_S", 0.1)
    notes: list[str] = []
    link = Link(Origin(store="x"), notes.append, _dies)
    link.start()
    try:
        wait_for(lambda: sum("it is started again" in note for note in notes) >= 2)
        assert link.latest().snapshot["name"] == "x"
    finally:
        link.close()


def _fails(pipe: Connection, _: Origin) -> None:
    """A reading process that says something, and then meets what nobody has thought of."""
    _dies(pipe, _)
    pipe.send_bytes(orjson.dumps({"failed": "ValueError: two words (raised at loadgen/x.py:1, in f)"}))


def test_what_a_reading_process_met_is_told_and_it_is_tried_again_later_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feeds, "RESTART_S", 0.05)
    waited: list[float] = []
    link = Link(Origin(store="x"), lambda _: None, _fails)
    ending = Mock(is_set=lambda: len(waited) >= 1, wait=waited.append)
    monkeypatch.setattr(link, "_ending", ending)
    link._receive()
    assert waited == [0.1]  # twice as long, although it had said something
    assert link.latest().state.reason == (
        "the reading process failed: ValueError: two words (raised at loadgen/x.py:1, in f); it is started again, "
        "and reads everything again"
    )
    link.close()


def test_a_reading_process_says_what_it_met_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = Pipe()
    monkeypatch.setattr(feeds, "ignore", lambda: None)  # this process listens to its signals
    monkeypatch.setattr(DashboardFeed, "turn", lambda _: int("two words"))
    feeds.read_and_count(theirs, Origin(store="."))
    said = orjson.loads(ours.recv_bytes())["failed"]
    assert said.startswith("ValueError: invalid literal for int()")
    assert "raised at loadgen/dashboard/feed.py:" in said


def test_a_reading_process_that_says_nothing_is_stale() -> None:
    clock = [0.0]
    link = Link(Origin(store="x"), lambda _: None, _dies, lambda: clock[0])
    assert link.latest().state.status == "starting"
    clock[0] = feeds.SILENT_S + 1
    assert (link.latest().state.status, "said nothing" in link.latest().state.reason) == ("stale", True)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "avro"])
def test_a_feed_reads_a_format_of_others_by_the_sources_of_its_fields(tmp_path: Path, suffix: str) -> None:
    name = "tests.outside.my_package.format:VISITS"
    fields = '"visitor":{0},"visit":{0},"step":1,"what":"settings","where":"KR","style":null,"seconds":null'
    lines = [(f'{{"ts":{FIRST_MS + number},' + fields.format(number % 30) + "}").encode() for number in range(100)]
    if suffix in ROWS:
        put(tmp_path, batch_name(0, 99, suffix), rows_of(b"\n".join(lines), suffix, known_formats([name])))
    else:
        put(tmp_path, batch_name(0, 99), b"\n".join(lines) + b"\n")
    said: list[bytes] = []
    clock, known = [0.0], known_formats([name])
    feed = DashboardFeed(source_of(Origin(store=str(tmp_path)), known), said.append, lambda: clock[0], known=known)
    for _ in range(3):
        clock[0] += 2.0
        feed.turn()
    figures = orjson.loads(said[-1])["figures"]
    assert (figures["totals"]["events"], figures["totals"]["listeners"]) == (100, 30)
