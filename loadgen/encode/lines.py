"""A batch of events to records and their hashes: static pieces gathered, numbers encoded, all joined at once.

An `EventBatch` goes in; a binary array with one record per event and a uint64 hash per event come out. Fields and their
order are those of the `Format`, their bytes those of the `Encoding`: a line of JSON equals orjson.dumps of the record.
The hash is of the values, and the same in every encoding.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadgen.binary import Run, Texts, gathered, join, literal, packed
from loadgen.drawn import Drawn
from loadgen.encode import text
from loadgen.encode.drawn import DrawnValues, drawn_values
from loadgen.encode.encoding import Encoding, encoded
from loadgen.encode.layout import Piece, layout_of, track_pieces
from loadgen.encode.own import OwnField
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
from loadgen.fingerprint import NO_KEY, hash_null, hash_texts, mix
from loadgen.formats import OF_TRACK, Field, Format, Source

MAX_TABLE = 1 << 15
"""The texts of neighbouring fields are kept as one table up to this number of combinations."""
_COLUMNS: dict[Source | Drawn, str] = {
    Source.TIME_MS: "ts_ms",
    Source.TIME_ISO: "ts_ms",
    Source.SESSION_ID: "session_id",
    Source.ITEM: "item",
}
UserNames = Callable[[Int64s], pa.Array]


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
        encoding: Encoding = text.JSON_LINES,
    ) -> None:
        """Make the tables to gather from.

        Args:
            wire_format: which fields the records have.
            tracks: the parts of this format and encoding.
            labels: the words behind the codes.
            listeners: the shard's listeners; a batch's `row` points into them.
            user_names: gives the user names of user ids.
            key: of the hashes, see fingerprint.run_key.
            encoding: how values become bytes.
        """
        self._tracks, self._labels, self._listeners, self._key = tracks, labels, listeners, key
        self._user_names, self._encoding = user_names, encoding
        self._page_of_kind = np.array([page for page, _, _ in kinds_among(labels.pages)])
        self._values, self._codes = axis_values(labels), listener_codes(listeners)
        self._drawn = drawn_values(wire_format, listeners, labels.pages)
        layout, of_tracks = layout_of(wire_format, encoding), track_pieces(wire_format, encoding)
        self._pieces = [make for piece in layout for make in self._makers(piece, of_tracks)]
        self._terms = list(self._makers_of_terms(wire_format, of_tracks))

    def encode(self, batch: EventBatch) -> tuple[pa.BinaryArray, UInt64s]:
        """The records of the events, and their hashes."""
        events = self._events(batch)
        return self._records(events), self._hashes(events)

    def records(self, batch: EventBatch) -> pa.BinaryArray:
        """The records of the events alone."""
        return self._records(self._events(batch))

    def _events(self, batch: EventBatch) -> _Events:
        return _Events(batch, len(self._tracks.genre) - 2, self._labels.pages)

    def _records(self, events: _Events) -> pa.BinaryArray:
        return join(*(texts for make in self._pieces for texts in make(events)))

    def _hashes(self, events: _Events) -> UInt64s:
        total = np.zeros(len(events.batch), np.uint64)
        for terms in self._terms:
            total += terms(events)
        return mix(total)

    def _makers(self, piece: Piece, of_tracks: list[Piece]) -> Iterator[Make]:
        if piece.kind == "table":
            yield self._tables(piece)
            return
        if piece.kind == "drawn":
            yield self._of_drawn(piece)
            return
        before, after = literal(piece.before), literal(piece.after)
        if piece.kind == "track":
            pages = self._pages_with(piece.fields[0][1])
            if piece in of_tracks:
                texts = self._tracks.pieces[of_tracks.index(piece)]
                yield lambda events: [texts.take(pa.array(events.track_rows(pages)))]
            else:
                genres = join(before, self._genre_texts(*piece.fields[0]))
                yield lambda events: [genres.take(pa.array(self._tracks.genre[events.track_rows(pages)]))]
        else:
            if piece.before:
                yield lambda _: [before]
            yield self._of_event(*piece.fields[0]) if piece.kind == "event" else self._numbers(piece.fields)
        if piece.after:
            yield lambda _: [after]

    def _pages_with(self, field: Field) -> npt.NDArray[np.bool_]:
        return pages_with(field, self._labels.pages)

    def _of_drawn(self, piece: Piece) -> Make:
        """The texts of drawn values with all that is around them; the last is that of the pages without the field."""
        key, field = piece.fields[0]
        values = self._drawn[field.name]
        before, after = literal(piece.before), literal(piece.after)
        texts = join(before, encoded(self._encoding, key, field, values.values), after)
        absent = piece.before + self._encoding.absent(field) + piece.after
        texts = pa.concat_arrays([texts, pa.array([absent], pa.binary())])
        return lambda events: [texts.take(pa.array(events.drawn(values)))]

    def _genre_texts(self, key: bytes, field: Field) -> pa.BinaryArray:
        genres = encoded(self._encoding, key, field, pa.array(self._labels.genres, pa.string()))
        others = [self._encoding.null(key, field), self._encoding.absent(field)]
        return pa.concat_arrays([genres, pa.array(others, pa.binary())])

    def _of_event(self, key: bytes, field: Field) -> Make:
        """The bytes of a field that are made for each event; with all around them where only some pages have it."""
        encoding = self._encoding
        if field.source is Source.USER_NAME:
            make = self._names(key, field)
        else:
            column = _column_of(field)
            make = lambda events: encoding.pieces(key, field, column(events.batch))  # noqa: E731
        if field.pages is None:
            return make
        before, after = map(literal, encoding.around(key, field))
        pages, absent = self._pages_with(field), literal(encoding.absent(field))

        def some(events: _Events) -> list[Texts]:
            texts = join(before, *make(events), after)
            return [pa.compute.if_else(pa.array(pages[events.batch.page]), texts, absent)]

        return some

    def _names(self, key: bytes, field: Field) -> Make:
        names = join(*self._encoding.pieces(key, field, self._user_names(self._listeners.user_id)))
        return lambda events: [names.take(pa.array(events.batch.row))]

    def _numbers(self, fields: list[tuple[bytes, Field]]) -> Make:
        parts = [self._runs(key, field) for key, field in fields]
        return lambda events: [packed([run for runs in parts for run in runs(events)])]

    def _runs(self, key: bytes, field: Field) -> Callable[[_Events], list[Run]]:
        """The bytes of a number: of user ids, those of each listener are gathered."""
        if field.source is Source.USER_ID:
            of_listeners = self._encoding.runs(key, field, pa.array(self._listeners.user_id))
            return lambda events: [(words[events.batch.row], sizes[events.batch.row]) for words, sizes in of_listeners]
        column = _column_of(field)
        return lambda events: self._encoding.runs(key, field, column(events.batch))

    def _tables(self, piece: Piece) -> Make:
        """Texts of neighbouring fields, gathered from as few tables as MAX_TABLE allows."""
        groups: list[list[tuple[bytes, Field]]] = []
        for one in piece.fields:
            if groups and self._size([*groups[-1], one]) <= MAX_TABLE:
                groups[-1].append(one)
            else:
                groups.append([one])
        tables = [self._table(group) for group in groups]
        tables[0] = (join(literal(piece.before), tables[0][0]), tables[0][1])
        tables[-1] = (join(tables[-1][0], literal(piece.after)), tables[-1][1])
        if len(tables) == 1:
            [(texts, places)] = tables
            return lambda events: [texts.take(pa.array(places(events)))]
        starts = np.cumsum([0, *(len(texts) for texts, _ in tables[:-1])], dtype=np.int32)
        texts, all_places = pa.concat_arrays([texts for texts, _ in tables]), [places for _, places in tables]
        return lambda events: [gathered(texts, [f(events) + s for f, s in zip(all_places, starts, strict=True)])]

    def _axes(self, fields: list[tuple[bytes, Field]]) -> dict[Axis, int]:
        """The axes on which these fields depend, each with its length; the kind of event, where it is one, is last."""
        axes = {axis: len(values) for axis, values in (self._values[field.source] for _, field in fields)}
        if any(field.pages is not None for _, field in fields):
            axes[Axis.KIND] = len(self._page_of_kind)
        return dict(sorted(axes.items(), key=lambda item: item[0] is Axis.KIND))

    def _size(self, fields: list[tuple[bytes, Field]]) -> int:
        return int(np.prod(list(self._axes(fields).values())))

    def _table(self, fields: list[tuple[bytes, Field]]) -> tuple[pa.BinaryArray, Callable[[_Events], Codes]]:
        """The texts of these fields for every combination of their values, and which of them each event has."""
        axes = self._axes(fields)
        places = dict(zip(axes, np.indices(tuple(axes.values())).reshape(len(axes), -1), strict=True))
        texts: list[Texts] = []
        for key, field in fields:
            axis, values = self._values[field.source]
            part = encoded(self._encoding, key, field, values).take(pa.array(places[axis]))
            if field.pages is not None:
                has_field = self._pages_with(field)[self._page_of_kind][places[Axis.KIND]]
                part = pa.compute.if_else(pa.array(has_field), part, literal(self._encoding.absent(field)))
            texts.append(part)
        code = self._code_of_listener(axes)
        if code is None:
            return join(*texts), lambda events: events.kinds
        if Axis.KIND not in axes:
            return join(*texts), lambda events: code[events.batch.row]
        code *= np.int32(len(self._page_of_kind))
        return join(*texts), lambda events: code[events.batch.row] + events.kinds

    def _code_of_listener(self, axes: dict[Axis, int]) -> Codes | None:
        """Of each listener, the position in a table of these axes without the kind of event; None: it has no other."""
        code = None
        for axis in [axis for axis in axes if axis is not Axis.KIND]:
            place = self._codes[axis].astype(np.int32)
            code = place if code is None else code * np.int32(axes[axis]) + place
        return code

    def _makers_of_terms(self, wire_format: Format, of_tracks: list[Piece]) -> Iterator[Terms]:
        """What the hash of an event is the sum of."""
        of_listener, of_kind = np.zeros(len(self._listeners), np.uint64), np.zeros(len(self._page_of_kind), np.uint64)
        for field in wire_format.fields:
            if isinstance(field, OwnField) and field.fill is not None:
                yield self._terms_of_filled(field)
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
        yield from self._terms_of_tracks(wire_format, of_tracks)
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
            return terms_of(field, pa.array(self._listeners.user_id), self._key)
        if field.source is Source.USER_NAME:
            return hash_texts(field.name, self._user_names(self._listeners.user_id))
        return np.zeros(len(self._listeners), np.uint64)

    def _terms_of_tracks(self, wire_format: Format, of_tracks: list[Piece]) -> Iterator[Terms]:
        for piece, hashes in zip(of_tracks, self._tracks.hashes, strict=True):
            yield self._gathered(hashes, piece.fields[0][1])
        in_pieces = {field.name for piece in of_tracks for _, field in piece.fields}
        for field in wire_format.fields:
            if field.source is Source.GENRE and field.name not in in_pieces:
                terms = terms_of(field, pa.array(self._labels.genres))
                by_genre = np.append(terms, [hash_null(field.name) * np.uint64(field.is_nullable), np.uint64(0)])
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
                terms = self._of_column(field, _COLUMNS[field.source])
                yield terms if field.pages is None else _where(self._pages_with(field), terms)

    def _of_column(self, field: Field, column: str) -> Terms:
        return lambda events: terms_of(field, pa.array(getattr(events.batch, column)), self._key)

    def _terms_of_filled(self, field: OwnField) -> Terms:
        """What has to be added where a reader finds a value though the event has none."""
        pages = self._pages_with(field)
        fill = terms_of(field, pa.array([field.fill]), self._key)
        of_null, nothing = fill - hash_null(field.name) * np.uint64(field.is_nullable), np.uint64(0)

        def terms(events: _Events) -> UInt64s:
            is_null = events.batch.track < 0 if field.source in OF_TRACK else False
            return np.where(pages[events.batch.page], np.where(is_null, of_null, nothing), fill)

        return terms


def _column_of(field: Field) -> Callable[[EventBatch], pa.Array]:
    column = "user_id" if field.source is Source.USER_ID else _COLUMNS[field.source]
    return lambda batch: pa.array(getattr(batch, column))


def _of_rows(terms: UInt64s) -> Terms:
    return lambda events: terms[events.batch.row]


def _where(pages: npt.NDArray[np.bool_], terms: Terms) -> Terms:
    """These terms for the events of these pages, zero for all others."""
    return lambda events: np.where(pages[events.batch.page], terms(events), np.uint64(0))
