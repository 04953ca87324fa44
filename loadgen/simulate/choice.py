"""Which track a listener plays: taste → bucket → rank in the listener's repertoire → artist → track.

In: a catalogue and the behaviour's choice. Out: tracks. A repertoire takes no memory: a rank is drawn (low ranks
often), and a hash of (listener, bucket, rank, version) gives artist and track. The version of a rank grows with
simulated time, so that favourites come and go. The tables grow with the number of artists, never with that of tracks.

`NewReleases` turn some plays from the chart into plays of a recent release, which many listeners play for a while and
then less and less. There is no list of releases: the age of a release is drawn per play, the age gives the release's
number, and a hash of the number gives artist and track.

    age     a gamma distribution of shape 2: density ~ t exp(-t / peak), highest at the peak
    number  floor((now - age) / every)
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from loadgen.errors import CatalogError
from loadgen.event import DAY_MS, TIERS, Int32s, Int64s, UInt8s, UInt16s, UInt64s
from loadgen.fingerprint import GOLDEN, mix
from loadgen.rng import N_SLOTS, SLOT_BITS, SLOT_MASK, field16, slots, third
from loadgen.simulate import tables
from loadgen.simulate.behaviour import TASTES, Behaviour, Choice, Releases, Repertoire
from loadgen.simulate.state import TASTE_BIT, TILT_BIT

_RELEASE_SECRET = np.uint64(0x8EBC6AF09C88C6E3)


class NewReleases:
    """Which plays are of releases, and of which; see `put_in`.

    Attributes:
        is_on: whether there are any.
    """

    __slots__ = ("_age_ms", "_every_ms", "_pool", "_slots", "is_on")

    def __init__(self, releases: Releases, pool: int) -> None:
        """Prepare; pool is where the artists of all releases come from."""
        self._slots = round(releases.share * N_SLOTS)
        self.is_on = self._slots > 0
        self._pool = pool
        self._every_ms = round(releases.every_days * DAY_MS)
        self._age_ms = np.round(_gamma_quantiles() * releases.peak_days * DAY_MS).astype(np.int64)

    def put_in(
        self, from_chart: npt.NDArray[np.bool_], pool: Int64s, name: Int64s, at_ms: Int64s, bits: Int64s
    ) -> None:
        """Let plays of the chart be of releases; changes `pool` and `name` there.

        Args:
            from_chart: bool[n], whether a play comes from the chart.
            pool, name: int64[n], see `Chooser.choose`.
            at_ms: int64[n], simulated time.
            bits: int64[n], the plays' own random bits.
        """
        more = third(bits)
        at = (from_chart & (field16(more, 0) < self._slots)).nonzero()[0]
        number = (at_ms.take(at) - self._age_ms.take(field16(more.take(at), 1))) // self._every_ms
        pool[at] = self._pool
        name[at] = mix(number.view(np.uint64) * GOLDEN + _RELEASE_SECRET).view(np.int64)


def _gamma_quantiles() -> npt.NDArray[np.float64]:
    """The quantiles of the gamma distribution of shape 2 and scale 1 at the middle of 2**16 equal steps."""
    x = np.linspace(0.0, 40.0, 400_001)
    reached = 1.0 - (1.0 + x) * np.exp(-x)
    return np.round(np.interp((np.arange(N_SLOTS) + 0.5) / N_SLOTS, reached, x), 9)


MAX_GENRES = 250
CHART, INDIE, RANDOM = 253, 254, 255
"""Pools of artists beside the genres, whose pools have the genre's number."""
POOL_BITS = 8
N_POOLS = 1 << POOL_BITS
KINDS = ("first genre", "second genre", "chart", "indie", "random")
"""What a bucket's draw says; the kind's byte of a listener's five pools is where the artist comes from."""
CHART_BYTE = 8 * KINDS.index("chart")
_COMMON_POOLS = CHART << 16 | INDIE << 24 | RANDOM << 32
_FAVOURITES_MASK = 0xFFFF
TOP_SHARE = 0.01
"""Of the artists: the biggest names."""
_SECRET = np.uint64(0xA0761D6478BD642F)
_VERSION = np.uint64(0xE7037ED1A0B428DB)
_RANK_BITS = 16
_LOG_STEPS = 1 << 13


