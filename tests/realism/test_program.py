"""`loadgen realism` as a program: what it reads, prints, writes, and how it ends."""

import json
import re
from importlib import resources
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Producer

from loadgen.cli import main
from loadgen.kafka.embedded import EmbeddedBroker
from loadgen.realism.targets import shipped
from tests.realism.sample import lines_of

SHIPPED = [number for target in shipped()["targets"] for number in target["numbers"]]
N_FEW = 2000
PASSING = """[[targets]]
name = "plays"
source = "nobody"
how = "plays / events"
numbers = [{ statistic = "plays_of_events", published = "0.8", low = 0.7, high = 0.9 }]
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a file of events, and a file of targets that these reach."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "events.jsonl").write_bytes(lines_of("activity"))
    (tmp_path / "few.jsonl").write_bytes(b"".join(lines_of("activity").splitlines(True)[:N_FEW]))
    (tmp_path / "listen.jsonl").write_bytes(lines_of("listen"))
    (tmp_path / "easy.toml").write_text(PASSING)
    return tmp_path


def said_by(capsys: pytest.CaptureFixture[str], *words: str, code: int) -> str:
    """What a command prints to stdout, if it ends so."""
    assert main(["realism", *words]) == code
    return capsys.readouterr().out


@pytest.fixture
def eager(here: Path) -> Path:
    """The shipped targets, but any number of listeners and days is enough."""
    text = resources.files("loadgen.realism").joinpath("targets.toml").read_text("utf-8")
    (here / "eager.toml").write_text(re.sub(r"(?m)^(listeners|days) = \d+$", "", text))
    return here / "eager.toml"


def test_json_has_an_object_for_each_number_of_each_target(eager: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(said_by(capsys, "events.jsonl", "--json", "--targets", "eager.toml", code=1))
    assert [one["statistic"] for one in found] == [number["statistic"] for number in SHIPPED]
    assert {"target", "value", "low", "high", "passed", "source"} <= set.intersection(*map(set, found))
    for one in found:
        in_band = None if one["low"] is None else one["low"] <= one["value"] <= one["high"]
        assert (one["passed"], one["needs"]) == (in_band, None)
    assert len({one["target"] for one in found if one["low"] is not None}) == 20


def test_a_target_that_is_missed_ends_with_1_and_one_that_is_reached_with_0(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "✓ plays" in said_by(capsys, "events.jsonl", "--targets", "easy.toml", code=0)
    (here / "hard.toml").write_text(PASSING.replace("0.7", "0.85"))
    said = said_by(capsys, "events.jsonl", "--targets", "hard.toml", code=1)
    assert "✗ plays" in said
    assert said.endswith("0 of 1 targets pass; these do not: plays\n")


def test_too_few_listeners_or_days_are_said_and_fail_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = said_by(capsys, "events.jsonl", code=0)
    assert "? paid listeners: needs ≥ 5,000 listeners, 28 days\n" in said
    assert not re.search(r"✗|✓|outside", said)
    assert said.endswith("0 of 20 targets pass, 20 need more data (≥ 9,000 listeners, 42 days for all)\n")
    found = json.loads(said_by(capsys, "events.jsonl", "--json", code=0))
    assert {one["passed"] for one in found} == {None}
    assert found[0]["value"] is not None
    assert found[0]["needs"] == "needs ≥ 5,000 listeners, 28 days"


@pytest.mark.parametrize(
    ("needs", "is_enough"), [("listeners = 200\ndays = 10", True), ("listeners = 251", False), ("days = 10.5", False)]
)
def test_a_target_of_ones_own_says_what_it_needs(
    here: Path, capsys: pytest.CaptureFixture[str], needs: str, is_enough: bool
) -> None:
    missed = PASSING.replace("0.7", "0.85").replace("numbers", f"{needs}\nnumbers").replace('"plays"', '"more"')
    (here / "own.toml").write_text(PASSING + missed)
    said = said_by(capsys, "events.jsonl", "--targets", "own.toml", code=1 if is_enough else 0)
    assert ("1 of 2 targets pass; these do not: more" in said) is is_enough
    assert ("1 of 2 targets pass, 1 need more data (" in said) is not is_enough


def test_no_event_at_all_ends_with_1_however_little_was_needed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "none.jsonl").write_text("{}\n")
    said_by(capsys, "none.jsonl", code=1)


def test_what_a_format_cannot_tell_is_said_and_fails_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paid = PASSING.replace('"plays"', '"paid"').replace("plays_of_events", "paid_plays")
    (here / "paid.toml").write_text(PASSING + paid)
    said = said_by(capsys, "listen.jsonl", "--targets", "paid.toml", code=0)
    assert "? paid" in said
    assert re.search(r"paid_plays +not told by these events", said)
    assert "1 of 2 targets pass, 1 cannot be told from these events" in said
    (here / "paid.toml").write_text(paid)
    assert "0 of 1" in said_by(capsys, "listen.jsonl", "--targets", "paid.toml", code=1)


def test_parquet_folders_and_times_are_read(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in (here / "events.jsonl").read_text().splitlines()]
    (here / "store").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), here / "store" / "events.parquet")
    whole = json.loads(said_by(capsys, "events.jsonl", "--json", code=0))
    assert json.loads(said_by(capsys, "store", "--json", code=0)) == whole
    words = ("events.jsonl", "--since", "2026-01-06", "--until", "2026-01-08", "--quiet")
    assert said_by(capsys, *words, code=0).startswith(
        f"loadgen realism: {sum(1_767_657_600_000 <= row['ts'] < 1_767_830_400_000 for row in rows):,} events"
    )


@pytest.mark.slow  # the test broker takes a second to begin
def test_a_topic_is_read_from_its_beginning(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of("activity").splitlines()[:5000]
    (here / "events.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    with EmbeddedBroker("plays") as broker:
        producer = Producer({"bootstrap.servers": broker.address})
        pretty = [json.dumps(json.loads(line), indent=2).encode() + b"\n" for line in lines[:500]]
        for line in [*pretty, *lines[500:], b"no event", b"", b"\n"]:
            producer.produce("plays", line)
        assert producer.flush(20) == 0
        found = said_by(capsys, "--brokers", broker.address, "--topic", "plays", "--json", code=0)
    assert json.loads(found) == json.loads(said_by(capsys, "events.jsonl", "--json", code=0))


@pytest.mark.parametrize("ending", ["html", "png"])
def test_the_report_is_one_file_with_the_curves(here: Path, capsys: pytest.CaptureFixture[str], ending: str) -> None:
    said = said_by(capsys, "events.jsonl", "--report", f"out/report.{ending}", code=0)
    content = (here / "out" / f"report.{ending}").read_bytes()
    assert [path.name for path in (here / "out").iterdir()] == [f"report.{ending}"]
    if ending == "png":
        assert content.startswith(b"\x89PNG")
        return
    page = content.decode()
    assert page.count("data:image/png;base64,") == 6
    assert not re.search(r"https?://", page)
    assert said.splitlines()[0].removeprefix("loadgen realism: ") in page


def test_curves_that_events_do_not_tell_say_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "one.jsonl").write_bytes(next(line for line in lines_of("activity").splitlines(True) if b"Home" in line))
    said_by(capsys, "one.jsonl", "--report", "report.png", code=0)
    assert (here / "report.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nowhere.jsonl"], "there is no store and no file 'nowhere.jsonl'"),
        (["events.jsonl", "--report", "r.txt"], "must end in .html or .png"),
        (["events.jsonl", "--brokers", "localhost:9092"], "realism reads one place"),
        (["events.jsonl", "--targets", "missing.toml"], "cannot read missing.toml"),
        (["events.jsonl", "--since", "2026-02-01", "--until", "2026-01-01"], "until must be later than since"),
        (["events.jsonl", "--target", "easy.toml"], "did you mean --targets?"),
    ],
)
def test_wrong_usage_says_what_and_what_to_do(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    assert main(["realism", *words]) == (1 if words == ["nowhere.jsonl"] else 2)
    assert expected in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "file").touch()
    assert main(["realism", "few.jsonl", "--report", "file/report.html"]) == 1
    assert "cannot write 'file/report.html'" in capsys.readouterr().err


def test_lines_that_are_no_events_are_passed_over(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = said_by(capsys, "few.jsonl", "--json", code=0)
    bad = [b"{", b"null", b"[1]", b'{"ts":"x","page":"NextSong"}', b'{"ts":-5,"userId":1}', b"\xff\xfe", b'{"page":3}']
    lines = (here / "few.jsonl").read_bytes().splitlines()
    (here / "few.jsonl").write_bytes(b"\n".join([*bad, *lines, *bad]) + b"\n")
    assert said_by(capsys, "few.jsonl", "--json", code=0) == whole


def test_a_json_array_is_told_from_lines(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (here / "events.jsonl").read_bytes().splitlines()[:100]
    (here / "array.json").write_bytes(b"[" + b",".join(lines) + b"]")
    assert main(["realism", "array.json"]) == 1
    assert "array.json is not JSON lines (one object a line): it is a JSON array" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["html", "png"])
def test_a_report_replaces_a_former_report_and_no_other_file(
    here: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    report = here / f"r.{ending}"
    report.write_bytes(b"mine")
    assert main(["realism", "few.jsonl", "--report", str(report)]) == 1
    assert "loadgen did not write it" in capsys.readouterr().err
    assert report.read_bytes() == b"mine"
    report.unlink()
    for _ in range(2):
        assert main(["realism", "few.jsonl", "--report", str(report)]) == 0
    assert f"--report {report}: replaces the file that was there" in capsys.readouterr().err
