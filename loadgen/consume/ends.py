"""Where the partitions end now: asked of the brokers in the background, for the consumer lag and to know when to stop.

In: the partitions of a consumer. Out: their `end`; when the brokers were asked for it.
"""

import time
from collections.abc import Mapping
from concurrent.futures import Executor, Future

from loadgen.consume.client import Client
from loadgen.consume.partition import Partition

EVERY_S = 2.0


class EndOffsets:
    """Asks now and then.

    Attributes:
        of_s: when the latest answer was asked for (time.monotonic).
        is_answered: whether the latest question was answered.
    """

    def __init__(self, client: Client, pool: Executor) -> None:
        """Nothing is asked yet."""
        self.of_s = float("-inf")
        self.is_answered = True
        self._client, self._pool = client, pool
        self._asked_s = float("-inf")
        self._asked: Future[dict[int, int]] | None = None

    def turn(self, partitions: Mapping[int, Partition], wanted_s: float) -> None:
        """Take in an answer, ask again if it is time to; never waits.

        Args:
            partitions: of which to ask, by number; they are told.
            wanted_s: once it is this late (time.monotonic), an answer of before is of no use.
        """
        if self._asked is not None and self._asked.done():
            self._take(self._asked, partitions)
        now_s = time.monotonic()
        is_due = now_s - self._asked_s >= EVERY_S or self._asked_s < wanted_s <= now_s
        if self._asked is None and partitions and is_due:
            self._asked_s = now_s
            self._asked = self._pool.submit(self._client.ends, list(partitions))

    def _take(self, answer: "Future[dict[int, int]]", partitions: Mapping[int, Partition]) -> None:
        self._asked = None
        self.is_answered = answer.exception() is None
        if not self.is_answered:
            return
        self.of_s = self._asked_s
        for number, end in answer.result().items():
            if number in partitions:
                partitions[number].end = end
