"""What a section of the benchmark yields: rows of the table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure, its goal, and whether it is met."""

    name: str
    value: float
    unit: str
    goal: str = ""
    met: bool | None = None

    @classmethod
    def at_most(cls, name: str, value: float, unit: str, limit: float) -> "Row":
        """A figure that should be small."""
        return cls(name, value, unit, f"<= {limit:g}", value <= limit)

    @classmethod
    def at_least(cls, name: str, value: float, unit: str, limit: float) -> "Row":
        """A figure that should be large."""
        return cls(name, value, unit, f">= {limit:g}", value >= limit)


class LeftOut(Exception):
    """A section cannot be measured on this machine; the reason."""
