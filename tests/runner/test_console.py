"""What a person reads: nothing in it is cut, interpreted or wrong."""

import io
import json
import re
from itertools import pairwise

import numpy as np
import pytest

from loadgen.kafka.group_lag import GroupLag, PartitionLag
from loadgen.ledger import Outcome, Tally
from loadgen.runner import console as screen_module
from loadgen.runner.console import RunConsole
from loadgen.runner.totals import Rates, Totals
from tests.runner.windows import verdict_of


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 columns, and nothing that forces colours."""
    for variable in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")


def totals_of(delivered: int, failed: int = 0, dropped: int = 0, in_flight: int = 0, sinks: str = "files") -> Totals:
    totals = Totals(active=321, rates=Rates(offered_per_s=500.0, delivered_per_s=450.0))
    for name in sinks.split():
        tally = Tally(in_flight=in_flight, bytes_delivered=250 * delivered)
        for outcome, n_events in zip(Outcome, (delivered, failed, dropped, 0, 0), strict=True):
            tally.by_page[outcome, 1] = n_events
        tally.ack_s.record(np.array([0.0021, 1.5, 1.5]))
        totals.tallies[name] = tally
    return totals


def progress_lines(events_per_s: float, seconds: float, **ends: float | None) -> list[str]:
    """The lines shown for a run at this rate, of which the console hears every 0.1 s."""
    stream = io.StringIO()
    console = RunConsole(ends.get("duration_s"), ends.get("n_events"), stream=stream)  # type: ignore[arg-type]
    for tick in range(1, round(seconds * 10) + 1):
        console.progress(totals_of(int(events_per_s * tick / 10)), tick / 10)
    return stream.getvalue().splitlines()


def events_in(line: str) -> int:
    return int(re.findall(r"([\d,]+) events  offered", line)[0].replace(",", ""))


def test_the_line_says_how_far_groups_are_behind() -> None:
    stream = io.StringIO()
    console = RunConsole(None, None, stream=stream)
    console.groups = lambda: {"app": GroupLag(0.0, {0: PartitionLag(1000, 1.0), 1: PartitionLag(234, 0.5)})}
    console.progress(totals_of(500), 1.0)
    assert "0 failed or dropped  lag app 1,234  until stopped" in stream.getvalue().replace("\n", " ")


def test_away_from_a_terminal_there_is_a_line_every_500_events() -> None:
    shown = [events_in(line) for line in progress_lines(100.0, 31.0)]
    assert shown == [500, 1000, 1500, 2000, 2500, 3000]


def test_away_from_a_terminal_there_are_at_most_two_lines_a_second() -> None:
    shown = [events_in(line) for line in progress_lines(1_000_000.0, 4.0)]
    assert 6 <= len(shown) <= 8
    assert all(after - before >= 500_000 for before, after in pairwise(shown))


def test_a_progress_line_says_all_that_is_promised() -> None:
    stream = io.StringIO()
    console = RunConsole(90.0, None, stream=stream)
    console.progress(totals_of(900, failed=20, dropped=30, in_flight=50), 2.0)
    assert stream.getvalue() == (
        "00:02  1,000 events  offered 500/s  achieved 450/s  321 active users  schedule lag p99 0.0 ms  "
        "50 in flight  50 failed or dropped  01:28 left\n"
    )


@pytest.mark.parametrize(
    ("duration_s", "n_events", "left"),
    [(3700.0, None, "1:01:39 left"), (None, 2000, "1,000 events left"), (None, None, "until stopped")],
)
def test_a_progress_line_ends_with_what_is_left(duration_s: float | None, n_events: int | None, left: str) -> None:
    (line,) = progress_lines(1000.0, 1.0, duration_s=duration_s, n_events=n_events)[-1:]
    assert line.endswith(left)


def test_on_a_terminal_the_line_is_replaced_and_gone_at_the_end() -> None:
    stream = Terminal()
    console = RunConsole(None, None, stream=stream)
    console.progress(totals_of(10), 0.6)  # a slow run too: the line is alive
    console.progress(totals_of(20), 1.2)
    before = stream.getvalue()
    assert "10 events" in before
    assert "20 events" in before
    totals = totals_of(20)
    console.closing(totals, verdict_of(totals, 1.2, None, "events"), "m.json")
    assert "\x1b[2K" in stream.getvalue()[len(before) - 10 :]


def event(ts_ms: int, artist: str = "X") -> tuple[int, bytes]:
    return ts_ms, json.dumps({"ts": ts_ms, "artist": artist}, ensure_ascii=False).encode() + b"\n"


def shown_events(text: str) -> list[int]:
    return [int(found) for found in re.findall(r'"ts": (\d+)', text)]


def test_the_first_three_events_are_the_earliest_of_all_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    console = RunConsole(None, None, stream=stream)
    console.samples([event(500), event(600), event(700)])
    console.progress(totals_of(3), 0.1)
    assert not shown_events(stream.getvalue())  # others may still come with earlier ones
    console.samples([event(100), event(650), event(800)])
    monkeypatch.setattr(screen_module, "SAMPLES_WAIT_S", -1.0)
    console.progress(totals_of(6), 0.2)
    console.samples([event(1), event(2), event(3)])  # too late
    console.progress(totals_of(9), 0.3)
    assert stream.getvalue().startswith('the first 3 events:\n{\n  "ts": 100,\n  "artist": "X"\n}\n')
    assert shown_events(stream.getvalue()) == [100, 500, 600]


def test_samples_of_a_short_run_are_shown_before_the_table_however_few() -> None:
    stream = io.StringIO()
    console = RunConsole(None, 1, stream=stream)
    console.samples([event(7)])
    totals = totals_of(1)
    console.closing(totals, verdict_of(totals, 0.1, None, "events"), "m.json")
    assert stream.getvalue().startswith("the first event:\n")
    assert shown_events(stream.getvalue()) == [7]


def test_what_looks_like_markup_or_emoji_is_shown_as_it_is() -> None:
    stream = io.StringIO()
    console = RunConsole(None, None, stream=stream)
    console.samples([event(1, "[red]Alarm[/red] :smile: 봄 [/]")])
    console.note("[bold]x[/bold] :smile: [/]")
    console.settings([("to file", "[red].jsonl")])
    totals = totals_of(1)
    console.closing(totals, verdict_of(totals, 0.1, None, "events"), "[dim]m.json")
    shown = stream.getvalue()
    for text in ("[red]Alarm[/red] :smile: 봄 [/]", "[bold]x[/bold] :smile: [/]", "[red].jsonl", "[dim]m.json"):
        assert text in shown


def test_a_sample_that_was_broken_on_purpose_is_shown_as_it_is() -> None:
    stream = io.StringIO()
    console = RunConsole(None, None, stream=stream)
    console.samples([(1, b'{"ts":1,"art\n'), (2, b'{"artist":"\xff\xfe"}\n'), (3, b"{'ts':[red]}\n")])
    totals = totals_of(3)
    console.closing(totals, verdict_of(totals, 0.1, None, "events"), "m.json")
    lines = stream.getvalue().splitlines()
    assert lines[1:4] == ['{"ts":1,"art', '{"artist":"\\xff\\xfe"}', "{'ts':[red]}"]


def table_of(text: str) -> dict[str, list[str]]:
    """The rows of the closing table; what was folded is put together again."""
    rows: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("│")[1:-1]]
        if cells:
            continues = not cells[0] or cells[0].startswith("p99")
            name = name if continues else cells[0]
            rows[name] = [a + b for a, b in zip(rows.get(name, [""] * len(cells[1:])), cells[1:], strict=True)]
    return rows


@pytest.mark.parametrize(("sinks", "delivered"), [("files", 7), ("kafka stream files", 1_234_567_890_123)])
def test_the_closing_table_adds_up_and_cuts_no_number_at_80_columns(sinks: str, delivered: int) -> None:
    stream = io.StringIO()
    totals = totals_of(delivered, failed=2, dropped=3, in_flight=4, sinks=sinks)
    RunConsole(None, None, stream=stream).closing(totals, verdict_of(totals, 10.0, None, "events"), "m.json")
    rows = table_of(stream.getvalue())
    for column in range(len(sinks.split())):
        ended = [int(rows[name][column].replace(",", "")) for name in ("delivered", "failed", "dropped", "unfinished")]
        assert ended == [delivered, 2, 3, 4]
        assert int(rows["planned"][column].replace(",", "")) == sum(ended)
        assert int(rows["bytes"][column].replace(",", "")) == 250 * delivered
    assert "…" not in stream.getvalue()
    assert max(len(line) for line in stream.getvalue().splitlines() if "│" in line) <= 80


def test_the_verdict_says_what_was_promised_and_what_became_of_it() -> None:
    stream = io.StringIO()
    totals = totals_of(1000)
    totals.cpu_s, totals.restarts, totals.repeated_possibly = 0.002, 2, 1234
    totals.seconds.full = 9.0
    totals.schedule_lag_s.record(np.array([5.0]))
    RunConsole(None, None, stream=stream).closing(totals, verdict_of(totals, 10.0, 200.0, "events"), "runs/m.json")
    assert stream.getvalue().splitlines()[-5:] == [
        "target 200.0/s, achieved 100.0/s over 10.0 s; schedule lag 5,000.0 / 5,000.0 / 5,000.0 ms",
        "the generator MISSED its own target, 50.0% of it was achieved: limited by disk",
        "2 workers restarted; at most 1,234 events sent twice",
        "every planned event was delivered",
        "manifest: runs/m.json",
    ]


def test_an_event_that_was_not_delivered_is_not_passed_over_in_the_verdict() -> None:
    stream = io.StringIO()
    totals = totals_of(1000, failed=1)
    RunConsole(None, None, stream=stream).closing(totals, verdict_of(totals, 10.0, 100.0, "duration"), "m.json")
    assert "NOT every planned event was delivered" in stream.getvalue()
    assert "the schedule was kept" in stream.getvalue()


def test_a_quiet_screen_shows_problems_and_the_closing_table_only() -> None:
    stream = io.StringIO()
    console = RunConsole(None, None, quiet=True, stream=stream)
    console.preparing(0.5, "titles")
    console.samples([event(1), event(2), event(3)])
    console.progress(totals_of(1_000_000), 10.0)
    assert stream.getvalue() == ""
    totals = totals_of(1_000_000)
    console.note("a problem")
    console.closing(totals, verdict_of(totals, 10.0, None, "events"), "m.json")
    assert stream.getvalue().startswith("a problem\nResult\n")
    assert not shown_events(stream.getvalue())
