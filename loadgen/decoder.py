"""Values of Kafka messages to events: decodes those in the wire format of a schema registry, passes others on.

In: values; the schemas of a registry, by the ids in the values. Out: lines of JSON, or a table with the columns of
store/table.py. A value that cannot be decoded has a fault, which says why, and harms no other.

A field without a value is left out of a line, unless it is one of a known format in which it is null.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.config.options import Options
from loadgen.decode import avro, protobuf
from loadgen.decode.columns import Decoded, as_stored
from loadgen.errors import SchemaMissing
from loadgen.event import Int64s
from loadgen.formats import OWN, KnownFormats
from loadgen.kafka.framing import CUT_OFF, HEADER_BYTES, NO_SCHEMA, header_lengths, schema_ids
from loadgen.kafka.options import options_of
from loadgen.kafka.registry import Registry, RegistrySettings, SchemaKind
from loadgen.store.table import RAW, lines_of

ASK_AGAIN_S = 10.0
"""An id that a registry does not know may be new, and a replica of the registry behind."""
NEEDS_REGISTRY = "a schema registry's serializer has written the value; give --schema-registry URL to decode it"
_OTHER_MESSAGE = "is not the first message of its schema"
_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What reading a schema raises that is none."""
_NAMES = {"AVRO": "Avro", "PROTOBUF": "Protobuf"}
_Columns = Callable[[pa.Array], Decoded]
T = TypeVar("T")


class SchemasNeeded(Exception):
    """Values have schemas that must be asked for first.

    Attributes:
        ids: of the schemas.
        first: position of the first such value.
    """

    def __init__(self, ids: list[int], first: int) -> None:
        super().__init__(f"schemas {ids} have not been asked for")
        self.ids, self.first = ids, first


def registry_of(url: str | None, option: Options, config: Path | None) -> Registry | None:
    """The registry that flags name; None where they name none.

    Raises:
        LoadgenError: see `Registry`.
    """
    settings = registry_settings(url, option, config)
    return None if settings is None else Registry(settings)


def registry_settings(url: str | None, option: Options, config: Path | None) -> RegistrySettings | None:
    """How to reach the registry that flags name; raises UsageError where the file of options is wrong."""
    return None if url is None else RegistrySettings(url, options_of(option, config))


@dataclass(frozen=True, slots=True)
class _Schema:
    """How to read values of a schema.

    Attributes:
        name: of the schema, for messages.
        columns: decodes them; None where they are JSON behind a header.
        problem: why they cannot be read; empty where they can.
        end: what is left out of JSON, the closing brace follows.
    """

    name: str
    columns: _Columns | None = None
    problem: str = ""
    end: bytes = b""


class Schemas:
    """The schemas of a registry, each asked for once; for the threads of a process."""

    def __init__(
        self,
        registry: Registry | None,
        given: Mapping[int, tuple[SchemaKind, str]] | None = None,
        constants: Mapping[int, pa.Table | bytes] | None = None,
    ) -> None:
        """Nothing is asked yet.

        Args:
            registry: None: there are no more schemas than those given.
            given: kind and text by id.
            constants: fields of some of these that are left out where they have the values of this one row, or the end
                of JSON that is left out.
        """
        self._registry = registry
        self._found = {one: _schema(one, kind, text) for one, (kind, text) in (given or {}).items()}
        for one, constant in (constants or {}).items():
            self._found[one] = _without(self._found[one], constant)
        self._missing: dict[int, float] = {}

    def unknown(self, ids: Iterable[int]) -> list[int]:
        """Those that must be asked for."""
        now_s = time.monotonic()
        return [one for one in ids if one not in self._found and now_s >= self._missing.get(one, 0.0)]

    def fetch(self, schema_id: int) -> None:
        """Ask for a schema; waits.

        Raises:
            RegistryError: there is no answer, or the registry refuses.
        """
        try:
            if self._registry is None:
                raise SchemaMissing
            found = self._registry.schema(schema_id)
        except SchemaMissing:
            now_s = time.monotonic()
            self._missing = {one: until_s for one, until_s in self._missing.items() if until_s > now_s}
            self._missing[schema_id] = now_s + (float("inf") if self._registry is None else ASK_AGAIN_S)
        else:
            self._found[schema_id] = _schema(schema_id, found.schema_type or "AVRO", found.schema_str or "")

    @property
    def missing(self) -> list[int]:
        """The ids that were asked for in vain."""
        return sorted(self._missing)

    def get(self, schema_id: int) -> _Schema:
        """A schema that has been asked for."""
        if schema_id in self._found:
            return self._found[schema_id]
        problem = NEEDS_REGISTRY if self._registry is None else f"the schema registry has no schema {schema_id}"
        return _Schema("", problem=problem)

    def close(self) -> None:
        """Close the connections to the registry."""
        if self._registry is not None:
            self._registry.close()


