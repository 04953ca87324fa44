"""Transactions on a real broker: read_committed readers see what the ledger calls delivered, whatever is killed.

TEST_TXN_KILLS=50 kills as often in the test of kills, TEST_TXN_SEED=1,2,3 with these dice.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest
from confluent_kafka import Producer

from loadgen.fingerprint import run_key
from loadgen.ledger import Outcome
from loadgen.record import FingerprintRecord, read
from loadgen.sink.journal import Journal, journal_path
from tests.integration.chaos.scale import seeds
from tests.integration.local import Local
from tests.integration.proof import PARTITIONS
from tests.messages import value_of
from tests.runner.program import Program, adds_up, start, wait_until
from tests.sink.topic import read_topic
from tests.verifier.recompute import fingerprint_of
from tests.verifier.runs import verified

KILLS = int(os.environ.get("TEST_TXN_KILLS", "4"))
SEEDS = seeds("TEST_TXN_SEED", KILLS)
PER_RUN = 5
"""No worker is started more often than that."""
FLAGS = ("--workers", "2", "--users", "1000", "--transactional", "--transaction-events", "100", "--abort", "0.1")
WRONG = ("lost", "repeated", "altered", "foreign", "out_of_order")


def run(folder: Path, local: Local, topic: str, *flags: str) -> Program:
    """Start a run to a topic of its own."""
    made = ("--create-topic", "--partitions", str(PARTITIONS), "--replication-factor", "1")
    return start(folder, "--brokers", local.brokers, "--topic", topic, *made, *FLAGS, *flags)


def verify(local: Local, topic: str, manifest: Path, isolation: str) -> dict[str, Any]:
    """What `loadgen verify` says."""
    return verified(manifest, brokers=local.brokers, topic=topic, isolation=isolation).as_json()


def assert_exact(local: Local, topic: str, summary: dict[str, Any], folder: Path) -> None:
    """Two witnesses: what a read_committed consumer reads, and `verify`."""
    values = [value_of(message) for message in read_topic(local.brokers, topic)]
    record = read(folder / summary["manifest"])
    ledger = record.sinks["kafka"].fingerprint
    assert ledger == FingerprintRecord.from_fingerprint(fingerprint_of(values, run_key(record.seed or 0)))
    assert len(values) == len(set(values)) == summary["delivered"]
    found = verify(local, topic, folder / summary["manifest"], "read_committed")
    assert (found["verdict"], found["expected"], found["found"]) == ("proved", len(values), len(values)), found


def test_a_run_with_aborts_is_proved_for_readers_of_both_isolation_levels(tmp_path: Path, broker: Local) -> None:
    code, summary, shown = run(tmp_path, broker, "both", "--events", "20000", "--rate", "5k/s").end()
    assert code == 0, shown
    assert adds_up(summary)
    assert 0 < summary["aborted"] == 20_000 - summary["delivered"]
    assert_exact(broker, "both", summary, tmp_path)
    found = verify(broker, "both", tmp_path / summary["manifest"], "read_uncommitted")
    assert (found["verdict"], found["expected"], found["found"]) == ("proved", 20_000, 20_000)


def test_a_producer_with_the_same_transactional_id_ends_the_run_with_a_clear_error(
    tmp_path: Path, broker: Local
) -> None:
    program = run(tmp_path, broker, "fenced", "--rate", "500/s", "--duration", "60s")
    wait_until(lambda: len(read_topic_or_none(broker, "fenced")) > 100)
    run_id = next((tmp_path / "loadgen_runs").glob("*.json")).stem
    other = Producer({"bootstrap.servers": broker.brokers, "transactional.id": f"loadgen-{run_id}-m0w1"})
    other.init_transactions(30)
    code, summary, shown = program.end()
    assert code == 1
    assert f"the producer with transactional.id 'loadgen-{run_id}-m0w1' was fenced" in shown
    assert "another producer has begun with this id" in shown
    assert adds_up(summary)
    found = verify(broker, "fenced", tmp_path / summary["manifest"], "read_committed")
    assert [found[kind] for kind in WRONG] == [0] * 5, found


def read_topic_or_none(local: Local, topic: str) -> list[Any]:
    """The committed messages of a topic that may not be there yet."""
    with suppress(Exception):
        return read_topic(local.brokers, topic)
    return []


@pytest.mark.timeout(240 + KILLS * 20)
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_workers_leave_exactly_what_the_ledger_calls_delivered(tmp_path: Path, broker: Local, seed: int) -> None:
    dice = Random(seed)
    for number in range(0, KILLS, PER_RUN):
        topic, n_kills = f"killed-{seed}-{number}", min(PER_RUN, KILLS - number)
        program = run(tmp_path, broker, topic, "--seed", str(seed), "--rate", "2k/s", "--continuous")
        wait_until(lambda: len(read_topic_or_none(broker, topic)) > 100)  # noqa: B023  called at once
        kill_workers(program, n_kills, dice)
        program.signal(signal.SIGINT)
        code, summary, shown = program.end()
        assert code in (1, 130), shown  # 1: on a busy machine it may not have kept its rate
        assert summary["restarts"] == n_kills, shown
        assert summary["planned"] == summary["delivered"] + summary["aborted"], shown
        assert summary["repeated_possibly"] == 0
        assert_exact(broker, topic, summary, tmp_path)
        found = verify(broker, topic, tmp_path / summary["manifest"], "read_uncommitted")
        assert found["expected"] == summary["planned"], found
        assert [found[kind] for kind in ("lost", "altered", "foreign")] == [0] * 3, found


def kill_workers(program: Program, n_times: int, dice: Random) -> None:
    """Kill one of the two workers after another, at random moments."""
    for _ in range(n_times):
        time.sleep(dice.uniform(0.1, 2.0))
        killed = dice.choice(program.workers())
        killed.send_signal(signal.SIGKILL)
        wait_until(lambda: len(set(program.workers()) - {killed}) == 2)  # noqa: B023  called at once
    time.sleep(1.0)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("whom", ["coordinator", "all"])
def test_a_killed_coordinator_leaves_a_manifest_and_journals_that_hold(
    tmp_path: Path, broker: Local, seed: int, whom: str
) -> None:
    dice = Random(seed)
    topic = f"{whom}-{seed}"
    short = ("--kafka-option", "transaction.timeout.ms=5000")
    program = run(tmp_path, broker, topic, "--seed", str(seed), "--rate", "2k/s", "--continuous", *short)
    wait_until(lambda: len(read_topic_or_none(broker, topic)) > 100)
    time.sleep(dice.uniform(0.0, 3.0))
    workers = program.workers()
    for process in [psutil.Process(program.process.pid), *(workers if whom == "all" else [])]:
        process.kill()
    psutil.wait_procs(workers, 20)
    (manifest,) = (tmp_path / "loadgen_runs").glob("*.json")
    found = verify(broker, topic, manifest, "read_committed")  # waits for transactions that are left open
    assert [found[kind] for kind in WRONG] == [0] * 5, found
    journals = [Journal(journal_path(manifest, worker)) for worker in range(2)]
    n_known = sum(n for journal in journals for outcome, n in journal.ended if outcome is Outcome.DELIVERED)
    in_doubt = [n for one in journals if one.open for outcome, n in one.open[0] if outcome is Outcome.DELIVERED]
    n_found = len(read_topic(broker.brokers, topic))
    assert n_known <= n_found <= n_known + sum(in_doubt)
    assert whom == "all" or not in_doubt
