"""The whole consumer in this process, against a mock cluster and a local folder: what is stored, and when it ends."""

import io
import itertools
import random
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message

from loadgen.config import ConsumeSettings
from loadgen.consume import consume as consume_here
from loadgen.consume import report
from loadgen.consume.client import Client
from loadgen.consume.consumer import ConsumeResult
from loadgen.consume.totals import ConsumeConsole, summary
from loadgen.errors import AccessRefused, BrokerUnreachable, OffsetGone, StoreError, TopicMissing
from loadgen.store.layout import TMP
from loadgen.store.local import LocalStore
from tests.consume.cluster import (
    DAY,
    assert_stored_once,
    day_folders,
    dead_letters,
    event,
    events,
    fill,
    filled_cluster,
    published_files,
    spread,
    stored,
)
from tests.mock_cluster import MockCluster


class Told:
    """A screen whose lines can be looked at."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        self.screen = ConsumeConsole(stream=self._stream)

    @property
    def lines(self) -> str:
        return self._stream.getvalue()


_groups = itertools.count()


def settings_of(folder: Path, address: str, **given: Any) -> ConsumeSettings:
    """Settings of a consumer that ends when idle; its group is its own: the mock takes long to forget a member."""
    fixed = {
        "brokers": address,
        "topic": "t",
        "group": f"g{next(_groups)}",
        "store": str(folder / "store"),
        "metrics_port": 0,
        "until_idle_s": 0.2,
    }
    return ConsumeSettings.model_validate({**fixed, **given})


def consume(folder: Path, address: str, told: Told | None = None, **given: Any) -> ConsumeResult:
    """Consume until idle."""
    return consume_here(settings_of(folder, address, **given), (told or Told()).screen)


def test_every_event_is_stored_once_by_its_day(tmp_path: Path) -> None:
    sent = events(5000)
    with filled_cluster(spread(sent)) as cluster:
        result = consume(tmp_path, cluster.address, batch_size=400)
    assert (result.error, result.exit_reason) == (None, "idle")
    assert_stored_once(tmp_path, sent)
    assert day_folders(tmp_path) == {DAY, DAY + 1}
    found, files = summary(result.totals, result.elapsed_s, result.exit_reason), published_files(tmp_path)
    assert (found["events"], found["dead_letters"], found["files"]) == (5000, 0, len(files))
    assert found["bytes"] == sum(path.stat().st_size for path in files)
    assert found["partitions"] == {str(partition): 1250 for partition in range(4)}
    assert max(path.read_bytes().count(b"\n") for path in files) <= 400
    assert not [path for path in (tmp_path / "store" / TMP).rglob("*") if path.is_file()]


def test_another_consumer_goes_on_where_the_store_ends_whatever_its_group(tmp_path: Path) -> None:
    sent = events(900)
    with filled_cluster(spread(sent[:600])) as cluster:
        assert consume(tmp_path, cluster.address).totals.n_events == 600
        assert consume(tmp_path, cluster.address).totals.n_events == 0
        fill(cluster.address, spread(sent[600:]))
        assert consume(tmp_path, cluster.address).totals.n_events == 300
    assert_stored_once(tmp_path, sent)


def test_a_group_that_is_ahead_of_an_empty_store_begins_anew(tmp_path: Path) -> None:
    sent = events(200)
    with filled_cluster(spread(sent)) as cluster:
        consume(tmp_path / "one", cluster.address, group="g", kafka_option={"session.timeout.ms": "1000"})
        consume(tmp_path / "two", cluster.address, group="g", kafka_option={"session.timeout.ms": "1000"})
    assert_stored_once(tmp_path / "two", sent)


def test_the_same_topic_of_another_cluster_is_another_source(tmp_path: Path) -> None:
    first, second = events(100), events(100, first=100)
    for sent in (first, second):
        with filled_cluster(spread(sent)) as cluster:
            assert consume(tmp_path, cluster.address).totals.n_events == 100
    assert_stored_once(tmp_path, [*first, *second])


def test_what_is_no_event_goes_to_the_dead_letters_byte_for_byte(tmp_path: Path) -> None:
    good = events(300)
    bad: list[bytes | None] = [None, b"", b"\x00\xff", b'{"ts":1', b'{"a":1}', b'{"ts":1,"b":"\n"}', b"x" * 3_000_000]
    mixed = random.Random(1).sample([*good, *bad], len(good) + len(bad))
    with filled_cluster({1: mixed}) as cluster:
        result = consume(tmp_path, cluster.address)
    assert (result.totals.n_events, result.totals.n_dead) == (300, len(bad))
    assert_stored_once(tmp_path, good)
    letters = dead_letters(tmp_path)
    assert [letter["value"] for letter in letters] == [value for value in mixed if value in bad]
    assert [letter["offset"] for letter in letters] == [row for row, value in enumerate(mixed) if value in bad]
    assert {(letter["topic"], letter["partition"], letter["timestamp_ms"]) for letter in letters} == {
        ("t", 1, 1_700_000_000_000)
    }


@pytest.mark.parametrize(
    "given",
    [
        {"compress": "zst"},
        {"mode": "realtime"},
        {"batch_size": 5},
        {"max_file_bytes": 2048},
    ],
    ids=["zst", "realtime", "b5", "small files"],
)
def test_every_way_to_publish_stores_every_event_once(tmp_path: Path, given: dict[str, Any]) -> None:
    sent = events(400)
    with filled_cluster(spread(sent)) as cluster:
        result = consume(tmp_path, cluster.address, **given)
    assert result.totals.n_events == 400
    assert Counter(line for _, line in stored(tmp_path).elements()) == Counter(sent)


def test_events_may_be_stored_by_the_day_of_their_arrival(tmp_path: Path) -> None:
    with filled_cluster(spread(events(40))) as cluster:
        consume(tmp_path, cluster.address, partition_by="ingest")
    (day,) = day_folders(tmp_path)
    assert day is not None
    assert day > DAY + 1


class Outage:
    """Makes every rename of a local store fail for a number of times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, n_failures: int) -> None:
        self.left = n_failures
        self._rename = LocalStore.rename
        outage = self

        def rename(store: LocalStore, source: str, target: str) -> None:
            if target.endswith(".json") and outage.left > 0:
                outage.left -= 1
                raise StoreError("the disk is on fire; fetch water")
            outage._rename(store, source, target)

        monkeypatch.setattr(LocalStore, "rename", rename)


