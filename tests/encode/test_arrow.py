"""The rows of a record batch are the decoded lines of the same events."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.encode.arrow import ArrowEncoder
from loadgen.event import EventBatch, Listeners
from loadgen.formats import BUILT_IN
from tests.encode.test_lines import RECORDS
from tests.encode.world import LABELS, TinyCatalog, some_events, some_listeners, user_names


def decoded(record: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """A record of JSON as a row: its time as a time, null for what it lacks."""
    row: dict[str, Any] = dict.fromkeys(names) | orjson.loads(orjson.dumps(record))
    if row.get("ts") is not None:
        row["ts"] = datetime.fromtimestamp(row["ts"] / 1000, UTC)
    if row.get("timestamp") is not None:
        row["timestamp"] = datetime.fromisoformat(row["timestamp"])
    return row


def some_batch(n: int, seed: int) -> tuple[EventBatch, Listeners]:
    rng = np.random.default_rng(seed)
    listeners = some_listeners(20, rng)
    return some_events(n, listeners, rng), listeners


@pytest.mark.parametrize("name", BUILT_IN)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(0, 60))
def test_every_row_is_the_decoded_line(name: str, seed: int, n: int) -> None:
    batch, listeners = some_batch(n, seed)
    encoder = ArrowEncoder(TinyCatalog(), LABELS, listeners, user_names, BUILT_IN[name])
    found = encoder.to_arrow(batch)
    found.validate(full=True)
    expected = [decoded(RECORDS[name](batch, listeners, i), found.schema.names) for i in range(n)]
    assert found.to_pylist() == expected


def test_a_record_batch_has_all_fields_of_full_unless_another_format_is_asked_for() -> None:
    batch, listeners = some_batch(10, 1)
    found = ArrowEncoder(TinyCatalog(), LABELS, listeners, user_names).to_arrow(batch)
    assert found.schema.names == [field.name for field in BUILT_IN["full"].fields]


def test_times_are_timestamps_in_utc_and_numbers_64_bits_wide() -> None:
    batch, listeners = some_batch(10, 2)
    schema = ArrowEncoder(TinyCatalog(), LABELS, listeners, user_names).to_arrow(batch).schema
    assert schema.field("ts").type == pa.timestamp("ms", "UTC")
    assert {schema.field(name).type for name in ("userId", "itemInSession", "age")} == {pa.int64()}
    assert (schema.field("length").type, schema.field("song").type) == (pa.float64(), pa.string())
