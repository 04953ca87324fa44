"""A run watches what comes out of the system under test: here one in a thread, which loses, repeats and delays."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from confluent_kafka import Consumer, Producer
from pydantic import ValidationError

from loadgen.config import RunSettings
from loadgen.config.thresholds import threshold
from loadgen.errors import SinkError, UsageError
from loadgen.kafka.embedded import EmbeddedBroker
from loadgen.kafka.event_ids import HEADER
from loadgen.kafka.far_end import FarEndReport, Watched
from loadgen.kafka.message import MessageSpec
from loadgen.kafka.options import KafkaSettings
from loadgen.ledger import Outcome, Tally
from loadgen.runner.evaluation import RunEvaluation
from loadgen.runner.far_end import FarEnd
from loadgen.runner.history import History
from loadgen.runner.messages import empty_snapshot
from loadgen.runner.thresholds import Thresholds
from loadgen.runner.totals import Totals, WorkerReports
from loadgen.verifier.through import ThroughComparison
from tests.runner.program import do_here, start, wait_until
from tests.runner.windows import recorded, window

SMALL = ("--users", "300", "--workers", "1", "--start", "2026-01-05", "--topic", "songs", "--watch-topic", "out")


@contextmanager
def copier(address: str, lost: int = 0, repeated: int = 0, keeps_headers: bool = True) -> Iterator[None]:
    """Copies "songs" to "out", without every lost-th event, and every repeated-th one twice."""
    over = threading.Event()
    here = {"bootstrap.servers": address}
    consumer = Consumer({**here, "group.id": "copier", "auto.offset.reset": "earliest", "fetch.wait.max.ms": "10"})
    producer = Producer({**here, "linger.ms": "5"})
    has_joined = threading.Event()
    consumer.subscribe(["songs"], on_assign=lambda *_: has_joined.set())

    def copy() -> None:
        n_read = 0
        while not over.is_set():
            for message in consumer.consume(500, 0.02):
                n_read += 1
                n_copies = 0 if lost and n_read % lost == 0 else 2 if repeated and n_read % repeated == 0 else 1
                headers = message.headers() if keeps_headers else None
                for _ in range(n_copies):
                    producer.produce("out", message.value(), message.key(), headers=headers)
            producer.poll(0)
        consumer.close()

    thread = threading.Thread(target=copy)
    thread.start()
    try:
        assert has_joined.wait(30.0)
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"watch_topic": "out"}, "give --brokers HOST:PORT"),
        ({"watch_topic": "out", "brokers": "embedded"}, "give --brokers HOST:PORT"),
        ({"brokers": "b:9092", "watch_brokers": "c:9092"}, "add --watch-topic NAME"),
        ({"brokers": "b:9092", "threshold": "p99(end_to_end) < 5s"}, "add --watch-topic NAME"),
        ({"brokers": "b:9092", "threshold": "lost == 0"}, "add --watch-topic NAME"),
        ({"brokers": "b:9092", "watch_topic": "out", "threshold": "lost == 0 over 5s"}, "write 'lost == 0' alone"),
        ({"brokers": "b:9092", "watch_topic": "out", "threshold": "late == 0 abort"}, "over 10s abort"),
        ({"brokers": "b:9092", "watch_topic": "out", "threshold": "catch_up < 5s", "wait_caught_up": 5}, "watch-group"),
        ({"brokers": "b:9092", "watch_topic": "out", "watch_late": 0}, "must be a duration"),
        ({"brokers": "b:9092", "watch_topic": "a b"}, "1..249"),
    ],
)
def test_what_needs_more_says_so(flags: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as problem:
        RunSettings.from_public(flags)
    assert said in str(problem.value)


def test_a_threshold_of_the_far_end_is_kept_only_by_what_came_out() -> None:
    asked = [threshold(text) for text in ("p99(end_to_end) < 2s over 1s", "max(end_to_end) < 2s", "lost == 0")]
    for part, expected in (
        (window(end_to_end=[1.0], lost=0.0), [True, True, True]),
        (window(end_to_end=[1.0], lost=2.0), [True, True, False]),
        (window(end_to_end=[3.0], lost=0.0), [False, False, True]),
        (window(), [False, False, False]),
    ):
        thresholds = Thresholds(asked, 0.0, lambda: None)
        thresholds.watch(part)
        judged = thresholds.judged(part)
        assert [one.passed for one in judged] == expected
    assert judged[2].sentence() == "lost == 0: no data, nothing came, or not all was waited for"


def totals(n_seen: int, at_s: float, latency_s: float) -> Totals:
    """Of a run of which so many events came out, all after this time."""
    tally = Tally()
    tally.by_page[Outcome.DELIVERED, 0] = 10
    found = Totals(tallies={"kafka": tally})
    found.moments.taken_ns = [int(at_s * 1e9)]
    found.far_end = FarEndReport(seen=n_seen, latency_s=recorded([latency_s] * n_seen).full())
    return found


def test_what_comes_out_after_the_load_has_windows_of_its_own() -> None:
    history, at_end = History(), totals(4, 1.0, 0.5)
    history.watch(at_end, 0)
    history.end(at_end, 0)
    later = totals(10, 1.0, 0.5)
    history.wait(later, 3.0)
    assert [(one.start_s, one.end_s, len(one.end_to_end), one.offered_s) for one in history.windows] == [
        (0.0, 1.0, 4, 0.0),
        (1.0, 3.0, 6, 0.0),
    ]
    assert len(history.measured(later, 0).end_to_end) == 10
    in_warm_up = History(warm_up_s=2.0)
    in_warm_up.end(at_end, 0)
    in_warm_up.wait(later, 3.0)
    assert in_warm_up.measured(later, 0).length_s == 0.0
    later.far_end = None  # the reader has died
    assert len(history.measured(later, 0).end_to_end) == 0


@dataclass
class StandIn:
    """A far end at which so many of ten events have been seen."""

    seen: int
    error: str = ""
    topic: str = "out"

    def last(self) -> FarEndReport:
        return FarEndReport(seen=self.seen)

    def latest(self) -> FarEndReport | None:
        return None if self.error else self.last()


@pytest.mark.parametrize(
    ("far_end", "is_enough", "lost"),
    [
        (StandIn(10), False, 0),
        (StandIn(7), False, 3),
        (StandIn(7), True, None),
        (StandIn(7, error="it died"), False, None),
    ],
    ids=["all came", "the time is over", "a signal ended the wait", "the reader died"],
)
def test_lost_is_what_was_waited_for_in_vain(far_end: StandIn, is_enough: bool, lost: int | None) -> None:
    settings = RunSettings.from_public({"brokers": "b:9092", "watch_topic": "out", "wait_caught_up": 0.2})
    worker = WorkerReports(last=empty_snapshot())
    worker.last.tallies["kafka"] = totals(10, 1.0, 0.5).primary_sink  # type: ignore[union-attr]
    evaluation = RunEvaluation(settings, [worker], lambda: None, far_end=far_end)  # type: ignore[arg-type]
    evaluation.start(time.monotonic_ns(), 0)
    evaluation.await_system(lambda: is_enough)
    verdict = evaluation.verdict(evaluation.totals(), 1.0, "duration", "")
    assert verdict.far_end is not None
    assert (verdict.far_end.seen, verdict.far_end.lost) == (far_end.seen, lost)
    assert (verdict.measured.lost == lost) is (lost is not None)


@pytest.mark.slow
def test_lost_and_repeated_events_are_counted_exactly_and_headers_are_no_alteration(tmp_path: Path) -> None:
    with EmbeddedBroker("songs", "out") as broker, copier(broker.address, lost=100, repeated=70):
        flags = ("--brokers", broker.address, "--rate", "1k/s", "--duration", "3s", "--wait-caught-up", "1s")
        kept = ("--threshold", "p99(end_to_end) < 40s", "--threshold", "lost <= 30", "--threshold", "repeated == 0")
        code, summary, shown = start(tmp_path, *SMALL, *flags, *kept, "--report", "run.html").end()
        verified, *_ = do_here(tmp_path, "verify", summary["manifest"], "--brokers", broker.address, "--topic", "songs")
        through = ("verify", summary["manifest"], "--brokers", broker.address, "--through")
        code_through, found, said = do_here(tmp_path, *through, "--show", "50", "--json")
        producer = Producer({"bootstrap.servers": broker.address})
        producer.produce("out", b"{}", headers=[(HEADER, b"x")])
        producer.flush()
        *_, said_later = do_here(tmp_path, *through)
    repeated = 3000 // 70 - 3000 // 700
    assert code_through == 1, said
    assert (found["expected"], found["found"], found["verdict"]) == (3000, 2970 + repeated, "not proved"), said
    assert (found["lost"], found["repeated"], found["foreign"], found["altered"]) == (30, repeated, 0, None)
    lost = [one["expected"] for one in found["named"]["lost"]]
    assert len({(one["userId"], one["sessionId"], one["itemInSession"]) for one in lost}) == 30
    assert [one["where"].startswith("partition ") for one in found["named"]["repeated"]] == [True] * repeated
    assert f"NOT proved: 30 lost, {repeated} repeated" in said_later
    assert "1 messages bear no header of these runs, and were not compared" in said_later
    assert code == 1, shown
    assert summary["far_end"] | {"reader_busy": 0} == {
        "topic": "out", "seen": 2970, "lost": 30, "repeated": repeated, "late": 0, "unrecognised": 0,
        "reader_busy": 0, "error": None,
    }  # fmt: skip
    assert [one["passed"] for one in summary["thresholds"]] == [True, True, False], shown
    assert summary["end_to_end_ms"]["p50"] > summary["intended_to_ack_ms"]["p50"]
    assert f"far end out: 2,970 events seen; lost 30, repeated {repeated}, late 0" in shown
    assert "arrived at topic out: lost 30" in (tmp_path / "run.html").read_text()
    assert verified == 0


@pytest.mark.slow
def test_a_reader_that_is_killed_is_an_error_and_nothing_is_judged(tmp_path: Path) -> None:
    with EmbeddedBroker("songs", "out") as broker, copier(broker.address):
        flags = ("--brokers", broker.address, "--rate", "500/s", "--duration", "5s", "--threshold", "lost == 0")
        run = start(tmp_path, *SMALL, *flags)
        wait_until(lambda: len(run.workers()) == 2 and bool(list(tmp_path.glob("loadgen_runs/*.json"))), 40.0)
        reader = max(run.workers(), key=psutil.Process.create_time)
        time.sleep(1.0)
        reader.send_signal(signal.SIGKILL)
        code, summary, shown = run.end()
    assert code == 1, shown
    assert summary["delivered"] == 2500
    assert (summary["far_end"]["lost"], summary["end_to_end_ms"]["p50"]) == (None, None)
    assert "the reader of topic out ended: its process died" in summary["error"]
    assert summary["thresholds"][0]["passed"] is False


@pytest.mark.slow
def test_a_system_that_drops_headers_is_told_from_one_that_loses_events(tmp_path: Path) -> None:
    with EmbeddedBroker("songs", "out") as broker, copier(broker.address, keeps_headers=False):
        flags = ("--brokers", broker.address, "--rate", "500/s", "--duration", "2s", "--wait-caught-up", "1s")
        code, summary, shown = start(tmp_path, *SMALL, *flags).end()
    assert (code, summary["far_end"]["seen"], summary["far_end"]["unrecognised"]) == (0, 0, 1000), shown
    assert f"its 1,000 messages lack the header {HEADER}: does the system pass headers on?" in shown


@pytest.mark.slow
def test_a_topic_that_cannot_be_read_is_said_before_the_run() -> None:
    far_end = FarEnd(Watched(KafkaSettings("127.0.0.1:1", "out"), 1, 1.0))
    with pytest.raises(SinkError, match=r"127\.0\.0\.1:1"):
        far_end.start()


def test_a_run_that_wrote_no_headers_cannot_be_compared_with_what_came_out() -> None:
    promise = SimpleNamespace(messages=MessageSpec(), run_id="20261129-101500-3fa9")
    with pytest.raises(UsageError, match="run 20261129-101500-3fa9 without; run with --watch-topic NAME"):
        ThroughComparison([promise], None, 5, lambda *_: None)  # type: ignore[arg-type, list-item]
