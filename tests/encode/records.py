"""Batches with extreme values, and the records of their events."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import orjson
from hypothesis import strategies as st

from loadgen.drawn import Drawn
from loadgen.encode.encoding import Encoding
from loadgen.encode.lines import Encoder
from loadgen.encode.text import JSON_LINES
from loadgen.encode.tracks import make_track_parts
from loadgen.event import EventBatch, Listeners, Page, UInt64s
from loadgen.formats import ACTIVITY, FULL, LISTEN, Field, Format, Source
from tests.encode.world import LABELS, TinyCatalog, some_events, some_listeners, user_names

WORDS = replace(LABELS, devices=("", "Car"), locations=("", "São Paulo, BR"))
"""With empty texts, which proto3 leaves out."""
ODD = Format(
    "odd-shapes_2",
    (
        Field("page", Source.PAGE),
        Field("genre", Source.GENRE, (Page.NEXT_SONG, Page.HOME)),
        Field("someone", Source.USER_NAME, (Page.HOME, Page.SEARCH)),
        Field("itemInSession", Source.ITEM),
        Field("again", Source.ITEM, (Page.LOGOUT,)),
        Field("userId", Source.USER_ID),
        Field("length", Source.LENGTH),
        Field("device", Source.DEVICE),
        Field("ts", Source.TIME_MS),
        Field("sessionId", Source.SESSION_ID),
        Field("place", Source.LOCATION, (Page.NEXT_SONG,)),
        Field("title", Source.TITLE, (Page.THUMBS_UP, Page.NEXT_SONG)),
        Field("plan", Drawn.choice(["", 'the "best"', "무료"])),
        Field("balance", Drawn.choice([0, -1, 1 << 40, -(1 << 62)])),
        Field("score", Drawn.choice([0.0, -2.5, 1e-7, 1e300])),
        Field("bid", Drawn.choice([0.0, 0.25]), (Page.HOME,)),
        Field("coupon", Drawn.choice(["", "x"]), (Page.NEXT_SONG,)),
        Field("late", Drawn.choice([0, 7]), (Page.SEARCH, Page.HOME)),
    ),
)
"""Optional fields of all kinds, event's and table's at either end."""
FORMATS = (ACTIVITY, LISTEN, FULL, ODD)
INT64 = st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from([1 << at for at in range(63)]) | st.just(0)
TIMES = st.integers(0, 253_402_300_799_999) | st.just(0)


@st.composite
def batches(draw: st.DrawFn) -> tuple[EventBatch, Listeners]:
    """Events whose ids and times take any value."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(0, 40))
    listeners = some_listeners(20, rng)
    batch = some_events(n, listeners, rng)
    batch.session_id[:] = draw(st.lists(INT64, min_size=n, max_size=n))
    batch.item[:] = draw(st.lists(st.integers(0, 2**31 - 1), min_size=n, max_size=n))
    batch.ts_ms[:] = draw(st.lists(TIMES, min_size=n, max_size=n))
    if draw(st.booleans()):
        listeners.user_id[0] = 0
        batch.user_id[:] = listeners.user_id[batch.row]
    return batch, listeners


def encoded(
    wire_format: Format, encoding: Encoding, batch: EventBatch, listeners: Listeners
) -> tuple[list[bytes], UInt64s]:
    """The records of a batch, and their hashes."""
    parts = make_track_parts(TinyCatalog(), wire_format, encoding)
    encoder = Encoder(wire_format, parts, WORDS, listeners, user_names, encoding=encoding)
    records, hashes = encoder.encode(batch)
    records.validate(full=True)
    return records.to_pylist(), hashes


def records_of(wire_format: Format, batch: EventBatch, listeners: Listeners) -> list[dict[str, Any]]:
    """The record of each event: what its line of JSON says, with `timestamp` as a datetime."""
    lines, _ = encoded(wire_format, JSON_LINES, batch, listeners)
    records: list[dict[str, Any]] = list(map(orjson.loads, lines))
    for record in records:
        if "timestamp" in record:
            record["timestamp"] = datetime.fromisoformat(record["timestamp"])
    return records
