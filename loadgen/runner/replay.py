"""What is checked and made ready before a replay: the recording, its first event, the place where it goes."""

import time
from collections.abc import Sequence
from dataclasses import replace

from loadgen.config import ReplaySettings
from loadgen.config.names import topic_place
from loadgen.config.values import say_duration, say_moment
from loadgen.errors import SinkError, StoreError
from loadgen.extensions import name_of
from loadgen.kafka.options import KafkaSettings, options_of
from loadgen.kafka.topic_config import TimeBounds, check_times
from loadgen.replay.files import Files
from loadgen.replay.records import ReadCounts
from loadgen.replay.topic import Topic
from loadgen.runner.console import RunConsole
from loadgen.runner.messages import Recording, ReplayPlan
from loadgen.runner.prepare import kafka_of, new_run_id, place_rows
from loadgen.sink.simple import make_sink

MOST_LOOKED_AT = 100_000
"""Records without a time, after which the recording is given up."""


def prepare_replay(settings: ReplaySettings, console: RunConsole, embedded_address: str | None) -> ReplayPlan:
    """Check and prepare a replay: all but its files.

    Args:
        settings: what the user asked for.
        console: for notes.
        embedded_address: of the embedded broker, where there is one.

    Raises:
        LoadgenError: the first thing that stands in the way.
    """
    sinks = {name_of(sink): make_sink(sink) for sink in settings.sink}
    recording = recording_of(settings)
    first_us = first_time_us(recording, settings)
    kafka, topics, topic_ends = kafka_of(settings, console, embedded_address, ())
    if kafka is not None and embedded_address is None:
        started_ms = settings.start if isinstance(settings.start, int) else first_us / 1000 + settings.offset_s * 1000
        ahead_ms = 0.0 if settings.message_time == "now" else started_ms - time.time() * 1000
        check_times(replace(kafka, topic=settings.topic), TimeBounds(ahead_ms, ahead_ms, ahead_ms), console.note)
    return ReplayPlan(
        run_id=new_run_id(),
        settings=settings,
        kafka=kafka,
        topic_ends=topic_ends,
        stream=settings.output is not None,
        sinks=sinks,
        topics=topics,
        recording=recording,
        first_us=first_us,
    )


def recording_of(settings: ReplaySettings) -> Recording:
    """What is replayed.

    Raises:
        LoadgenError: it is not there, is empty, or of another kind.
    """
    place = topic_place(settings.sources[0])
    if place is None:
        files = Files(settings.sources, settings.start if isinstance(settings.start, int) else None)
        _ = files.found
        return files
    options = options_of(settings.kafka_option, settings.kafka_config)
    try:
        return Topic.of(KafkaSettings(*place, options, reading=True))
    except SinkError as error:  # names --brokers and --topic, which are those that it is sent to
        raise type(error)(f"source {settings.sources[0]}: {error}") from error


def first_time_us(recording: Recording, settings: ReplaySettings) -> int:
    """The time of the first event that is found, which need not be the earliest.

    Raises:
        StoreError: the first records have no time.
    """
    counts = ReadCounts()
    reader = ReplayPlan.reader_of(settings, counts, isinstance(recording, Topic))
    for part in recording.parts(reader):
        while (records := part.next()) is not None:
            if len(records):
                return int(records.time_us[0])
            if counts.read >= MOST_LOOKED_AT:
                break
    raise StoreError(
        f"{settings.source} must have events with a time, got none in {counts.read:,} records; {counts.why}"
    )


def replay_rows(settings: ReplaySettings, plan: ReplayPlan) -> Sequence[tuple[str, str]]:
    """What the user is shown first: the resolved settings, one row each."""
    start = settings.start
    bounds = [
        say_duration(settings.duration_s) if settings.duration_s is not None else "",
        f"{settings.events:,} events" if settings.events is not None else "",
        "again and again" if settings.loop else "to its end",
    ]
    skipped = "its first event" if start is None else say_moment(start) if isinstance(start, int) else None
    return [
        ("replay", plan.run_id),
        ("of", f"{settings.source}{plan.recording.said}"),
        ("from", skipped or f"{say_duration(float(start or 0))} after its first event"),
        ("speed", f"{settings.speed:g}"),
        ("for", ", ".join(filter(None, bounds))),
        *([("warm-up", f"{settings.warm_up_s:g} s, left out of the figures")] if settings.warm_up_s else []),
        *(("must keep", str(threshold)) for threshold in settings.threshold),
        *place_rows(settings, plan),
    ]
