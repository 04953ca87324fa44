"""Who the listeners are: their unchanging attributes and their names, drawn from (seed, user id) alone.

In: any subset of user ids. Out: `Listeners`, 38 bytes each, drawn a chunk at a time so that ten million need no
more memory than that.
"""

from math import gcd

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from loadgen.event import DAY_MS, Int64s, Labels, Listeners, UInt8s
from loadgen.fingerprint import mix
from loadgen.places import CITIES
from loadgen.rng import N_SLOTS, Purpose, draw_for, field16, keys_of, slots
from loadgen.simulate.behaviour import AGE_BANDS, Behaviour, Population
from loadgen.simulate.choice import Songs
from loadgen.simulate.gaps import joins_ms
from loadgen.simulate.state import age_band
from loadgen.simulate.tables import normal_quantiles
from loadgen.simulate.world import SimulationSettings

CHUNK = 1 << 16
YOUNGEST, OLDEST = 13, 80
FREE, PAID = 0, 1
MAX_NAMED_USERS = 1 << 24
_MAINSTREAM, _INDIE, _MIXED = 0, 1, 2


def draw_listeners(settings: SimulationSettings, user_ids: Int64s, catalog: Songs) -> Listeners:
    """Draw the attributes of these listeners.

    Args:
        settings: seed, start and behaviour are used.
        user_ids: int64, ascending.
        catalog: favourite genres are those of its artists.
    """
    return PopulationTables(settings.behaviour, catalog).draw(user_ids, settings.seed, settings.start_ms)