def _schema(schema_id: int, kind: str, text: str) -> _Schema:
    name = f"schema {schema_id}"
    if kind == "JSON":
        return _Schema(f"JSON of {name}")
    try:
        columns = _columns(kind, text)
    except _MALFORMED as error:
        return _Schema(name, problem=f"{name} cannot be used: {error}")
    return _Schema(f"{_NAMES[kind]} of {name}", columns)


def _without(schema: _Schema, constants: pa.Table | bytes) -> _Schema:
    if isinstance(constants, bytes):
        return replace(schema, end=constants + b"}")
    assert schema.columns is not None
    return replace(schema, columns=partial(_others, schema.columns, constants))


def _others(columns: _Columns, constants: pa.Table, values: pa.Array) -> Decoded:
    """The columns without those that have these values in each row; a value that is another one stays."""
    found = columns(values)
    table = found.table
    for name in constants.column_names:
        is_same = pc.fill_null(pc.equal(table[name], constants[name][0]), False)
        left = pc.if_else(is_same, pa.scalar(None, table[name].type), table[name])
        at = table.column_names.index(name)
        table = table.remove_column(at) if left.null_count == len(left) else table.set_column(at, name, left)
    return Decoded(table, found.rows, found.faults)


def _columns(kind: str, text: str) -> _Columns:
    """Decodes values of a schema; raises one of _MALFORMED where it is none, or of none that loadgen reads."""
    if kind == "AVRO":
        fields = avro.columns_of(text)
        if not fields:
            raise ValueError("it has no fields")
        return partial(avro.decode, columns=fields, skip=HEADER_BYTES)
    if kind == "PROTOBUF":
        return partial(_protobuf, protobuf.columns_of(text))
    raise ValueError(f"loadgen reads no schemas of the type {kind}")


def _protobuf(columns: tuple[protobuf.ProtobufColumn, ...], values: pa.Array) -> Decoded:
    lengths = header_lengths(values)
    is_other = lengths == NO_SCHEMA
    if not is_other.any():
        return protobuf.decode(values, columns, lengths)
    rows = np.flatnonzero(~is_other)
    found = protobuf.decode(values.take(pa.array(rows)), columns, lengths[rows])
    faults = {int(rows[row]): fault for row, fault in found.faults.items()}
    others = dict.fromkeys(np.flatnonzero(is_other).tolist(), _OTHER_MESSAGE)
    return Decoded(found.table, rows[found.rows], faults | others)


class DecodedValues(NamedTuple):
    """Values that were decoded.

    Attributes:
        values: lines for those that had a schema, the others as they were; None where there is a fault. The sequence
            that was given, where none had a schema.
        faults: by position: why the value cannot be decoded.
    """

    values: Sequence[bytes | None]
    faults: dict[int, str]


