"""What stands in the way is said at once, all of it, and nothing is started."""

import socket
import time
from pathlib import Path

import pytest

from loadgen.config import PipelineSettings
from loadgen.consume.commits import TopicIdentity
from loadgen.errors import LoadgenError
from loadgen.kafka.options import KafkaSettings
from loadgen.kafka.topic_reader import end_offsets
from loadgen.pipeline import main
from loadgen.pipeline.ending import has_messages, missing, stored_offsets
from loadgen.store.local import LocalStore
from tests.consume.cluster import consume, events, filled_cluster, spread
from tests.ports import free_port


def test_every_obstacle_is_named_with_its_next_step_within_ten_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("no folder")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = {"brokers": "127.0.0.1:1", "store": "file", "port": taken.getsockname()[1], "quiet": True}
        began_s = time.monotonic()
        with pytest.raises(LoadgenError) as refused:
            main(PipelineSettings.model_validate(given))
    lines = str(refused.value).splitlines()
    assert time.monotonic() - began_s < 10
    assert "no broker answered at 127.0.0.1:1" in lines[0]
    assert "Name another with --brokers HOST:PORT" in lines[0]
    assert "file" in lines[1]
    assert "must be free for the dashboard" in lines[2]
    assert "choose another with --port P" in lines[2]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_topic_that_is_missing_is_not_made_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with filled_cluster({}) as cluster:
        given = {"brokers": cluster.address, "topic": "nowhere", "port": free_port(), "quiet": True}
        with pytest.raises(LoadgenError, match="add --create-topic"):
            main(PipelineSettings.model_validate(given))


def test_offsets_tell_what_is_not_stored_yet(tmp_path: Path) -> None:
    with filled_cluster(spread(events(100))) as cluster:
        kafka = KafkaSettings(cluster.address, "t")
        ends = end_offsets(kafka, 4)
        assert ends == dict.fromkeys(range(4), 25)
        code, summary, said = consume(tmp_path, cluster.address, "--until-idle", "0.3").end()
        assert code == 0, said
        store = LocalStore(tmp_path / "store")
        tags = [path.name.rpartition("-")[2] for path in (tmp_path / "store" / "_commits").iterdir()]
        source = _source_of(tags[0])
        stored = stored_offsets(store, source, 5)
        assert stored == {**ends, 4: 0}
        assert {str(number): offset for number, offset in ends.items()} == summary["partitions"]
        assert missing(stored, {**ends, 4: 0}) == {}
        assert missing(stored, {**ends, 2: 30}) == {2: 25}
        assert has_messages(kafka, {2: 24}, ends)
        assert not has_messages(kafka, {2: 25, 3: 25}, {2: 26, 3: 26})


def _source_of(tag: str) -> TopicIdentity:
    """A source of topic t with this tag."""

    class Known(TopicIdentity):
        tag = ""

    Known.tag = tag
    return Known("c", "t", "")
