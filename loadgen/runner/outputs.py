"""The sinks of one worker, and what of its events they already hold from a predecessor that died."""

from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np

from loadgen.encode.encoding import Encoding
from loadgen.encode.text import JSON_LINES
from loadgen.event import EventBatch, Int64s, UInt8s, UInt16s, UInt32s, rank_within
from loadgen.kafka.check import check_topic
from loadgen.kafka.errors import TRANSACTIONAL_ID
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.topics import Topics
from loadgen.progress import Progress
from loadgen.runner.assignment import ShardAssignment
from loadgen.runner.messages import Checkpoint, Chunk, Plan
from loadgen.sink import EncodedBatch, Sink
from loadgen.sink.files import DateFolderSink
from loadgen.sink.journal import Journal, journal_path
from loadgen.sink.kafka import KafkaSink
from loadgen.sink.simple import NullSink, SinkContext, start_sink
from loadgen.sink.stream import StreamSink
from loadgen.sink.transactional import TransactionalSink
from loadgen.transactions import transaction_plan


def sink_names(plan: Plan) -> list[str]:
    """The names of the run's sinks, the primary sink first."""
    settings = plan.settings
    wanted = {
        "kafka": plan.kafka is not None,
        "stream": plan.stream,
        "files": settings.folder is not None,
        "null": settings.discard,
    }
    return [*(name for name, is_wanted in wanted.items() if is_wanted), *plan.sinks]


def encodings_of(plan: Plan) -> tuple[Encoding, ...]:
    """The encoding of the lines, and that of Kafka's messages where it is another one.

    Where Kafka alone is written, no JSON is made beside its messages.
    """
    if plan.schema is None:
        return (JSON_LINES,)
    return (plan.schema.encoding,) if sink_names(plan) == ["kafka"] else (JSON_LINES, plan.schema.encoding)


def open_sinks(assignment: ShardAssignment, n_rows: int, connection: Connection) -> list[Sink]:
    """Open the sinks of a worker, in the order of `sink_names`; a Producer is created here, inside the process.

    Raises:
        SinkError: one of them refuses to start.
    """
    return [_open(name, assignment, n_rows, connection) for name in sink_names(assignment.plan)]


def _open(name: str, assignment: ShardAssignment, n_rows: int, connection: Connection) -> Sink:
    plan, checkpoint = assignment.plan, assignment.checkpoint
    machine = plan.settings.shard.index
    completed, before = checkpoint.completed.get(name), checkpoint.progress.get(name)
    if name == "kafka":
        assert plan.kafka is not None
        if plan.settings.transactional:
            return _transactional(plan.kafka, assignment, completed, before)
        return KafkaSink(plan.kafka, completed, before=before, topics=plan.topics, topic_ends=plan.topic_ends)
    if name == "stream":
        return StreamSink(lambda data, n_events: _hand_over(connection, data, n_events), completed, before)
    if name == "files":
        assert plan.settings.folder is not None
        compress = None if plan.settings.compress == "none" else plan.settings.compress
        writer = f"{plan.run_id}_m{machine}w{assignment.index}"
        resume = checkpoint.file_bytes if checkpoint.completed else None
        return DateFolderSink(plan.settings.folder, writer, compress, completed=completed, before=before, resume=resume)
    context = SinkContext(name, n_rows, plan.run_id, machine, assignment.index, completed=completed, progress=before)
    return start_sink(plan.sinks[name] if name in plan.sinks else NullSink(), context)


def transactional_id(run_id: str, machine: int, worker: int) -> str:
    """The worker's own in the run; its successor has the same, which fences it."""
    return f"{TRANSACTIONAL_ID}{run_id}-m{machine}w{worker}"


def _transactional(
    kafka: KafkaSettings, assignment: ShardAssignment, completed: Int64s | None, before: Progress | None
) -> TransactionalSink:
    plan, settings = assignment.plan, assignment.plan.settings
    topics = plan.topics or Topics((kafka.topic,), (check_topic(kafka),))
    name = transactional_id(plan.run_id, settings.shard.index, assignment.index)
    journal = Journal(journal_path(settings.manifest_path(plan.run_id), assignment.index))
    return TransactionalSink(
        kafka, topics, transaction_plan(settings, assignment.index), name, journal, completed, before
    )


def _hand_over(connection: Connection, data: memoryview, n_events: int) -> None:
    connection.send(Chunk(n_events))
    connection.send_bytes(data)


@dataclass(slots=True)
class ResumeFilter:
    """Holds back from a sink the events that its predecessor's ledger has completed.

    Attributes:
        left: int64[number of partitions], events still to be held back, the first of each partition.
        partitions: the sink's, see `Sink`.
        key_hashes: of some events, see `ShardStream`.
    """

    left: Int64s
    partitions: Callable[[UInt32s, UInt8s], UInt16s]
    key_hashes: Callable[[EventBatch], UInt32s]

    @classmethod
    def of(cls, sink: Sink, checkpoint: Checkpoint, key_hashes: Callable[[EventBatch], UInt32s]) -> "ResumeFilter":
        """What this sink must not be given again."""
        none = np.zeros(len(sink.completed), np.int64)
        return cls(checkpoint.completed.get(sink.name, none).copy(), sink.partitions, key_hashes)

    def is_done(self, batch: EventBatch) -> bool:
        """Whether every event of the batch is completed."""
        return len(batch) == 0 or bool((self._counts(batch) <= self.left).all())

    def skip(self, batch: EventBatch) -> None:
        """Use up a batch that is done."""
        self.left -= self._counts(batch)

    def _counts(self, batch: EventBatch) -> Int64s:
        return np.bincount(self.partitions(self.key_hashes(batch), batch.page), minlength=len(self.left))

    def unsent(self, lines: EncodedBatch) -> EncodedBatch:
        """Those of the next events that are not completed."""
        if not self.left.any():
            return lines
        partition = self.partitions(lines.key_hash, lines.page)
        ranks, counts = rank_within(partition, len(self.left))
        keep = ranks >= self.left[partition]
        self.left = np.maximum(self.left - counts, 0)
        return lines.take(np.flatnonzero(keep))
