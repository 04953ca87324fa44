"""What the parts say of themselves on their metrics endpoints, added up over their lives.

In: ports. Out: events sent, events stored, consumer lag. What does not answer keeps its last figures.
"""

import http.client
import re
import socket
import time
from dataclasses import dataclass, field

from loadgen.metrics import CONSUMER_LAG, EVENTS, PUBLISHED_EVENTS
from loadgen.dashboard.flow import Flow

ASK_S = 0.5
HOST = "127.0.0.1"
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_SENT = (f"{EVENTS.name}_total", 'outcome="delivered"')
_STORED = (f"{PUBLISHED_EVENTS.name}_total", "")
_LAG = (CONSUMER_LAG.name, "")


def reserve_port(wanted: int) -> socket.socket:
    """Keep a port for a child of this process: this one if it is free, else any.

    The socket holds the port as long as it is open; a child that sets SO_REUSEADDR, as servers do, can listen on it.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        reserved.bind((HOST, wanted))
    except OSError:
        reserved.bind((HOST, 0))
    return reserved


def scrape(port: int) -> str:
    """What the endpoint on this port says; nothing where it does not answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=ASK_S)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException, UnicodeDecodeError):
        return ""
    finally:
        connection.close()


def total(text: str, wanted: tuple[str, str]) -> int | None:
    """The sum of a metric's samples with this label; None where there is none."""
    name, label = wanted
    values = [float(value) for found, labels, value in _SAMPLE.findall(text) if found == name and label in labels]
    return int(sum(values)) if values else None


@dataclass(slots=True)
class Counter:
    """A count that begins at 0 again with each life of a part.

    Attributes:
        life: the number of the life that `latest` is of.
        latest: of this life.
        before: of all lives before.
        is_known: whether any life has told.
    """

    life: int = 0
    latest: int = 0
    before: int = 0
    is_known: bool = False

    def take(self, life: int, value: int | None) -> None:
        """Take note of the latest value of a life."""
        if life != self.life:
            self.life, self.latest, self.before = life, 0, self.before + self.latest
        if value is not None:
            self.latest, self.is_known = value, True

    def settle(self, total: int) -> None:
        """Take what is known for certain at the end, in place of what was told last."""
        self.latest, self.before, self.is_known = total, 0, True

    @property
    def total(self) -> int:
        """Over all lives, as far as they have told."""
        return self.before + self.latest

    @property
    def known(self) -> int | None:
        """The same; None while no life has told."""
        return self.total if self.is_known else None


@dataclass(slots=True)
class Figures:
    """How far the pipeline is.

    Attributes:
        sent: events delivered to the topic.
        stored: events stored.
        lag: consumer lag, messages; None while nobody knows.
    """

    sent: Counter = field(default_factory=Counter)
    stored: Counter = field(default_factory=Counter)
    lag: int | None = None

    def ask(self, producer: tuple[int, int], consumer: tuple[int, int]) -> None:
        """Ask both; each is (port, number of its life)."""
        self.sent.take(producer[1], total(scrape(producer[0]), _SENT))
        said = scrape(consumer[0])
        self.stored.take(consumer[1], total(said, _STORED))
        self.lag = total(said, _LAG)

    def flow(self, is_timed: bool, is_over: bool) -> Flow:
        """As the dashboard is told; a consumer that has ended has no lag."""
        lag = None if is_over else self.lag
        return Flow(self.sent.known, self.stored.known, lag, is_timed, is_over, time.time())
