"""Values of a field that are drawn at random: from weighted values, a distribution, or one of Faker's providers.

A `Drawn` says from what, and in it each value belongs to some of 65,536 equal slots. Which slot an event, a session or
a listener has is a hash of seed, listener, session, item and the field's name. So the values are the same for any
number of workers, and a batch gets them by a gather from a table that is made once.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from statistics import NormalDist
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from loadgen.event import UInt16s
from loadgen.rng import N_SLOTS, slots

Per = Literal["event", "session", "listener"]
Kind = Literal["choice", "normal", "log_normal", "uniform", "exponential", "faker"]
Value = str | int | float
FieldType = Literal["integer", "float", "text"]
MOST_DECIMALS = 6
_TYPES: dict[type, FieldType] = {int: "integer", float: "float", str: "text"}
_MOST_CHARACTERS = 1000
_MOST = 1e15
"""Of a number of a distribution: with its decimals it has at most as many digits as a float keeps."""
_NORMAL = NormalDist()
_ATTEMPTS = 50
"""How many values of a provider are tried for each one that is wanted."""


@dataclass(frozen=True)
class DrawnTable:
    """The values of a field and their slots.

    Attributes:
        values: each once.
        of_slot: uint16[N_SLOTS], the position in `values` of each slot.
    """

    values: list[Value]
    of_slot: UInt16s


@dataclass(frozen=True)
class Drawn:
    """From what the values of a field are drawn; made by one of the class methods.

    Attributes:
        kind: the class method. arguments: its arguments, by name.
        per: what has a value of its own: each event, each session, or each listener.
    """

    kind: Kind
    arguments: tuple[tuple[str, Any], ...]
    per: Per = "event"

    def __post_init__(self) -> None:
        if self.per not in get_args(Per):
            raise ValueError(f"per must be one of {', '.join(get_args(Per))}, got {self.per!r}")

    @classmethod
    def choice(cls, values: Mapping[Value, float] | Iterable[Value], per: Per = "event") -> "Drawn":
        """One of these values.

        Args:
            values: value → weight, or values of equal weight: text, integers, or floats; at most 65,536. A share is
                exact to 1/65,536.
            per: see the class.

        Raises:
            ValueError: a value or a weight is wrong.
        """
        weights = dict(values) if isinstance(values, Mapping) else dict.fromkeys(values, 1.0)
        if not 1 <= len(weights) <= N_SLOTS:
            raise ValueError(f"a choice must have 1..{N_SLOTS:,} values, got {len(weights):,}; name some values")
        for value, weight in weights.items():
            _check_value(value)
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < math.inf:
                raise ValueError(f"the weight of {value!r} must be a number of at least 0, got {weight!r}; write 0.5")
        if not sum(weights.values()) > 0:
            raise ValueError("one of the weights of a choice must be above 0, got zeros; leave the weights out")
        types = {type(value) for value in weights}
        if str in types and len(types) > 1:
            raise ValueError(f"the values of a choice must be all text or all numbers, got {list(weights)!r:.80}")
        number = float if float in types else int
        found = [value if isinstance(value, str) else number(value) + 0 for value in weights]  # + 0: no -0.0
        return cls("choice", (("values", tuple(found)), ("weights", tuple(map(float, weights.values())))), per)

    @classmethod
    def normal(
        cls,
        mean: float,
        deviation: float,
        *,
        decimals: int = 2,
        lowest: float | None = None,
        highest: float | None = None,
        per: Per = "event",
    ) -> "Drawn":
        """Numbers of a normal distribution, of which what is beyond `lowest` and `highest` is cut off.

        Args:
            mean, deviation: of the distribution; deviation is its standard deviation.
            decimals: 0..6; 0 gives integers.
            lowest, highest: of the values; None is no limit.
            per: see the class.

        Raises:
            ValueError: an argument is wrong.
        """
        return cls._distribution("normal", {"mean": mean, "deviation": deviation}, decimals, lowest, highest, per)

    @classmethod
    def log_normal(
        cls,
        median: float,
        sigma: float,
        *,
        decimals: int = 2,
        lowest: float | None = None,
        highest: float | None = None,
        per: Per = "event",
    ) -> "Drawn":
        """Numbers whose logarithm is normal, with standard deviation `sigma`; the others as in `normal`."""
        return cls._distribution("log_normal", {"median": median, "sigma": sigma}, decimals, lowest, highest, per)

    @classmethod
    def exponential(
        cls,
        mean: float,
        *,
        decimals: int = 2,
        lowest: float | None = None,
        highest: float | None = None,
        per: Per = "event",
    ) -> "Drawn":
        """Numbers of an exponential distribution; arguments as in `normal`."""
        return cls._distribution("exponential", {"mean": mean}, decimals, lowest, highest, per)

    @classmethod
    def uniform(cls, lowest: float, highest: float, *, decimals: int = 2, per: Per = "event") -> "Drawn":
        """Each number from `lowest` to `highest` with this number of decimals is as likely as any other."""
        return cls._distribution("uniform", {}, decimals, lowest, highest, per)

    @classmethod
    def faker(cls, provider: str, n: int = 1000, *, locale: str = "en_US", per: Per = "event") -> "Drawn":
        """One of n different texts that Faker makes, each as likely as any other.

        Args:
            provider: such as "company": a method of Faker that needs no argument.
            n: 1..65,536. They depend on the field's name and on the version of Faker.
            locale: of Faker, such as "ko_KR".
            per: see the class.

        Raises:
            ValueError: an argument is wrong. Whether Faker has the provider is found out when values are needed.
        """
        if not (isinstance(provider, str) and provider.isidentifier() and not provider.startswith("_")):
            raise ValueError(f"provider must be the name of a method of Faker, got {provider!r}; write 'company'")
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= N_SLOTS:
            raise ValueError(f"n must be 1..{N_SLOTS:,} different texts, got {n!r}; write 1000")
        return cls("faker", (("provider", provider), ("n", n), ("locale", locale)), per)

    @classmethod
    def _distribution(
        cls,
        kind: Kind,
        shape: dict[str, float],
        decimals: int,
        lowest: float | None,
        highest: float | None,
        per: Per,
    ) -> "Drawn":
        """Checked; raises ValueError."""
        if isinstance(decimals, bool) or not isinstance(decimals, int) or not 0 <= decimals <= MOST_DECIMALS:
            raise ValueError(f"decimals must be 0..{MOST_DECIMALS}, got {decimals!r}; write 2")
        limits = {"lowest": lowest, "highest": highest}
        for name, value in (shape | limits).items():
            if value is None and name in limits:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MOST:
                raise ValueError(f"{name} of {kind} must be a number below {_MOST:g}, got {value!r}")
        for name in ("deviation", "median", "sigma") + (("mean",) if kind == "exponential" else ()):
            if name in shape and not shape[name] > 0:
                raise ValueError(f"{name} of {kind} must be above 0, got {shape[name]!r}")
        if lowest is not None and highest is not None and not lowest < highest:
            raise ValueError(f"lowest must be below highest, got {lowest!r} and {highest!r}; exchange them")
        arguments = {name: float(value) for name, value in shape.items()} | {"decimals": decimals} | limits
        made = cls(kind, tuple(arguments.items()), per)
        ends = made._quantiles(np.array([0.5, N_SLOTS - 0.5]) / N_SLOTS)
        if not (np.abs(ends) * 10.0**decimals < _MOST).all():
            raise ValueError(f"values of {kind} must have 15 digits at most, got {ends.tolist()}; set lowest, highest")
        return made

    @property
    def type(self) -> FieldType:
        """The type of its values."""
        given = dict(self.arguments)
        if self.kind == "faker":
            return "text"
        if self.kind == "choice":
            return _TYPES[type(given["values"][0])]
        return "float" if given["decimals"] else "integer"

    @property
    def definition(self) -> dict[str, Any]:
        """What it is, as JSON has it: `of` gives it back."""
        given = {name: list(value) if isinstance(value, tuple) else value for name, value in self.arguments}
        return {"drawn": self.kind, **{name: value for name, value in given.items() if value is not None}} | {
            "per": self.per
        }

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> "Drawn":
        """Of this definition; raises ValueError or TypeError where it is none."""
        given = dict(definition)
        kind = given.pop("drawn")
        if kind not in get_args(Kind):
            raise ValueError(f"drawn must be one of {', '.join(get_args(Kind))}, got {kind!r}")
        if kind == "choice" and "weights" in given:
            given["values"] = dict(zip(given["values"], given.pop("weights"), strict=True))
        made: Drawn = getattr(cls, kind)(**given)
        return made

    def table(self, name: str) -> DrawnTable:
        """The values of the field of this name, and their slots.

        Raises:
            ValueError: Faker cannot make them.
        """
        return _table(self, name)

    def digest(self, name: str) -> str:
        """Tells tables with other values apart, such as those of another version of Faker: 16 hexadecimal digits."""
        table = self.table(name)
        return blake2b(repr(table.values).encode() + table.of_slot.astype("<u2").tobytes(), digest_size=8).hexdigest()

    def _quantiles(self, p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The values below which these shares of the distribution are, rounded to its decimals."""
        given = dict(self.arguments)
        decimals, lowest, highest = given["decimals"], given["lowest"], given["highest"]
        if self.kind == "uniform":
            step = 10.0**-decimals
            first, last = math.ceil(round(lowest / step, 3)), math.floor(round(highest / step, 3))
            if last < first:
                raise ValueError(f"no number with {decimals} decimals is between {lowest!r} and {highest!r}; set more")
            found = (first + np.floor(p * (last - first + 1))) / 10**decimals
        else:
            quantile, share = _FUNCTIONS[self.kind](given)
            low = 0.0 if lowest is None else share(lowest)
            high = 1.0 if highest is None else share(highest)
            if not low < high:
                raise ValueError(f"values of {self.kind} must be possible between {lowest!r} and {highest!r}")
            shares = np.clip(low + p * (high - low), 1e-300, 1 - 2.0**-53)  # both ends are infinite
            found = np.array([quantile(one) for one in shares.tolist()])
        return np.asarray(np.clip(np.round(found, decimals), lowest, highest) + 0.0, np.float64)  # + 0.0: no -0.0


