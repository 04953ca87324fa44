"""How the line of a format is put together: its fields as pieces, each with the constant text around it.

A `Format` goes in, its pieces come out, from the brace that opens the record to the newline.
"""

from dataclasses import dataclass, field
from typing import Literal

from loadgen.drawn import Drawn
from loadgen.formats import OF_TRACK, Field, Format, Source

PieceKind = Literal["event", "table", "track", "drawn"]
_OF_EVENT = {
    Source.TIME_MS,
    Source.TIME_ISO,
    Source.USER_ID,
    Source.SESSION_ID,
    Source.ITEM,
    Source.USER_NAME,
}
_IN_QUOTES = {Source.TIME_ISO, Source.USER_NAME}
"""Texts that need no escaping: their quotes are part of the constant text around them."""


@dataclass(slots=True)
class Piece:
    """Fields side by side whose text is made in the same way.

    Attributes:
        kind: how their text is made: "event", one field, made for each event; "table", gathered from texts made once;
            "track", gathered from the texts of the tracks (encode/tracks.py); "drawn", one field, gathered from the
            texts of its values (encode/drawn.py).
        before, after: constant text around them.
        fields: the fields, each with its key as it stands in the line. A piece of the kind "event" has one, whose key
            is part of `before` unless only some pages have it.
    """

    kind: PieceKind
    before: str
    fields: list[tuple[str, Field]] = field(default_factory=list)
    after: str = ""

    def takes(self, kind: PieceKind, other: Field) -> bool:
        """Whether a field of this kind, coming next, belongs to the same piece."""
        if kind in ("event", "drawn") or kind != self.kind:
            return False
        return kind == "table" or other.pages == self.fields[-1][1].pages


def layout_of(wire_format: Format) -> list[Piece]:
    """The pieces of a line of this format."""
    pieces: list[Piece] = []
    pending = ""
    for at, one in enumerate(wire_format.fields):
        key = f'{"," if at else "{"}"{one.name}":'
        kind = _kind_of(one)
        if kind == "event" and one.pages is None:
            quote = '"' if one.source in _IN_QUOTES else ""
            _put(pieces, Piece("event", pending + key + quote, [(key, one)]))
            pending = quote
        elif pieces and not pending and pieces[-1].takes(kind, one):
            pieces[-1].fields.append((key, one))
        else:
            _put(pieces, Piece(kind, pending, [(key, one)]))
            pending = ""
    pieces[-1].after = pending + "}\n"
    return pieces


def _kind_of(one: Field) -> PieceKind:
    if isinstance(one.source, Drawn):
        return "drawn"
    return "event" if one.source in _OF_EVENT else "track" if one.source in OF_TRACK else "table"


def _put(pieces: list[Piece], piece: Piece) -> None:
    """Add a piece; the text in front of it becomes part of a table before it, where it costs nothing."""
    if pieces and pieces[-1].kind == "table":
        pieces[-1].after, piece.before = piece.before, ""
    pieces.append(piece)


def track_pieces(wire_format: Format) -> list[Piece]:
    """The pieces whose text is kept with the catalogue: a genre alone is not, as genres are few."""
    return [
        piece
        for piece in layout_of(wire_format)
        if piece.kind == "track" and [one.source for _, one in piece.fields] != [Source.GENRE]
    ]
