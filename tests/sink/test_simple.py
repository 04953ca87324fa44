"""What the base of a sink in a few lines does for its author, and how such a sink is found."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadgen.errors import SinkError, UsageError
from loadgen.sink import EncodedBatch
from loadgen.sink.simple import NullSink, SimpleSink, SinkContext, make_sink, start_sink
from tests.sink.lines import make_lines

MODULE = """
from loadgen.sink.simple import SimpleSink
class Good(SimpleSink):
    def __init__(self, path="", mode="a"): self.path, self.mode = path, mode
    def write(self, batch): pass
class Nameless:
    def start(self, context): self.context = context
    def send(self, batch): pass
    def close(self): pass
class WithoutWrite(SimpleSink):
    pass
class Open(Good):
    def __init__(self): self.file = lambda: 1
ready = Good("here")
number = 7
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package whose entry point is `good`, and a module that cannot be imported."""
    (tmp_path / "sinks_of_mine.py").write_text(MODULE)
    (tmp_path / "broken_sinks.py").write_text("1 / 0")
    info = tmp_path / "sinks_of_mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sinks-of-mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[loadgen.sinks]\ngood = sinks_of_mine:Good\n")
    monkeypatch.syspath_prepend(tmp_path)


class Failing(SimpleSink):
    """Takes one batch, and no second one."""

    def write(self, batch: EncodedBatch) -> None:
        if self.completed[0]:
            raise OSError("no room")


def test_everything_is_delivered_at_once() -> None:
    sink = NullSink()
    sink.start(SinkContext("null", 500, completed=np.array([7])))
    sink.send(make_lines(100))
    sink.drop(make_lines(10, 100))
    sink.close()
    assert sink.tally.counts() == {
        "planned": 110,
        "delivered": 100,
        "failed": 0,
        "dropped": 10,
        "unfinished": 0,
        "aborted": 0,
    }
    assert sink.completed.tolist() == [117]
    assert sink.progress.ended.sum() == 110
    assert sink.tally.fingerprint.count.sum() == 100
    assert len(sink.tally.ack_s) == len(sink.tally.intended_to_ack_s) == 100


def test_a_batch_whose_writing_raises_has_failed_and_the_sink_is_named() -> None:
    sink = Failing()
    sink.start(SinkContext("mine:Failing", 500))
    sink.send(make_lines(20))
    with pytest.raises(SinkError, match=r"sink mine:Failing must write every batch, got .*no room"):
        sink.send(make_lines(5, 20))
    assert sink.tally.counts() == {
        "planned": 25,
        "delivered": 20,
        "failed": 5,
        "dropped": 0,
        "unfinished": 0,
        "aborted": 0,
    }
    assert sink.completed.tolist() == [25]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", ["sinks_of_mine:Good", "good"])
def test_a_sink_is_found_by_its_class_or_its_entry_point_and_gets_its_options(name: str) -> None:
    sink = make_sink(f"{name}?path=a%20b&mode=")
    started: Any = start_sink(sink, SinkContext(name, 3, worker=2))
    assert (started.name, started.context.worker) == (name, 2)
    assert (started.path, started.mode) == ("a b", "")


@pytest.mark.usefixtures("installed")
def test_a_sink_may_be_an_object_of_its_module_or_of_the_caller() -> None:
    found: Any = make_sink("sinks_of_mine:ready")
    assert (found.path, make_sink(found)) == ("here", found)
    assert type(make_sink(type(found))) is type(found)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("missing_module:Sink", "No module named 'missing_module'.*; install its package"),
        ("sinks_of_mine:Missing", "must name an object of its module, got .*Missing"),
        ("sinks_of_mine:number", "must be a sink, got int"),
        ("sinks_of_mine:ready?path=x", "must be made from its options, got TypeError"),
        ("sinks_of_mine:Good?pth=x", "must be made from its options, got TypeError.*'pth'"),
        ("sinks_of_mine:WithoutWrite", "must be made from its options, got .*abstract"),
        ("sinks_of_mine:Open", "must be picklable for the workers, got .*open files and connections later"),
        ("broken_sinks:Sink?password=hidden", "must be importable, got .*division by zero"),
        ("other", r"must name an entry point of loadgen.sinks \(good\), got 'other'"),
    ],
)
def test_a_sink_that_is_not_found_is_a_usage_error(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        make_sink(spec)
    assert "hidden" not in str(refused.value)


@pytest.mark.usefixtures("installed")
def test_a_sink_that_does_not_bear_its_name_is_refused() -> None:
    sink = make_sink("sinks_of_mine:Nameless")
    with pytest.raises(SinkError, match="must bear that name, got None"):
        start_sink(sink, SinkContext("sinks_of_mine:Nameless", 3))
