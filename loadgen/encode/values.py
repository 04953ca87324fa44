"""The values of fields that have few of them, and which of them each event has.

Such a value depends on one axis: the kind of event (page, level, and whether the track before was skipped), or an
attribute of the listener. Tables over axes are made once, for text, hashes and Arrow's columns alike.
"""

from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from loadgen.event import (
    LEVELS,
    PAGE_ACTIONS,
    PAGE_METHODS,
    PAGE_NAMES,
    SKIP_ACTION,
    EventBatch,
    Labels,
    Listeners,
    Page,
    UInt8s,
    UInt64s,
)
from loadgen.fingerprint import NO_KEY, hash_floats, hash_integers, hash_texts
from loadgen.formats import Field, Source

STATUS = 200
OLDEST = 128  # ages are 0..127
N_PAGES = len(PAGE_NAMES)
Codes = npt.NDArray[np.integer[Any]]


class Axis(StrEnum):
    """What a value depends on."""

    KIND = "kind"
    CITY = "city"
    AGE = "age"
    PLATFORM = "platform"
    DEVICE = "device"


KINDS = [(page, level, False) for page in Page for level in LEVELS]
KINDS += [(Page.NEXT_SONG, level, True) for level in LEVELS]
"""Page, level and whether the track before was skipped, by `kinds_of`."""
PAGE_OF_KIND = np.array([page for page, _, _ in KINDS])


def kinds_of(batch: EventBatch) -> UInt8s:
    """Position in KINDS of each event."""
    return np.where(batch.skipped, np.uint8(N_PAGES), batch.page) * np.uint8(len(LEVELS)) + batch.level


def axis_values(labels: Labels) -> dict[Source, tuple[Axis, pa.Array]]:
    """By source: its axis, and its value at each position of it."""
    return {
        Source.PAGE: (Axis.KIND, pa.array([PAGE_NAMES[page] for page, _, _ in KINDS])),
        Source.METHOD: (Axis.KIND, pa.array([PAGE_METHODS[page] for page, _, _ in KINDS])),
        Source.STATUS: (Axis.KIND, pa.array([STATUS] * len(KINDS), pa.int64())),
        Source.LEVEL: (Axis.KIND, pa.array([level for _, level, _ in KINDS])),
        Source.ACTION: (Axis.KIND, pa.array([SKIP_ACTION if skip else PAGE_ACTIONS[page] for page, _, skip in KINDS])),
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


def pages_with(field: Field) -> npt.NDArray[np.bool_]:
    """Of each page, whether its events have the field."""
    return np.array([field.is_on(page) for page in range(N_PAGES)])


def terms_of(field: Field, values: pa.Array, key: np.uint64 = NO_KEY) -> UInt64s:
    """The terms of values of this field in the hash of an event."""
    if field.type == "text":
        return hash_texts(field.name, values)
    numbers = values.to_numpy()
    if field.type == "float":
        return hash_floats(field.name, numbers)
    return hash_integers(field.name, numbers, key if field.is_keyed else NO_KEY)
