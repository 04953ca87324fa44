"""What of a topic's configuration does not suit a run is said before it starts, and batches are made to fit."""

import pytest

from loadgen.errors import SinkError
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.topic_config import check_config, smallest_batches
from tests.mock_cluster import MockCluster
from tests.sink.fake_broker import TOPIC_DENIED, FakeBroker


def checked(config: dict[str, str], refuse_config: int = 0, /, **options: str) -> tuple[str, str | None]:
    """What is said, and the batch.size that comes of it; names of options have _ for dots."""
    notes: list[str] = []
    with FakeBroker(topics={"t": 2}, config=config, refuse_config=refuse_config) as broker:
        given = {name.replace("_", "."): value for name, value in options.items()}
        size = None
        try:
            size = check_config(KafkaSettings(broker.address, "t", given), notes.append).options.get("batch.size")
        except SinkError as error:
            notes.append(f"error: {error}")
        return "\n".join(notes).replace(broker.address, "BROKERS"), size


def test_batches_fit_what_the_topic_takes() -> None:
    said, size = checked({"max.message.bytes": "100000"})
    assert size == "99488"
    assert said == (
        "note: batch.size is 99,488, because topic 't' takes batches of up to 100,000 bytes (max.message.bytes)"
    )


def test_of_several_topics_the_smallest_batches_fit_all() -> None:
    each = [KafkaSettings("b", "t", options) for options in ({}, {"batch.size": "200"}, {"batch.size": "2000000"})]
    assert smallest_batches(each) == each[1]
    assert smallest_batches([each[2], each[0]]) == each[0]


@pytest.mark.parametrize("config", [{}, {"max.message.bytes": "1048588", "min.insync.replicas": "1"}])
def test_of_a_topic_that_suits_nothing_is_said_or_changed(config: dict[str, str]) -> None:
    assert checked({**config, "cleanup.policy": "delete"}) == ("", None)


def test_a_batch_size_of_the_users_own_that_does_not_fit_is_told() -> None:
    said, size = checked({"max.message.bytes": "100000"}, batch_size="200000")
    assert size == "200000"
    assert said.startswith("note: batch.size=200000 is more than topic 't' takes (max.message.bytes=100000), so full")
    assert checked({"max.message.bytes": "100000"}, batch_size="50000") == ("", "50000")


def test_batches_that_message_max_bytes_bounds_already_are_left_as_they_are() -> None:
    config = {"max.message.bytes": "100000"}
    assert checked(config, message_max_bytes="50000") == ("", None)
    assert checked(config, message_max_bytes="50000", batch_size="200000") == ("", "200000")
    assert checked(config, message_max_bytes="2000000")[1] == "99488"


def test_a_topic_that_takes_less_than_an_event_is_told() -> None:
    said, _ = checked({"max.message.bytes": "300"})
    assert "takes messages of up to 300 bytes (max.message.bytes), and single events may be larger; allow more" in said


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_a_compacted_topic_is_told_with_the_way_out(policy: str) -> None:
    said, _ = checked({"cleanup.policy": policy})
    assert said.startswith(f"note: topic 't' is compacted (cleanup.policy={policy}): Kafka keeps only the latest event")
    assert "--topic t --add-config cleanup.policy=delete --bootstrap-server BROKERS" in said


def test_more_replicas_in_sync_than_there_are_copies_is_an_error() -> None:
    said, _ = checked({"min.insync.replicas": "2"})
    assert said.startswith(
        "error: topic 't' takes no events: min.insync.replicas is 2, and its partitions have 1 copy;"
    )
    assert "min.insync.replicas=1" in said


@pytest.mark.parametrize("name", ["acks", "request_required_acks"])
def test_who_does_not_wait_for_replicas_needs_none_in_sync(name: str) -> None:
    assert checked({"min.insync.replicas": "2"}, **{name: "1"}) == ("", None)


def test_who_may_not_ask_is_told_nothing() -> None:
    assert checked({"cleanup.policy": "compact"}, TOPIC_DENIED) == ("", None)


def test_a_test_broker_is_not_asked() -> None:
    with MockCluster("t") as cluster:
        settings = KafkaSettings(cluster.address, "t")
        assert check_config(settings, pytest.fail) == settings


@pytest.mark.parametrize(
    ("theirs", "options", "is_told"),
    [
        ("producer", {}, False),
        ("lz4", {}, False),
        ("gzip", {}, True),
        ("zstd", {"compression_type": "zstd"}, False),
        ("uncompressed", {"compression_codec": "none"}, False),
        ("uncompressed", {}, True),
    ],
)
def test_a_topic_that_compresses_once_more_is_told(theirs: str, options: dict[str, str], is_told: bool) -> None:
    said, _ = checked({"compression.type": theirs}, **options)
    assert ("compress each once more; --kafka-option compression.type=" in said) == is_told
