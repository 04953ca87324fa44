"""What a partition waits for: its next attempt after a failure, and schemas of values that it has read.

In: failures, ids of schemas. Out: whether the time has come, answers of the schema registry. Nothing here waits.
"""

import time
from collections.abc import Iterable
from concurrent.futures import Executor, Future

from loadgen.decoder import Decoder, Schemas
from loadgen.errors import RegistryError

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0


class Backoff:
    """How long to wait before the next attempt: twice as long after each failure in a row."""

    def __init__(self) -> None:
        """No failure yet."""
        self._delay_s, self._retry_at_s = FIRST_DELAY_S, 0.0

    @property
    def is_over(self) -> bool:
        """Whether it is time for the next attempt."""
        return time.monotonic() >= self._retry_at_s

    def fail(self) -> None:
        """Wait from now on."""
        self._retry_at_s = time.monotonic() + self._delay_s
        self._delay_s = min(2 * self._delay_s, LONGEST_DELAY_S)

    def succeed(self) -> None:
        """Let the next failure be the first one."""
        self._delay_s = FIRST_DELAY_S


class SchemaRequests:
    """Asks for schemas in the background, for all partitions together.

    Attributes:
        decoder: of values that have these schemas.
    """

    def __init__(self, schemas: Schemas, decoder: Decoder, pool: Executor) -> None:
        """Nothing is asked yet."""
        self.decoder = decoder
        self._schemas, self._pool = schemas, pool
        self._asked: dict[int, Future[None]] = {}

    def ask(self, ids: Iterable[int]) -> list[Future[None]]:
        """The answers for these schemas, which may raise RegistryError; each is asked for once at a time."""
        open_ones = {one: answer for one, answer in self._asked.items() if not answer.done()}
        self._asked = open_ones | {
            one: self._pool.submit(self._schemas.fetch, one) for one in set(ids) - set(open_ones)
        }
        return [self._asked[one] for one in ids]


class SchemaWait:
    """The schemas that one partition needs before it reads on.

    Attributes:
        decoder: of values that have these schemas.
    """

    def __init__(self, requests: SchemaRequests) -> None:
        """None is needed."""
        self.decoder = requests.decoder
        self._requests, self._backoff = requests, Backoff()
        self._ids: list[int] = []
        self._answers: list[Future[None]] = []

    def begin(self, ids: list[int]) -> None:
        """These are needed."""
        self._ids, self._answers = ids, []

    def is_over(self) -> bool:
        """Whether there is an answer for each of them; asks for them when it is time to.

        Raises:
            RegistryError: one of the answers; they are asked for again, after a while that grows.
        """
        if not self._answers:
            if self._backoff.is_over:
                self._answers = self._requests.ask(self._ids)
            return False
        if not all(answer.done() for answer in self._answers):
            return False
        answers, self._answers = self._answers, []
        try:
            for answer in answers:
                answer.result()
        except RegistryError:
            self._backoff.fail()
            raise
        self._backoff.succeed()
        return True
