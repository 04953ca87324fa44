"""What Kafka keeps of an event besides its value: key, partition, timestamp, headers. They are part of the promise.

A run sends each event with its listener's id in decimal digits as key, to the partition that the Java client would
choose for that key, with the event's own time as timestamp, and without headers. In: these of messages, and what their
values say. Out: which of the messages have others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import TIMESTAMP_CREATE_TIME, Message

from loadgen.event import Int64s
from loadgen.kafka.partition import murmur2_partitions

Bools = npt.NDArray[np.bool_]
UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a topic has of some messages besides their values.

    Attributes:
        partition: int64.
        key: pyarrow binary array; null where a message has none.
        timestamp_ms: int64, set by the producer; UNKNOWN where the topic sets it itself (LogAppendTime).
        has_headers: bool.
    """

    partition: Int64s
    key: pa.BinaryArray
    timestamp_ms: Int64s
    has_headers: Bools

    @classmethod
    def of(cls, messages: Sequence[Message], partition: Int64s) -> "Envelope":
        """Of messages as a consumer gives them; partition: int64, of each."""
        kind, times = np.array(list(map(Message.timestamp, messages)), np.int64).reshape(-1, 2).T
        return cls(
            partition,
            pa.array(list(map(Message.key, messages)), pa.binary()),
            np.where(kind == TIMESTAMP_CREATE_TIME, times, UNKNOWN),
            np.fromiter(map(bool, map(Message.headers, messages)), np.bool_, len(messages)),
        )


@dataclass(frozen=True, slots=True)
class Addressing:
    """How the runs sent their events.

    Attributes:
        n_partitions: how many the topic had; several where runs differ. Empty where any partition will do.
        by_user_id: whether keys can be told from values: not where several runs name their listeners differently.
    """

    n_partitions: frozenset[int]
    by_user_id: bool = True

    def differs(self, envelope: Envelope, user_id: Int64s, time_ms: Int64s) -> Bools:
        """Which events have another envelope than the runs gave them: bool[n].

        Args:
            envelope: of each event.
            user_id, time_ms: int64, what its value says; below zero where it does not, then it is not compared.
        """
        wrong: Bools = envelope.has_headers | (
            (envelope.timestamp_ms != UNKNOWN) & (time_ms >= 0) & (envelope.timestamp_ms != time_ms)
        )
        sender, is_id = ids_of(envelope.key)
        wrong |= ~is_id
        if self.by_user_id:
            wrong |= (user_id >= 0) & (sender != user_id)
        if self.n_partitions:
            chosen = [murmur2_partitions(sender, n) == envelope.partition for n in self.n_partitions]
            wrong |= ~np.logical_or.reduce(chosen)
        return wrong


def ids_of(keys: pa.BinaryArray) -> tuple[Int64s, Bools]:
    """Keys to the ids that they are the decimal digits of (0 where they are not), and which of them are."""
    texts = keys.fill_null(b"")
    is_digits = pc.match_substring_regex(texts, "^(0|[1-9][0-9]{0,17})$")
    is_id: Bools = is_digits.to_numpy(zero_copy_only=False)
    digits = pc.if_else(is_digits, texts, pa.scalar(b"0", pa.binary()))
    ids: Int64s = digits.cast(pa.string()).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return ids, is_id
