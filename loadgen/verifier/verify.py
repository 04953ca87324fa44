"""`loadgen verify`: what runs delivered, held against what is in a topic, in a store, or in files.

Settings go in; a report on stderr (or one object on stdout) and an exit code come out: 0 nothing is wrong, 1 events are
lost, repeated, altered, foreign or out of order.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from loadgen.config import VerifySettings
from loadgen.decoder import Decoder, Schemas, registry_of
from loadgen.errors import ManifestError, UsageError
from loadgen.evolve.constants import constants_of
from loadgen.kafka.registry import KINDS, Registry
from loadgen.kafka.topics import Topics
from loadgen.simulate.catalog_file import Catalog
from loadgen.simulate.world import labels
from loadgen.terminal import Terminal, say_json
from loadgen.verifier.compare import Comparison, Named, known_of
from loadgen.verifier.files import FileSource, files_source, store_source
from loadgen.verifier.manifest_spec import ManifestSpec, PlaceKind, read_promises
from loadgen.verifier.names import ListenerNames, NameLookup, names_of
from loadgen.verifier.regenerator import Regenerator, find_catalog, texts_of
from loadgen.verifier.report import Shown, VerifyReport, refs
from loadgen.verifier.source import EventSource
from loadgen.verifier.through import ThroughComparison

EXIT_PROVED, EXIT_NOT_PROVED = 0, 1
EVERY_S = 2.0


def main(settings: VerifySettings) -> int:
    """Compare, and say what was found.

    Args:
        settings: complete and valid.

    Returns:
        The exit code: 0 nothing is wrong, 1 something is.

    Raises:
        LoadgenError: a manifest or the place cannot be read, or a run cannot be made again.
    """
    terminal = Terminal(settings.quiet)
    try:
        report = verify(settings, progress_line(terminal))
    finally:
        terminal.end_line()
    if settings.json_summary:
        say_json(report.as_json())
    if not settings.json_summary or not settings.quiet:
        sys.stderr.write("\n".join(report.as_text()) + "\n")
    return EXIT_PROVED if report.findings.is_proved else EXIT_NOT_PROVED


def verify(settings: VerifySettings, progress: Callable[[str, int, float], None]) -> VerifyReport:
    """Compare.

    Args:
        settings: what with what.
        progress: see compare.ShowProgress.

    Raises:
        LoadgenError: see `main`.
    """
    place = _place(settings)
    promises = read_promises(settings.manifests, place)
    if not settings.through:
        promises = [_of_topic(promise, settings.topic, place) for promise in promises]
    if settings.isolation == "read_uncommitted":
        promises = [promise.uncommitted() for promise in promises]
    registry = registry_of(settings.schema_registry, settings.registry_option, settings.registry_config)
    try:
        source = _source(settings, promises, registry)
        if settings.through:
            return _through(promises, source, settings.show, progress)
        with_topics = place == "topic" and _topics(promises) is not None
        return compared(promises, source, settings.show, progress, settings.repartitioned, with_topics)
    finally:
        if registry is not None:
            registry.close()


def compared(
    promises: list[ManifestSpec],
    source: EventSource,
    show: int,
    progress: Callable[[str, int, float], None],
    is_repartitioned: bool = False,
    with_topics: bool = False,
) -> VerifyReport:
    """Compare.

    Args:
        promises: of all manifests.
        source: where events are.
        show: how many events of each kind of difference are named.
        progress: see compare.ShowProgress.
        is_repartitioned, with_topics: see Comparison.

    Raises:
        LoadgenError: see `main`.
    """
    began_s = time.monotonic()
    if isinstance(source, FileSource) and any(promise.undelivered.any() for promise in promises):
        source.expect_torn_ends()
    catalogs = _Catalogs(progress)
    names = _names(promises, catalogs.of)
    comparison = Comparison(promises, source, names, show, progress, is_repartitioned, with_topics)
    remake = cache(lambda promise: Regenerator(promise, catalogs.of(promise), comparison.key, with_topics))
    findings = comparison.run(remake)
    shown = _shown(findings.named, source, lambda wanted: texts_of([remake(one) for one in promises], wanted))
    return VerifyReport(source.name, promises, findings, shown, time.monotonic() - began_s)


def _through(
    promises: list[ManifestSpec], source: EventSource, show: int, progress: Callable[[str, int, float], None]
) -> VerifyReport:
    """Compare with what came out of a system under test, see `verifier/through.py`."""
    began_s, catalogs = time.monotonic(), _Catalogs(progress)
    remake = cache(lambda promise: Regenerator(promise, catalogs.of(promise), promise.key))
    findings = ThroughComparison(promises, source, show, progress).run(remake)
    shown = _shown(findings.named, source, lambda wanted: texts_of([remake(one) for one in promises], wanted))
    return VerifyReport(source.name, promises, findings, shown, time.monotonic() - began_s)


def _place(settings: VerifySettings) -> PlaceKind:
    if settings.brokers is not None:
        return "topic"
    if settings.store is not None:
        return "store"
    return "folder" if any(Path(path).is_dir() for path in settings.files) else "file"


def _source(settings: VerifySettings, promises: list[ManifestSpec], registry: Registry | None) -> EventSource:
    if settings.brokers is not None:
        from loadgen.kafka.options import KafkaSettings, options_of
        from loadgen.kafka.topic_reader import COMMITTED, UNCOMMITTED
        from loadgen.verifier.topic import TopicSource, TopicsSource

        options, decoder = options_of(settings.kafka_option, settings.kafka_config), _decoder(promises, registry)
        isolation = UNCOMMITTED if settings.isolation == "read_uncommitted" else COMMITTED
        each = [
            TopicSource(KafkaSettings(settings.brokers, name, options), decoder, isolation)
            for name in _topic_names(settings.topic, promises, settings.through)
        ]
        return each[0] if len(each) == 1 else TopicsSource(each)
    if settings.store is not None:
        from loadgen.store import open_store

        return store_source(open_store(settings.store))
    return files_source(settings.files)


def _of_topic(promise: ManifestSpec, topic: str | None, place: PlaceKind) -> ManifestSpec:
    """The promise of the topic that is named; raises UsageError where the run did not send to it by page."""
    if topic is None or (promise.topics is None and place == "topic"):
        return promise
    if promise.topics is None:
        rule = "--topic chooses a topic of a --topic-map, where events are compared with a store or files"
        raise UsageError(f"{rule}, got run {promise.run_id} without; leave --topic out")
    if topic not in promise.topics.names:
        names, step = ", ".join(promise.topics.names), "leave it out for all of them"
        raise UsageError(f"--topic must be one of run {promise.run_id} ({names}), got {topic}; {step}")
    return replace(promise, only=topic)


def _topic_names(named: str | None, promises: list[ManifestSpec], through: bool) -> Sequence[str]:
    """The topics that are read: the one that is named, or else those of the runs; raises UsageError if these differ."""
    if named is not None:
        return [named]
    if through and (watched := {promise.settings.watch_topic for promise in promises} - {None}):
        return sorted(filter(None, watched))
    if (topics := _topics(promises)) is not None:
        return topics.names
    names = sorted({promise.settings.topic for promise in promises})
    if len(names) > 1:
        raise UsageError(f"--topic must be given where runs sent to different topics, got {', '.join(names)}; name one")
    return names


def _topics(promises: list[ManifestSpec]) -> Topics | None:
    """The topics that all of these runs have; raises ManifestError where they are not the same."""
    if len({promise.topics for promise in promises}) > 1:
        raise ManifestError("all manifests must be of runs to the same topics by page; verify the others by themselves")
    return promises[0].topics


def _decoder(promises: list[ManifestSpec], registry: Registry | None) -> Decoder:
    """Knows the schemas of the runs, and those of a registry where there is one."""
    schemas = [promise.schema for promise in promises if promise.schema is not None]
    given = {schema.id: (KINDS[schema.name], schema.text) for schema in schemas}
    constants = {schema.id: constants_of(schema) for schema in schemas if schema.own and schema.own.unproved}
    return Decoder(Schemas(registry, given, constants), known_of(promises))


class _Catalogs:
    """The catalogues of runs, each opened once."""

    def __init__(self, progress: Callable[[str, int, float], None]) -> None:
        self._progress = progress
        self._found: dict[str, Catalog] = {}

    def of(self, promise: ManifestSpec) -> Catalog:
        """The catalogue of this run; raises as find_catalog does."""
        if promise.digest not in self._found:
            self._found[promise.digest] = find_catalog(promise, self._building)
        return self._found[promise.digest]

    def _building(self, share: float, what: str) -> None:
        self._progress(f"catalogue: {what}", 0, share)


def _names(promises: list[ManifestSpec], catalog_of: Callable[[ManifestSpec], Catalog]) -> NameLookup:
    """Who is who in the runs whose events have no user ids."""
    return names_of(
        ListenerNames(promise.settings.users, promise.settings.seed, labels(catalog_of(promise), promise.behaviour))
        for promise in promises
        if not promise.wire_format.has_ids
    )


def _shown(
    named: list[Named], source: EventSource, expected_texts: Callable[[list[int]], dict[int, bytes]]
) -> list[Shown]:
    """The events that are named, with their texts."""
    if not named:
        return []
    places, names = refs(named)
    found, expected = source.texts(places) if places else {}, expected_texts(names) if names else {}
    return [
        Shown(
            one.kind,
            "" if one.found is None else source.where(one.found),
            None if one.found is None else found.get(one.found),
            None if one.expected is None else expected.get(one.expected),
        )
        for one in named
    ]


def progress_line(terminal: Terminal) -> Callable[[str, int, float], None]:
    """Shows progress every two seconds."""
    shown_s = time.monotonic()

    def show(what: str, n_events: int, share: float) -> None:
        nonlocal shown_s
        now_s = time.monotonic()
        if not terminal.quiet and now_s - shown_s >= EVERY_S:
            shown_s = now_s
            terminal.line(f"{what}: {n_events:,} events, {share:.0%}")

    return show
