"""A run with a topic map is proved in all of its topics and in each alone, and an event in another topic is found."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Message, Producer

from loadgen.errors import ManifestError, UsageError
from loadgen.kafka.embedded import EmbeddedBroker
from loadgen.record import read
from loadgen.store.layout import BatchName
from tests.messages import value_of
from tests.sink.topic import read_topic
from tests.verifier.runs import counts_of, ran, verified

SIZE = ("--users", "300", "--events", "3000", "--rate", "max", "--workers", "2")
MAP = ("--topic-map", "NextSong=plays,Thumbs Up=likes,Thumbs Down=likes,*=activity")
NAMES = ("plays", "likes", "activity")
LIKES = ("Thumbs Up", "Thumbs Down")
Sent = dict[str, list[Message]]


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Sent]]:
    """A run's manifest, and the messages of each topic."""
    with EmbeddedBroker(*NAMES) as broker:
        manifest = ran(tmp_path_factory.mktemp("sent"), "--brokers", broker.address, *SIZE, *MAP)
        yield manifest, {name: read_topic(broker.address, name) for name in NAMES}


@pytest.fixture
def broker() -> Iterator[str]:
    """The address of a broker with empty topics."""
    with EmbeddedBroker(*NAMES) as embedded:
        yield embedded.address


def put(address: str, topics: Sent) -> None:
    """Fill topics with these messages as they are."""
    producer = Producer({"bootstrap.servers": address, "log_level": 0, "acks": "all"})
    for name, messages in topics.items():
        for one in messages:
            producer.produce(name, one.value(), one.key(), one.partition() or 0, timestamp=one.timestamp()[1])
    assert producer.flush(10.0) == 0


@pytest.mark.parametrize(
    "flags",
    [
        ("--format", "listen", "--key", "artist", "--impair", "malform=0.1,duplicate=0.1,reorder=0.05"),
        ("--key", "session", "--header", "trace={sessionId}", "--cloudevents", "binary"),
        pytest.param(("--impair", "malform=0.1", "--cloudevents", "structured"), marks=pytest.mark.slow),
        pytest.param(("--timestamps", "wall", "--impair", "malform=0.05"), marks=pytest.mark.slow),
    ],
)
def test_each_topic_has_the_events_of_its_pages_and_is_proved(
    flags: tuple[str, ...], broker: str, tmp_path: Path
) -> None:
    manifest = ran(tmp_path, "--brokers", broker, *SIZE, *MAP, *flags)
    record = read(manifest)
    assert [(topic.name, topic.partitions) for topic in record.topics] == [(name, 4) for name in NAMES]
    pages = {page: topic.name for topic in record.topics for page in topic.pages}
    n_sent: Counter[str] = Counter()
    for outcome in ("delivered", "failed", "dropped", "unfinished"):
        for page, n_events in record.sinks["kafka"].by_page[outcome].items():
            n_sent[pages[page]] += n_events
    assert {name: len(read_topic(broker, name)) for name in NAMES} == n_sent
    report = verified(manifest, brokers=broker)
    assert (report.findings.is_proved, report.findings.n_found) == (True, n_sent.total()), list(report.as_text())
    for name in NAMES:
        alone = verified(manifest, brokers=broker, topic=name)
        assert alone.findings.is_proved, list(alone.as_text())
        assert alone.findings.n_found == alone.findings.n_expected == n_sent[name] > 0


def test_the_page_of_an_event_is_one_of_its_topic(sent: tuple[Path, Sent]) -> None:
    pages = {name: {orjson.loads(value_of(message))["page"] for message in found} for name, found in sent[1].items()}
    assert (pages["plays"], pages["likes"]) == ({"NextSong"}, {*LIKES})
    assert "Home" in pages["activity"]
    assert not pages["activity"] & {"NextSong", *LIKES}


def moved(topics: Sent) -> Sent:
    """One event stands in another topic, in the partition of the same number."""
    one = topics["likes"][7]
    return topics | {"likes": [*topics["likes"][:7], *topics["likes"][8:]], "activity": [one, *topics["activity"]]}


def swapped(topics: Sent) -> Sent:
    """Two events of a listener have changed places."""
    at = {message.key(): number for number, message in enumerate(topics["plays"])}
    other = next(number for number, message in enumerate(topics["activity"]) if message.key() in at)
    one = at[topics["activity"][other].key()]
    plays, activity = [*topics["plays"]], [*topics["activity"]]
    plays[one], activity[other] = activity[other], plays[one]
    return topics | {"plays": plays, "activity": activity}


