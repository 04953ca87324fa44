"""The sink of transactions: what it calls delivered is committed, whatever happens in between, and it never waits."""

from copy import deepcopy
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from confluent_kafka import KafkaError

from loadgen.errors import SinkError
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.topics import Topics
from loadgen.ledger import Fingerprint, Outcome, Tally
from loadgen.sink import EncodedBatch, transactional
from loadgen.sink.journal import Journal
from loadgen.sink.transactional import TransactionalSink, TransactionState
from loadgen.transactions import TransactionPlan
from tests.runner.program import wait_until
from tests.sink.fake_transactions import ABORTABLE, FENCED, RETRIABLE, FakeLog, FakeTransactions, Killed
from tests.sink.lines import hash_of, make_lines

PLAN = TransactionPlan(seed=3, n_events=10, abort_prob=0.5)
NO_ABORTS = TransactionPlan(seed=3, n_events=10, abort_prob=0.0)
TOPICS = Topics(("t",), (4,))
PHASES = ["begin", "flush", "flush!", "commit", "commit!", "abort", "abort!"]


def open_sink(
    folder: Path, producer: FakeTransactions, plan: TransactionPlan = NO_ABORTS, before: TransactionalSink | None = None
) -> TransactionalSink:
    """A worker's sink; or that of its successor, where the last snapshot was of `before`."""
    completed, progress = (None, None) if before is None else (before.completed, before.progress)
    return TransactionalSink(
        KafkaSettings("b:1", "t"),
        TOPICS,
        plan,
        "loadgen-r-m0w0",
        Journal(folder / "journal"),
        completed,
        progress,
        connect=producer.connect,
    )


def send_all(sink: TransactionalSink, lines: EncodedBatch) -> None:
    """In parts, until all have ended."""
    for start in range(0, len(lines), 11):
        sink.send(lines[start : start + 11])
    sink.flush(20.0)


def outcomes_of(tally: Tally) -> dict[str, int]:
    """How many events ended in each way, without the zeros."""
    return {outcome.name: n for outcome in Outcome if (n := tally.count(outcome))}


def fingerprint(values: list[bytes]) -> dict[int, int]:
    """Of these values, whatever their virtual shards."""
    found = Fingerprint()
    hashes = np.array([hash_of(value) for value in values], np.uint64)
    found.add(np.zeros(len(values), np.uint16), hashes)
    return {len(values): int(found.total.sum())}


def told(*fingerprints: Fingerprint) -> dict[int, int]:
    """The same of a ledger's."""
    total = np.sum([one.total.sum(dtype=np.uint64) for one in fingerprints], dtype=np.uint64)
    return {int(sum(one.count.sum() for one in fingerprints)): int(total)}


def test_committed_is_what_is_delivered_and_the_drawn_blocks_are_aborted(tmp_path: Path) -> None:
    log, lines = FakeLog(), make_lines(205)
    sink = open_sink(tmp_path, FakeTransactions(log), PLAN)
    for first in range(0, 205, 17):
        sink.send(lines[first : first + 17])
    sink.flush(20.0)
    is_aborted = PLAN.is_aborted(np.arange(205))
    assert outcomes_of(sink.tally) == {"DELIVERED": int((~is_aborted).sum()), "ABORTED": int(is_aborted.sum())}
    values = [line[:-1] for line in lines.lines.to_pylist()]
    expected = {state: [value for value, is_one in zip(values, is_aborted, strict=True) if is_one == (state == "a")]
                for state in "ca"}  # fmt: skip
    assert sorted(log.values("committed")) == sorted(expected["c"])
    assert sorted(log.values("aborted")) == sorted(expected["a"])
    assert told(sink.tally.fingerprint) == fingerprint(expected["c"])
    assert told(sink.tally.aborted) == fingerprint(expected["a"])
    assert sink.completed.sum() == 205
    assert len(sink.progress.absent) == 0
    sink.close()


@pytest.mark.parametrize("call", [1, 2, 3])
@pytest.mark.parametrize("phase", PHASES)
def test_a_successor_knows_what_was_committed_in_whichever_phase_its_predecessor_died(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str, call: int
) -> None:
    log, lines = FakeLog(), make_lines(200)
    monkeypatch.setattr(transactional, "is_committed", log.is_committed)
    first = open_sink(tmp_path, producer := FakeTransactions(log), PLAN)
    first.send(lines[:35])
    first.flush(20.0)
    snapshot = deepcopy((first.tally, first.completed, first.progress))
    producer.n_calls, producer.dies_at = {}, (phase, call)
    first.drop(lines[35:42])
    with pytest.raises(Killed):
        send_all(first, lines[42:160])
    monkeypatch.setattr(TransactionalSink, "completed", snapshot[1])
    monkeypatch.setattr(TransactionalSink, "progress", snapshot[2])
    second = open_sink(tmp_path, FakeTransactions(log), PLAN, first)
    monkeypatch.undo()
    n_before, at_once = second.tally.planned, int(snapshot[1].sum())
    second.send(lines[at_once : at_once + second.n_settled])
    assert second.tally.in_flight == 0
    assert second.n_settled == 0
    send_all(second, lines[at_once + second.tally.planned :])
    second.close()
    ledgers = [snapshot[0], second.tally]
    assert n_before == 0
    assert sum(tally.planned for tally in ledgers) == 200
    assert second.tally.in_flight == 0
    committed = log.values("committed")
    assert len(set(committed)) == len(committed)
    assert told(*(tally.fingerprint for tally in ledgers)) == fingerprint(committed)
    is_aborted = PLAN.is_aborted(np.arange(200))
    n_dropped = sum(tally.count(Outcome.DROPPED) for tally in ledgers)
    n_dropped_of_aborted = int(is_aborted[35:42].sum()) if n_dropped else 0
    assert n_dropped in (0, 7)
    assert sum(tally.count(Outcome.ABORTED) for tally in ledgers) == is_aborted.sum() - n_dropped_of_aborted


