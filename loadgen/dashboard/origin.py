"""What the settings say about where events come from, checked as far as that is possible without asking anybody.

In: settings. Out: an Origin for the reading process, and what /health says of it.
"""

from loadgen.config import DashboardSettings
from loadgen.dashboard.feed import Origin
from loadgen.dashboard.topic import GROUP
from loadgen.kafka.consumer_options import check_consumer_options
from loadgen.kafka.options import KafkaSettings, options_of
from loadgen.store import open_store


def origin_of(settings: DashboardSettings) -> Origin:
    """Where events come from.

    Raises:
        UsageError: an option that Kafka does not take, or a URL that is none.
    """
    if settings.brokers is None:
        open_store(settings.store or "").close()
        return Origin(store=settings.store)
    options = options_of(settings.kafka_option, settings.kafka_config)
    kafka = KafkaSettings(settings.brokers, settings.topic, options, reading=True)
    check_consumer_options(kafka, GROUP)
    return Origin(kafka=kafka, begin=settings.begin)


def place_of(settings: DashboardSettings) -> dict[str, str | None]:
    """What /health says of it: `store`, or `topic` and `brokers`; the others are None."""
    store = None if settings.store is None else open_store(settings.store).url
    return {"store": store, "topic": settings.topic if settings.brokers else None, "brokers": settings.brokers}
