"""What librdkafka says besides delivery reports: errors, log lines, figures once a second.

In: its callbacks and log lines. Out: attributes to look at. Nothing is printed, and secrets are taken out.
"""

import logging
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient

from loadgen.kafka.options import KafkaSettings, client_config, hide_secrets

N_KEPT = 20
N_TO_BELIEVE = 2
ADDRESSES = ("configured", "learned")
"""Of librdkafka's brokers those that are an address; others are roles, of which one of these is the bearer."""
ORIGIN = re.compile(
    r"^\[rdkafka#[^]]*\] |\[thrd:[^]]*\]: | \(after \d+ms in state (?!SSL_)\w+\)|, \d+ identical error.*suppressed"
)
"""What tells only where and when in librdkafka a complaint arose; that it arose during the TLS handshake matters."""


@dataclass(frozen=True, slots=True)
class BrokerStats:
    """A client's figures of the last second.

    Attributes:
        round_trip_p99_s: of the slowest broker, in the last interval that had requests; nan before the first.
        queue_messages: messages that the client holds.
        n_connected: brokers that it has a connection to.
    """

    round_trip_p99_s: float = float("nan")
    queue_messages: int = 0
    n_connected: int = 0


class Monitor:
    """Listens to one client.

    Attributes:
        last_errors: the last few complaints, oldest first.
        texts: the last text of each error code so far (KafkaError.code()).
        fatal: the error after which the client will deliver nothing more; None while all is well.
        logger: give it to the client, so that log lines come here and not to stderr.
        has_no_brokers: the client knows of no broker any more, so it never connects again: where brokers are shut down
            in good order, the last one may answer that there is none (librdkafka's issue 5301).
    """

    def __init__(self, options: dict[str, str]) -> None:
        """Begin to listen; options are the user's, of which the secret ones must not show."""
        self.stats = BrokerStats()
        self.last_errors: deque[str] = deque(maxlen=N_KEPT)
        self.texts: dict[int, str] = {}
        self.fatal: KafkaError | None = None
        self.logger = logging.Logger("loadgen.kafka")
        self.logger.addHandler(_Collector(self._note))
        self._options = options
        self._n_without_brokers = 0

    @property
    def has_no_brokers(self) -> bool:
        """See above; two statistics in a row must say so, because a new client has no brokers for a moment."""
        return self._n_without_brokers >= N_TO_BELIEVE

    def callbacks(self) -> dict[str, Callable[[Any], None]]:
        """The configuration entries that make a client call this."""
        return {"error_cb": self.on_error, "stats_cb": self._on_stats}

    def on_error(self, error: KafkaError) -> None:
        """Take note of an error."""
        self._note(error.str())
        self.texts[error.code()] = self.last_errors[-1]
        if error.fatal():
            self.fatal = error

    def _note(self, text: str) -> None:
        text = hide_secrets(ORIGIN.sub("", text), self._options)
        if text in self.last_errors:
            self.last_errors.remove(text)
        self.last_errors.append(text)

    def _on_stats(self, text: str) -> None:
        figures = orjson.loads(text)
        brokers = figures["brokers"].values()
        states = [broker["state"] for broker in brokers if broker["source"] in ADDRESSES]
        self._n_without_brokers = 0 if states else self._n_without_brokers + 1
        trips = [broker["rtt"] for broker in brokers if broker["rtt"]["cnt"]]
        # of fewer than a hundred the longest: librdkafka's p99 leaves out what is much longer than all before
        p99s_s = [trip["max" if trip["cnt"] < 100 else "p99"] * 1e-6 for trip in trips]
        self.stats = BrokerStats(
            max(p99s_s, default=self.stats.round_trip_p99_s), figures["msg_cnt"], states.count("UP")
        )


def admin_client(settings: KafkaSettings, monitor: Monitor | None = None) -> AdminClient:
    """A client that asks, makes and removes, and whose complaints go to a monitor."""
    monitor = monitor or Monitor(settings.options)
    config: dict[str, Any] = {**client_config(settings), **monitor.callbacks()}
    return AdminClient(config, logger=monitor.logger)


class _Collector(logging.Handler):
    """Passes on the log lines that tell why something does not work."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self._pass_on = note

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on a warning or worse, or a broken connection; nothing about settings, which were chosen knowingly."""
        kind, _, text = record.getMessage().partition(" ")
        if kind == "FAIL" or (record.levelno >= logging.WARNING and kind != "CONFWARN"):
            self._pass_on(text)
