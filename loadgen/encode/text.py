"""JSON text of whole columns: strings, decimals and times, byte for byte as orjson writes them.

Columns of pyarrow or NumPy go in, pyarrow binary arrays come out.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from loadgen.binary import Run, gathered, join, literal
from loadgen.drawn import Drawn
from loadgen.encode.own import OwnField, OwnSchema
from loadgen.event import Int64s
from loadgen.formats import Field, Source
from loadgen.json_text import strings

MS_PER_SECOND = 1000
SECONDS_PER_DAY = 86_400
ISO_BYTES = 32
"""Of a time as ISO 8601."""


def integers(values: npt.NDArray[np.integer[Any]]) -> pa.BinaryArray:
    """Decimal digits of integers."""
    return pa.array(values).cast(pa.string()).cast(pa.binary())


def dumped(values: list[Any]) -> pa.BinaryArray:
    """orjson's text of each of a few values."""
    return pa.array([orjson.dumps(value) for value in values], pa.binary())


def seconds(values_ms: npt.NDArray[np.integer[Any]]) -> pa.BinaryArray:
    """The shortest decimal of milliseconds in seconds: 215300 is 215.3, 200000 is 200.0."""
    whole, thousandths = np.divmod(values_ms, MS_PER_SECOND)
    fractions = pa.array([orjson.dumps(ms / MS_PER_SECOND)[1:] for ms in range(MS_PER_SECOND)])  # .0 .001 .002 …
    return join(integers(whole), fractions.take(pa.array(thousandths)))


def encoded(values: pa.Array) -> pa.BinaryArray:
    """The JSON of each value: of integers, strings, and lengths in seconds, which are whole milliseconds."""
    if pa.types.is_string(values.type):
        return strings(values)
    if pa.types.is_floating(values.type):
        return seconds(np.rint(values.to_numpy() * MS_PER_SECOND).astype(np.int64))
    return integers(values.to_numpy())


@dataclass(frozen=True)
class Json:
    """Records as JSON objects.

    Attributes:
        opening, closing: around each record; a line ends in a newline.
    """

    opening: bytes = b""
    closing: bytes = b"}\n"
    own: OwnSchema | None = None

    def before(self, at: int) -> bytes:
        """Nothing: the order of fields does not matter."""
        return b""

    def packs(self, field: Field) -> bool:
        """JSON packs nothing."""
        return False

    def runs(self, key: bytes, field: Field, values: pa.Array) -> list[Run]:
        """JSON packs nothing."""
        raise NotImplementedError

    def key(self, at: int, field: Field) -> bytes:
        """The name of the field, with the comma or brace in front of it."""
        return f'{"," if at else "{"}"{field.name}":'.encode()

    def around(self, key: bytes, field: Field) -> tuple[bytes, bytes]:
        """Key and quotes."""
        if field.source is Source.TIME_ISO:
            return b"", b'"'
        quote = b'"' if field.source is Source.USER_NAME else b""
        return key + quote, quote

    def pieces(self, key: bytes, field: Field, values: pa.Array) -> list[pa.BinaryArray]:
        """The JSON of the values; user names need no escapes."""
        if isinstance(field.source, Drawn):
            return [dumped(values.to_pylist())]
        if field.source is Source.TIME_ISO:
            return [iso_times().texts(values.to_numpy(), key + b'"')]
        return [values.cast(pa.binary()) if field.source is Source.USER_NAME else encoded(values)]

    def null(self, key: bytes, field: Field) -> bytes:
        """Its key, and null."""
        return field.null if isinstance(field, OwnField) else key + b"null"

    def absent(self, field: Field) -> bytes:
        """Nothing; in a user's own schema it may be null, or the default."""
        return field.absent if isinstance(field, OwnField) else b""


JSON_LINES = Json()


@cache
def iso_times() -> "IsoTimes":
    """The one of this process."""
    return IsoTimes()


class IsoTimes:
    """ISO 8601 with microseconds and offset, in UTC: 2025-07-03T14:30:15.123000+00:00."""

    def __init__(self) -> None:
        clock = np.arange(SECONDS_PER_DAY)
        self._clock = pa.array([f"T{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}.".encode() for s in clock.tolist()])
        self._fraction = pa.array([f"{ms:03}000+00:00".encode() for ms in range(MS_PER_SECOND)])

    def texts(self, ts_ms: Int64s, before: bytes) -> pa.BinaryArray:
        """Each time, behind constant bytes; neighbours with the same seconds share the text of these."""
        seconds_since, ms = np.divmod(ts_ms, MS_PER_SECOND)
        is_first = np.ones(len(ts_ms), np.bool_)
        np.not_equal(seconds_since[1:], seconds_since[:-1], out=is_first[1:])
        moments = join(literal(before), *self._moments(seconds_since[is_first]))
        return gathered(pa.concat_arrays([self._fraction, moments]), [np.cumsum(is_first) + (MS_PER_SECOND - 1), ms])

    def _moments(self, seconds_since: Int64s) -> tuple[pa.BinaryArray, pa.BinaryArray]:
        day, second = np.divmod(seconds_since, SECONDS_PER_DAY)
        first_day, day_row = np.unique(day, return_inverse=True)
        dates = pa.array(first_day.astype("datetime64[D]").astype(str).astype(bytes).tolist(), pa.binary())
        return dates.take(pa.array(day_row)), self._clock.take(pa.array(second))
