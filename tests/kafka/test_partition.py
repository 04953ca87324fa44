"""The partition of a listener is the one that the Java client would choose."""

import numpy as np
import pyarrow as pa
import pytest
from confluent_kafka import Producer
from hypothesis import given
from hypothesis import strategies as st

from loadgen.kafka.partition import hash_of_ids, hash_of_keys, murmur2, partitions_of
from tests.messages import key_of
from tests.mock_cluster import MockCluster


def java_murmur2(key: bytes) -> int:
    """org.apache.kafka.common.utils.Utils.murmur2, byte by byte, as its documentation tells."""
    mask, mix, length = 0xFFFFFFFF, 0x5BD1E995, len(key)
    h = 0x9747B28C ^ length
    for at in range(0, length - 3, 4):
        k = int.from_bytes(key[at : at + 4], "little") * mix & mask
        k = (k ^ k >> 24) * mix & mask
        h = (h * mix & mask) ^ k
    tail = key[length & ~3 :]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * mix & mask
    h = (h ^ h >> 13) * mix & mask
    return h ^ h >> 15


@pytest.mark.parametrize(
    ("key", "java"),
    [(b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536), (b"abc", 479470107)],
)
def test_the_reference_gives_the_values_of_kafkas_own_unit_test(key: bytes, java: int) -> None:
    assert java_murmur2(key) == java % 2**32


def test_the_hash_of_ids_of_every_length_is_the_java_clients() -> None:
    lengths = [10**digits + delta for digits in range(1, 19) for delta in (-1, 0, 1)]
    drawn = np.random.default_rng(3).integers(0, 10**12, 2000).tolist()
    ids = [0, 7, 21, *lengths, *drawn, 2**63 - 1]
    expected = [java_murmur2(b"%d" % number) for number in ids]
    assert murmur2(np.array(ids, np.int64)).tolist() == expected


@given(st.lists(st.none() | st.binary(max_size=40), max_size=30), st.integers(0, 5))
def test_the_hash_of_keys_of_any_bytes_is_the_java_clients(keys: list[bytes | None], start: int) -> None:
    found = hash_of_keys(pa.array(keys, pa.binary())[start:])
    assert found.tolist() == [java_murmur2(key or b"") & 0x7FFFFFFF for key in keys[start:]]


def test_partitions_are_librdkafkas_own_choice() -> None:
    n_partitions, reports = 7, {}
    ids = [*range(300), *range(10**6, 10**6 + 100), 9_999_999]
    with MockCluster(partitions=n_partitions) as cluster:
        config = {"bootstrap.servers": cluster.address, "partitioner": "murmur2_random", "log_level": 0}
        producer = Producer(config)
        for number in ids:
            producer.produce("t", b"v", b"%d" % number, on_delivery=lambda _, message: reports.update(
                {int(key_of(message)): message.partition()}
            ))  # fmt: skip
        assert producer.flush(10) == 0
        del producer
    assert [reports[number] for number in ids] == partitions_of(hash_of_ids(np.array(ids)), n_partitions).tolist()


def test_many_chunks_give_what_single_ids_give() -> None:
    ids = np.arange(150_000, dtype=np.int64)
    partitions = partitions_of(hash_of_ids(ids), 12)
    assert partitions.dtype == np.uint16
    for number in (0, 65_535, 65_536, 131_072, 149_999):
        assert partitions[number] == partitions_of(hash_of_ids(ids[number : number + 1]), 12)[0]


@pytest.mark.parametrize("n_partitions", [0, -1, 65_537])
def test_an_impossible_number_of_partitions_is_refused(n_partitions: int) -> None:
    with pytest.raises(ValueError, match=r"n_partitions must be 1\.\.65536"):
        partitions_of(np.arange(3, dtype=np.uint32), n_partitions)


def test_a_negative_id_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more, got -1"):
        hash_of_ids(np.array([3, -1]))
