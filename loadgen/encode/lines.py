"""A batch of events to lines of JSON and their hashes: static pieces gathered, numbers cast, all joined at once.

An `EventBatch` goes in; a binary array with one line per event (ending in a newline) and a uint64 hash per event come
out. Each line equals orjson.dumps of the same record; fields and their order are those of the `Format`.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadgen.drawn import Drawn
from loadgen.encode import text
from loadgen.encode.drawn import DrawnValues, drawn_values
from loadgen.encode.layout import Piece, layout_of, track_pieces
from loadgen.encode.tracks import ABSENT, NULL, TrackParts
from loadgen.encode.values import (
    Axis,
    Codes,
    axis_values,
    kinds_among,
    kinds_of,
    listener_codes,
    pages_with,
    terms_of,
)
from loadgen.event import EventBatch, Int64s, Labels, Listeners, Pages, UInt8s, UInt64s
from loadgen.fingerprint import NO_KEY, hash_integers, hash_null, hash_texts, mix
from loadgen.formats import Field, Format, Source

MAX_TABLE = 1 << 15
"""The texts of neighbouring fields are kept as one table up to this number of combinations."""
_COLUMNS: dict[Source | Drawn, str] = {
    Source.TIME_MS: "ts_ms",
    Source.TIME_ISO: "ts_ms",
    Source.SESSION_ID: "session_id",
    Source.ITEM: "item",
}
UserNames = Callable[[Int64s], pa.Array]
Texts: TypeAlias = pa.Array | pa.Scalar


class _Events:
    """A batch, with what several pieces look up by."""

    def __init__(self, batch: EventBatch, n_tracks: int, pages: Pages) -> None:
        self.batch, self._pages = batch, pages
        self._n_tracks = n_tracks
        self._kinds: UInt8s | None = None
        self._track_rows: dict[bytes, npt.NDArray[np.int32]] = {}
        self._drawn: dict[DrawnValues, Codes] = {}

    @property
    def kinds(self) -> UInt8s:
        """Position in `kinds_among` of each event."""
        if self._kinds is None:
            self._kinds = kinds_of(self.batch, self._pages)
        return self._kinds

    def drawn(self, values: DrawnValues) -> Codes:
        """Which of these values each event has."""
        if values not in self._drawn:
            self._drawn[values] = values.codes(self.batch)
        return self._drawn[values]

    def track_rows(self, pages: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
        """The row in TrackParts of each event, for fields that these pages have."""
        key = pages.tobytes()
        if key not in self._track_rows:
            self._track_rows[key] = self._find_track_rows(pages)
        return self._track_rows[key]

    def _find_track_rows(self, pages: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
        n_rows, track = self._n_tracks + 2, self.batch.track
        if pages.all():
            return np.where(track >= 0, track, np.int32(n_rows + NULL))
        without = np.where(pages, np.int32(n_rows + NULL), np.int32(n_rows + ABSENT))[self.batch.page]
        return np.where((track >= 0) & pages[self.batch.page], track, without)


Make = Callable[[_Events], list[Texts]]
Terms = Callable[[_Events], UInt64s]


class Encoder:
    """Encodes the batches of one shard."""

    def __init__(
        self,
        wire_format: Format,
        tracks: TrackParts,
        labels: Labels,
        listeners: Listeners,
        user_names: UserNames,
        key: np.uint64 = NO_KEY,
    ) -> None:
        """Make the tables to gather from.

        Args:
            wire_format: what the lines look like.
            tracks: the parts of this format.
            labels: the words behind the codes.
            listeners: the shard's listeners; a batch's `row` points into them.
            user_names: gives the user names of user ids.
            key: of the hashes, see fingerprint.run_key.
        """
        self._tracks, self._labels, self._listeners, self._key = tracks, labels, listeners, key
        self._user_names, self._iso_times = user_names, text.IsoTimes()
        self._page_of_kind = np.array([page for page, _, _ in kinds_among(labels.pages)])
        self._values, self._codes = axis_values(labels), listener_codes(listeners)
        self._drawn = drawn_values(wire_format, listeners, labels.pages)
        layout = layout_of(wire_format)
        self._pieces = [make for piece in layout for make in self._makers(piece, track_pieces(wire_format))]
        self._terms = list(self._makers_of_terms(wire_format))

    def encode(self, batch: EventBatch) -> tuple[pa.BinaryArray, UInt64s]:
        """The lines of the events, each ending in a newline, and their hashes."""
        events = _Events(batch, len(self._tracks.genre) - 2, self._labels.pages)
        lines = text.join(*(texts for make in self._pieces for texts in make(events)))
        total = np.zeros(len(batch), np.uint64)
        for terms in self._terms:
            total += terms(events)
        return lines, mix(total)

    def _makers(self, piece: Piece, of_tracks: list[Piece]) -> Iterator[Make]:
        if piece.kind == "table":
            yield from self._tables(piece)
            return
        if piece.kind == "drawn":
            yield self._of_drawn(piece)
            return
        before, after = text.literal(piece.before), text.literal(piece.after)
        if piece.kind == "track":
            pages = self._pages_with(piece.fields[0][1])
            if piece in of_tracks:
                texts = self._tracks.pieces[of_tracks.index(piece)]
                yield lambda events: [texts.take(pa.array(events.track_rows(pages)))]
            else:
                genres = text.join(before, self._genre_texts(piece.fields[0][0]))
                yield lambda events: [genres.take(pa.array(self._tracks.genre[events.track_rows(pages)]))]
        else:
            if piece.before:
                yield lambda _: [before]
            yield self._of_event(*piece.fields[0])
        if piece.after:
            yield lambda _: [after]

    def _pages_with(self, field: Field) -> npt.NDArray[np.bool_]:
        return pages_with(field, self._labels.pages)

    def _of_drawn(self, piece: Piece) -> Make:
        """The texts of drawn values with all that is around them; the last is that of the pages without the field."""
        key, field = piece.fields[0]
        values = self._drawn[field.name]
        before, after = text.literal(piece.before), text.literal(piece.after)
        texts = text.join(before, text.literal(key), text.dumped(values.values.to_pylist()), after)
        texts = pa.concat_arrays([texts, pa.array([(piece.before + piece.after).encode()], pa.binary())])
        return lambda events: [texts.take(pa.array(events.drawn(values)))]

    def _genre_texts(self, key: str) -> pa.BinaryArray:
        values = [*text.strings(pa.array(self._labels.genres)).to_pylist(), b"null"]
        return pa.array([*(key.encode() + value for value in values), b""])

    def _of_event(self, key: str, field: Field) -> Make:
        """The text of a field that is made for each event; with its key where only some pages have it."""
        makers: dict[Source | Drawn, Make] = {
            Source.TIME_MS: lambda events: [text.integers(events.batch.ts_ms)],
            Source.TIME_ISO: lambda events: list(self._iso_times.pieces(events.batch.ts_ms)),
            Source.USER_ID: lambda events: [text.integers(events.batch.user_id)],
            Source.SESSION_ID: lambda events: [text.integers(events.batch.session_id)],
            Source.ITEM: lambda events: [text.integers(events.batch.item)],
            Source.USER_NAME: lambda events: [self._user_names(events.batch.user_id).cast(pa.binary())],
        }
        make = makers[field.source]
        if field.pages is None:
            return make
        pages, quote = self._pages_with(field), text.literal('"' if field.type == "text" else "")

        def some(events: _Events) -> list[Texts]:
            texts = text.join(text.literal(key), quote, *make(events), quote)
            return [pa.compute.if_else(pa.array(pages[events.batch.page]), texts, text.literal(""))]

        return some

    def _tables(self, piece: Piece) -> Iterator[Make]:
        """Tables of the texts of neighbouring fields, as few as MAX_TABLE allows."""
        groups: list[list[tuple[str, Field]]] = []
        for one in piece.fields:
            if groups and self._size([*groups[-1], one]) <= MAX_TABLE:
                groups[-1].append(one)
            else:
                groups.append([one])
        for at, group in enumerate(groups):
            before = piece.before if at == 0 else ""
            yield self._table(before, group, piece.after if at == len(groups) - 1 else "")

    def _axes(self, fields: list[tuple[str, Field]]) -> dict[Axis, int]:
        """The axes on which these fields depend, each with its length; the kind of event, where it is one, is last."""
        axes = {axis: len(values) for axis, values in (self._values[field.source] for _, field in fields)}
        if any(field.pages is not None for _, field in fields):
            axes[Axis.KIND] = len(self._page_of_kind)
        return dict(sorted(axes.items(), key=lambda item: item[0] is Axis.KIND))

    def _size(self, fields: list[tuple[str, Field]]) -> int:
        return int(np.prod(list(self._axes(fields).values())))

    def _table(self, before: str, fields: list[tuple[str, Field]], after: str) -> Make:
        axes = self._axes(fields)
        places = dict(zip(axes, np.indices(tuple(axes.values())).reshape(len(axes), -1), strict=True))
        texts: list[Texts] = [text.literal(before)]
        for key, field in fields:
            axis, values = self._values[field.source]
            part = text.join(text.literal(key), text.encoded(values)).take(pa.array(places[axis]))
            if field.pages is not None:
                has_field = self._pages_with(field)[self._page_of_kind][places[Axis.KIND]]
                part = pa.compute.if_else(pa.array(has_field), part, text.literal(""))
            texts.append(part)
        table = text.join(*texts, text.literal(after))
        code = self._code_of_listener(axes)
        if code is None:
            return lambda events: [table.take(pa.array(events.kinds))]
        if Axis.KIND not in axes:
            return lambda events: [table.take(pa.array(code[events.batch.row]))]
        code *= np.int32(len(self._page_of_kind))
        return lambda events: [table.take(pa.array(code[events.batch.row] + events.kinds))]

    def _code_of_listener(self, axes: dict[Axis, int]) -> Codes | None:
        """Of each listener, the position in a table of these axes without the kind of event; None: it has no other."""
        code = None
        for axis in [axis for axis in axes if axis is not Axis.KIND]:
            place = self._codes[axis].astype(np.int32)
            code = place if code is None else code * np.int32(axes[axis]) + place
        return code

    def _makers_of_terms(self, wire_format: Format) -> Iterator[Terms]:
        """What the hash of an event is the sum of."""
        of_listener, of_kind = np.zeros(len(self._listeners), np.uint64), np.zeros(len(self._page_of_kind), np.uint64)
        for field in wire_format.fields:
            if isinstance(field.source, Drawn):
                yield self._terms_of_drawn(field)
            elif field.source in self._values and self._values[field.source][0] is Axis.KIND:
                terms = terms_of(field, self._values[field.source][1], self._key)
                of_kind += np.where(self._pages_with(field)[self._page_of_kind], terms, np.uint64(0))
            elif field.pages is None:
                of_listener += self._terms_of_listeners(field)
            elif (terms := self._terms_of_listeners(field)).any():
                yield _where(self._pages_with(field), _of_rows(terms))
        yield _of_rows(of_listener)
        if of_kind.any():
            yield lambda events: of_kind[events.kinds]
        yield from self._terms_of_tracks(wire_format)
        yield from self._terms_of_events(wire_format)

    def _terms_of_drawn(self, field: Field) -> Terms:
        values = self._drawn[field.name]
        terms = np.append(terms_of(field, values.values, self._key), np.uint64(0))
        return lambda events: terms[events.drawn(values)]

    def _terms_of_listeners(self, field: Field) -> UInt64s:
        """The terms of a field that depends on the listener alone; zeros for another one."""
        if field.source in self._values:
            axis, values = self._values[field.source]
            return terms_of(field, values, self._key)[self._codes[axis]]
        if field.source is Source.USER_ID:
            return hash_integers(field.name, self._listeners.user_id, self._key)
        if field.source is Source.USER_NAME:
            return hash_texts(field.name, self._user_names(self._listeners.user_id))
        return np.zeros(len(self._listeners), np.uint64)

    def _terms_of_tracks(self, wire_format: Format) -> Iterator[Terms]:
        of_tracks = track_pieces(wire_format)
        for piece, hashes in zip(of_tracks, self._tracks.hashes, strict=True):
            yield self._gathered(hashes, piece.fields[0][1])
        in_pieces = {field.name for piece in of_tracks for _, field in piece.fields}
        for field in wire_format.fields:
            if field.source is Source.GENRE and field.name not in in_pieces:
                terms = terms_of(field, pa.array(self._labels.genres))
                by_genre = np.append(terms, [hash_null(field.name), np.uint64(0)])
                yield self._gathered(by_genre, field, self._tracks.genre)

    def _gathered(self, terms: UInt64s, field: Field, codes: Codes | None = None) -> Terms:
        """The terms of each event's track; codes: where in `terms` those of a track are."""
        pages = self._pages_with(field)
        if codes is None:
            return lambda events: terms[events.track_rows(pages)]
        return lambda events: terms[codes[events.track_rows(pages)]]

    def _terms_of_events(self, wire_format: Format) -> Iterator[Terms]:
        for field in wire_format.fields:
            if field.source in _COLUMNS:
                terms = self._integers(field.name, _COLUMNS[field.source])
                yield terms if field.pages is None else _where(self._pages_with(field), terms)

    def _integers(self, name: str, column: str) -> Terms:
        return lambda events: hash_integers(name, getattr(events.batch, column), self._key)


def _of_rows(terms: UInt64s) -> Terms:
    return lambda events: terms[events.batch.row]


def _where(pages: npt.NDArray[np.bool_], terms: Terms) -> Terms:
    """These terms for the events of these pages, zero for all others."""
    return lambda events: np.where(pages[events.batch.page], terms(events), np.uint64(0))