def test_events_go_on_being_taken_while_a_commit_waits(tmp_path: Path) -> None:
    log, lines, answered = FakeLog(), make_lines(40), Event()
    producer = FakeTransactions(log)
    producer.on_commit = answered.wait
    sink = open_sink(tmp_path, producer)
    sink.send(lines[:10])
    assert sink.state is TransactionState.ENDING
    sink.send(lines[10:40])
    assert (sink.state, sink.tally.in_flight, len(sink.tally.ack_s)) == (TransactionState.ENDING, 40, 0)
    answered.set()
    sink.flush(20.0)
    assert outcomes_of(sink.tally) == {"DELIVERED": 40}
    assert producer.n_calls["commit"] == 4
    sink.close()


def test_a_transaction_ends_in_time_though_its_block_is_not_full(tmp_path: Path) -> None:
    log = FakeLog()
    sink = open_sink(tmp_path, FakeTransactions(log))
    sink.send(make_lines(3))
    assert sink.state.name == "OPEN"

    def is_delivered() -> bool:
        sink.poll(0.01)
        return sink.tally.count(Outcome.DELIVERED) == 3

    wait_until(is_delivered)
    assert sink.state.name == "NONE"
    sink.close()


def test_a_retriable_error_is_tried_again_and_an_abortable_one_fails_the_transaction(tmp_path: Path) -> None:
    log = FakeLog()
    producer = FakeTransactions(log)
    producer.errors = [RETRIABLE, RETRIABLE, None, ABORTABLE]
    sink = open_sink(tmp_path, producer)
    sink.send(make_lines(30))
    sink.flush(20.0)
    assert outcomes_of(sink.tally) == {"DELIVERED": 20, "FAILED": 10}
    assert len(log.values("committed")) == 20
    sink.close()


def test_a_fenced_producer_says_who_and_its_ledger_adds_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = FakeLog()
    monkeypatch.setattr(transactional, "is_committed", log.is_committed)
    producer = FakeTransactions(log)
    producer.errors = [None, FENCED]
    sink = open_sink(tmp_path, producer)
    with pytest.raises(SinkError, match=r"transactional\.id 'loadgen-r-m0w0' was fenced by b:1: another producer"):
        send_all(sink, make_lines(40))
    with pytest.raises(SinkError, match="fenced"):
        sink.send(make_lines(5, 40))
    log.end("aborted")
    sink.close()
    n_sent = sink.tally.planned
    assert outcomes_of(sink.tally) == {"DELIVERED": 10, "FAILED": n_sent - 10}
    assert (sink.tally.in_flight, sink.completed.sum()) == (0, n_sent)


@pytest.mark.parametrize(
    ("state", "outcome"), [("committed", "DELIVERED"), ("aborted", "FAILED"), ("open", "UNFINISHED")]
)
def test_a_commit_without_an_answer_is_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, outcome: str
) -> None:
    log = FakeLog()
    monkeypatch.setattr(transactional, "is_committed", log.is_committed)
    producer = FakeTransactions(log)
    producer.errors = [RETRIABLE] * 1000
    monkeypatch.setattr(producer, "abort_transaction", lambda timeout: None)
    sink = open_sink(tmp_path, producer)
    sink.send(make_lines(10))
    sink.flush(0.2)
    log.end(state)
    sink.close()
    assert outcomes_of(sink.tally) == {outcome: 10}


def test_what_is_dropped_or_refused_keeps_its_place(tmp_path: Path) -> None:
    log, lines = FakeLog(), make_lines(30, pad=100)
    sizes = [len(line) for line in lines.lines.to_pylist()]
    sink = open_sink(tmp_path, FakeTransactions(log, too_large=sorted(sizes)[-3] - 1))
    sink.send(lines[:5])
    sink.drop(lines[5:8])
    sink.send(lines[8:30])
    sink.flush(20.0)
    assert outcomes_of(sink.tally) == {"DELIVERED": 25, "DROPPED": 3, "FAILED": 2}
    assert sum(n for _, n in Journal(tmp_path / "journal").ended) == 30
    assert sink.progress.absent[:, 3].sum() == 5
    sink.close()


def test_brokers_that_take_no_transactions_are_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from confluent_kafka import KafkaException

    def refuse(timeout: float) -> None:
        raise KafkaException(KafkaError(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED))

    producer = FakeTransactions(FakeLog())
    monkeypatch.setattr(producer, "init_transactions", refuse)
    with pytest.raises(SinkError, match="--transactional-id loadgen- --resource-pattern-type prefixed"):
        open_sink(tmp_path, producer)