def test_a_store_that_fails_is_tried_again_and_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.consume.waiting.FIRST_DELAY_S", 0.05)
    outage, sent, told = Outage(monkeypatch, 6), events(800), Told()
    with filled_cluster(spread(sent)) as cluster:
        result = consume(tmp_path, cluster.address, told, rotate_interval_s=0.1, until_idle_s=1.5)
    assert (outage.left, result.totals.n_retries, result.error) == (0, 6, None)
    assert told.lines.count("the disk is on fire") == 1
    assert told.lines.count("everything can be stored again") == 1
    assert_stored_once(tmp_path, sent)


def test_what_cannot_be_published_at_the_end_is_said_and_stored_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = events(100)
    with filled_cluster({0: sent}) as cluster:
        with monkeypatch.context() as patch:
            Outage(patch, 10**9)
            result = consume(tmp_path, cluster.address)
        assert "stored the next time" in str(result.error)
        assert report(settings_of(tmp_path, cluster.address), result, Told().screen) == 1
        assert stored(tmp_path) == Counter()
        assert consume(tmp_path, cluster.address).error is None
    assert_stored_once(tmp_path, sent)


def test_two_live_consumers_of_different_groups_store_every_event_once(tmp_path: Path) -> None:
    sent = events(4000)
    with filled_cluster(spread(sent, 2), 2) as cluster:
        results: list[ConsumeResult] = []

        def store(batch_size: int) -> None:
            told = Told()
            rolling = {"batch_size": batch_size, "rotate_interval_s": 0.1}
            results.append(consume(tmp_path, cluster.address, told, until_idle_s=2.0, **rolling))

        other = threading.Thread(target=store, args=(70,))
        other.start()
        store(50)
        other.join(30)
    assert [result.error for result in results] == [None, None]
    assert sum(result.totals.n_events for result in results) == 4000
    assert_stored_once(tmp_path, sent)


def test_a_gap_ends_the_consumer_unless_told_otherwise(tmp_path: Path) -> None:
    wide = [event(number) + b" " * 200_000 for number in range(80)]  # the mock keeps 5 MiB of a partition
    told = Told()
    with filled_cluster({0: wide[:5]}) as cluster:
        assert consume(tmp_path, cluster.address).totals.n_events == 5
        fill(cluster.address, {0: wide[5:]})
        refused = consume(tmp_path, cluster.address)
        assert isinstance(refused.error, OffsetGone)
        assert "no longer in Kafka" in str(refused.error)
        assert "--on-gap continue" in str(refused.error)
        assert (refused.totals.n_events, refused.exit_reason) == (0, "error")
        result = consume(tmp_path, cluster.address, told, on_gap="continue")
    assert result.error is None
    assert "offsets, 5 to " in told.lines
    missing = {number for number in range(80) if (DAY, wide[number]) not in stored(tmp_path)}
    assert missing == set(range(5, 80 - result.totals.n_events))
    assert max(stored(tmp_path).values()) == 1


