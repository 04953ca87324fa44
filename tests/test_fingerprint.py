"""The hash of a field depends on its name and its value, and on nothing else."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from loadgen.event import N_VIRTUAL_SHARDS
from loadgen.fingerprint import hash_floats, hash_integers, hash_null, hash_strings, hash_texts
from loadgen.ledger import Fingerprint

texts = st.lists(st.text().map(lambda text: text.encode(errors="ignore").decode()), unique=True, max_size=50)


@given(texts, st.integers(0, 5))
def test_equal_strings_hash_equally_wherever_they_stand(values: list[str], offset: int) -> None:
    together = hash_strings(pa.array(["x"] * offset + values, pa.string())[offset:])
    alone = [hash_strings(pa.array([value]))[0] for value in values]
    assert together.tolist() == alone


@given(texts)
def test_different_strings_hash_differently(values: list[str]) -> None:
    assert len(np.unique(hash_strings(pa.array(values, pa.string())))) == len(values)


def test_one_changed_byte_anywhere_changes_the_hash() -> None:
    base = bytearray(b"a somewhat longer title, 40 bytes long..")
    changed = [bytes(base[:i]) + bytes([base[i] ^ 1]) + bytes(base[i + 1 :]) for i in range(len(base))]
    hashes = hash_strings(pa.array([bytes(base), *changed], pa.binary()))
    assert len(np.unique(hashes)) == len(changed) + 1


def test_the_same_value_in_another_field_hashes_differently() -> None:
    number = np.array([7])
    hashes = {
        int(hash_integers("ts", number)[0]),
        int(hash_integers("age", number)[0]),
        int(hash_floats("length", number.astype(np.float64))[0]),
        int(hash_texts("song", pa.array(["7"]))[0]),
        int(hash_null("song")),
    }
    assert len(hashes) == 5


def test_null_hashes_as_null_not_as_empty() -> None:
    hashes = hash_texts("song", pa.array(["", None]))
    assert hashes[1] == hash_null("song")
    assert hashes[0] != hashes[1]


def test_a_fingerprint_does_not_depend_on_order_or_on_how_it_was_added_up() -> None:
    rng = np.random.default_rng(3)
    virtual_shard = rng.integers(0, N_VIRTUAL_SHARDS, 5000).astype(np.uint16)
    hashes = rng.integers(0, 2**64, 5000, dtype=np.uint64)
    whole, first, second = Fingerprint(), Fingerprint(), Fingerprint()
    whole.add(virtual_shard, hashes)
    order = rng.permutation(5000)
    first.add(virtual_shard[order[:1234]], hashes[order[:1234]])
    second.add(virtual_shard[order[1234:]], hashes[order[1234:]])
    first.merge(second)
    assert (first.count == whole.count).all()
    assert (first.total == whole.total).all()
    assert whole.total[3] == hashes[virtual_shard == 3].sum()


def test_integers_that_change_together_do_not_cancel() -> None:
    """Two fields' changes, chosen so that a sum of odd multiples of the values would stay as it was."""
    for one, other in (("ts", "sessionId"), ("sessionId", "itemInSession"), ("userId", "age")):
        keys = [int(hash_integers(field, np.array([1]))[0]) - int(hash_integers(field, np.array([0]))[0])
                for field in (one, other)]  # fmt: skip
        before, after = np.array([5, 7]), np.array([5 + keys[1], 7 - keys[0]], object)
        wrapped = ((after.astype(object) + 2**63) % 2**64 - 2**63).astype(np.int64)
        sums = [
            int(hash_integers(one, values[:1])[0]) + int(hash_integers(other, values[1:])[0])
            for values in (before, wrapped)
        ]
        assert (sums[0] - sums[1]) % 2**64 != 0


def test_the_term_of_an_integer_is_not_linear_in_it() -> None:
    steps = np.diff(hash_integers("ts", np.arange(1000)))
    assert len(np.unique(steps)) == 999
