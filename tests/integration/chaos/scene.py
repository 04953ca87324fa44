"""A topic, a store, who writes to them, and the proof at the end.

In: brokers and a store's URL. Out: `loadgen run`, `consume`, `verify` and `compact` with flags that make things happen
fast: small files, short time-outs.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import orjson
from confluent_kafka.admin import AdminClient

from loadgen.errors import StoreError
from loadgen.store import Store, open_store
from loadgen.store.layout import COMMITS, TMP
from tests.integration.chaos.programs import Loadgen, start
from tests.integration.chaos.witness import assert_same
from tests.runner.program import TRACKS, wait_until
from tests.sink.topic import n_in_topic

PARTITIONS = 4
SESSION_S = 6.0
"""After so long without a sign of life a consumer is taken for dead: the least that the broker allows."""
WORLD = ("--users", "2000", "--presence", "everyday", "--start", "2025-07-03", "--tracks", TRACKS)
GROUP_OPTIONS = (f"session.timeout.ms={SESSION_S * 1000:.0f}", "heartbeat.interval.ms=1000")
IDLE_S = 1
RATE_PER_S = 800
"""Of events: a consumer that publishes small files keeps up, and has something to do at every moment."""


@dataclass
class Scene:
    """What one test is about.

    Attributes:
        folder: where programs run.
        brokers, topic, url: from where to where.
        seed: of the events, and of `dice`.
        producer: `loadgen run`, once it is started; `summary` once it has ended.
        furthest: what `position` last saw.
    """

    folder: Path
    brokers: str
    topic: str
    url: str
    seed: int
    dice: Random = field(init=False)
    store: Store = field(init=False)
    producer: Loadgen | None = None
    summary: dict[str, Any] = field(default_factory=dict)
    n_groups: int = 0
    furthest: int = 0

    def __post_init__(self) -> None:
        self.dice = Random(self.seed)
        self.store = open_store(self.url)

    def produce(self, n_events: int, *flags: str) -> Loadgen:
        """Start `loadgen run` of so many events; the topic is there when this returns."""
        topic = ("--topic", self.topic, "--create-topic", "--partitions", str(PARTITIONS), "--replication-factor", "1")
        amount = ("--events", str(n_events), "--seed", str(self.seed), "--rate", f"{RATE_PER_S}/s")
        self.producer = start(
            self.folder, "run", "--brokers", self.brokers, *topic, *WORLD, *amount, "--workers", "2", "--quiet", *flags
        )
        wait_until(self._has_topic)
        return self.producer

    def _has_topic(self) -> bool:
        topics = AdminClient({"bootstrap.servers": self.brokers, "log_level": 0}).list_topics(timeout=10).topics
        return self.topic in topics and len(topics[self.topic].partitions) == PARTITIONS

    def consume(self, *flags: str, group: str = "", member: str = "") -> Loadgen:
        """Start `loadgen consume`, by default in a group of its own, which has no dead members to wait for.

        Args:
            flags: more of them.
            group: the consumer group.
            member: the fixed id in the group, which lets a successor take over at once.
        """
        options = [*GROUP_OPTIONS, *([f"group.instance.id={member}"] if member else [])]
        given = [word for option in options for word in ("--kafka-option", option)]
        self.n_groups += 1
        where = ("--brokers", self.brokers, "--topic", self.topic, "--store", self.url)
        return start(
            self.folder, "consume", *where, "--group", group or f"{self.topic}-{self.n_groups}", *given, *flags
        )

    def small_files(self) -> tuple[str, ...]:
        """Flags, by the dice, with which a consumer publishes many times a second."""
        size = self.dice.choice(["5", "40", "300", "2000"])
        by_size = ("-b", size, "--rotate-interval", "5s")  # or the last few would wait for a minute
        often = self.dice.choice([("-m", "realtime"), by_size, by_size, ("--rotate-interval", "0.3s")])
        return *often, "--compress", self.dice.choice(["none", "none", "gz", "zst"])

    def position(self) -> int:
        """How many records are in the store for good, by the commit records; while it does not answer, as known."""
        with suppress(StoreError):
            self.furthest = sum(record["next"] for record in self.last_records())
        return self.furthest

    def wait_for_progress(self, n_records: int = 1, timeout_s: float = 60.0) -> None:
        """Wait until so many more records are in the store, or all."""
        wanted = self.position() + n_records
        wait_until(lambda: self.position() >= wanted or self.is_done(), timeout_s)

    def is_done(self) -> bool:
        """Whether everything has been produced, and is in the store for good."""
        assert self.producer is not None
        return not self.producer.runs and self.position() == n_in_topic(self.brokers, self.topic)

    def is_writing(self) -> bool:
        """Whether files are being written, or were when their writer died."""
        return any(True for _ in self.store.files(TMP, hidden=True))

    def is_publishing(self) -> bool:
        """Whether a commit record is not carried out yet."""
        return any(
            self.store.length(move["final"]) is None for record in self.last_records() for move in record["files"]
        )

    def last_records(self) -> list[Any]:
        """The last commit record of each partition."""
        last = {}
        for file in self.store.files(COMMITS):
            folder, _, name = file.path.rpartition("/")
            if folder.startswith(f"{COMMITS}/{self.topic}-") and name.endswith(".json"):
                last[folder] = file.path
        return [orjson.loads(self.store.read(path)) for path in last.values()]

    def finish(self, *flags: str, timeout_s: float = 150.0) -> None:
        """Wait for the producer, let a calm consumer store the rest, and prove it all."""
        if not self.summary:
            assert self.producer is not None
            _, self.summary, shown = self.producer.end(timeout_s)
            # its code says more than that: on a busy machine it may not have kept its rate
            assert self.summary["planned"] == self.summary["delivered"], shown
        self.drain(*flags)
        self.prove(self.summary)

    def drain(self, *flags: str) -> dict[str, Any]:
        """Store what is left; the consumer's summary."""
        code, summary, shown = self.consume("--until-idle", str(IDLE_S), *flags).end()
        assert code == 0, shown
        found: dict[str, Any] = summary
        return found

    def prove(self, summary: dict[str, Any]) -> None:
        """Nothing is lost, repeated, altered, foreign or out of order, by two witnesses."""
        n_records = assert_same(self.brokers, self.topic, self.store)
        code, verdict, shown = self.verify(summary, "--store", self.url)
        counts = {kind: verdict[kind] for kind in ("lost", "repeated", "altered", "foreign", "out_of_order")}
        assert (code, set(counts.values())) == (0, {0}), f"{counts}\n{shown}"
        assert verdict["expected"] == verdict["found"] == n_records == summary["delivered"]

    def verify(self, summary: dict[str, Any], *flags: str) -> tuple[int, Any, str]:
        """`loadgen verify` of the manifest of this run."""
        return start(self.folder, "verify", summary["manifest"], *flags).end()


def sleep_s(dice: Random, least: float, most: float) -> None:
    """Wait, by the dice."""
    time.sleep(dice.uniform(least, most))


def pounce(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Wait for a condition without a pause between looks; whether it came true in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
    return False
