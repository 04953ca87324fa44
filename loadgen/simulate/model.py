"""What all shards of a run have in common, prepared once, and the means that follow from it.

In: settings and a catalogue. Out: a `Model`, which the coordinator makes once and sends to every worker, and
`Expected`, worked out without drawing an event: pages follow from the transition matrix (visits on the way to the next
song), songs from the lengths of sessions and the few that a Logout cuts short, events per second from the gaps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from loadgen.event import PAGES, Int64s, Page
from loadgen.simulate.behaviour_rules import before_first_song, first_pages, transition_matrix, visits
from loadgen.simulate.choice import Chooser, Songs
from loadgen.simulate.pace import Pace
from loadgen.simulate.population import PopulationTables
from loadgen.simulate.start import typical_lengths
from loadgen.simulate.state import age_band
from loadgen.simulate.tables import Tables
from loadgen.simulate.world import SimulationSettings


@dataclass(frozen=True, slots=True)
class Model:
    """Everything that does not depend on which listeners a shard has.

    Attributes:
        people: draws the listeners' attributes.
        tables: the behaviour.
        chooser: draws tracks.
        lengths_ms: int64, track lengths as they are typically played.
        pace: means of the behaviour.
    """

    people: PopulationTables
    tables: Tables
    chooser: Chooser
    lengths_ms: Int64s
    pace: Pace

    @classmethod
    def of(cls, settings: SimulationSettings, catalog: Songs) -> "Model":
        """Prepare the tables.

        Raises:
            CatalogError: the catalogue is too large.
        """
        tables, chooser = Tables.of(settings.behaviour), Chooser(catalog, settings.behaviour)
        lengths_ms = typical_lengths(settings, catalog, chooser)
        pace = Pace.of(settings.behaviour, tables, lengths_ms)
        return cls(PopulationTables(settings.behaviour, catalog), tables, chooser, lengths_ms, pace)


Floats = npt.NDArray[np.float64]
DAY_S = 86_400
LONG_RUN = "what [long_run] changes over months: who joins and leaves, changes of level, holidays"


@dataclass(frozen=True, slots=True)
class Expected:
    """Means of a simulation.

    Attributes:
        events_per_s: of all listeners, per simulated second, averaged over a week.
        pages: name of the page → its share of the events.
        songs_per_session: on average.
        paid_listeners: the share of listeners who pay.
        paid_plays: their share of the plays.
        leaves_out: what the behaviour switches on and these figures do not count; "" where there is nothing.
    """

    events_per_s: float
    pages: dict[str, float]
    songs_per_session: float
    paid_listeners: float
    paid_plays: float
    leaves_out: str = ""

    @classmethod
    def of(cls, settings: SimulationSettings, model: Model) -> "Expected":
        """Work them out for a model of these settings."""
        events, songs = _session(settings, model)
        age_shares, paid_prob = model.people.by_age()
        per_s = _sessions_per_s(settings, model, songs)
        paid = float((age_shares * paid_prob * per_s[1]).sum())
        free = float((age_shares * (1 - paid_prob) * per_s[0]).sum())
        return cls(
            events_per_s=settings.users * (free + paid) * float(events.sum()),
            pages=dict(zip(settings.behaviour.page_table.names, (events / events.sum()).tolist(), strict=True)),
            songs_per_session=songs,
            paid_listeners=float((age_shares * paid_prob).sum()),
            paid_plays=paid / (paid + free),
            leaves_out=LONG_RUN if settings.behaviour.long_run.is_on else "",
        )

    @classmethod
    def together(cls, crowds: Sequence[tuple[SimulationSettings, Model]]) -> "Expected":
        """Those of several crowds, each in all of the time, given the settings and the model of each."""
        each = [cls.of(settings, model) for settings, model in crowds]
        events = np.array([one.events_per_s for one in each])
        users = np.array([settings.users for settings, _ in crowds])
        songs = events * np.array([one.pages[PAGES.names[Page.NEXT_SONG]] for one in each])
        by_page = {name: np.array([one.pages[name] for one in each]) for name in each[0].pages}
        shares = events / events.sum()
        sessions = songs / np.array([one.songs_per_session for one in each])
        return cls(
            events_per_s=float(events.sum()),
            pages={name: float(shares @ pages) for name, pages in by_page.items()},
            songs_per_session=float(songs.sum() / sessions.sum()),
            paid_listeners=float(users @ np.array([one.paid_listeners for one in each]) / users.sum()),
            paid_plays=float(songs @ np.array([one.paid_plays for one in each]) / songs.sum()),
            leaves_out=next((one.leaves_out for one in each if one.leaves_out), ""),
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values, four digits each."""
        return {name: _short(value) for name in self.__slots__ if (value := getattr(self, name)) != ""}


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _short(one) for name, one in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _session(settings: SimulationSettings, model: Model) -> tuple[Floats, float]:
    """Events of a session by page (float64[n_pages]), and its songs.

    A Logout before the first song (q0) or after a song (q) ends the session early: n songs are reached with probability
    survival(n) (1 - q0) (1 - q)^(n - 1).
    """
    matrix, first = transition_matrix(settings.behaviour), first_pages(settings.behaviour)
    early = before_first_song(settings.behaviour)
    opening = visits(early, first)
    between = visits(matrix, matrix[Page.NEXT_SONG])
    q0 = float(first[Page.LOGOUT] + opening @ early[:, Page.LOGOUT])
    q = float(matrix[Page.NEXT_SONG, Page.LOGOUT] + between @ matrix[:, Page.LOGOUT])
    survival = model.pace.survival
    songs = float((survival * (1 - q0) * (1 - q) ** np.arange(len(survival))).sum())
    events = opening + songs * between
    logouts = q0 + q * songs
    events[Page.NEXT_SONG] = songs
    events[Page.LOGOUT] = logouts + (1 - logouts) * settings.behaviour.session.logout_prob
    return events, songs


def _sessions_per_s(settings: SimulationSettings, model: Model, songs: float) -> Floats:
    """Sessions that a listener begins per second, by level and age: float64[2, n_ages]."""
    pace = model.pace
    ages = model.people.ages()
    if settings.presence == "everyday":
        plays_per_day = model.people.mean_plays()
        return np.repeat(plays_per_day[:, None] / pace.tracks_per_session / DAY_S, len(ages), axis=1)
    session_ms = pace.songs_ms * (songs / pace.tracks_per_session) + pace.opening_ms + pace.closing_ms
    per_s = 1.0 / (session_ms / 1000 + settings.behaviour.online.gap_mean_s)
    return np.repeat(per_s[age_band(ages)][None, :], 2, axis=0)
