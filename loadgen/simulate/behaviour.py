"""How listeners behave: the numbers of behaviour.toml, read and checked.

In: the path of a TOML file, the name of another package's behaviour, or None. Out: a `Behaviour`, or one UsageError
that lists every problem. A file may hold only what differs from the shipped one: each key that it sets replaces the key
of the same name.
"""

import os
import tomllib
from datetime import date
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from loadgen import extensions
from loadgen.config.layers import problem_lines
from loadgen.config.names import Profile
from loadgen.errors import UsageError
from loadgen.event import PAGES, Page, Pages

SHARES_TOLERANCE = 1e-6
MOST_PAGES_PER_TRACK = 20.0
"""Pages looked at per track on average; more would overflow itemInSession's 16 bits in the longest sessions."""

AgeBand = Literal["teens", "twenties", "thirties", "forties", "fifties", "sixties"]
AGE_BANDS: tuple[AgeBand, ...] = get_args(AgeBand)
Taste = Literal["mainstream", "indie", "mixed"]
TASTES: tuple[Taste, ...] = get_args(Taste)
Bucket = Literal["chart", "genre", "indie", "random"]
BUCKETS: tuple[Bucket, ...] = get_args(Bucket)


def _known_page(name: str, info: ValidationInfo) -> str:
    known = info.context["pages"] if info.context else PAGES.names
    if name not in known:
        raise ValueError(f"unknown page; write one of {', '.join(map(str, known))}, or add it to [pages]")
    return name


def _short_name(name: str) -> str:
    if not 1 <= len(name) <= 40 or not name.isprintable() or name != name.strip():
        raise ValueError("must be 1..40 printable characters, without spaces at the ends")
    return name


def _may_be_like(name: str) -> str:
    if name in ("NextSong", "Logout"):
        what = "begins a track" if name == "NextSong" else "ends the session"
        raise ValueError(f"no other page can be like {name}, which {what}; write another built-in page")
    if name not in PAGES.names:
        raise ValueError(f"must be a built-in page; write one of {', '.join(PAGES.names)}")
    return name


def _sums_to_one(shares: dict[str, float]) -> dict[str, float]:
    if abs(sum(shares.values()) - 1.0) > SHARES_TOLERANCE:
        raise ValueError(f"shares must sum to one, these sum to {sum(shares.values()):.6g}")
    return shares


def _not_all_zero(weights: tuple[float, ...]) -> tuple[float, ...]:
    if sum(weights) <= 0:
        raise ValueError("at least one must be above zero")
    return weights


PageName = Annotated[str, AfterValidator(_known_page)]
ShortName = Annotated[str, AfterValidator(_short_name)]
Probability = Annotated[float, Field(strict=True, ge=0.0, le=1.0, allow_inf_nan=False)]
Spread = Annotated[float, Field(strict=True, ge=0.01, le=3.0, allow_inf_nan=False)]
Weight = Annotated[float, Field(strict=True, ge=0.0, le=1e6, allow_inf_nan=False)]
Exponent = Annotated[float, Field(strict=True, ge=0.0, le=4.0, allow_inf_nan=False)]
Factor = Annotated[float, Field(strict=True, ge=0.001, le=1000.0, allow_inf_nan=False)]
Hours = Annotated[tuple[Weight, ...], Field(min_length=24, max_length=24), AfterValidator(_not_all_zero)]
Days = Annotated[tuple[Weight, ...], Field(min_length=7, max_length=7), AfterValidator(_not_all_zero)]
Tilts = Annotated[tuple[Exponent, ...], Field(min_length=1, max_length=4), AfterValidator(_not_all_zero)]
Factors = Annotated[tuple[Factor, ...], Field(min_length=1, max_length=4)]
PageShares = Annotated[dict[PageName, Probability], AfterValidator(_sums_to_one)]
BucketShares = Annotated[dict[Bucket, Probability], AfterValidator(_sums_to_one)]
NameShares = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=60)], Probability],
    Field(min_length=1, max_length=200),
    AfterValidator(_sums_to_one),
]


