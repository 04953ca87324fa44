"""How the record of a format is put together: its fields as pieces, each with the constant bytes around it.

A `Format` and an `Encoding` go in, the pieces of the record come out, from its first byte to its last.
"""

from dataclasses import dataclass, field
from typing import Literal

from loadgen.drawn import Drawn
from loadgen.encode.encoding import Encoding
from loadgen.formats import OF_TRACK, Field, Format, Source

PieceKind = Literal["event", "numbers", "table", "track", "drawn"]
_OF_EVENT = {
    Source.TIME_MS,
    Source.TIME_ISO,
    Source.USER_ID,
    Source.SESSION_ID,
    Source.ITEM,
    Source.USER_NAME,
}


@dataclass(slots=True)
class Piece:
    """Fields side by side whose bytes are made in the same way.

    Attributes:
        kind: how they are made: "event", one field, made for each event; "numbers", made for each event and packed;
            "table", gathered from values encoded once; "track", gathered from the encoded tracks (encode/tracks.py);
            "drawn", one field, gathered from its encoded values (encode/drawn.py).
        before, after: constant bytes around them.
        fields: the fields, each with its key. A piece of the kind "event" has one; what its encoding puts around the
            value is part of `before`, and of what comes after the piece, unless only some pages have the field.
    """

    kind: PieceKind
    before: bytes
    fields: list[tuple[bytes, Field]] = field(default_factory=list)
    after: bytes = b""

    def takes(self, kind: PieceKind, other: Field) -> bool:
        """Whether a field of this kind, coming next, belongs to the same piece."""
        if kind in ("event", "drawn") or kind != self.kind:
            return False
        return kind != "track" or other.pages == self.fields[-1][1].pages


def layout_of(wire_format: Format, encoding: Encoding) -> list[Piece]:
    """The pieces of a record of this format in this encoding."""
    pieces: list[Piece] = []
    pending = encoding.opening
    for at, one in enumerate(wire_format.fields):
        pending += encoding.before(at)
        key = encoding.key(at, one)
        kind = _kind_of(one, encoding)
        if kind == "event" and one.pages is None:
            before, after = encoding.around(key, one)
            _put(pieces, Piece("event", pending + before, [(key, one)]))
            pending = after
        elif pieces and not pending and pieces[-1].takes(kind, one):
            pieces[-1].fields.append((key, one))
        else:
            _put(pieces, Piece(kind, pending, [(key, one)]))
            pending = b""
    pieces[-1].after = pending + encoding.closing
    return pieces


def _kind_of(one: Field, encoding: Encoding) -> PieceKind:
    if isinstance(one.source, Drawn):
        return "drawn"
    if one.source in _OF_EVENT:
        return "numbers" if one.pages is None and encoding.packs(one) else "event"
    return "track" if one.source in OF_TRACK else "table"


def _put(pieces: list[Piece], piece: Piece) -> None:
    """Add a piece; the bytes in front of it become part of a table before it, where it costs nothing."""
    if pieces and pieces[-1].kind == "table":
        pieces[-1].after, piece.before = piece.before, b""
    pieces.append(piece)


def track_pieces(wire_format: Format, encoding: Encoding) -> list[Piece]:
    """The pieces whose bytes are kept with the catalogue: a genre alone is not, as genres are few."""
    return [
        piece
        for piece in layout_of(wire_format, encoding)
        if piece.kind == "track" and [one.source for _, one in piece.fields] != [Source.GENRE]
    ]
