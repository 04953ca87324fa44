"""What a Locust worker may do on its own: send until a moment, and no more events than a number.

In: grants of the master, or none where there is no master. Out: a limit, which is asked before every send. Since
nothing is sent after a lease has run out, the master knows when a worker that has fallen silent, cut off or killed, can
send no more, and how many events it may have sent since it last said something.
"""

from dataclasses import dataclass

NEVER_NS = 1 << 62
NO_LIMIT = 1 << 62


@dataclass(slots=True)
class Lease:
    """Permission to send; two numbers that one thread writes and another reads.

    Attributes:
        until_ns: time.monotonic_ns() at which it ends.
        most: events that may be planned in all.
    """

    until_ns: int = NEVER_NS
    most: int = NO_LIMIT

    def renew(self, until_ns: int, most: int) -> None:
        """Move both limits on; a grant that comes late changes nothing."""
        self.until_ns, self.most = max(self.until_ns, until_ns), max(self.most, most)

    def holds(self, now_ns: int, n_planned: int) -> bool:
        """Whether events may be sent now."""
        return now_ns < self.until_ns and n_planned < self.most


def ended() -> Lease:
    """A lease that has run out: nothing may be sent before it is renewed."""
    return Lease(0, 0)
