"""What Kafka keeps of an event besides its value: key, partition, timestamp, headers. They are part of the promise.

A run sends each event with the key and the headers that its settings ask for (`MessageSpec`), to the partition that the
Java client would choose for that key, with the event's own time as timestamp. In: these of messages, and what their
values say. Out: which of the messages have others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import TIMESTAMP_CREATE_TIME, Message

from loadgen.event import Int64s, UInt32s
from loadgen.formats import Field
from loadgen.kafka.event_ids import without_ids
from loadgen.kafka.message import MessageSpec
from loadgen.kafka.partition import hash_of_ids, hash_of_keys, partitions_of
from loadgen.kafka.topics import Topics

Bools = npt.NDArray[np.bool_]
Content: TypeAlias = Sequence[bytes] | pa.Table
"""Values of JSON, or the decoded records of values that all have one schema."""
UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a topic has of some messages besides their values.

    Attributes:
        partition: int64.
        key: pyarrow binary array; null where a message has none.
        timestamp_ms: int64, set by the producer; UNKNOWN where the topic sets it itself (LogAppendTime).
        values: of each message, as it is.
        topic: of all of them.
        headers: what a consumer gives for each: None, or a list of (name, value).
    """

    partition: Int64s
    key: pa.BinaryArray
    timestamp_ms: Int64s
    headers: Sequence[Any]
    values: Sequence[bytes]
    topic: str = ""

    @classmethod
    def of(cls, messages: Sequence[Message], partition: Int64s, values: Sequence[bytes]) -> "Envelope":
        """Of messages as a consumer gives them; partition: int64, of each; values: of each."""
        kind, times = np.array(list(map(Message.timestamp, messages)), np.int64).reshape(-1, 2).T
        return cls(
            partition,
            pa.array(list(map(Message.key, messages)), pa.binary()),
            np.where(kind == TIMESTAMP_CREATE_TIME, times, UNKNOWN),
            list(map(Message.headers, messages)),
            values,
            next((message.topic() or "" for message in messages), ""),
        )


_TYPES: dict[str, tuple[type, ...]] = {"integer": (int,), "float": (float, int), "text": (str,)}
_ARROW = {"integer": pa.int64(), "float": pa.float64(), "text": pa.string()}


@dataclass(frozen=True, slots=True)
class _Fields:
    """Some fields of values.

    Attributes:
        columns: by name; null where there is none.
        is_known: bool, which values are records in which each of the fields is absent, null or of its type.
    """

    columns: dict[str, pa.Array]
    is_known: Bools

    @classmethod
    def of(cls, content: Sequence[bytes] | pa.Table, fields: tuple[Field, ...]) -> "_Fields":
        """Of values of JSON, or of the decoded records of others."""
        if isinstance(content, pa.Table):
            return cls._of_table(content, fields)
        records = [_record(value, fields) for value in content]
        columns = {
            field.name: pa.array([record and record.get(field.name) for record in records], _ARROW[field.type])
            for field in fields
        }
        return cls(columns, np.array([record is not None for record in records], np.bool_))

    @classmethod
    def _of_table(cls, table: pa.Table, fields: tuple[Field, ...]) -> "_Fields":
        columns, is_known = {}, np.ones(len(table), np.bool_)
        for field in fields:
            column = pa.nulls(len(table), _ARROW[field.type])
            if field.name in table.column_names:
                found = table[field.name].combine_chunks()
                if found.type == column.type:
                    column = found
                else:
                    is_known &= found.is_null().to_numpy(zero_copy_only=False)
            columns[field.name] = column
        return cls(columns, is_known)

    def column(self, field: Field) -> pa.Array:
        """The values of a field; null where there is none."""
        return self.columns[field.name]


def _record(value: bytes, fields: tuple[Field, ...]) -> dict[str, Any] | None:
    try:
        record = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    if type(record) is not dict:
        return None
    given = ((record.get(field.name), field.type) for field in fields)
    return record if all(value is None or type(value) in _TYPES[kind] for value, kind in given) else None


