"""Topics by page through a real broker and a real schema registry: sent, proved, consumed and proved in the store."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import loadgen
from loadgen.record import read
from tests.encode.confluent import reader_of
from tests.integration.local import Local
from tests.messages import value_of
from tests.runner.program import TRACKS
from tests.simulate.test_pages import TWO_PAGES
from tests.sink.topic import read_topic

WORLD: dict[str, Any] = {"users": 2000, "seed": 9, "start": "2026-01-05", "events": 40_000, "tracks": int(TRACKS)}


@pytest.mark.parametrize("encoding", ["json", "avro"])
def test_events_of_each_page_are_in_their_topic_and_what_is_consumed_of_each_is_proved(
    encoding: str, broker: Local, registry: Local, tmp_path: Path
) -> None:
    names = [f"{encoding}-{name}" for name in ("plays", "lyrics", "rest")]
    with_schemas = {} if encoding == "json" else {"schema_registry": registry.registry_url}
    (tmp_path / "own.toml").write_text(TWO_PAGES)
    result = loadgen.run(
        **WORLD,
        **with_schemas,
        brokers=broker.brokers,
        topic_map=f"NextSong={names[0]},Lyrics={names[1]},*={names[2]}",
        create_topic=True,
        partitions=5,
        behaviour=tmp_path / "own.toml",
        encoding=encoding,
        rate="max",
        workers=2,
        manifest=tmp_path / "run.json",
    )
    assert result.problems == ()
    record = read(result.manifest)
    assert [(topic.name, topic.partitions) for topic in record.topics] == [(name, 5) for name in names]
    n_of_page = record.sinks["kafka"].by_page["delivered"]
    n_sent = {topic.name: sum(n_of_page[page] for page in topic.pages) for topic in record.topics}
    assert min(n_sent.values()) > 100
    assert loadgen.verify(result.manifest, brokers=broker.brokers).proved
    store = str(tmp_path / "store")
    for name in names:
        alone = loadgen.verify(result.manifest, brokers=broker.brokers, topic=name)
        assert (alone.proved, alone.found) == (True, n_sent[name])
    of_one = str(tmp_path / "one")
    assert consuming(broker, names[1], of_one, with_schemas).wait(120) == 0
    assert loadgen.verify(result.manifest, store=of_one, topic=names[1]).proved
    consumers = [consuming(broker, name, store, with_schemas) for name in names]  # at once, in one group
    assert [consumer.wait(120) for consumer in consumers] == [0, 0, 0]
    report = loadgen.verify(result.manifest, store=store)
    assert (report.proved, report.found) == (True, WORLD["events"])
    if record.schema_text is not None:
        assert record.subject == ", ".join(f"{name}-value" for name in names)
        messages = read_topic(broker.brokers, names[1])
        with reader_of("avro", registry.registry_url, record.schema_text, names[1]) as record_of:
            assert {record_of(value_of(message))["page"] for message in messages} == {"Lyrics"}


def consuming(broker: Local, topic: str, store: str, with_schemas: dict[str, str]) -> "subprocess.Popen[bytes]":
    """A consumer of everything in the topic; those of a store are one group."""
    words = [sys.executable, "-m", "loadgen", "consume", "--brokers", broker.brokers, "--topic", topic]
    words += ["--store", store, "--group", store, "--until-idle", "3", "--metrics-port", "0"]
    words += [f"--{name.replace('_', '-')}={value}" for name, value in with_schemas.items()]
    return subprocess.Popen(words)


def test_each_topic_of_the_map_is_looked_at_before_the_first_event(broker: Local, tmp_path: Path) -> None:
    where: dict[str, Any] = {"brokers": broker.brokers, "topic_map": "NextSong=there,*=nowhere", "events": 10}
    loadgen.run(brokers=broker.brokers, topic="there", create_topic=True, events=1, manifest=tmp_path / "m")
    with pytest.raises(loadgen.LoadgenError, match=r"topic 'nowhere' is not on .* add --create-topic"):
        loadgen.run(**where)
    with pytest.raises(loadgen.LoadgenError, match="topic 'there' is there with 12 partitions, asked for were 3"):
        loadgen.run(**where, create_topic=True, partitions=3)
    assert len(read_topic(broker.brokers, "there")) == 1