class Songs(Protocol):
    """What is read of a catalogue, see simulate/catalog.py."""

    @property
    def artist_tier(self) -> UInt8s: ...
    @property
    def artist_genre(self) -> UInt8s: ...
    @property
    def artist_weight(self) -> npt.NDArray[np.float64]: ...
    @property
    def first_track(self) -> Int32s: ...
    @property
    def length_ms(self) -> Int32s: ...
    @property
    def genres(self) -> tuple[str, ...]: ...


class Chooser:
    """Draws tracks; see `choose`."""

    def __init__(self, catalog: Songs, behaviour: Behaviour) -> None:
        """Prepare the tables.

        Raises:
            CatalogError: the catalogue has too many artists or genres.
        """
        _check(catalog)
        choice = behaviour.choice
        self._kind_byte = _kind_bytes(choice)
        self._rank = (slots(_rank_weights(choice.repertoire))).astype(np.uint16)
        self._versions_per_ms = _versions_per_ms(choice.repertoire)
        self._cells, self._first_cell, self._n_cells = _pools(catalog, choice)
        self._releases = NewReleases(choice.releases, CHART | (len(choice.tilt_factors) // 2) << POOL_BITS)
        self._artist = _artist_words(catalog)
        self._depth = _depths(catalog)

    def choose(self, key: UInt64s, profile: Int64s, at_ms: Int64s, bits: Int64s) -> tuple[Int64s, UInt8s]:
        """Draw a track for each of n listeners.

        Args:
            key, profile: of the listeners, see state.py.
            at_ms: simulated time, ms since 1970.
            bits: random; the low 32 are used.

        Returns:
            Track rows of the catalogue, and 8 * position in KINDS of the bucket; int64[n] and uint8[n].
        """
        taste = (profile >> (TASTE_BIT - SLOT_BITS)) & (3 << SLOT_BITS)
        kind_byte = self._kind_byte.take(taste | (bits & SLOT_MASK))
        pool = (((profile & _FAVOURITES_MASK) | _COMMON_POOLS) >> kind_byte) & (N_POOLS - 1)
        pool |= (profile >> (TILT_BIT - POOL_BITS)) & (3 << POOL_BITS)
        rank = self._rank.take(field16(bits, 1))
        name = self._name(key, pool, rank, at_ms)
        if self._releases.is_on:
            self._releases.put_in(kind_byte == CHART_BYTE, pool, name, at_ms, bits)
        artist = tables.pick(self._cells, self._first_cell.take(pool), self._n_cells.take(pool), name)
        return self._track_of(artist, (name >> 48) & SLOT_MASK), kind_byte

    def _name(self, key: UInt64s, pool: Int64s, rank: UInt16s, at_ms: Int64s) -> Int64s:
        """64 bits that stay the same for a listener's pool and rank until the version changes."""
        place = (pool << _RANK_BITS) | rank
        root = (key ^ _SECRET) + place.view(np.uint64) * GOLDEN
        phase = (root >> np.uint64(40)).view(np.int64) * 2.0**-24
        version = (at_ms * self._versions_per_ms.take(rank) + phase).astype(np.int64)
        return mix(root + version.view(np.uint64) * _VERSION).view(np.int64)

    def _track_of(self, artist: Int64s, u16: Int64s) -> Int64s:
        """The artist's track number k = 0, 1, 2 … with probability ~ log(1 + 1 / (k + 1)), close to Zipf's law."""
        word = self._artist.take(artist)
        depth = self._depth.take((u16 * (word & 0xFFFFFFFF)) >> SLOT_BITS)
        return (word >> 32) + depth


def _check(catalog: Songs) -> None:
    n_artists, n_genres = len(catalog.artist_tier), len(catalog.genres)
    if not 1 <= n_artists < tables.MAX_MEMBERS:
        rule = f"a catalogue must have 1..{tables.MAX_MEMBERS - 1:,} artists"
        raise CatalogError(f"{rule}, got {n_artists:,}; import fewer")
    if n_genres > MAX_GENRES:
        raise CatalogError(
            f"a catalogue may have {MAX_GENRES} genres at most, got {n_genres}; merge some and import it again"
        )


def _kind_bytes(choice: Choice) -> UInt8s:
    """uint8[3 * 2**16]: 8 * kind, by taste and 16 bits."""
    favourite = choice.favourite_prob
    table = []
    for taste in TASTES:
        shares = dict(getattr(choice, taste))
        genre = shares.get("genre", 0.0)
        others = [shares.get(bucket, 0.0) for bucket in KINDS[2:]]
        table.append(slots(np.array([genre * favourite, genre * (1 - favourite), *others])) * 8)
    return np.concatenate(table).astype(np.uint8)


def _rank_weights(repertoire: Repertoire) -> npt.NDArray[np.float64]:
    return np.asarray(np.arange(1, repertoire.ranks + 1) ** -repertoire.exponent, np.float64)


def _versions_per_ms(repertoire: Repertoire) -> npt.NDArray[np.float64]:
    """float64[ranks]: one over the time until a rank's track is replaced, geometric from the first rank to the last."""
    days = np.geomspace(repertoire.days_to_change, repertoire.days_to_change_last, repertoire.ranks)
    return 1.0 / (np.round(days, 6) * DAY_MS)


def tilt_edges(choice: Choice) -> npt.NDArray[np.float64]:
    """The mainstream propensities (0..1) at which the next tilt begins: float64[n_tilts - 1]."""
    shares = np.cumsum(choice.tilt_shares)
    return np.asarray(np.round(shares[:-1] / shares[-1], 9), np.float64)


def _pools(catalog: Songs, choice: Choice) -> tuple[Int64s, Int64s, Int64s]:
    """All alias tables one behind the other; where each begins and how many cells it has, by tilt and pool."""
    weights = np.where(np.diff(catalog.first_track) > 0, catalog.artist_weight, 0.0)
    members = _members(catalog, weights)
    prominence = _prominence(weights)
    exponents = {CHART: choice.exponents["chart"], INDIE: choice.exponents["indie"], RANDOM: choice.exponents["random"]}
    first, count = np.zeros((4, N_POOLS), np.int64), np.zeros((4, N_POOLS), np.int64)
    parts: list[Int64s] = []
    for tilt, factor in enumerate(choice.tilt_factors):
        for pool, artists in members.items():
            exponent = exponents.get(pool, choice.exponents["genre"])
            first[tilt, pool], count[tilt, pool] = sum(len(part) for part in parts), len(artists)
            parts.append(tables.cells(artists, weights[artists] ** exponent * factor ** prominence[artists]))
    return np.concatenate(parts), first.reshape(-1), count.reshape(-1)


def _prominence(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How much of a listener's tilt an artist gets: near 1 for the top 1 %, a half at its end, soon 0 behind it."""
    rank = np.empty(len(weights))
    rank[np.argsort(-weights, kind="stable")] = np.arange(1, len(weights) + 1)
    return np.asarray(np.round(1.0 / (1.0 + (rank / (TOP_SHARE * len(weights))) ** 4), 12), np.float64)


def _members(catalog: Songs, weights: npt.NDArray[np.float64]) -> dict[int, Int64s]:
    """The artists of each pool that are ever played; an empty pool stands for the whole catalogue."""
    everyone = np.flatnonzero(weights > 0)
    tier, genre = catalog.artist_tier[everyone], catalog.artist_genre[everyone]
    is_indie = tier == TIERS.index("indie")
    members = {CHART: everyone[~is_indie], INDIE: everyone[is_indie], RANDOM: everyone}
    members |= {number: everyone[genre == number] for number in range(len(catalog.genres))}
    return {pool: artists if len(artists) else everyone for pool, artists in members.items()}


def _artist_words(catalog: Songs) -> Int64s:
    """int64[n_artists]: first track << 32, and ln(tracks + 1) in steps of 1/8192."""
    n_tracks = np.diff(catalog.first_track)
    log_steps = np.floor(np.log(n_tracks + 1.0) * _LOG_STEPS).astype(np.int64)
    return np.asarray((catalog.first_track[:-1].astype(np.int64) << 32) | log_steps, np.int64)


def _depths(catalog: Songs) -> Int32s:
    """int32: floor(exp(step / 8192)) - 1, up to the artist with the most tracks."""
    most = int((_artist_words(catalog) & 0xFFFFFFFF).max())
    return (np.floor(np.exp(np.arange(most + 1) / _LOG_STEPS)) - 1).astype(np.int32)
