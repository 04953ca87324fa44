"""The values of fields that have few of them, and which of them each event has.

Such a value depends on one axis: the kind of event (page, level, and whether the track before was skipped), or an
attribute of the listener. Tables over axes are made once, for text, hashes and Arrow's columns alike.
"""

from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadgen.drawn import Drawn
from loadgen.encode.own import OwnField
from loadgen.event import (
    LEVELS,
    SKIP_ACTION,
    EventBatch,
    Labels,
    Listeners,
    Page,
    Pages,
    UInt8s,
    UInt64s,
)
from loadgen.fingerprint import NO_KEY, hash_floats, hash_integers, hash_texts
from loadgen.formats import TIMES, Field, Source

STATUS = 200
OLDEST = 128  # ages are 0..127
Codes = npt.NDArray[np.integer[Any]]


class Axis(StrEnum):
    """What a value depends on."""

    KIND = "kind"
    CITY = "city"
    AGE = "age"
    PLATFORM = "platform"
    DEVICE = "device"


def kinds_among(pages: Pages) -> list[tuple[int, str, bool]]:
    """Page, level and whether the track before was skipped: every kind of event, by `kinds_of`."""
    kinds = [(page, level, False) for page in range(len(pages)) for level in LEVELS]
    return kinds + [(Page.NEXT_SONG, level, True) for level in LEVELS]


def kinds_of(batch: EventBatch, pages: Pages) -> UInt8s:
    """Position in `kinds_among` of each event."""
    return np.where(batch.skipped, np.uint8(len(pages)), batch.page) * np.uint8(len(LEVELS)) + batch.level


def axis_values(labels: Labels) -> dict[Source | Drawn, tuple[Axis, pa.Array]]:
    """By source: its axis, and its value at each position of it."""
    pages, kinds = labels.pages, kinds_among(labels.pages)
    return {
        Source.PAGE: (Axis.KIND, pa.array([pages.names[page] for page, _, _ in kinds])),
        Source.METHOD: (Axis.KIND, pa.array([pages.methods[page] for page, _, _ in kinds])),
        Source.STATUS: (Axis.KIND, pa.array([STATUS] * len(kinds), pa.int64())),
        Source.LEVEL: (Axis.KIND, pa.array([level for _, level, _ in kinds])),
        Source.ACTION: (Axis.KIND, pa.array([SKIP_ACTION if skip else pages.actions[page] for page, _, skip in kinds])),
        Source.LOCATION: (Axis.CITY, pa.array(labels.locations, pa.string())),
        Source.COUNTRY: (Axis.CITY, pa.array(labels.countries, pa.string())),
        Source.AGE: (Axis.AGE, pa.array(np.arange(OLDEST))),
        Source.PLATFORM: (Axis.PLATFORM, pa.array(labels.platforms, pa.string())),
        Source.DEVICE: (Axis.DEVICE, pa.array(labels.devices, pa.string())),
    }


def listener_codes(listeners: Listeners) -> dict[Axis, Codes]:
    """Of each listener, the position on the axes that depend on it."""
    return {
        Axis.CITY: listeners.city,
        Axis.AGE: listeners.age,
        Axis.PLATFORM: listeners.platform,
        Axis.DEVICE: listeners.device,
    }


def pages_with(field: Field, pages: Pages) -> npt.NDArray[np.bool_]:
    """Of each page, whether its events have the field."""
    return np.array([field.is_on(page) for page in pages.like])


def terms_of(field: Field, values: pa.Array, key: np.uint64 = NO_KEY) -> UInt64s:
    """The terms of values of this field in the hash of an event; those of times are milliseconds, however written."""
    if field.type == "text" and field.source not in TIMES:
        return hash_texts(field.name, field.form.texts(values) if isinstance(field, OwnField) else values)
    numbers = values.to_numpy()
    if field.type == "float":
        return hash_floats(field.name, numbers.astype(np.float64, copy=False))
    return hash_integers(field.name, numbers, key if field.is_keyed else NO_KEY)