class Decoder:
    """Decodes the values of messages; for the threads of a process.

    Attributes:
        schemas: of the values.
    """

    def __init__(self, schemas: Schemas, known: KnownFormats = OWN) -> None:
        """Prepare.

        Args:
            schemas: of the values.
            known: formats whose fields may be null.
        """
        self.schemas, self._known = schemas, known

    def asking(self, decode: Callable[[Sequence[bytes | None]], T], values: Sequence[bytes | None]) -> T:
        """What `lines` or `table` gives, after asking for the schemas that are needed; waits.

        Raises:
            RegistryError: there is no answer, or the registry refuses.
        """
        while True:
            try:
                return decode(values)
            except SchemasNeeded as needed:
                for schema_id in needed.ids:
                    self.schemas.fetch(schema_id)

    def table(self, values: Sequence[bytes | None]) -> pa.Table | None:
        """The columns of values that are all Avro or Protobuf of the same schema, without a fault; None for others.

        Raises:
            SchemasNeeded: see `lines`.
        """
        array, ids = self._identified(values)
        if len(ids) == 0 or ids[0] < 0 or bool((ids != ids[0]).any()):
            return None
        columns = self.schemas.get(int(ids[0])).columns
        found = None if columns is None else columns(array)
        return None if found is None or found.faults or RAW in found.table.column_names else as_stored(found.table)

    def lines(self, values: Sequence[bytes | None]) -> DecodedValues:
        """Decode values of any schemas.

        Raises:
            SchemasNeeded: some of the schemas have not been asked for.
        """
        array, ids = self._identified(values)
        if bool((ids == NO_SCHEMA).all()):
            return DecodedValues(values, {})
        faults, pieces, places = {}, [], []
        for schema_id in np.unique(ids).tolist():
            rows = np.flatnonzero(ids == schema_id)
            some = array if len(rows) == len(array) else array.take(pa.array(rows))
            if schema_id == CUT_OFF:
                good, found, why = rows[:0], [], dict.fromkeys(rows.tolist(), "the value ends within its schema's id")
            elif schema_id == NO_SCHEMA:
                good, found, why = rows, some.to_pylist(), {}
            else:
                good, found, why = self._decoded(schema_id, rows, some)
            pieces.append(found)
            places.append(good)
            faults.update(why)
        if len(pieces) == 1 and not faults:
            return DecodedValues(pieces[0], faults)
        made = np.full(len(values), None, object)
        for rows, found in zip(places, pieces, strict=True):
            made[rows] = np.fromiter(found, object, len(rows))
        return DecodedValues(made.tolist(), faults)

    def _identified(self, values: Sequence[bytes | None]) -> tuple[pa.Array, Int64s]:
        """The values as an array, and the ids of their schemas; raises SchemasNeeded."""
        array = pa.array(values, pa.binary())
        ids = schema_ids(array.fill_null(b"") if array.null_count else array)
        needed = self.schemas.unknown(one for one in np.unique(ids).tolist() if one >= 0)
        if needed:
            raise SchemasNeeded(needed, int(np.isin(ids, needed).argmax()))
        return array, ids

    def _decoded(self, schema_id: int, rows: Int64s, values: pa.Array) -> tuple[Int64s, list[bytes], dict[int, str]]:
        """The rows that are good, their lines, and the faults of the others."""
        schema = self.schemas.get(schema_id)
        if schema.problem:
            return rows[:0], [], dict.fromkeys(rows.tolist(), schema.problem)
        if schema.columns is None:
            # a loop, because binary_slice of Arrow 26 fails at times
            lines = [value[HEADER_BYTES:] for value in values.to_pylist()]
            if schema.end:
                lines = [one.removesuffix(schema.end) + b"}" if one.endswith(schema.end) else one for one in lines]
            return rows, lines, {}
        found = schema.columns(values)
        faults = {int(rows[row]): f"the value, {schema.name}, {fault}" for row, fault in found.faults.items()}
        return rows[found.rows], lines_of(as_stored(found.table), self._known, has_raw=False), faults
