"""A real broker stands still for five seconds in a paced run: the verdict cannot overlook it, and nothing is lost."""

import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.local import Local
from tests.integration.proof import PARTITIONS, assert_delivered_once
from tests.runner.program import Program, start, start_program, wait_until
from tests.sink.topic import n_in_topic

STOP_S = 5.0
RATE_PER_S = 3000
SLOW = "max(intended_to_ack) < 2s over 5s"


@dataclass
class Ended:
    """What a run said, and the seconds of it in which the broker stood still, give or take a little."""

    code: int
    summary: dict[str, Any]
    shown: str
    stopped_after_s: float


def stalled(folder: Path, local: Local, topic: str, *flags: str) -> Ended:
    """A run in whose middle the broker's process is stopped, its connections open."""
    made = ("--create-topic", "--partitions", str(PARTITIONS), "--replication-factor", "1")
    pace = ("--workers", "2", "--users", "1000", "--seed", "9", "--rate", f"{RATE_PER_S}/s")
    program = start(folder, "--brokers", local.brokers, "--topic", topic, *made, *pace, *flags)
    wait_until(lambda: _n_so_far(program, local, topic) > 2 * RATE_PER_S)
    began = time.monotonic() - _n_so_far(program, local, topic) / RATE_PER_S
    local.signal("kafka-1", signal.SIGSTOP)
    stopped_after_s = time.monotonic() - began
    time.sleep(STOP_S)
    local.signal("kafka-1", signal.SIGCONT)
    return Ended(*program.end(120.0), stopped_after_s)


def _n_so_far(program: Program, local: Local, topic: str) -> int:
    assert program.process.poll() is None, program.end()
    try:
        return n_in_topic(local.brokers, topic)
    except Exception:  # it has not been made yet, or has no leaders yet
        return 0


def assert_stall_is_told(ended: Ended) -> None:
    """Where and how long, in JSON and in words."""
    longest = max(ended.summary["stalls"], key=lambda stall: stall["to_s"] - stall["from_s"])
    assert longest["from_s"] == pytest.approx(ended.stopped_after_s, abs=1.5)
    assert longest["to_s"] - longest["from_s"] == pytest.approx(STOP_S, abs=1.0)
    assert longest["due"] == pytest.approx(RATE_PER_S * (longest["to_s"] - longest["from_s"]), rel=0.1)
    length = f"{longest['from_s']:.1f} s to {longest['to_s']:.1f} s ({longest['to_s'] - longest['from_s']:.1f} s)"
    assert f"nothing was delivered from {length} although {longest['due']:,} events were due" in ended.shown


def assert_nothing_is_lost(folder: Path, ended: Ended, local: Local, topic: str) -> None:
    """The ledger is what the topic holds, and `loadgen verify` says so too."""
    assert_delivered_once(folder, ended.summary, local.brokers, topic)
    words = ("verify", ended.summary["manifest"], "--brokers", local.brokers, "--topic", topic)
    verify = start_program(folder, *words, text=True)
    out, err = verify.communicate(timeout=100)
    assert verify.returncode == 0, out + err


def test_a_stopped_broker_is_in_the_latency_in_the_verdict_and_in_a_threshold(tmp_path: Path, broker: Local) -> None:
    ended = stalled(tmp_path, broker, "stalled", "--duration", "14s", "--threshold", SLOW, "--threshold", "failed == 0")
    assert ended.code == 1, ended.shown
    assert ended.summary["exit_reason"] == "duration"
    assert ended.summary["intended_to_ack_ms"]["max"] >= 4500
    assert ended.summary["intended_to_ack_ms"]["p50"] < 2500
    latency = next(line for line in ended.shown.splitlines() if line.startswith("latency "))
    assert float(latency.split()[5].replace(",", "")) >= 4500, latency
    assert_stall_is_told(ended)
    slow, failed = ended.summary["thresholds"]
    assert (slow["passed"], failed["passed"]) == (False, True)
    assert slow["worst"] >= 4500
    assert slow["at_s"] >= ended.stopped_after_s
    assert f"✗ {SLOW} is broken: " in ended.shown
    assert "✓ failed == 0: 0" in ended.shown
    assert_nothing_is_lost(tmp_path, ended, broker, "stalled")


def test_with_abort_the_run_ends_in_order_once_the_broker_has_made_it_slow(tmp_path: Path, broker: Local) -> None:
    ended = stalled(tmp_path, broker, "aborted", "--duration", "60s", "--threshold", f"{SLOW} abort")
    assert ended.code == 1, ended.shown
    assert ended.summary["exit_reason"] == "threshold"
    (slow,) = ended.summary["thresholds"]
    assert slow["at_s"] >= ended.stopped_after_s + 2
    assert ended.summary["elapsed_s"] < slow["at_s"] + 15
    assert_stall_is_told(ended)
    assert_nothing_is_lost(tmp_path, ended, broker, "aborted")


def test_a_full_queue_does_not_hide_the_stall_from_the_latency(tmp_path: Path, broker: Local) -> None:
    small = ("--kafka-option", "queue.buffering.max.messages=500")
    ended = stalled(tmp_path, broker, "full", "--duration", "14s", *small)
    assert ended.summary["intended_to_ack_ms"]["p99"] >= 3500, ended.shown
    assert ended.summary["ack_ms"]["p90"] < 1000, ended.shown  # of the send, most events know nothing of it
    assert "from the send, which hides how long events waited before: p90 is " in ended.shown
    assert_stall_is_told(ended)
    assert_nothing_is_lost(tmp_path, ended, broker, "full")