FAULTS: dict[str, tuple[Callable[[Sent], Sent], dict[str, int], dict[str, dict[str, int]]]] = {
    "absent in one": (lambda topics: topics | {"likes": topics["likes"][1:]}, {"lost": 1}, {"likes": {"lost": 1}}),
    "in another": (moved, {"altered": 1}, {"likes": {"lost": 1}, "activity": {"foreign": 1}}),
    "swapped": (
        swapped,
        {"altered": 2},
        {"plays": {"lost": 1, "foreign": 1}, "activity": {"lost": 1, "foreign": 1}},
    ),
    "a copy in another": (
        lambda topics: topics | {"activity": [topics["plays"][3], *topics["activity"]]},
        {"foreign": 1},
        {"activity": {"foreign": 1}},
    ),
    "twice in its own": (
        lambda topics: topics | {"plays": [topics["plays"][0], *topics["plays"]]},
        {"repeated": 1},
        {"plays": {"repeated": 1}},
    ),
    "an empty topic": (lambda topics: topics | {"likes": []}, {}, {"likes": {}}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_found_in_all_topics_and_in_those_that_it_concerns(
    fault: str, sent: tuple[Path, Sent], broker: str
) -> None:
    manifest, topics = sent
    spoil, of_all, of_each = FAULTS[fault]
    if fault == "an empty topic":
        of_all = of_each["likes"] = {"lost": len(topics["likes"])}
    put(broker, spoil(topics))
    report = verified(manifest, brokers=broker)
    counts = counts_of(report)
    if fault == "swapped":
        assert counts.pop("out_of_order") > 0  # among the events of another topic
    assert counts == of_all, list(report.as_text())
    assert all(one.where.startswith("topic ") for one in report.shown if one.where)
    is_told = any(
        line.endswith("the same, but not its topic, partition, key, headers or timestamp") for line in report.as_text()
    )
    assert is_told == ("altered" in of_all)
    for name in NAMES:
        assert counts_of(verified(manifest, brokers=broker, topic=name)) == of_each.get(name, {})


def test_events_out_of_order_in_a_topic_are_found_there(sent: tuple[Path, Sent], broker: str) -> None:
    manifest, topics = sent
    at = {message.key(): number for number, message in enumerate(topics["plays"])}
    first = next(n for n, message in enumerate(topics["plays"]) if at[message.key()] > n)
    last = at[topics["plays"][first].key()]
    plays = [*topics["plays"]]
    plays[first], plays[last] = plays[last], plays[first]
    put(broker, topics | {"plays": plays})
    counts = counts_of(verified(manifest, brokers=broker))
    assert counts.keys() == {"out_of_order"}
    assert counts == counts_of(verified(manifest, brokers=broker, topic="plays"))
    assert counts_of(verified(manifest, brokers=broker, topic="activity")) == {}


def test_topics_that_the_run_has_not_are_refused(sent: tuple[Path, Sent], broker: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--topic must be one of run .* \(plays, likes, activity\), got other"):
        verified(sent[0], brokers=broker, topic="other")
    another = ran(tmp_path, "--brokers", broker, *SIZE, "--topic-map", "*=activity")
    assert verified(another, brokers=broker).findings.is_proved
    with pytest.raises(ManifestError, match="must be of runs to the same topics by page"):
        verified(sent[0], another, brokers=broker)


def stored(folder: Path, topics: Sent) -> str:
    """A store of these messages, in files of topic and partition, as `loadgen consume` would name them."""
    day = folder / "year=2026/month=01/day=05"
    day.mkdir(parents=True)
    for number, messages in enumerate(topics.values()):
        for partition in range(4):
            values = [value_of(message) + b"\n" for message in messages if message.partition() == partition]
            name = BatchName(1_767_600_000, partition, 0, len(values), f"{number:08x}", "jsonl").text
            (day / name).write_bytes(b"".join(values))
    return str(folder)


def test_a_store_of_one_topic_holds_the_events_of_its_pages(sent: tuple[Path, Sent], tmp_path: Path) -> None:
    manifest, topics = sent
    n_sent = {name: len(messages) for name, messages in topics.items()}
    assert verified(manifest, store=stored(tmp_path / "all", topics)).findings.is_proved
    plays = stored(tmp_path / "plays", {"plays": topics["plays"]})
    alone = verified(manifest, store=plays, topic="plays")
    assert (alone.findings.is_proved, alone.findings.n_found) == (True, n_sent["plays"])
    assert counts_of(verified(manifest, store=plays)) == {"lost": n_sent["likes"] + n_sent["activity"]}
    others = counts_of(verified(manifest, store=plays, topic="likes"))
    assert others == {"lost": n_sent["likes"], "foreign": n_sent["plays"]}
    fewer = stored(tmp_path / "fewer", {"plays": topics["plays"][1:]})
    assert counts_of(verified(manifest, store=fewer, topic="plays")) == {"lost": 1}


def test_a_run_without_a_map_has_no_topic_to_choose_in_a_store(tmp_path: Path) -> None:
    manifest = ran(tmp_path, "--folder", "out", *SIZE)
    with pytest.raises(UsageError, match=r"--topic chooses a topic of a --topic-map, .* leave --topic out"):
        verified(manifest, files=[str(tmp_path / "out")], topic="plays")
