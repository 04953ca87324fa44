"""Compares events with published facts about listening: `loadgen realism`.

In: settings. Out: the verdict of each target, a picture or a page of the curves, an exit code.

`facts` reads every event once into compact rows; `observed` aggregates them; `statistics` computes the values that
`targets` judges; `report` shows them as text, JSON or page, with the pictures of `curves`.
"""

import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

import duckdb
import pyarrow as pa

from loadgen.analyze.console import note_gaps, progress
from loadgen.analyze.tally import no_room
from loadgen.config import RealismSettings
from loadgen.config.settings.shared import DEFAULT_STORE
from loadgen.decoder import Decoder, Schemas, registry_of
from loadgen.errors import NotThere
from loadgen.formats import known_formats
from loadgen.kafka.options import KafkaSettings, options_of
from loadgen.realism import report
from loadgen.realism.curves import PICTURE_MARK
from loadgen.realism.facts import Facts
from loadgen.realism.observed import ObservedListening, seen_in
from loadgen.realism.statistics import statistics_of
from loadgen.realism.targets import Sample, load_targets
from loadgen.report import may_replace
from loadgen.store.event_files import Interval, batches
from loadgen.store.table import lines_of
from loadgen.terminal import Terminal, say, say_json
from loadgen.verifier.topic import TopicSource

EXIT_PASSED, EXIT_NOT_PASSED = 0, 1


def main(settings: RealismSettings) -> int:
    """Read, compute, judge and print.

    Returns:
        The exit code: 0 if no target fails; 1 if one does, if no target can be judged, or if a file was not read.

    Raises:
        LoadgenError: the targets are wrong, there is nothing to read, or the report cannot be written.
    """
    targets = load_targets(settings.targets)
    terminal = Terminal(settings.quiet)
    if settings.report:
        may_replace(settings.report, terminal.note, PICTURE_MARK.encode())
    began_s = time.monotonic()
    seen, failed = look(settings, terminal)
    judged = report.judge(targets.targets, statistics_of(seen), sample := Sample.of(seen))
    extent = report.extent_of(int(seen.events.sum()), sample)
    if settings.report:
        report.write(settings.report, report.RealismReport(extent, judged, tuple(failed)), seen, targets.curves)
    if settings.json_summary:
        say_json(report.as_list(judged))
    else:
        say(report.text_of(judged, f"loadgen realism: {extent}"))
    note_gaps(terminal, failed, seen.events.sum())
    if not settings.quiet:
        terminal.note(f"read and computed in {time.monotonic() - began_s:.1f} s")
        if settings.report:
            terminal.note(f"written: {settings.report}")
    return EXIT_PASSED if report.none_failed(judged) and not failed else EXIT_NOT_PASSED


def look(settings: RealismSettings, terminal: Terminal) -> tuple[ObservedListening, dict[str, str]]:
    """Read everything.

    Returns:
        The aggregates, and the unreadable files with the reasons.

    Raises:
        LoadgenError: there is nothing to read, or not enough memory and disk.
    """
    known = known_formats(settings.format, note=terminal.note)
    with tempfile.TemporaryDirectory(prefix="loadgen_realism_") as spill:
        facts = Facts(Interval(settings.since_ms, settings.until_ms), Path(spill), known)
        try:
            (_read_topic if settings.brokers else _read_files)(settings, facts, terminal)
            facts.finish()
            return seen_in(facts), facts.reading.failed
        except duckdb.OutOfMemoryException as error:
            raise no_room(error, "set TMPDIR to a folder on a larger disk") from error
        finally:
            facts.close()


def _read_files(settings: RealismSettings, facts: Facts, terminal: Terminal) -> None:
    stores = settings.stores or (DEFAULT_STORE,)
    found = batches(stores, facts.interval)
    if not found:
        step = "make events with loadgen run, or name another place: loadgen realism FILE"
        raise NotThere(f"there is no file of events of that time in {', '.join(stores)}; {step}")
    with progress(terminal, "reading", facts.share):
        facts.read(found)


def _read_topic(settings: RealismSettings, facts: Facts, terminal: Terminal) -> None:
    options = options_of(settings.kafka_option, settings.kafka_config)
    registry = registry_of(settings.schema_registry, settings.registry_option, settings.registry_config)
    decoder = Decoder(Schemas(registry), facts.known)
    source = TopicSource(KafkaSettings(str(settings.brokers), settings.topic, options, reading=True), decoder)
    with closing(decoder.schemas), progress(terminal, "reading", source.share):
        for block in source.blocks():
            is_table = isinstance(block.content, pa.Table)
            facts.take(lines_of(block.content) if is_table else cast(Sequence[bytes], block.content))