class Section(BaseModel):
    """A table of the file: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OwnPage(Section):
    """A page that the behaviour adds; it has the fields of the built-in page that it is like."""

    like: Annotated[str, AfterValidator(_may_be_like)]
    method: Annotated[str, Field(pattern="^[A-Z]{1,20}$")] | None = None
    action: ShortName | None = None


class Think(Section):
    """Time on a page before the next: log-normal."""

    median_s: Annotated[float, Field(strict=True, ge=0.001, le=3600.0, allow_inf_nan=False)]
    spread: Spread


class Session(Section):
    """How long a session is, how it begins and ends."""

    single_track_prob: Probability
    tracks_median: Annotated[float, Field(strict=True, ge=0.5, le=500.0, allow_inf_nan=False)]
    tracks_spread: Spread
    most_tracks: Annotated[int, Field(strict=True, ge=1, le=1000)]
    first_page: PageShares
    logout_prob: Probability


class Skip(Section):
    """How often and when tracks are cut short."""

    by_position_prob: Annotated[tuple[Probability, ...], Field(min_length=4, max_length=4)]
    by_age_factor: dict[AgeBand, Weight]
    within_5_s_prob: Probability
    within_30_s_prob: Probability
    late_exponent: Annotated[float, Field(strict=True, ge=0.05, le=20.0, allow_inf_nan=False)]


class Online(Section):
    """Gaps between sessions under --presence online."""

    gap_mean_s: Annotated[float, Field(strict=True, ge=0.001, le=1e7, allow_inf_nan=False)]


class Everyday(Section):
    """The shape of a week under --presence everyday."""

    weekday: Hours
    weekend: Hours
    days: Days


class Population(Section):
    """Who the listeners are."""

    age_bands: Annotated[dict[AgeBand, Probability], AfterValidator(_sums_to_one)]
    paid_from_age: Annotated[tuple[Annotated[int, Field(strict=True, ge=0, le=120)], ...], Field(min_length=1)]
    paid_by_age: Annotated[tuple[Weight, ...], Field(min_length=1)]
    paid_prob: Probability
    plays_median: Annotated[float, Field(strict=True, ge=0.001, le=300.0, allow_inf_nan=False)]
    plays_spread: Spread
    paid_plays_factor: Annotated[float, Field(strict=True, ge=0.01, le=100.0, allow_inf_nan=False)]
    most_plays: Annotated[float, Field(strict=True, ge=0.01, le=300.0, allow_inf_nan=False)]
    activity_plays: tuple[Weight, Weight]
    tastes: Annotated[dict[Taste, Probability], AfterValidator(_sums_to_one)]
    registered_years: Annotated[float, Field(strict=True, ge=0.0, le=50.0, allow_inf_nan=False)]
    platforms: NameShares
    devices: NameShares
    genres: dict[AgeBand, dict[str, Weight]]


class Repertoire(Section):
    """What a listener comes back to."""

    ranks: Annotated[int, Field(strict=True, ge=1, le=16384)]
    exponent: Exponent
    days_to_change: Annotated[float, Field(strict=True, ge=0.01, le=1e5, allow_inf_nan=False)]
    days_to_change_last: Annotated[float, Field(strict=True, ge=0.01, le=1e5, allow_inf_nan=False)]


class Releases(Section):
    """New tracks that everybody hears for a while; by default there are none."""

    share: Probability = 0.0
    every_days: Annotated[float, Field(strict=True, ge=0.01, le=3650.0, allow_inf_nan=False)] = 7.0
    peak_days: Annotated[float, Field(strict=True, ge=0.01, le=365.0, allow_inf_nan=False)] = 5.0


class Choice(Section):
    """Which track is played."""

    mainstream: BucketShares
    indie: BucketShares
    mixed: BucketShares
    favourite_prob: Probability
    exponents: dict[Bucket, Exponent]
    tilt_shares: Tilts
    tilt_factors: Factors
    repertoire: Repertoire
    releases: Releases = Releases()


def _month_day(text: str) -> str:
    try:
        date.fromisoformat(f"2001-{text}")  # no leap year: every year has these days
    except ValueError:
        raise ValueError("must be a day of every year, month first; write for example 12-25") from None
    return text


class LongRun(Section):
    """What changes over months; by default nothing does."""

    join_share: Probability = 0.0
    join_days: Annotated[float, Field(strict=True, ge=0.001, le=3650.0, allow_inf_nan=False)] = 365.0
    leave_per_year: Annotated[float, Field(strict=True, ge=0.0, lt=1.0)] = 0.0
    upgrade_per_year: Annotated[float, Field(strict=True, ge=0.0, lt=1.0)] = 0.0
    downgrade_per_year: Annotated[float, Field(strict=True, ge=0.0, lt=1.0)] = 0.0
    holidays: Annotated[tuple[Annotated[str, AfterValidator(_month_day)], ...], Field(max_length=100)] = ()
    holiday_factor: Probability = 1.0

    @property
    def is_on(self) -> bool:
        """Whether anything changes."""
        changes = (self.join_share, self.leave_per_year, self.upgrade_per_year, self.downgrade_per_year)
        return any(changes) or (self.holiday_factor < 1 and bool(self.holidays))


class Behaviour(Section):
    """Everything that a behaviour file says; the shipped file explains each number."""

    pages: dict[ShortName, OwnPage] = {}
    transitions: dict[PageName, PageShares]
    think: dict[PageName, Think]
    session: Session
    skip: Skip
    online: Online
    everyday: Everyday
    population: Population
    choice: Choice
    long_run: LongRun = LongRun()

    @classmethod
    def load(cls, given: str | Path | None, profile: Profile = "default") -> Self:
        """Read a behaviour over the shipped one.

        Args:
            given: a TOML file, the name of an entry point, or MODULE:OBJECT; None for the shipped numbers alone.
            profile: which crowd; "default" is behaviour.toml alone.

        Raises:
            UsageError: with a line for every problem of the behaviour.
        """
        content = _merged(
            _shipped("behaviour.toml"), {} if profile == "default" else _shipped(f"profiles/{profile}.toml")
        )
        what, changes = _content(given) if given else ("the shipped behaviour", {})
        try:
            return cls.of(_merged(content, changes))
        except ValidationError as error:
            raise UsageError("\n".join(problem_lines(what, error))) from None

    @classmethod
    def of(cls, content: dict[str, Any]) -> Self:
        """The behaviour with this content, complete; raises ValidationError."""
        own = content.get("pages")
        known = (*PAGES.names, *(own if isinstance(own, dict) else ()))
        return cls.model_validate(content, context={"pages": known})

    @property
    def page_table(self) -> Pages:
        """All pages: the built-in ones, then its own."""
        from loadgen.simulate.behaviour_rules import action_of

        like = [Page(PAGES.names.index(page.like)) for page in self.pages.values()]
        own = list(zip(self.pages.items(), like, strict=True))
        return Pages(
            names=(*PAGES.names, *self.pages),
            methods=(*PAGES.methods, *(page.method or PAGES.methods[kin] for (_, page), kin in own)),
            actions=(*PAGES.actions, *(page.action or action_of(name) for (name, page), _ in own)),
            like=(*PAGES.like, *like),
        )

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        from loadgen.simulate.behaviour_rules import problems

        found = list(problems(self))
        if found:
            raise ValueError("\n".join(found))
        return self


def _content(given: str | Path) -> tuple[str, dict[str, Any]]:
    """What a file, or the object of another package, is called in errors, and what it says."""
    if not os.path.exists(given) and (":" in str(given) or str(given) in extensions.names("behaviour")):
        found = extensions.load("behaviour", str(given))
        if isinstance(found, dict):
            return f"behaviour {given}", found
        if not isinstance(found, str | Path):
            rule = "must be a dict as tomllib gives it, or the path of a TOML file"
            raise UsageError(f"--behaviour {given} {rule}, got {type(found).__name__}; mend the module")
        given = found
    return f"behaviour file {given}", _read(Path(given))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"behaviour file {path} must be readable: {error.strerror}; correct --behaviour") from None
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) else "nested too deeply"
        raise UsageError(f"behaviour file {path} must be TOML in UTF-8: {reason}; mend the file") from None


@cache
def _shipped(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("loadgen.simulate").joinpath(name).read_text("utf-8"))


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The shipped content with the file's keys in place of its own: tables two levels deep, whole values below."""
    merged = dict(base)
    for name, section in changes.items():
        known = base.get(name)
        merged[name] = {**known, **section} if isinstance(known, dict) and isinstance(section, dict) else section
    return merged
