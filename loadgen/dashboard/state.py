"""How things are with what the events come from, in words that can be shown.

In: what a feed finds. Out: a status, and the reason for it.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

Status = Literal["starting", "waiting", "reading", "ok", "stale"]
"""starting: nothing was asked yet · waiting: there is nothing yet · reading: catching up with what is there · ok: up to
date · stale: the source does not answer, or is gone; the figures are the last ones that could be read."""

MOST_LETTERS = 500


class Anew:
    """In place of content: what was counted does not hold any more, all of it comes again."""


ANEW: Final = Anew()


@dataclass(frozen=True, slots=True)
class State:
    """How things are.

    Attributes:
        status: see `Status`.
        reason: a sentence for a person; empty where all is well.
        share: how much is read of what there was when reading began, 0..1; None where that does not matter.
    """

    status: Status = "starting"
    reason: str = ""
    share: float | None = None

    def as_json(self) -> dict[str, Any]:
        """The attributes."""
        return asdict(self) | {"reason": self.reason[:MOST_LETTERS]}
