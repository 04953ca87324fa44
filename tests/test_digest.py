"""The digest of arrays depends on each byte and on their bounds, and on nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen import digest
from loadgen.digest import digest_of_runs


@given(st.lists(st.binary(max_size=40), max_size=5), st.integers(0, 4), st.integers(0, 39))
def test_every_byte_counts(runs: list[bytes], which: int, place: int) -> None:
    changed = [bytearray(run) for run in runs]
    if which < len(runs) and place < len(runs[which]):
        changed[which][place] ^= 1
        assert digest_of_runs(changed) != digest_of_runs(runs)
    assert digest_of_runs(list(map(bytearray, runs))) == digest_of_runs(runs)


def test_bounds_count() -> None:
    found = {digest_of_runs(runs) for runs in ([b"ab", b"c"], [b"a", b"bc"], [b"abc"], [b"abc", b""], [b"", b"abc"])}
    assert len(found) == 5


def test_arrays_count_by_their_bytes_whatever_their_type() -> None:
    values = np.arange(100, dtype=np.int64)
    assert digest_of_runs([values, np.zeros(0)]) == digest_of_runs([values.tobytes(), b""])


@pytest.mark.parametrize("n_threads", [1, 2, 8])
def test_the_number_of_cores_does_not_count(monkeypatch: pytest.MonkeyPatch, n_threads: int) -> None:
    monkeypatch.setattr(digest, "BLOCK_BYTES", 16)
    monkeypatch.setattr(digest, "MOST_THREADS", n_threads)
    assert digest_of_runs([bytes(range(100)), b"x" * 33]) == "1571c7bca8cc6375117c67307fbc7fa2"