def test_a_partition_that_lost_its_end_is_a_gap_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadgen.consume.partition.ASK_AGAIN_S", 0.01)
    monkeypatch.setattr("loadgen.consume.prepare.TopicIdentity.tag", "00000000")  # as if it were the same cluster still
    with filled_cluster({0: events(50)}) as cluster:
        consume(tmp_path, cluster.address)
    later = events(70, first=1000)
    with filled_cluster({0: later[:20]}) as cluster:
        refused = consume(tmp_path, cluster.address)
        assert isinstance(refused.error, OffsetGone)
        assert "Kafka has lost the 30 between" in str(refused.error)
        fill(cluster.address, {0: later[20:]})
        assert consume(tmp_path, cluster.address, on_gap="continue").totals.n_events == 20
    assert_stored_once(tmp_path, [*events(50), *later[50:]])


def test_where_to_begin_with_an_empty_store_may_be_the_end(tmp_path: Path) -> None:
    with filled_cluster({0: events(50)}) as cluster:
        result = consume(tmp_path, cluster.address, kafka_option={"auto.offset.reset": "latest"})
        assert (result.error, result.totals.n_events) == (None, 0)


def test_a_broker_that_goes_and_comes_back_is_waited_for(tmp_path: Path) -> None:
    sent, told = events(600), Told()
    with filled_cluster({0: sent[:300]}) as cluster:

        def interrupt() -> None:
            cluster.down()
            threading.Event().wait(1.5)
            cluster.up()
            fill(cluster.address, {0: sent[300:]})

        interrupting = threading.Timer(0.6, interrupt)
        interrupting.start()
        result = consume(tmp_path, cluster.address, told, rotate_interval_s=0.1, until_idle_s=1.0)
        interrupting.join()
        consume(tmp_path, cluster.address)
    assert result.error is None
    assert_stored_once(tmp_path, sent)


def test_a_consumer_that_has_lost_all_brokers_for_good_joins_anew_and_stores_every_event_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, told, members = events(3000), Told(), []
    fetch = Client.fetch

    def lose_all_brokers(client: Client, n_messages: int, timeout_s: float) -> list[Message]:
        if client.monitor not in members:
            members.append(client.monitor)
        messages = fetch(client, min(n_messages, 100), timeout_s)
        if messages and len(members) == 1:
            for _ in range(2):
                client.monitor.callbacks()["stats_cb"]('{"msg_cnt": 0, "brokers": {}}')
        return messages

    monkeypatch.setattr(Client, "fetch", lose_all_brokers)
    with filled_cluster(spread(sent)) as cluster:
        result = consume(tmp_path, cluster.address, told, batch_size=70, until_idle_s=1.0)
    assert (result.error, result.exit_reason, len(members)) == (None, "idle", 2)
    assert told.lines.count("joining the group again") == 1
    assert result.totals.n_rebalances >= 2
    assert_stored_once(tmp_path, sent)


def test_a_topic_that_is_not_there_is_said_with_the_next_step(tmp_path: Path) -> None:
    with MockCluster("t") as cluster, pytest.raises(TopicMissing, match="loadgen run --create-topic"):
        consume(tmp_path, cluster.address, topic="nowhere")


def test_a_broker_out_of_reach_names_no_way_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(BrokerUnreachable, match=r"no broker answered at 127\.0\.0\.1:1") as caught:
        consume(tmp_path, "127.0.0.1:1")
    assert "embedded" not in str(caught.value)


def test_a_store_that_takes_nothing_is_said_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with filled_cluster({0: events(1)}) as cluster, pytest.raises(StoreError, match="store"):
        consume(tmp_path, cluster.address)


def test_access_that_is_refused_later_ends_the_consumer(tmp_path: Path) -> None:
    fetch = 1
    with filled_cluster({0: events(10)}) as cluster:
        cluster.push_errors([KafkaError.TOPIC_AUTHORIZATION_FAILED] * 20, fetch)
        result = consume(tmp_path, cluster.address)
    assert isinstance(result.error, AccessRefused)
    assert "--consumer" in str(result.error)
    assert result.exit_reason == "error"
