"""Runs all checks in turn, prints each finding at once, and removes everything it has created.

In: settings. Out: findings, on stderr for a person, on stdout for a program.
"""

import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

from loadgen.config import DoctorSettings
from loadgen.decoder import registry_settings
from loadgen.doctor import checks
from loadgen.doctor.broker import Cluster, clock, looked_at, make_topic, reached, remove_group, remove_topic
from loadgen.doctor.checks import Finding, Mark, Scratch, bad, good, in_time, untried
from loadgen.doctor.registry import RegistryTrial
from loadgen.doctor.round_trip import (
    ENCODED,
    N_EVENTS,
    SentMarks,
    Way,
    consuming,
    count,
    encoded,
    produce,
    proving,
    subjects,
)
from loadgen.errors import LoadgenError
from loadgen.kafka.embedded import AT_ONCE, EmbeddedBroker
from loadgen.kafka.options import KafkaSettings, options_of
from loadgen.kafka.registry import Registry, RegistrySettings
from loadgen.signals import ignore, listening, stop
from loadgen.terminal import Terminal, say_json

KAFKA_S, TOPIC_S, REGISTRY_S, STORE_S, MAKE_S, COUNT_S, REMOVE_S = 16.0, 12.0, 16.0, 16.0, 12.0, 8.0, 12.0


