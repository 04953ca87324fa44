"""Releases come one after another, rise, fade, and are the same for everybody; the chart keeps its share."""

import numpy as np
import pytest

from loadgen.event import Int64s
from loadgen.rng import draw, keys_of
from loadgen.simulate.behaviour import Behaviour
from loadgen.simulate.choice import CHART_BYTE, Chooser
from loadgen.simulate.state import TILT_BIT
from tests.simulate.world import BEHAVIOUR, CATALOG, DAY_MS, MONDAY_MS

N = 200_000
EVERY_DAYS, PEAK_DAYS, SPAN_DAYS = 10.0, 4.0, 120.0
N_ERRORS = 4.5
KEYS = keys_of(1, np.arange(N, dtype=np.int64))
BITS = draw(KEYS, np.array([70_000], np.uint64))
AT_MS = MONDAY_MS + (np.arange(N) * (SPAN_DAYS * DAY_MS / N)).astype(np.int64)
DAYS = (AT_MS - MONDAY_MS) / DAY_MS


def plays(share: float) -> tuple[Int64s, np.ndarray]:
    """The tracks that mainstream listeners of all tilts play, and which come from the chart."""
    content = BEHAVIOUR.model_dump()
    content["choice"]["releases"] = {"share": share, "every_days": EVERY_DAYS, "peak_days": PEAK_DAYS}
    chooser = Chooser(CATALOG, Behaviour.model_validate(content))
    profiles = (np.arange(N) % 3) << TILT_BIT
    track, kind_byte = chooser.choose(KEYS, profiles, AT_MS, BITS)
    return track, kind_byte == CHART_BYTE


def hits(share: float) -> list[np.ndarray]:
    """The days on which each release was played, of those that rise and fade within the span, in order."""
    track, from_chart = plays(share)
    names, counts = np.unique(track[from_chart], return_counts=True)
    usual = N * 0.6 * share * EVERY_DAYS / SPAN_DAYS
    found = [DAYS[from_chart & (track == name)] for name in names[counts > usual / 2]]
    whole = [days for days in found if days.min() > EVERY_DAYS and days.mean() < SPAN_DAYS - 8 * PEAK_DAYS]
    return sorted(whole, key=lambda days: float(days.mean()))


def test_without_releases_nothing_changes() -> None:
    track, _ = plays(0.0)
    assert (track == Chooser(CATALOG, BEHAVIOUR).choose(KEYS, (np.arange(N) % 3) << TILT_BIT, AT_MS, BITS)[0]).all()


def test_the_chart_keeps_its_share_and_other_buckets_their_tracks() -> None:
    (plain, of_chart), (track, from_chart) = plays(0.0), plays(0.4)
    assert (of_chart == from_chart).all()
    assert (plain[~from_chart] == track[~from_chart]).all()
    changed = (plain != track)[from_chart].mean()
    assert changed == pytest.approx(0.4, abs=0.02)  # a release may be what would have been played anyway


def test_each_release_rises_to_its_peak_and_fades() -> None:
    found = hits(1.0)
    assert len(found) >= 5
    for days in found:
        began = days.mean() - EVERY_DAYS / 2 - 2 * PEAK_DAYS  # it is out since some moment within its interval
        spread = np.sqrt(2 * PEAK_DAYS**2 + EVERY_DAYS**2 / 12)
        assert days.std() == pytest.approx(spread, rel=0.05)
        early, peak, late = (((days - began) // 6 == part).mean() for part in (0, 1, 4))
        assert peak > 1.5 * early
        assert peak > 4 * late


def test_they_come_at_the_given_interval() -> None:
    middles = np.array([days.mean() for days in hits(1.0)])
    n_plays = N * 0.6 * EVERY_DAYS / SPAN_DAYS
    error = np.sqrt(2 * (2 * PEAK_DAYS**2 + EVERY_DAYS**2 / 12) / n_plays)
    assert np.diff(middles) == pytest.approx(EVERY_DAYS, abs=N_ERRORS * error)
