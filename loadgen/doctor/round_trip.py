"""Sends a hundred marked events all the way: produced, consumed, stored, and counted by DuckDB; and where there is a
schema registry, some in each encoding to the topic and back.

In: a topic and a folder of the doctor's own. Out: how many came through; what the broker's clock said on the way.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException, Message, Producer

from loadgen.config import KafkaOptions
from loadgen.config.layers import environment
from loadgen.config.names import EncodingName
from loadgen.config.options import Options
from loadgen.config.registry_options import RegistryOptions
from loadgen.encode.encodings import full_name
from loadgen.errors import LoadgenError
from loadgen.formats import BUILT_IN
from loadgen.kafka.monitor import Monitor
from loadgen.kafka.options import KafkaSettings, client_config, hide_secrets
from loadgen.kafka.registry import RegistrySettings, subject_of
from loadgen.simulate.catalog import CatalogSettings, open_catalog

N_EVENTS = 100
SEND_S = 8.0
CONSUME_S = 25.0
ENCODED_S = 60.0
TRACKS = 10_558
"""The smallest catalogue, which is built in a moment."""
IDLE_S = 1.0
SESSION_S = 6.0
"""The session timeout, after which the group removes a killed consumer; brokers allow no less."""
LOG_APPEND_TIME = 2


@dataclass(frozen=True, slots=True)
class SentMarks:
    """Delivery of the marked events.

    Attributes:
        skew_s: how far the broker's clock is ahead; None if unknown.
        wait_s: from the first send to the last report.
    """

    n_delivered: int
    skew_s: float | None
    wait_s: float


def events(mark: str, now_ms: int) -> list[bytes]:
    """Events in the wire format `full`, which bear the mark as their artist."""
    record = {"sessionId": 1, "page": "NextSong", "method": "PUT", "status": 200, "level": "free", "artist": mark}
    return [
        json.dumps({"ts": now_ms, "userId": number, **record, "itemInSession": 1, "action": "play"}).encode()
        for number in range(N_EVENTS)
    ]


def produce(kafka: KafkaSettings, mark: str) -> SentMarks:
    """Send the events. Raises LoadgenError: the broker does not take all of them."""
    monitor = Monitor(kafka.options)
    config: dict[str, Any] = {**client_config(kafka), "acks": "all", **monitor.callbacks()}
    stamps: list[int] = []
    refusals: list[str] = []

    def on_delivery(error: Any, message: Message) -> None:
        kind, stamp_ms = message.timestamp()
        if error is not None:
            refusals.append(error.str())
        stamps.append(stamp_ms if kind == LOG_APPEND_TIME else -1)

    began_s = time.time()
    try:
        producer = Producer(config, logger=monitor.logger)
        for value in events(mark, int(began_s * 1000)):
            producer.produce(kafka.topic, value, str(len(value)), on_delivery=on_delivery)
        n_left = producer.flush(SEND_S)
    except KafkaException as error:
        raise LoadgenError(hide_secrets(error.args[0].str(), kafka.options)) from error
    if n_left or refusals:
        why = hide_secrets(refusals[0], kafka.options) if refusals else f"no report within {SEND_S:g} s"
        raise LoadgenError(f"{n_left + len(refusals)} of {N_EVENTS} events were not taken: {why}")
    wait_s = time.time() - began_s
    skews = [stamp_ms / 1000 - began_s - wait_s / 2 for stamp_ms in stamps if stamp_ms >= 0]
    return SentMarks(len(stamps), skews[0] if skews else None, wait_s)


class CommandProcess:
    """A command of loadgen, as a process that can be killed at any time."""

    def __init__(self, words: Sequence[str], deadline_s: float, *options: Options, **variables: str) -> None:
        """Start it.

        Args:
            words: the verb and flags.
            deadline_s: longest wait for its end.
            options: of Kafka or a registry; variables: of its environment.
        """
        self._name, self._deadline_s = words[0], deadline_s
        self._process = subprocess.Popen(
            [sys.executable, "-m", "loadgen", *words, "--quiet"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment(os.environ, *options), **variables},
            process_group=0,
        )

    def wait(self) -> None:
        """Wait for its end; raises LoadgenError with its error message if it failed."""
        try:
            _, said = self._process.communicate(timeout=self._deadline_s)
        except subprocess.TimeoutExpired as error:
            self.kill()
            why = f"loadgen {self._name} did not end within {self._deadline_s:g} s; try it alone"
            raise LoadgenError(why) from error
        if self._process.returncode != 0:
            errors = [line.removeprefix("error: ") for line in said.splitlines() if line.startswith("error: ")]
            why = errors[0] if errors else f"exit code {self._process.returncode}"
            raise LoadgenError(f"loadgen {self._name}: {why}")

    def kill(self) -> None:
        """End it at once, if it has not ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


