"""The calibrated numbers of behaviour.toml, and how each is shifted by a quarter."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from loadgen.simulate.behaviour import Behaviour

SHIPPED: dict[str, Any] = Behaviour.load(None).model_dump()
UP, DOWN = 1.25, 0.75


@dataclass(frozen=True)
class Calibrated:
    """A number (or some that belong together) of the behaviour.

    Attributes:
        path: where it is: "skip.by_position_prob".
        serves: the targets that the comment in behaviour.toml names.
        items: which items of a list or names of a table; none for a single number.
        factors: by what it is shifted: a quarter up, down, or both, as far as a target tells.
    """

    path: str
    serves: tuple[str, ...]
    items: tuple[Any, ...] = ()
    factors: tuple[float, ...] = (UP, DOWN)

    @property
    def name(self) -> str:
        """For a person."""
        return " ".join([self.path, *map(str, self.items)])

    def shifted(self, factor: float) -> dict[str, Any]:
        """The change of the behaviour, see `simulated.with_changes`."""
        value = SHIPPED
        for key in self.path.split("."):
            value = value[key]
        return {self.path: _scaled(value, self.items, factor)}


def _scaled(value: Any, items: tuple[Any, ...], factor: float) -> Any:
    if not items:
        return value * factor
    if isinstance(value, tuple):
        return tuple(one * factor if place in items else one for place, one in enumerate(value))
    changed = {name: one * factor if name in items else one for name, one in value.items()}
    is_share = abs(sum(value.values()) - 1) < 1e-9
    return _shared_out(value, changed, items) if is_share else changed


def _shared_out(before: dict[str, float], changed: dict[str, float], items: tuple[Any, ...]) -> dict[str, float]:
    """Shares that sum to one: the others make room."""
    rest = 1 - sum(changed[name] for name in items)
    others = sum(share for name, share in before.items() if name not in items)
    return {name: changed[name] if name in items else share / others * rest for name, share in before.items()}


NIGHT, EVENING, MORNING = tuple(range(5)), tuple(range(16, 20)), tuple(range(7, 10))
FRIDAY, SUNDAY = 4, 6
CALIBRATED = (
    Calibrated("transitions.NextSong", ("feedback",), ("Thumbs Up",)),
    Calibrated("transitions.NextSong", ("feedback",), ("Thumbs Down",)),
    Calibrated("session.single_track_prob", ("session size",)),
    Calibrated("session.tracks_median", ("session size",)),
    Calibrated("session.tracks_spread", ("session size", "decreasing hazard")),
    Calibrated("skip.by_position_prob", ("skip by position",), (0,)),
    Calibrated("skip.by_position_prob", ("skip by position", "skips"), (3,)),
    Calibrated("skip.by_age_factor", ("skip by age", "skips"), ("teens",)),
    Calibrated("skip.by_age_factor", ("skip by age", "skips"), ("thirties",)),
    Calibrated("skip.by_age_factor", ("skips",), ("teens", "twenties", "thirties", "forties", "fifties", "sixties")),
    Calibrated("skip.within_5_s_prob", ("skips",)),
    Calibrated("skip.within_30_s_prob", ("skips",)),
    Calibrated("everyday.weekday", ("day curve",), NIGHT),
    Calibrated("everyday.weekday", ("day curve",), EVENING),
    Calibrated("everyday.weekday", ("day curve",), MORNING, (DOWN,)),
    Calibrated("everyday.days", ("week",), (FRIDAY,)),
    Calibrated("everyday.days", ("week",), (SUNDAY,)),
    *(Calibrated("population.paid_by_age", ("paid by age",), (place,)) for place in range(1, 5)),
    Calibrated("population.paid_by_age", ("paid by age",), (5,), (UP,)),
    Calibrated("population.paid_prob", ("paid listeners",)),
    Calibrated("population.plays_median", ("volume",)),
    Calibrated("population.plays_spread", ("user dispersion", "heavy users", "volume")),
    Calibrated("population.paid_plays_factor", ("paid share of plays", "volume")),
    Calibrated("population.tastes", ("mainstreaminess",), ("mainstream",), (UP,)),
    Calibrated("choice.exponents", ("tier shares of plays", "Zipf slope", "artist concentration"), ("chart",)),
    Calibrated("choice.exponents", ("tier shares of plays", "Zipf slope", "artist concentration"), ("genre",)),
    Calibrated("choice.exponents", ("tier shares of plays", "Zipf slope", "artist concentration"), ("random",)),
    Calibrated("choice.tilt_factors", ("mainstreaminess",), (1,)),
    Calibrated("choice.tilt_factors", ("mainstreaminess",), (2,), (DOWN,)),
    Calibrated("choice.repertoire", ("repeats",), ("exponent",)),
)


def shifts() -> Iterator[tuple[Calibrated, float]]:
    """Every shift that some target has to tell."""
    for one in CALIBRATED:
        for factor in one.factors:
            yield one, factor
