"""What is spilt comes back bucket by bucket, in the order in which it came; a full disk is said in words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.errors import OutputUnwritable
from loadgen.verifier import spill
from loadgen.verifier.spill import N_BUCKETS, Spill, places_of, rows_of


def some_rows(buckets: list[int], first: int) -> tuple[np.ndarray, np.ndarray]:
    numbers = np.arange(first, first + len(buckets), dtype=np.int64)
    rows = rows_of(numbers.view(np.uint64), -numbers, numbers * 3, places_of(5, numbers))
    return np.array(buckets, np.uint16), rows


@given(st.lists(st.lists(st.sampled_from([0, 1, 7, 255, N_BUCKETS - 1]), max_size=20), max_size=8), st.integers(1, 30))
def test_each_bucket_keeps_its_rows_in_order(batches: list[list[int]], run_rows: int) -> None:
    with pytest.MonkeyPatch.context() as patch, Spill() as held:
        patch.setattr(spill, "RUN_ROWS", run_rows)
        n_added = 0
        for buckets in batches:
            held.add(*some_rows(buckets, n_added))
            n_added += len(buckets)
        every = [bucket for buckets in batches for bucket in buckets]
        for bucket in set(every):
            rows = held.read(bucket)
            numbers = [number for number, one in enumerate(every) if one == bucket]
            assert rows["key"].tolist() == numbers
            assert rows["major"].tolist() == [-number for number in numbers]
            assert (rows["place"] >> np.uint64(spill.PLACE_BITS)).tolist() == [5] * len(numbers)
        assert len(held.read(100)) == 0


def test_a_full_disk_is_said_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "RUN_ROWS", 1)
    with Spill() as held:
        held._file.close()
        held._file = open("/dev/full", "wb", buffering=0)  # noqa: SIM115  closed by the spill
        with pytest.raises(OutputUnwritable, match=r"No space left on device.*32 bytes an event.*TMPDIR"):
            held.add(*some_rows([1, 2, 3], 0))