class PopulationTables:
    """The population's distributions as slot tables: 16 random bits pick an attribute."""

    def __init__(self, behaviour: Behaviour, catalog: Songs) -> None:
        people = behaviour.population
        self._people = people
        self._long_run = behaviour.long_run
        shares = _age_shares(people)
        self._age = (slots(shares) + YOUNGEST).astype(np.uint8)
        self._paid_slots = _paid_slots(people, shares)
        self._city = slots(np.array([city.weight for city in CITIES])).astype(np.uint16)
        self._platform = slots(np.array(list(people.platforms.values()))).astype(np.uint8)
        self._device = slots(np.array(list(people.devices.values()))).astype(np.uint8)
        # Ordered by propensity: the least mainstream are indie.
        order = [people.tastes["indie"], people.tastes["mixed"], people.tastes["mainstream"]]
        self._taste = np.array([_INDIE, _MIXED, _MAINSTREAM], np.uint8)[slots(np.array(order))]
        self._genre, self._next_genre = _genre_slots(people, catalog)
        self._plays = _plays_quantiles(people)

    def ages(self) -> npt.NDArray[np.int64]:
        """Every age there is, in years: int64."""
        return np.arange(YOUNGEST, OLDEST + 1)

    def by_age(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The share of each of `ages` among the listeners, and how many of them pay: float64 each."""
        paid_prob = self._paid_slots[YOUNGEST:] / N_SLOTS
        return _age_shares(self._people), np.asarray(paid_prob, np.float64)

    def mean_plays(self) -> npt.NDArray[np.float64]:
        """Plays per day of listeners who do not pay, and who do: float64[2]."""
        return np.asarray(self._plays.mean(axis=1, dtype=np.float64), np.float64)

    def draw(self, user_ids: Int64s, seed: int, start_ms: int) -> Listeners:
        """Draw the attributes of these listeners (int64 ids, ascending)."""
        listeners = _room_for(user_ids)
        for start in range(0, len(user_ids), CHUNK):
            self._draw_chunk(listeners, slice(start, start + CHUNK), seed, start_ms)
        return listeners

    def _draw_chunk(self, out: Listeners, part: slice, seed: int, start_ms: int) -> None:
        key = keys_of(seed, out.user_id[part])
        out.key[part] = key
        person = draw_for(key, Purpose.PERSON)
        age = self._age[field16(person, 0)]
        out.age[part] = age
        out.level[part] = field16(person, 1) < self._paid_slots[age]
        out.city[part] = self._city[field16(person, 2)]
        out.platform[part] = self._platform[field16(person, 3)]
        self._draw_habits(out, part, draw_for(key, Purpose.HABITS), start_ms)
        self._draw_taste(out, part, draw_for(key, Purpose.TASTE))

    def _draw_habits(self, out: Listeners, part: slice, bits: Int64s, start_ms: int) -> None:
        plays = self._plays[out.level[part], field16(bits, 0) >> 4]
        out.plays_per_day[part] = plays
        out.activity[part] = np.searchsorted(np.array(self._people.activity_plays), plays, side="right")
        out.device[part] = self._device[field16(bits, 1)]
        recent = field16(bits, 2) ** 2 // N_SLOTS * (1.0 / N_SLOTS)  # squared: more of the recent days
        days = (recent * (365.25 * self._people.registered_years)).astype(np.int32)
        joins_day = joins_ms(self._long_run, out.key[part], start_ms) // DAY_MS
        out.registered_day[part] = np.where(joins_day > 0, joins_day, start_ms // DAY_MS - 1 - days)

    def _draw_taste(self, out: Listeners, part: slice, bits: Int64s) -> None:
        propensity = field16(bits, 0)
        out.taste[part] = self._taste[propensity]
        out.mainstream[part] = (propensity + 0.5) / N_SLOTS
        band = age_band(out.age[part])
        first, other = self._genre[band, field16(bits, 1)], self._genre[band, field16(bits, 2)]
        out.genres[part, 0] = first
        out.genres[part, 1] = np.where(other == first, self._next_genre[first], other)


def _room_for(user_ids: Int64s) -> Listeners:
    n = len(user_ids)
    return Listeners(
        user_id=user_ids,
        key=np.empty(n, np.uint64),
        age=np.empty(n, np.uint8),
        level=np.empty(n, np.uint8),
        activity=np.empty(n, np.uint8),
        city=np.empty(n, np.uint16),
        taste=np.empty(n, np.uint8),
        mainstream=np.empty(n, np.float32),
        genres=np.empty((n, 2), np.uint8),
        plays_per_day=np.empty(n, np.float32),
        registered_day=np.empty(n, np.int32),
        platform=np.empty(n, np.uint8),
        device=np.empty(n, np.uint8),
    )


def _age_shares(people: Population) -> npt.NDArray[np.float64]:
    """The share of each age from YOUNGEST to OLDEST: even within a band."""
    band = age_band(np.arange(YOUNGEST, OLDEST + 1))
    share = np.array([people.age_bands[name] for name in AGE_BANDS])
    return np.asarray((share / np.bincount(band, minlength=len(AGE_BANDS)))[band], np.float64)


def _paid_slots(people: Population, age_shares: npt.NDArray[np.float64]) -> Int64s:
    """int64[OLDEST + 1]: of 2**16, by age; scaled so that paid_prob of all pay, as long as no age is above one."""
    ages = np.arange(OLDEST + 1)
    step = np.maximum(np.searchsorted(people.paid_from_age, ages, side="right") - 1, 0)
    shape = np.array(people.paid_by_age)[step]
    mean = float((shape[YOUNGEST:] * age_shares).sum())
    return np.round(np.minimum(shape / max(mean, 1e-12) * people.paid_prob, 1.0) * N_SLOTS).astype(np.int64)


def _genre_slots(people: Population, catalog: Songs) -> tuple[UInt8s, UInt8s]:
    """The favourite genre by age band and 16 bits; and for each genre another one, for who draws the same twice."""
    counted = np.bincount(catalog.artist_genre, weights=catalog.artist_weight, minlength=len(catalog.genres))
    share = counted.astype(np.float64)
    tables = []
    for band in AGE_BANDS:
        factors = people.genres.get(band, {})
        weights = share * np.array([factors.get(name, 1.0) for name in catalog.genres])
        tables.append(slots(weights if weights.sum() > 0 else share))
    present = np.flatnonzero(share > 0)
    following = np.arange(len(catalog.genres))
    following[present] = np.roll(present, -1)
    return np.array(tables, np.uint8), following.astype(np.uint8)


def _plays_quantiles(people: Population) -> npt.NDArray[np.float32]:
    """Plays per day by level and 12 bits: float32[2, 4096]."""
    free = people.plays_median * np.exp(people.plays_spread * normal_quantiles())
    both = np.minimum(np.array([free, free * people.paid_plays_factor]), people.most_plays)
    return np.asarray(np.round(both, 4), np.float32)


def user_names(user_ids: Int64s, seed: int, labels: Labels) -> pa.StringArray:
    """The names of these listeners, such as "minji.kim" or "minji.kim7": no two alike, no memory per listener.

    An affine permutation of the id picks first name, last name and number.

    Args:
        user_ids: int64, 0..MAX_NAMED_USERS-1.
        seed: the run's.
        labels: first and last names.
    """
    n_pairs = len(labels.first_names) * len(labels.last_names)
    n_numbers = -(-MAX_NAMED_USERS // n_pairs)
    factor, shift = _permutation(seed, n_pairs * n_numbers)
    position = (user_ids * factor + shift) % (n_pairs * n_numbers)
    number, pair = np.divmod(position, n_pairs)
    last, first = np.divmod(pair, len(labels.first_names))
    first_names = pa.array(labels.first_names, pa.string()).take(pa.array(first))
    last_names = pa.array(labels.last_names, pa.string()).take(pa.array(last))
    numbers = pc.if_else(pa.array(number == 0), "", pa.array(number).cast(pa.string()))
    return pc.binary_join_element_wise(pc.binary_join_element_wise(first_names, last_names, "."), numbers, "")


def _permutation(seed: int, n: int) -> tuple[int, int]:
    """factor and shift of a permutation i → (factor * i + shift) mod n; factor below 2**31, so nothing overflows."""
    words = mix(
        np.array([seed & 0xFFFFFFFFFFFFFFFF, ~seed & 0xFFFFFFFFFFFFFFFF], np.uint64) + np.uint64(Purpose.PERSON)
    )
    factor = max(int(words[0]) % min(n, 1 << 31), 1)
    while gcd(factor, n) != 1:
        factor += 1
    return factor, int(words[1]) % n