class Doctor:
    """One visit."""

    def __init__(self, settings: DoctorSettings) -> None:
        """Nothing is looked at yet; raises UsageError for options or a URL that are none."""
        self.found: list[Finding] = []
        self._settings = settings
        self._terminal = Terminal(settings.quiet)
        self._token = secrets.token_hex(4)
        self._mark = f"loadgen-doctor-{self._token}"
        self._options = options_of(settings.kafka_option, settings.kafka_config)
        self._registry_at = registry_settings(
            settings.schema_registry, settings.registry_option, settings.registry_config
        )
        self._scratch = None if settings.store is None else Scratch(settings.store, self._token)
        self._began_s = time.monotonic()
        self._sent: SentMarks | None = None

    def examine(self) -> None:
        """Look at everything; what was made is removed, however it ends."""
        with listening(stop):
            self._examine()

    def _examine(self) -> None:
        for check in (checks.packages, checks.memory, checks.disk, checks.catalog):
            self._say(check())
        with ExitStack() as stack:
            try:
                kafka, cluster = self._kafka()
                registry = self._registry(stack)
                self._say(registry)
                if registry.mark is not Mark.GOOD:
                    self._registry_at = None
                has_store = self._store(stack)
                self._say(self._through(kafka, cluster, has_store, stack))
            finally:
                ignore()  # nothing keeps it from clearing up
        self._say(clock(self._sent.skew_s, self._sent.wait_s) if self._sent else clock(None, 0.0))
        self._say(checks.port(self._settings.port))

    def conclude(self) -> None:
        """Print the last line, or the object for programs."""
        n_bad = sum(found.mark is Mark.BAD for found in self.found)
        if not self._settings.quiet:
            elapsed_s = time.monotonic() - self._began_s
            self._terminal.note(f"{f'{n_bad} to be mended' if n_bad else 'all well'}, in {elapsed_s:.1f} s")
        if self._settings.json_summary:
            names = {Mark.GOOD: "ok", Mark.BAD: "failed", Mark.NONE: "not tried"}
            checks: list[dict[str, Any]] = [
                {"name": one.name, "status": names[one.mark], "said": one.said, "next_step": one.next_step or None}
                for one in self.found
            ]
            say_json({"ok": n_bad == 0, "checks": checks})

    def _say(self, finding: Finding) -> None:
        self.found.append(finding)
        if finding.mark is Mark.BAD or not self._settings.quiet:
            for line in finding.lines():
                self._terminal.note(line)

    def _kafka(self) -> tuple[KafkaSettings | None, Cluster | None]:
        """Kafka and the topic, where there are brokers to look at."""
        settings = self._settings
        if settings.embedded:
            self._say(untried("kafka", "Kafka: not asked for; --brokers HOST:PORT checks yours"))
            return None, None
        kafka = KafkaSettings(str(settings.brokers), settings.topic, self._options)
        try:
            finding, cluster = in_time(lambda: reached(kafka), KAFKA_S)
        except LoadgenError as error:
            finding, cluster = bad("kafka", "Kafka", error), None
        self._say(finding)
        if cluster is None:
            self._say(untried("topic", f"topic {kafka.topic}: could not be looked at"))
        else:
            self._say(self._guarded("topic", "topic", lambda: looked_at(kafka, cluster), TOPIC_S))
        return kafka, cluster

    def _registry(self, stack: ExitStack) -> Finding:
        """The schema registry, where there is one to try."""
        if self._registry_at is None:
            return untried("registry", "schema registry: not asked for; --schema-registry URL checks yours")
        try:
            trial = RegistryTrial(self._registry_at, self._token)
        except LoadgenError as error:
            return bad("registry", "schema registry", error)
        stack.callback(lambda: self._remove(trial.remove, trial.has_registered))
        return self._guarded("registry", "schema registry", trial.tried, REGISTRY_S)

    def _store(self, stack: ExitStack) -> bool:
        """The store, where there is one to try; returns whether events can be stored."""
        scratch = self._scratch
        if scratch is None:
            self._say(untried("store", "store: not asked for; --store URL checks yours"))
            return True
        stack.callback(lambda: self._remove(scratch.remove, scratch.has_answered))
        finding = self._guarded("store", "store", scratch.tried, STORE_S)
        self._say(finding)
        return finding.mark is Mark.GOOD

    def _guarded(self, name: str, what: str, check: Callable[[], Finding], deadline_s: float) -> Finding:
        try:
            return in_time(check, deadline_s)
        except LoadgenError as error:
            return bad(name, what, error)

    def _through(
        self, kafka: KafkaSettings | None, cluster: Cluster | None, has_store: bool, stack: ExitStack
    ) -> Finding:
        """Events all the way through, as far as the way is open."""
        name = f"{N_EVENTS} events"
        if not has_store or (kafka is not None and cluster is None):
            return untried("through", f"{name}: could not be sent through, see above")
        began_s = time.monotonic()
        try:
            topic = self._topic(kafka, cluster, stack)
        except LoadgenError as error:
            why = f"{name}: not sent through, a topic of the doctor's own cannot be made ({error})"
            return untried("through", why)
        way = Way(topic, self._registry_at)
        if way.registry is not None:
            self._say(self._encoded(way, way.registry, stack))
            began_s = time.monotonic()
        try:
            n_found = self._send_through(way, kafka is not None, stack)
        except LoadgenError as error:
            return bad("through", name, error, "try loadgen run, consume and analyze one by one")
        if n_found != N_EVENTS:
            said = LoadgenError(f"sent, but {n_found} are stored")
            return bad("through", name, said, "keep the consumer's log, and report it")
        where = "a test broker in memory" if kafka is None else f"a topic of their own on {topic.brokers}"
        into = "a temporary folder" if self._scratch is None else "the store"
        elapsed_s = time.monotonic() - began_s
        said_all = f"{name}: produced, consumed, stored and counted, by {where} and {into}, in {elapsed_s:.1f} s"
        return good("through", said_all)

    def _topic(self, kafka: KafkaSettings | None, cluster: Cluster | None, stack: ExitStack) -> KafkaSettings:
        if kafka is None or cluster is None:
            broker = stack.enter_context(EmbeddedBroker(self._mark))
            return KafkaSettings(broker.address, self._mark, dict(AT_ONCE))
        mine = KafkaSettings(kafka.brokers, self._mark, kafka.options)
        try:
            return in_time(lambda: make_topic(kafka, self._mark, cluster.n_brokers), MAKE_S)
        finally:
            stack.callback(self._remove, lambda: remove_topic(mine))

    def _encoded(self, way: Way, registry: RegistrySettings, stack: ExitStack) -> Finding:
        """Some events in each encoding to the topic and back."""
        began_s, folder = time.monotonic(), self._folder(stack)
        for subject in subjects(way.kafka.topic):
            stack.callback(self._remove, partial(_remove_subject, registry, subject))
        try:
            runs = encoded(way, folder)
            for run in runs:
                stack.callback(run.kill)
            for run in runs:
                run.wait()
            proof = proving(way, folder)
            stack.callback(proof.kill)
            proof.wait()
        except LoadgenError as error:
            return bad("encoded", "encodings", error, "try loadgen run --encoding and verify one by one")
        elapsed_s = time.monotonic() - began_s
        said = (
            f"{', '.join(ENCODED)}: sent with keys and headers, read back, decoded by their schemas' ids and compared"
        )
        return good("encoded", f"{said}, in {elapsed_s:.1f} s")

    def _folder(self, stack: ExitStack) -> str:
        """A temporary folder."""
        folder = tempfile.mkdtemp(prefix="loadgen-doctor-")
        stack.callback(shutil.rmtree, Path(folder), ignore_errors=True)
        return folder

    def _send_through(self, way: Way, is_real: bool, stack: ExitStack) -> int:
        """How many of the events are stored in the end."""
        topic = way.kafka
        store = self._folder(stack) if self._scratch is None else self._scratch.url
        sent = in_time(lambda: produce(topic, self._mark), MAKE_S)
        self._sent = sent if is_real else None
        if is_real:
            stack.callback(self._remove, lambda: remove_group(topic, self._mark))
        consumer = consuming(way, self._mark, store)
        stack.callback(consumer.kill)
        consumer.wait()
        return in_time(lambda: count(store, self._mark), COUNT_S)

    def _remove(self, remove: Callable[[], None], is_there: bool = True) -> None:
        """Remove something; say it where that cannot be done, unless it is not known to be there."""
        try:
            in_time(remove, REMOVE_S)
        except LoadgenError as error:
            if is_there:
                self._say(bad("cleanup", "left behind", error, "remove it by hand"))


def _remove_subject(settings: RegistrySettings, subject: str) -> None:
    with closing(Registry(settings)) as registry:
        registry.remove(subject)
