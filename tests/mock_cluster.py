"""librdkafka's mock cluster with errors on demand, for tests: what the Python client does not offer, by ctypes.

In: the number of brokers and partitions. Out: a cluster on loopback, and methods that make it fail.
"""

import ctypes
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import confluent_kafka  # loads the library that is looked up below

PRODUCE = 0
INIT_PRODUCER_ID = 22
PRODUCER = 0
REBALANCE_DELAY_MS = 50
"""The mock's own is three seconds; with none at all, members that come together may never agree."""


def _library() -> ctypes.CDLL:
    """The librdkafka that confluent_kafka has loaded into this process."""
    assert confluent_kafka.libversion()
    maps = Path("/proc/self/maps").read_text().splitlines()
    path = next(line.split()[-1] for line in maps if "librdkafka" in line)
    library = ctypes.CDLL(path)
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
        getattr(library, name).restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    return library


class MockCluster:
    """A cluster of n_brokers (ids 1..n) with one topic, or more.

    Attributes:
        address: the bootstrap servers.
    """

    def __init__(self, topic: str = "t", partitions: int = 4, n_brokers: int = 1) -> None:
        self._library = _library()
        text = ctypes.create_string_buffer(512)
        conf = ctypes.c_void_p(self._library.rd_kafka_conf_new())
        self._library.rd_kafka_conf_set(conf, b"log_level", b"0", text, ctypes.c_size_t(len(text)))
        self._client = ctypes.c_void_p(self._library.rd_kafka_new(PRODUCER, conf, text, ctypes.c_size_t(len(text))))
        assert self._client, text.value
        self._cluster = ctypes.c_void_p(self._library.rd_kafka_mock_cluster_new(self._client, n_brokers))
        self._n_brokers = n_brokers
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, REBALANCE_DELAY_MS)
        self.add_topic(topic, partitions)
        self.address = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def _call(self, name: str, *arguments: Any) -> None:
        error = getattr(self._library, f"rd_kafka_mock_{name}")(self._cluster, *arguments)
        assert not error, (name, error)

    def add_topic(self, topic: str, partitions: int) -> None:
        """Make one more topic."""
        self._call("topic_create", topic.encode(), partitions, self._n_brokers)

    def push_errors(self, errors: list[int], api_key: int = PRODUCE) -> None:
        """The next requests of this kind are answered with these errors, one each (0 is none)."""
        self._library.rd_kafka_mock_push_request_errors_array(
            self._cluster, ctypes.c_int16(api_key), ctypes.c_size_t(len(errors)), (ctypes.c_int * len(errors))(*errors)
        )

    def down(self, broker: int = 1) -> None:
        """Cut all connections of a broker, and take no new ones."""
        self._call("broker_set_down", broker)

    def up(self, broker: int = 1) -> None:
        """Let a broker answer again."""
        self._call("broker_set_up", broker)

    def delay(self, n_requests: int, delay_ms: int, api_key: int = PRODUCE) -> None:
        """The answers to the next requests of this kind to each broker are held back for so long."""
        for broker in range(1, self._n_brokers + 1):
            pairs = [ctypes.c_int(value) for _ in range(n_requests) for value in (0, delay_ms)]
            self._call(
                "broker_push_request_error_rtts", broker, ctypes.c_int16(api_key), ctypes.c_size_t(n_requests), *pairs
            )

    def close(self) -> None:
        """Stop the cluster."""
        if self._client:
            self._library.rd_kafka_mock_cluster_destroy(self._cluster)
            self._library.rd_kafka_destroy(self._client)
            self._client = ctypes.c_void_p()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
