"""How a pipeline ends without losing an event, and what it then knows for certain.

In: the manifests of the producers, the parts that run, the store and the topic. Out: parts that have ended in the order
in which events flow, after everything in the topic was stored; and the comparison of what was sent with what is stored.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from confluent_kafka import KafkaException

from loadgen.consume.commits import CommitRecord, TopicIdentity
from loadgen.errors import NotThere, StoreError
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.topic_reader import TopicReader, reader_config
from loadgen.pipeline.child import Child, PartState, PipelinePart
from loadgen.pipeline.prepare import PipelineContext
from loadgen.store import Store
from loadgen.verifier.report import VerifyReport

MESSAGES_WITHIN_S = 5.0


def stored_offsets(store: Store, source: TopicIdentity, n_partitions: int) -> dict[int, int]:
    """One past the last stored offset of each Kafka partition; 0 if nothing is stored.

    Raises:
        StoreError: the store does not answer.
    """
    found = dict.fromkeys(range(n_partitions), 0)
    for number in found:
        records = [file.path for file in store.files(source.records(number)) if file.path.endswith(".json")]
        with suppress(NotThere):  # the record was pruned meanwhile because there is a later one
            found[number] = CommitRecord.from_json(records[-1], store.read(records[-1])).next if records else 0
    return found


def missing(stored: Mapping[int, int], ends: Mapping[int, int]) -> dict[int, int]:
    """The next offset to be stored, of each Kafka partition that is not stored to its end."""
    return {number: stored[number] for number, end in ends.items() if stored[number] < end}


def has_messages(kafka: KafkaSettings, begins: Mapping[int, int], ends: Mapping[int, int]) -> bool:
    """Whether one of these ranges holds a message; they may hold only ends of transactions, which take offsets too.

    Returns:
        True also if that is unknown after a few seconds.
    """
    reader = TopicReader(kafka, reader_config(kafka, "pipeline-ends", or_earliest=True))
    try:
        for _ in reader.read_until(begins, ends, time.monotonic() + MESSAGES_WITHIN_S):
            return True
        return bool(reader.unread)
    except KafkaException:
        return True
    finally:
        reader.close()


PART_ENDS_S = 45.0
"""Longer than producer and consumer wait for what is in flight, which is 30 s."""
ORPHANS_S = 8.0
"""Longer than the workers of a killed coordinator flush (3 s) and close (3 s)."""
LOOK_S = 0.5
QUIET_S = 5.0
UNKNOWN = -1
"""The number of missing messages while the store does not answer."""
Turn = Callable[[], None]
"""Called a few times a second while waiting: restarts other parts and prints progress."""


def end_part(part: PipelinePart, turn: Turn, timeout_s: float = PART_ENDS_S) -> bool:
    """Ask a part to end; kill it after the timeout. Returns whether it ended in order."""
    part.stop()
    deadline_s = time.monotonic() + timeout_s
    while part.state is PartState.RUNNING and time.monotonic() < deadline_s:
        turn()
    in_order = part.state is not PartState.RUNNING
    if not in_order:
        part.kill()
    return in_order


def end_orphans(children: Sequence[Child], turn: Turn) -> None:
    """Wait until the workers of dead producers have ended; kill them after ORPHANS_S."""
    deadline_s = time.monotonic() + ORPHANS_S
    living = [child for child in children if child.has_descendants()]
    while living and time.monotonic() < deadline_s:
        turn()
        living = [child for child in living if child.has_descendants()]
    for child in living:
        child.kill()


def drained(
    context: PipelineContext, ends: Mapping[int, int], timeout_s: float, consumer: PipelinePart, turn: Turn
) -> bool:
    """Wait until everything before these offsets is stored.

    Args:
        ends: one past the last offset of each Kafka partition.
        timeout_s: the longest time without progress.

    Returns:
        Whether everything is stored, judged by offsets.
    """
    n_before, progress_s = UNKNOWN, time.monotonic()
    while consumer.state is not PartState.GIVEN_UP:
        left: dict[int, int] = {}
        n_missing = UNKNOWN
        with suppress(StoreError):
            left = missing(stored_offsets(context.store, context.source, context.n_partitions), ends)
            n_missing = sum(ends[number] - offset for number, offset in left.items())
        if n_missing == 0:
            return True
        now_s = time.monotonic()
        if n_missing not in (UNKNOWN, n_before):
            n_before, progress_s = n_missing, now_s
        elif left and now_s - progress_s > QUIET_S and not has_messages(context.kafka, left, ends):
            return True
        if time.monotonic() - progress_s > timeout_s:
            return False
        while time.monotonic() < now_s + LOOK_S:
            turn()
    return False


def verify(
    context: PipelineContext, manifests: Sequence[Path], show: int, progress: Callable[[str, int, float], None]
) -> VerifyReport:
    """Compare what the producers sent with what was stored since this pipeline began.

    Events that other producers sent to the same topic are a note, not a finding.

    Raises:
        LoadgenError: the store cannot be read, or a run cannot be regenerated.
    """
    from loadgen.verifier.files import part_source
    from loadgen.verifier.manifest_spec import read_promises
    from loadgen.verifier.verify import compared

    source = part_source(context.store, context.source.tag, context.begins)
    report = compared(read_promises(manifests, "store"), source, show, progress)
    findings = report.findings
    if context.is_shared and findings.counts["foreign"]:
        n_foreign = findings.counts.pop("foreign")
        findings.notes.append(f"{n_foreign:,} events of others, from the same topic, are stored among them")
        return replace(report, shown=[one for one in report.shown if one.kind != "foreign"])
    return report
