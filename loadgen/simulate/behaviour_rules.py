"""Rules between the numbers of a behaviour file: rows present, pages reachable, songs that come round again.

In: a Behaviour whose values are each valid. Out: a line per broken rule: the key, the rule, what to do.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from loadgen.event import PAGE_NAMES, TRACK_PAGES, Page

if TYPE_CHECKING:
    from loadgen.simulate.behaviour import Behaviour

Matrix = npt.NDArray[np.float64]
TRACK_ACTIONS = tuple(page for page in TRACK_PAGES if page != Page.NEXT_SONG)
"""Pages that need a track: before a session's first song they become NextSong."""
ROWS = tuple(page for page in Page if page != Page.LOGOUT)


def problems(behaviour: "Behaviour") -> Iterator[str]:
    """Every broken rule between the values; nothing when all hold."""
    missing = [*_missing_rows(behaviour)]
    yield from missing
    if not missing:
        yield from _unreachable(behaviour)
        yield from _endless(behaviour)
    yield from _missing_keys(behaviour)
    yield from _wrong_order(behaviour)


def transition_matrix(behaviour: "Behaviour") -> Matrix:
    """The probability of the next page (column) given the page (row): float64[9, 9]; the row Logout is empty."""
    matrix = np.zeros((len(PAGE_NAMES), len(PAGE_NAMES)))
    for page, row in behaviour.transitions.items():
        for following, probability in row.items():
            matrix[PAGE_NAMES.index(page), PAGE_NAMES.index(following)] = probability
    return matrix


def before_first_song(matrix: Matrix) -> Matrix:
    """The same matrix while no song has been played: pages that need a track become NextSong."""
    changed = matrix.copy()
    changed[:, Page.NEXT_SONG] += changed[:, TRACK_ACTIONS].sum(axis=1)
    changed[:, TRACK_ACTIONS] = 0.0
    return changed


def first_pages(behaviour: "Behaviour") -> npt.NDArray[np.float64]:
    """The probability of each page to begin a session: float64[9]; pages that need a track count as NextSong."""
    shares = np.array([behaviour.session.first_page.get(name, 0.0) for name in PAGE_NAMES])
    return np.asarray(before_first_song(shares[None, :])[0], np.float64)


def visits(matrix: Matrix, start: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Expected looks at each page on the way from `start` (probabilities of the first page) to NextSong or Logout.

    float64[9]; zero for NextSong and Logout themselves.
    """
    passing = [page for page in Page if page not in (Page.NEXT_SONG, Page.LOGOUT)]
    found = np.zeros(len(PAGE_NAMES))
    inner = np.eye(len(passing)) - matrix[np.ix_(passing, passing)]
    found[passing] = np.linalg.solve(inner.T, start[passing])
    return found


def _missing_rows(behaviour: "Behaviour") -> Iterator[str]:
    for page in ROWS:
        if PAGE_NAMES[page] not in behaviour.transitions:
            yield f"transitions: the row {PAGE_NAMES[page]} is missing; add it"
    if "Logout" in behaviour.transitions:
        yield "transitions: Logout ends the session and has no row; remove it"
    for name in PAGE_NAMES:
        if name not in behaviour.think:
            yield f"think: {name} is missing; add it"
    if behaviour.session.first_page.get("Logout", 0.0) > 0:
        yield "session.first_page: a session cannot begin with Logout; remove it"


def _unreachable(behaviour: "Behaviour") -> Iterator[str]:
    matrix, first = transition_matrix(behaviour), first_pages(behaviour)
    if behaviour.session.logout_prob > 0:
        matrix[Page.NEXT_SONG, Page.LOGOUT] += 1.0
    reached = first > 0
    for _ in Page:
        reached |= (matrix[reached] > 0).any(axis=0)
    for page in Page:
        if not reached[page]:
            yield f"transitions: {PAGE_NAMES[page]} cannot be reached from session.first_page; give it a probability"


def _endless(behaviour: "Behaviour") -> Iterator[str]:
    """Every page must lead on to NextSong or Logout, and soon enough; and NextSong must come up at all."""
    from loadgen.simulate.behaviour import MOST_PAGES_PER_TRACK

    matrix = transition_matrix(behaviour)
    leads_on = np.zeros(len(PAGE_NAMES), np.bool_)
    leads_on[[Page.NEXT_SONG, Page.LOGOUT]] = True
    for _ in Page:
        leads_on |= (matrix[:, leads_on] > 0).any(axis=1)
    stuck = [PAGE_NAMES[page] for page in Page if not leads_on[page]]
    if stuck:
        yield f"transitions: {', '.join(stuck)} must lead on to NextSong or Logout; give their rows a way there"
        return
    for page in ROWS:
        n_pages = float(visits(matrix, np.eye(len(PAGE_NAMES))[page]).sum())
        if not n_pages <= MOST_PAGES_PER_TRACK:
            rule = f"at most {MOST_PAGES_PER_TRACK:g} pages on average from {PAGE_NAMES[page]} to the next song"
            yield f"transitions: {rule}, got {n_pages:.4g}; raise NextSong in the rows"


def _missing_keys(behaviour: "Behaviour") -> Iterator[str]:
    from loadgen.simulate.behaviour import AGE_BANDS, BUCKETS, TASTES

    wanted: list[tuple[str, tuple[str, ...], object]] = [
        ("skip.by_age_factor", AGE_BANDS, behaviour.skip.by_age_factor),
        ("population.age_bands", AGE_BANDS, behaviour.population.age_bands),
        ("population.tastes", TASTES, behaviour.population.tastes),
        ("choice.exponents", BUCKETS, behaviour.choice.exponents),
    ]
    for key, names, given in wanted:
        for name in names:
            if isinstance(given, dict) and name not in given:
                yield f"{key}: {name} is missing; add it"


def _wrong_order(behaviour: "Behaviour") -> Iterator[str]:
    people, skip = behaviour.population, behaviour.skip
    if list(people.paid_from_age) != sorted(set(people.paid_from_age)):
        yield "population.paid_from_age: ages must rise; sort them"
    if len(people.paid_from_age) != len(people.paid_by_age):
        yield "population.paid_by_age: one value for each of paid_from_age; make the lists equally long"
    if skip.within_5_s_prob > skip.within_30_s_prob:
        yield "skip.within_5_s_prob: must not be above within_30_s_prob; lower it"
    if len(behaviour.choice.tilt_shares) != len(behaviour.choice.tilt_factors):
        yield "choice.tilt_factors: one for each of tilt_shares; make the lists equally long"
    if people.activity_plays[0] > people.activity_plays[1]:
        yield "population.activity_plays: must rise; sort them"