@dataclass(frozen=True, slots=True)
class Addressing:
    """How a run sent its events.

    Attributes:
        topics: with the partitions that they had; None where any partition will do.
        messages: keys and headers.
        by_user_id: whether listeners can be told from values: not where several runs name them differently.
        has_fields: whether values have all fields that keys and headers are made of, as they are in those.
    """

    topics: Topics | None
    messages: MessageSpec
    by_user_id: bool = True
    has_fields: bool = True

    def differs(self, envelope: Envelope, content: Content, user_id: Int64s, time_ms: Int64s) -> Bools:
        """Which events have another envelope than the run gave them: bool[n].

        Args:
            envelope: of each event.
            content: the event of each; where it is no record, keys, headers and the envelope are not compared.
            user_id, time_ms: int64, what its value says; below zero where it does not, then it is not compared.
        """
        wrong: Bools = (envelope.timestamp_ms != UNKNOWN) & (time_ms >= 0) & (envelope.timestamp_ms != time_ms)
        messages = self.messages
        if messages.has_ids:
            envelope = replace(envelope, headers=list(map(without_ids, envelope.headers)))
        fields = _Fields.of(content, messages.fields) if messages.fields else None
        if fields and not self.has_fields:
            fields.is_known[:] = False
        if isinstance(content, pa.Table):
            wrong |= messages.attributes is not None  # it has no envelope
        elif fields and messages.attributes is not None:
            lines = pa.array([value + b"\n" for value in content], pa.binary())
            wrapped: Any = messages.wrapped(fields.column, lines)
            wrong |= _are_other([value + b"\n" for value in envelope.values], wrapped.to_pylist()) & fields.is_known
        elif envelope.values is not content:
            wrong |= _are_other(envelope.values, content)
        if messages.headers:
            wrong |= self._has_other_headers(envelope, fields)
        else:
            wrong |= np.fromiter(map(bool, envelope.headers), np.bool_, len(envelope.headers))
        others, hashes = self._of_ids(envelope, user_id) if messages.has_plain_key else self._of_keys(
            envelope, fields, user_id
        )  # fmt: skip
        wrong |= others
        if self.topics is not None:
            chosen = partitions_of(hashes, self.topics.size(envelope.topic))
            has_any = ~self._is_listener(user_id) & envelope.key.is_null().to_numpy(zero_copy_only=False)
            wrong |= (chosen != envelope.partition) & ~has_any
        return wrong

    def _is_listener(self, user_id: Int64s) -> Bools:
        return (user_id >= 0) & self.by_user_id

    def _of_ids(self, envelope: Envelope, user_id: Int64s) -> tuple[Bools, UInt32s]:
        """Which keys are not the digits of the listeners' ids, and the keys' hashes."""
        sender, is_id = ids_of(envelope.key)
        return ~is_id | (self._is_listener(user_id) & (sender != user_id)), hash_of_ids(sender)

    def _of_keys(self, envelope: Envelope, fields: _Fields | None, user_id: Int64s) -> tuple[Bools, UInt32s]:
        """Which keys are not those of the run, and their hashes; that of the listener where there is no key."""
        is_null, listener = envelope.key.is_null().to_numpy(zero_copy_only=False), np.maximum(user_id, 0)
        expected = self.messages.keys_of(fields.column, listener) if fields else self.messages.keys_of(_none, listener)
        is_equal = pc.equal(expected, envelope.key).fill_null(False).to_numpy(zero_copy_only=False)
        is_equal |= is_null & expected.is_null().to_numpy(zero_copy_only=False)
        is_told = self._is_listener(user_id) if self.messages.key == "user" else np.ones(len(user_id), np.bool_)
        is_told = fields.is_known if fields and isinstance(self.messages.key, Field) else is_told
        return is_told & ~is_equal, np.where(is_null, hash_of_ids(listener), hash_of_keys(envelope.key))

    def _has_other_headers(self, envelope: Envelope, fields: _Fields | None) -> Bools:
        headers: Any = self.messages.headers_of(fields.column if fields else _none, len(envelope.headers))
        names = [name for name, _ in self.messages.headers]
        rows = zip(*(column.to_pylist() for column in headers.flatten()), strict=True)
        pairs = zip(rows, envelope.headers, strict=True)
        others = np.array([found != list(zip(names, row, strict=True)) for row, found in pairs], np.bool_)
        return others & fields.is_known if fields else others


@dataclass(frozen=True, slots=True)
class MessageRules:
    """How some runs sent their events.

    Attributes:
        addressings: of the runs, each way once.
        is_repartitioned: events may be in any partition, since another system has put them there.
        has_plain_keys: whether each key is the digits of its listener's id.
        is_split_by_key: whether the events of a listener are in several partitions because their keys differ.
    """

    addressings: frozenset[Addressing]
    is_repartitioned: bool
    has_plain_keys: bool
    is_split_by_key: bool

    @classmethod
    def of(
        cls,
        messages: Sequence[MessageSpec],
        topics: Sequence[Topics],
        has_fields: Sequence[bool],
        is_repartitioned: bool,
        by_user_id: bool,
    ) -> "MessageRules":
        """Of runs with these keys and headers, to these topics; has_fields, by_user_id: see Addressing."""
        each = zip([None if is_repartitioned else one for one in topics], messages, has_fields, strict=True)
        return cls(
            frozenset(Addressing(of_run, one, by_user_id, has) for of_run, one, has in each),
            is_repartitioned,
            all(one.has_plain_key for one in messages),
            not all(one.by_listener for one in messages),
        )

    def differs(self, envelope: Envelope, content: Content, user_id: Int64s, time_ms: Int64s) -> Bools:
        """Which events have an envelope that none of the runs would have given them: bool[n]; see Addressing."""
        found = [one.differs(envelope, content, user_id, time_ms) for one in self.addressings]
        return np.asarray(np.logical_and.reduce(found), np.bool_)


def _are_other(found: Sequence[bytes], expected: Sequence[bytes]) -> Bools:
    return np.array([one != other for one, other in zip(found, expected, strict=True)], np.bool_)


def _none(field: Field) -> pa.Array:
    raise KeyError(field.name)


def ids_of(keys: pa.BinaryArray) -> tuple[Int64s, Bools]:
    """Keys to the ids that they are the decimal digits of (0 where they are not), and which of them are."""
    texts = keys.fill_null(b"")
    is_digits = pc.match_substring_regex(texts, "^(0|[1-9][0-9]{0,17})$")
    is_id: Bools = is_digits.to_numpy(zero_copy_only=False)
    digits = pc.if_else(is_digits, texts, pa.scalar(b"0", pa.binary()))
    ids: Int64s = digits.cast(pa.string()).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return ids, is_id
