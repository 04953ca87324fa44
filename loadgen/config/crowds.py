"""Crowds: groups of a run's listeners, each with a behaviour, a rate, a shape, a start and a stop of its own.

In: the [[run.crowd]] tables of a TOML file, or the same from a caller of the library. Out: a tuple of `Crowd`, or
BadValue with the crowd and the key; and a `Problem` for every rule that crowds break with other settings.

    share, users    the part of the listeners, or their number: each crowd has the one, or each the other
    rate            events per second of this crowd; without it the crowd has its share of --rate, or its natural rate
    shape           of this crowd, from its start to its stop
    start, stop     seconds after the start of the run
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from loadgen.config import names, values
from loadgen.config.rules import Problem
from loadgen.config.shape_files import in_short, shape_spec
from loadgen.config.shapes import ShapeSpec, within
from loadgen.config.values import BadValue, did_you_mean

if TYPE_CHECKING:
    from loadgen.config.settings.run import RunSettings

MOST_CROWDS = 16
"""Each has a label in the metrics, and histograms in every report of a worker."""
SHARES_WITHIN = Fraction(1, 10**6)
"""Shares such as 0.333333 may miss 1 by so much."""
KEYS = ("name", "share", "users", "profile", "behaviour", "rate", "shape", "start", "stop")
EXAMPLE = 'write [[run.crowd]], below it name = "commuters", share = 0.7, in a TOML file, and name it by --config'
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_seconds = values.duration(1, 0, 86400 * 365, "30 (seconds), 5m or 1h")
_profile = values.choice(*get_args(names.Profile))
_users = values.count(1, 10**7, "5000")


@dataclass(frozen=True, slots=True)
class Crowd:
    """One crowd; None where the run's own setting counts.

    Attributes:
        name: letters, digits and ._-
        share: part of the listeners, 0..1; None where `users` is given.
        users: their number; None where `share` is given.
        profile, behaviour: as the flags of these names.
        rate_per_s: events per second.
        shape: the offered rate from its start to its stop.
        start_s, stop_s: seconds after the start of the run; stop_s is None for one that goes on to the end.
    """

    name: str
    share: Fraction | None = None
    users: int | None = None
    profile: names.Profile | None = None
    behaviour: str | None = None
    rate_per_s: float | None = None
    shape: ShapeSpec | None = None
    start_s: float = 0.0
    stop_s: float | None = None

    @property
    def is_paced(self) -> bool:
        """Whether its table says how many events it offers."""
        return self.rate_per_s is not None or (self.shape is not None and self.shape.is_absolute)

    @property
    def keeps_time(self) -> bool:
        """Whether its table says anything of when its events are due."""
        return self.rate_per_s is not None or self.shape is not None or self.start_s > 0 or self.stop_s is not None

    def public(self) -> dict[str, Any]:
        """As a user writes it, in JSON types; the inverse of `crowds`."""
        share = None if self.share is None else _public_share(self.share)
        shape = None if self.shape is None else in_short(self.shape.public())
        found = (self.name, share, self.users, self.profile, self.behaviour, self.rate_per_s, shape)
        times = (self.start_s or None, self.stop_s)
        return {key: value for key, value in zip(KEYS, (*found, *times), strict=True) if value is not None}


def crowds(value: Any) -> tuple[Crowd, ...]:
    """The crowds of a list of tables. Raises BadValue."""
    if not isinstance(value, list | tuple) or not all(isinstance(one, Mapping | Crowd) for one in value):
        raise BadValue("must be tables in a file", EXAMPLE)
    if len(value) > MOST_CROWDS:
        raise BadValue(f"must be {MOST_CROWDS} tables at most, here {len(value)}", "put some of them together")
    found: list[Crowd] = []
    for number, table in enumerate(value, 1):
        crowd = table if isinstance(table, Crowd) else within(_place(table, number), partial(_crowd, table))
        if any(other.name == crowd.name for other in found):
            raise BadValue(f"{number} must have a name of its own, here {crowd.name!r} again", "rename one of the two")
        found.append(crowd)
    return tuple(found)


def _place(table: Mapping[str, Any], number: int) -> str:
    name = table.get("name")
    return f"{number} ({name})" if isinstance(name, str) and _NAME.fullmatch(name) else str(number)


def _crowd(table: Mapping[str, Any]) -> Crowd:
    for key in table:
        if key not in KEYS:
            step = did_you_mean(str(key), KEYS, f"known: {', '.join(KEYS)}")
            raise BadValue(f"must have no key {str(key)[:40]!r}", step)

    def read(key: str, parse: values.Parser, default: Any = None) -> Any:
        try:
            return default if table.get(key) is None else parse(table[key])
        except BadValue as bad:
            raise BadValue(f"{key} {bad.rule}, here {str(table[key])[:40]!r}", bad.next_step) from None

    crowd = Crowd(
        name=read("name", _name),
        share=read("share", _share),
        users=read("users", _users),
        profile=read("profile", _profile),
        behaviour=read("behaviour", names.path_text),
        rate_per_s=read("rate", _rate),
        shape=read("shape", shape_spec),
        start_s=read("start", _seconds, 0.0),
        stop_s=read("stop", _seconds),
    )
    if crowd.name is None:
        raise BadValue("must have a name", 'add name = "commuters"')
    if (crowd.share is None) == (crowd.users is None):
        raise BadValue("must say share or users", "add share = 0.5, or users = 500; not both")
    if crowd.stop_s is not None and crowd.stop_s <= crowd.start_s:
        rule = f"must start before it stops, here start {crowd.start_s:g} s and stop {crowd.stop_s:g} s"
        raise BadValue(rule, "give an earlier start or a later stop")
    return crowd


def _name(value: Any) -> str:
    if isinstance(value, str) and _NAME.fullmatch(value):
        return value
    step = "write for example commuters or release-day"
    raise BadValue("must be 1..40 letters, digits, dots, - and _, and begin with a letter or digit", step)


def _share(value: Any) -> Fraction:
    """A part of one: 0.4, "40%" or "1/3"; exact."""
    text = str(value).strip()
    try:
        share = Fraction(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except (ValueError, ZeroDivisionError):
        share = Fraction(0)
    if isinstance(value, bool) or len(text) > 40 or not 0 < share <= 1:
        raise BadValue(
            "must be a part of the listeners, above 0 and at most 1", 'write for example 0.4, "40%" or "1/3"'
        )
    return share


def _public_share(share: Fraction) -> float | str:
    """As a decimal number where that is exact, else as 1/3."""
    return float(share) if Fraction(str(float(share))) == share else str(share)


def _rate(value: Any) -> float:
    found = values.rate(value)
    if isinstance(found, str):
        raise BadValue("must be a number of events per second", "write for example 20k/s, or leave it out")
    return found


def crowd_users(crowds: tuple[Crowd, ...], users: int) -> list[int]:
    """How many of the listeners each crowd has; they add up to all.

    Shares get their whole part first; the listeners that are left go to the largest remainders, the earlier crowd first
    where two are equal.
    """
    if any(crowd.share is None for crowd in crowds):
        return [crowd.users or 0 for crowd in crowds]
    shares = [crowd.share or Fraction(0) for crowd in crowds]
    return largest_remainder(shares, users)


def largest_remainder(weights: list[Fraction], total: int) -> list[int]:
    """Whole numbers in proportion to these weights that add up to `total`."""
    exact = [weight * total / sum(weights) for weight in weights]
    found = [int(part) for part in exact]
    by_remainder = sorted(range(len(exact)), key=lambda at: (found[at] - exact[at], at))
    for at in by_remainder[: total - sum(found)]:
        found[at] += 1
    return found


def of_crowds(s: "RunSettings") -> Iterator[Problem]:
    """Every rule that the crowds of a run break."""
    known = [crowd.name for crowd in s.crowd]
    for figure in (figure for threshold in s.threshold for figure in threshold.figures):
        if figure.crowd and figure.crowd not in known:
            step = did_you_mean(figure.crowd, known, f"there are {', '.join(known)}" if known else EXAMPLE)
            yield s.problem(f"a threshold must name a crowd of the run, not {figure.crowd!r}", "threshold", step)
    if s.crowd:
        yield from _members(s)
        yield from _times(s)
        yield from _rates(s)


def _members(s: "RunSettings") -> Iterator[Problem]:
    shares = [crowd.share for crowd in s.crowd if crowd.share is not None]
    total = sum(shares, Fraction(0))
    if len(shares) not in (0, len(s.crowd)):
        yield s.problem("each crowd says share, or each says users", "crowd", "say the same of all")
        return
    if shares and abs(total - 1) > SHARES_WITHIN:
        rule = f"the shares of the crowds must add up to 1, here {float(total):g}"
        rest = 1 - total + shares[-1]
        step = f"give {s.crowd[-1].name} {float(rest):g}" if 0 < rest <= 1 else "lower some of them"
        yield s.problem(rule, "crowd", step)
        return
    if len(s.crowd) > s.users:
        yield s.problem("each crowd needs a listener", "crowd users", f"raise users to {len(s.crowd)} or more")
        return
    found = crowd_users(s.crowd, s.users)
    if sum(found) != s.users:
        rule = f"the users of the crowds must add up to users, here {sum(found):,}"
        yield s.problem(rule, "crowd users", f"write users = {sum(found)}")
    for crowd in (crowd for crowd, n_users in zip(s.crowd, found, strict=True) if n_users == 0):
        yield s.problem(
            f"each crowd needs a listener, {crowd.name} has none", "crowd users", "raise users, or its share"
        )


def _times(s: "RunSettings") -> Iterator[Problem]:
    if s.unpaced:
        name = "end_ms" if s.end_ms is not None else "rate"
        for crowd in (crowd for crowd in s.crowd if crowd.keeps_time):
            rule = f"a run as fast as possible has no times, so crowd {crowd.name} has no rate, shape, start or stop"
            yield s.problem(rule, f"crowd {name}", "leave these out, or pace the run: --rate 10k/s, or --duration")
        return
    if s.duration_s is not None:
        for crowd in (crowd for crowd in s.crowd if crowd.start_s >= (s.duration_s or 0)):
            rule = f"crowd {crowd.name} must start before the run ends, here after {crowd.start_s:g} s"
            yield s.problem(rule, "crowd duration_min", "give it an earlier start, or raise --duration")
    last_s = max(float("inf") if crowd.stop_s is None else crowd.stop_s for crowd in s.crowd)
    if s.events is None and last_s < (float("inf") if s.duration_s is None else s.duration_s):
        other = "continuous" if s.duration_s is None else "duration_min"
        step = f"leave one of the stops out, or let the run end with them: --duration {values.say_duration(last_s)}"
        yield s.problem("some crowd must last until the run ends", f"crowd {other}", step)


def _rates(s: "RunSettings") -> Iterator[Problem]:
    paced = [crowd for crowd in s.crowd if crowd.is_paced]
    others = [crowd for crowd in s.crowd if not crowd.is_paced]
    whole = [
        name
        for name, left_out in (("rate", "natural"), ("shape", None), ("pacer", None))
        if getattr(s, name) != left_out
    ]
    with_rates = [crowd for crowd in s.crowd if crowd.rate_per_s is not None]
    if s.unpaced:
        return
    if s.find_max_rate and (with_rates or paced):
        yield s.problem("find-max-rate sets the rate of all crowds", "find_max_rate crowd", "give shares alone")
    elif whole and with_rates:
        rule = f"crowd {with_rates[0].name} has a rate of its own, and all crowds one together"
        yield s.problem(rule, f"crowd {whole[0]}", "keep one of the two")
    elif not whole and paced and others and not s.find_max_rate:
        rule = f"each crowd needs a rate where one has one, {others[0].name} has none"
        yield s.problem(rule, "crowd", "give each a rate, or leave all out and give shares of --rate")
    for crowd in (crowd for crowd in s.crowd if crowd.shape is not None):
        if s.pacer is not None:
            rule = f"a pacer alone says when events are due, so crowd {crowd.name} has no shape"
            yield s.problem(rule, "crowd pacer", "keep one of the two")
        elif not crowd.is_paced and s.rate == "natural" and not s.find_max_rate:
            rule = f"a shape needs a rate, of which it is a part, crowd {crowd.name} has none"
            yield s.problem(rule, "crowd rate", f"give {crowd.name} a rate, or add --rate")
    if with_rates and s.speed != 1:
        yield s.problem("the rates of crowds set how fast simulated time goes", "crowd speed", "leave speed out")