def _normal(given: dict[str, Any]) -> tuple[Callable[[float], float], Callable[[float], float]]:
    mean, deviation = given["mean"], given["deviation"]
    return lambda p: mean + deviation * _NORMAL.inv_cdf(p), lambda value: _NORMAL.cdf((value - mean) / deviation)


def _log_normal(given: dict[str, Any]) -> tuple[Callable[[float], float], Callable[[float], float]]:
    log_median, sigma = math.log(given["median"]), given["sigma"]

    def quantile(p: float) -> float:
        exponent = log_median + sigma * _NORMAL.inv_cdf(p)
        return math.exp(min(exponent, 700.0))

    return quantile, lambda value: _NORMAL.cdf((math.log(value) - log_median) / sigma) if value > 0 else 0.0


def _exponential(given: dict[str, Any]) -> tuple[Callable[[float], float], Callable[[float], float]]:
    mean = given["mean"]
    return lambda p: -mean * math.log1p(-p), lambda value: -math.expm1(-max(0.0, value) / mean)


_FUNCTIONS = {"normal": _normal, "log_normal": _log_normal, "exponential": _exponential}
"""By kind: from its arguments to the quantile of a share, and to the share below a value."""


def _check_value(value: Any) -> None:
    if type(value) not in _TYPES:
        raise ValueError(f"a value of a choice must be text, an integer or a float, got {value!r}")
    if isinstance(value, str) and len(value) > _MOST_CHARACTERS:
        raise ValueError(f"a text of a choice must have {_MOST_CHARACTERS:,} characters at most, got {len(value):,}")
    if isinstance(value, str) and _has_surrogate(value):
        raise ValueError(f"a text of a choice must be valid Unicode, got {value!r}")
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"an integer of a choice must have 64 bits with its sign at most, got {value}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a float of a choice must be finite, got {value}")


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