@dataclass(frozen=True, slots=True)
class Way:
    """How commands reach a topic, and a registry where there is one; options may hold passwords."""

    kafka: KafkaSettings
    registry: RegistrySettings | None

    @property
    def flags(self) -> list[str]:
        """Where it is."""
        flags = ["--brokers", self.kafka.brokers, "--topic", self.kafka.topic]
        return flags if self.registry is None else [*flags, "--schema-registry", self.registry.url]

    def options(self, **more: str) -> tuple[Options, ...]:
        """How to get in; more: of Kafka."""
        return KafkaOptions({**more, **self.kafka.options}), RegistryOptions(
            self.registry.options if self.registry else {}
        )


def consuming(way: Way, group: str, store: str) -> CommandProcess:
    """The consumer, which ends when the topic is idle."""
    ends = ["--until-idle", str(IDLE_S), "--rotate-interval", "0.2", "--metrics-port", "0"]
    session = {"session.timeout.ms": str(int(SESSION_S * 1000))}
    return CommandProcess(
        ["consume", *way.flags, "--group", group, "--store", store, *ends], CONSUME_S, *way.options(**session)
    )


ENCODED: dict[EncodingName, str] = {"avro": "activity", "protobuf": "listen", "jsonschema": "full"}
"""By encoding the format that is sent, so that each has a schema of its own name, and so a subject."""


def subjects(topic: str) -> list[str]:
    """Those under which `encoded` registers schemas."""
    return [subject_of("topic-record", topic, full_name(name, BUILT_IN[of])) for name, of in ENCODED.items()]


def encoded(way: Way, folder: str) -> list[CommandProcess]:
    """The runs that send a few events in each encoding, with keys and headers; raises CatalogError."""
    open_catalog(CatalogSettings(n_tracks=TRACKS), Path(folder))  # built once, before three runs want it
    few = ["--events", "3", "--users", "3", "--workers", "1", "--rate", "max"]
    kind = [*few, "--tracks", str(TRACKS), "--metrics-port", "0"]
    sent = ["--subject-name", "topic-record", "--header", "sent-by=loadgen-doctor"]
    return [
        CommandProcess(
            [
                "run",
                *way.flags,
                *kind,
                *sent,
                "--encoding",
                name,
                "--format",
                of,
                "--manifest",
                f"{folder}/{name}.json",
            ],
            ENCODED_S,
            *way.options(),
            LOADGEN_CACHE=folder,
        )
        for name, of in ENCODED.items()
    ]


def proving(way: Way, folder: str) -> CommandProcess:
    """The command that reads the topic back, decodes by the schemas' ids, and compares each field, key and header."""
    manifests = [f"{folder}/{name}.json" for name in ENCODED]
    return CommandProcess(["verify", *manifests, *way.flags], ENCODED_S, *way.options(), LOADGEN_CACHE=folder)


def count(store: str, mark: str) -> int:
    """How many marked events are stored; raises LoadgenError."""
    import pyarrow.compute as pc

    from loadgen.analyze.events import connect, rows_of_lines
    from loadgen.store import open_store
    from loadgen.store.layout import published
    from loadgen.store.read import read_lines

    opened, connection = open_store(store), connect()
    n_found = 0
    for file in published(opened):
        for lines in read_lines(opened, file):
            rows = rows_of_lines(connection, lines)
            n_found += int(pc.sum(pc.equal(rows["artist"], mark)).as_py() or 0)
    return n_found
