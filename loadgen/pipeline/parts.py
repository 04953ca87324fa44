"""What the three parts of a pipeline are told on their command lines; never a Kafka option, which may be a password.

In: settings, addresses. Out: words for `loadgen`. Nothing is started here.
"""

from pathlib import Path

from loadgen.config import PipelineSettings

FORMAT = "full"
"""The wire format that has data for every panel of the dashboard."""


def is_timed(settings: PipelineSettings) -> bool:
    """Whether an event's time is the wall-clock time at which it is due, so that its latency can be told.

    At another rate than the natural one simulated time is compressed: then a track would last a fraction of its length.
    """
    return settings.rate == "natural"


def producer_words(
    settings: PipelineSettings, brokers: str, life: int, left_s: float | None, metrics_port: int, manifest: Path
) -> list[str]:
    """The words of a producer.

    Args:
        settings: of the pipeline.
        brokers: "HOST:PORT,…".
        life: how many there were before; each takes another seed, so that no event comes again.
        left_s: seconds of events that are still to be made; None: until stopped.
        metrics_port: where its metrics are.
        manifest: where its manifest goes.
    """
    ends = ["--continuous"] if left_s is None else ["--duration", f"{left_s:.3f}s"]
    rate = settings.rate if isinstance(settings.rate, str) else f"{settings.rate!r}/s"
    times = "wall" if is_timed(settings) else "simulated"
    return [
        *("run", "--format", FORMAT, "--users", str(settings.users), "--workers", str(settings.workers)),
        *("--seed", str((settings.seed + life) % 2**64), "--rate", rate, "--tracks", str(settings.tracks), *ends),
        *("--timestamps", times),
        *_kafka_words(settings, brokers, metrics_port),
        *("--manifest", str(manifest), "--quiet"),
    ]


def consumer_words(settings: PipelineSettings, brokers: str, group: str, metrics_port: int) -> list[str]:
    """The words of a consumer of this group."""
    rotation = ("--rotate-interval", f"{settings.rotate_interval_s}s")
    where = ("--group", group, "--store", settings.store)
    return ["consume", *_kafka_words(settings, brokers, metrics_port), *where, *rotation]


def dashboard_words(settings: PipelineSettings, flow: Path) -> list[str]:
    """The words of a dashboard that shows what this file says of the pipeline."""
    where = ("--port", str(settings.port), "--host", settings.host)
    return ["dashboard", "--store", settings.store, "--flow", str(flow), *where]


def _kafka_words(settings: PipelineSettings, brokers: str, metrics_port: int) -> list[str]:
    words = ["--brokers", brokers, "--topic", settings.topic, "--metrics-port", str(metrics_port)]
    return words if settings.kafka_config is None else [*words, "--kafka-config", str(settings.kafka_config)]