@cache
def _table(drawn: Drawn, name: str) -> DrawnTable:
    given = dict(drawn.arguments)
    if drawn.kind == "choice":
        weights = np.array(given["weights"])
        return DrawnTable(list(given["values"]), slots(weights).astype(np.uint16))
    if drawn.kind == "faker":
        texts = _fake_texts(name, **given)
        return DrawnTable(list(texts), slots(np.ones(len(texts))).astype(np.uint16))
    quantiles = drawn._quantiles((np.arange(N_SLOTS) + 0.5) / N_SLOTS)
    values, of_slot = np.unique(quantiles if given["decimals"] else quantiles.astype(np.int64), return_inverse=True)
    return DrawnTable(values.tolist(), of_slot.astype(np.uint16))


def _fake_texts(name: str, provider: str, n: int, locale: str) -> list[str]:
    """n different texts of this provider: the same for the same field name."""
    from faker import Faker  # takes 0.2 s, and few fields need it

    found: dict[str, None] = {}
    try:
        fake: Any = Faker(locale)
        fake.seed_instance(int.from_bytes(blake2b(name.encode(), digest_size=8).digest()))
        for _ in range(_ATTEMPTS * n):
            found[str(getattr(fake, provider)())[:_MOST_CHARACTERS]] = None
            if len(found) == n:
                return list(found)
    except Exception as error:  # a provider may raise anything
        step = "name a provider that needs no argument, such as 'company'"
        raise ValueError(f"Faker must have provider {provider!r} in {locale!r}, got {error!r}; {step}") from error
    raise ValueError(f"Faker's {provider!r} must have {n:,} different texts, got {len(found):,}; lower n")
