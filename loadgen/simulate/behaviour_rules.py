"""Rules between the numbers of a behaviour file: rows present, pages reachable, songs that come round again.

In: a Behaviour whose values are each valid. Out: a line per broken rule: the key, the rule, what to do.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from loadgen.event import MAX_PAGES, PAGES, SKIP_ACTION, Page

if TYPE_CHECKING:
    from loadgen.simulate.behaviour import Behaviour

Matrix = npt.NDArray[np.float64]


def problems(behaviour: "Behaviour") -> Iterator[str]:
    """Every broken rule between the values; nothing when all hold."""
    broken = [*_own_pages(behaviour), *_missing_rows(behaviour)]
    yield from broken
    if not broken:
        yield from _unreachable(behaviour)
        yield from _endless(behaviour)
    yield from _missing_keys(behaviour)
    yield from _wrong_order(behaviour)


def transition_matrix(behaviour: "Behaviour") -> Matrix:
    """The probability of the next page (column) given the page (row): float64[n, n]; the row Logout is empty."""
    names = behaviour.page_table.names
    matrix = np.zeros((len(names), len(names)))
    for page, row in behaviour.transitions.items():
        for following, probability in row.items():
            matrix[names.index(page), names.index(following)] = probability
    return matrix


def before_first_song(behaviour: "Behaviour") -> Matrix:
    """The same matrix while no song has been played: pages that need a track become NextSong."""
    return _without_track(behaviour, transition_matrix(behaviour))


def first_pages(behaviour: "Behaviour") -> npt.NDArray[np.float64]:
    """The probability of each page to begin a session: float64[n]; pages that need a track count as NextSong."""
    shares = np.array([behaviour.session.first_page.get(name, 0.0) for name in behaviour.page_table.names])
    return np.asarray(_without_track(behaviour, shares[None, :])[0], np.float64)


def _without_track(behaviour: "Behaviour", matrix: Matrix) -> Matrix:
    need_track = behaviour.page_table.have_track
    need_track[Page.NEXT_SONG] = False
    changed = matrix.copy()
    changed[:, Page.NEXT_SONG] += changed[:, need_track].sum(axis=1)
    changed[:, need_track] = 0.0
    return changed


def visits(matrix: Matrix, start: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Expected looks at each page on the way from `start` (probabilities of the first page) to NextSong or Logout.

    float64[n]; zero for NextSong and Logout themselves.
    """
    passing = [page for page in range(len(matrix)) if page not in (Page.NEXT_SONG, Page.LOGOUT)]
    found = np.zeros(len(matrix))
    inner = np.eye(len(passing)) - matrix[np.ix_(passing, passing)]
    found[passing] = np.linalg.solve(inner.T, start[passing])
    return found


def action_of(name: str) -> str:
    """What `action` says of a page that sets none of its own."""
    return name.lower().replace(" ", "_")


def _own_pages(behaviour: "Behaviour") -> Iterator[str]:
    """Readers must be able to tell pages apart, and must not take one for a play, a skip or a like."""
    names, built_in = {name.casefold() for name in PAGES.names}, {*PAGES.actions, SKIP_ACTION}
    actions, most = set(built_in), MAX_PAGES - len(PAGES)
    if len(behaviour.pages) > most:
        yield f"pages: at most {most} besides the built-in ones, got {len(behaviour.pages)}; leave some out"
    for name, page in behaviour.pages.items():
        action = page.action or action_of(name)
        if name.casefold() in names:
            yield f"pages.{name}: the name must differ from that of every other page in more than case; rename it"
        elif action_of(name) in built_in:
            yield f"pages.{name}: must not be read as the built-in action {action_of(name)!r}; rename it"
        elif action in actions:
            yield f"pages.{name}.action: must differ from that of every other page, got {action!r}; set another one"
        names.add(name.casefold())
        actions.add(action)


def _missing_rows(behaviour: "Behaviour") -> Iterator[str]:
    for name in behaviour.page_table.names:
        if name not in behaviour.transitions and name != "Logout":
            yield f"transitions: the row {name} is missing; add it"
    if "Logout" in behaviour.transitions:
        yield "transitions: Logout ends the session and has no row; remove it"
    for name in behaviour.page_table.names:
        if name not in behaviour.think:
            yield f"think: {name} is missing; add it"
    if behaviour.session.first_page.get("Logout", 0.0) > 0:
        yield "session.first_page: a session cannot begin with Logout; remove it"


def _unreachable(behaviour: "Behaviour") -> Iterator[str]:
    matrix, first = transition_matrix(behaviour), first_pages(behaviour)
    if behaviour.session.logout_prob > 0:
        matrix[Page.NEXT_SONG, Page.LOGOUT] += 1.0
    reached = first > 0
    for _ in matrix:
        reached |= (matrix[reached] > 0).any(axis=0)
    for name, is_reached in zip(behaviour.page_table.names, reached, strict=True):
        if not is_reached:
            yield f"transitions: {name} cannot be reached from session.first_page; give it a probability"


def _endless(behaviour: "Behaviour") -> Iterator[str]:
    """Every page must lead on to NextSong or Logout, and soon enough; and NextSong must come up at all."""
    from loadgen.simulate.behaviour import MOST_PAGES_PER_TRACK

    matrix, names = transition_matrix(behaviour), behaviour.page_table.names
    leads_on = np.zeros(len(names), np.bool_)
    leads_on[[Page.NEXT_SONG, Page.LOGOUT]] = True
    for _ in names:
        leads_on |= (matrix[:, leads_on] > 0).any(axis=1)
    stuck = [name for name, is_good in zip(names, leads_on, strict=True) if not is_good]
    if stuck:
        yield f"transitions: {', '.join(stuck)} must lead on to NextSong or Logout; give their rows a way there"
        return
    for page, name in enumerate(names):
        n_pages = float(visits(matrix, np.eye(len(names))[page]).sum())
        if page != Page.LOGOUT and not n_pages <= MOST_PAGES_PER_TRACK:
            rule = f"at most {MOST_PAGES_PER_TRACK:g} pages on average from {name} to the next song"
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
