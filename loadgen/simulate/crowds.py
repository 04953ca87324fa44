"""The events of several crowds as one stream, in the order in which they are due.

    crowd a  ──shard──feed──due times──╮
    crowd b  ──shard──feed──due times──┼─ merged up to the horizon ─▶ batches
    crowd c  ──shard──feed──due times──╯

Which listener is in which crowd follows from its number: crowds are ranges of user ids. A crowd's events depend on its
own settings alone. The horizon is the moment before which no crowd has another event; equal moments keep the order of
the crowds. So how the stream is cut into batches changes nothing, and what a virtual shard has of each crowd is the
same for any number of workers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from loadgen.config import RunSettings
from loadgen.config.crowds import Crowd, crowd_users
from loadgen.event import Int64s, Labels, Listeners, UInt8s
from loadgen.simulate.behaviour import Behaviour
from loadgen.simulate.catalog_file import Catalog
from loadgen.simulate.crowd_load import CrowdLoad, crowd_events, crowd_loads
from loadgen.simulate.feed import (
    Feed,
    Owned,
    owned_listeners,
    virtual_shard_quotas,
    virtual_shard_users,
    whole_load,
    windows,
)
from loadgen.simulate.impair import Impairer, OutgoingBatch, concat, unimpaired
from loadgen.simulate.model import Model
from loadgen.simulate.schedule import NEVER_NS, NaturalSchedule, RateSchedule, due_of
from loadgen.simulate.shard import Shard, to_batch
from loadgen.simulate.world import SimulationSettings, labels

NO_MORE = 1 << 62
"""Later than everything: the horizon of a crowd that has no more events."""


@dataclass(frozen=True, slots=True)
class CrowdWorld:
    """A crowd as it is simulated.

    Attributes:
        name: of the crowd.
        first: its first user id.
        simulation: what its events depend on; `users` is the number of its own listeners, `start_ms` its own start.
        model: the lookup tables of its behaviour.
    """

    name: str
    first: int
    simulation: SimulationSettings
    model: Model


def crowd_simulations(settings: RunSettings, behaviours: Sequence[Behaviour]) -> list[SimulationSettings]:
    """What the events of each crowd depend on, given the behaviour of each."""
    sizes = crowd_users(settings.crowd, settings.users)
    return [
        SimulationSettings(n_users, settings.seed, _simulated_ms(settings, crowd.start_s), settings.presence, behaviour)
        for crowd, n_users, behaviour in zip(settings.crowd, sizes, behaviours, strict=True)
    ]


def _simulated_ms(settings: RunSettings, at_s: float) -> int:
    """The simulated time at this time of the run, at the natural rate; of a crowd with a rate, that of its start."""
    return settings.start_ms + round(at_s * settings.speed * 1000)


def worlds(
    simulations: Sequence[SimulationSettings], settings: RunSettings, catalog: Catalog
) -> tuple[CrowdWorld, ...]:
    """The crowds as they are simulated; those that behave alike share their tables."""
    models: list[tuple[SimulationSettings, Model]] = []
    found, first = [], 0
    for crowd, simulation in zip(settings.crowd, simulations, strict=True):
        alike = replace(simulation, users=0)
        model = next((model for other, model in models if other == alike), None) or Model.of(simulation, catalog)
        models.append((alike, model))
        found.append(CrowdWorld(crowd.name, first, simulation, model))
        first += simulation.users
    return tuple(found)


def _feed(
    settings: RunSettings,
    crowd: Crowd,
    shard: Shard,
    load: CrowdLoad | None,
    quota: Int64s | None,
    n_events: float | None,
) -> Feed:
    """A crowd's events; at the natural rate they end with its simulated time, else with its load."""
    end_ms = settings.end_ms
    if load is None and crowd.stop_s is not None:
        end_ms = _simulated_ms(settings, crowd.stop_s)
    impairer = Impairer(settings.impair, shard.listeners.key) if settings.impair else None
    window_ms = windows(settings, load, shard, n_events, len(settings.crowd))
    return Feed(shard, window_ms, end_ms, quota, impairer)


def _schedule(settings: RunSettings, load: CrowdLoad | None) -> NaturalSchedule | RateSchedule:
    """When a crowd's events are due after the start of the run."""
    if load is None:
        return NaturalSchedule(0, settings.start_ms, settings.speed)
    return RateSchedule(0, load)


def labels_of(catalog: Catalog, simulation: SimulationSettings, crowds: Sequence[CrowdWorld]) -> Labels:
    """The words behind the codes of a run's batches, which all its crowds share."""
    simulations = [crowd.simulation for crowd in crowds] or [simulation]
    return labels(catalog, *(one.behaviour for one in simulations))


class CrowdFeed:
    """The batches of one crowd in one worker, each with its due times.

    Attributes:
        number: of the crowd, from 0.
        shard: its listeners.
        horizon: no event that is still to come is before it: nanoseconds after the start of the run, or, where events
            are not paced, ms of simulated time.
        is_on: whether it has begun and has more events.
    """

    def __init__(self, number: int, shard: Shard, feed: Feed, schedule: NaturalSchedule | RateSchedule | None) -> None:
        """Make no events yet; `schedule` has its zero at 0, None where events are not paced."""
        self.number, self.shard = number, shard
        self._feed, self._schedule = feed, schedule
        self._made: list[OutgoingBatch] = []
        self.is_on = False
        self.horizon = self._next_due()

    @property
    def is_over(self) -> bool:
        """Whether all its events are made."""
        return self.horizon == NO_MORE

    def step(self) -> None:
        """Make the next events."""
        batch = self._feed.next_batch()
        if batch is None:
            self.horizon, self.is_on = NO_MORE, False
            return
        self.is_on = True
        if self._schedule is None:
            batch.due_ns = batch.emit_ms
        else:
            batch.due_ns = due_of(self._schedule, batch)
        self.horizon = self._next_due()
        n_events = int(np.searchsorted(batch.due_ns, NEVER_NS))
        if n_events < len(batch) or self.horizon >= NEVER_NS:  # it stops, or is silent for good
            dropped_ms, batch = batch.dropped_ms, batch.take(slice(0, n_events))
            batch.dropped_ms = dropped_ms[dropped_ms <= (batch.emit_ms[-1] if n_events else 0)]
            self.horizon, self.is_on = NO_MORE, False
        if len(batch) or len(batch.dropped_ms):
            self._made.append(batch)

    def take(self, horizon: int) -> list[OutgoingBatch]:
        """The events before this moment."""
        found = []
        while self._made:
            batch = self._made[0]
            n_events = int(np.searchsorted(batch.due_ns, horizon))
            if n_events < len(batch):
                if n_events:
                    head, self._made[0] = _cut(batch, n_events)
                    found.append(head)
                break
            found.append(self._made.pop(0))
        return found

    def _next_due(self) -> int:
        """The least time that the next event may have."""
        if self._schedule is None:
            return self.shard.now_ms
        if isinstance(self._schedule, RateSchedule):
            n_before = self._schedule.n_before
            return int(RateSchedule(0, self._schedule.shape, n_before).due_ns(np.zeros(1, np.int64))[0])
        return int(self._schedule.due_ns(np.array([self.shard.now_ms]))[0])


def _cut(batch: OutgoingBatch, n_events: int) -> tuple[OutgoingBatch, OutgoingBatch]:
    """The first n_events of a batch, and the others; each with what was dropped meanwhile."""
    head, tail = batch.take(slice(0, n_events)), batch.take(slice(n_events, None))
    n_dropped = int(np.searchsorted(batch.dropped_ms, head.emit_ms[-1], side="right"))
    head.dropped_ms, tail.dropped_ms = batch.dropped_ms[:n_dropped], batch.dropped_ms[n_dropped:]
    return head, tail


class CrowdShards:
    """The listeners of several crowds in one worker, and their events as one stream: a `Shard` and its `Feed` in one.

    Attributes:
        listeners: of all crowds, ascending user ids; a batch's `row` points into them.
        crowd_of_row: uint8[number of listeners], the number of the crowd of each.
        is_paced: whether batches have due times, nanoseconds after the start of the run.
    """

    def __init__(
        self,
        settings: RunSettings,
        owned: Owned,
        crowds: Sequence[CrowdWorld],
        catalog: Catalog,
        labels: Labels,
        n_events: float | None = None,
    ) -> None:
        """Draw the listeners.

        Args:
            settings: of the run.
            owned: the virtual shards.
            crowds: all of the run.
            catalog: what events name tracks of.
            labels: the words behind the codes of all crowds.
            n_events: about this many come at a time from each crowd; None for what a worker takes.
        """
        self.is_paced = not settings.unpaced
        loads = crowd_loads(settings, whole_load(settings)) if self.is_paced else None
        quotas = None if settings.events is None else crowd_events(settings, loads)
        ids = owned_listeners(settings.users, owned)
        self._feeds: list[CrowdFeed] = []
        parts: list[Listeners] = []
        for number, (crowd, world) in enumerate(zip(settings.crowd, crowds, strict=True)):
            last = world.first + world.simulation.users
            own_ids = ids[np.searchsorted(ids, world.first) : np.searchsorted(ids, last)]
            if not len(own_ids):
                continue
            shard = Shard(world.simulation, catalog, own_ids, world.model)
            load = None if loads is None else loads[number].part(len(own_ids), world.simulation.users)
            quota = None
            if quotas is not None:
                in_all = virtual_shard_users(last) - virtual_shard_users(world.first)
                quota = np.where(owned, virtual_shard_quotas(quotas[number], in_all), 0)
            feed = _feed(settings, crowd, shard, load, quota, n_events)
            schedule = _schedule(settings, load) if self.is_paced else None
            self._feeds.append(CrowdFeed(number, shard, feed, schedule))
            parts.append(_relabelled(shard.listeners, world.simulation.behaviour, labels))
        self.listeners = _together(parts)
        numbers = np.array([feed.number for feed in self._feeds], np.uint8)
        sizes = np.array([len(part) for part in parts], np.int64)
        self.crowd_of_row: UInt8s = np.repeat(numbers, sizes)
        self._first_row = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)

    @property
    def now_ms(self) -> int:
        """The simulated time that all crowds which go on have reached."""
        return min((feed.shard.now_ms for feed in self._feeds if not feed.is_over), default=0)

    def active(self, at_ms: int) -> int:
        """How many listeners are in a session now, each crowd by its own simulated time."""
        return sum(feed.shard.active(feed.shard.now_ms) for feed in self._feeds if feed.is_on)

    def next_batch(self, until_ms: int | None = None) -> OutgoingBatch | None:
        """What is due next, perhaps nothing; None when there will be no more.

        Args:
            until_ms: has no meaning where crowds are at different times.
        """
        goal = NO_MORE
        live = sorted((feed for feed in self._feeds if not feed.is_over), key=lambda feed: feed.horizon)
        for feed in live:
            if feed.horizon >= goal:
                break
            feed.step()
            goal = min(goal, feed.horizon)
        leaving = self._take(min((feed.horizon for feed in live), default=NO_MORE))
        return None if not live and not len(leaving) else leaving

    def _take(self, horizon: int) -> OutgoingBatch:
        """All events before this moment, in order."""
        taken = [
            replace(batch, events=replace(batch.events, row=batch.events.row + first_row))
            for feed, first_row in zip(self._feeds, self._first_row, strict=False)
            for batch in feed.take(horizon)
        ]
        merged = _merged(taken)
        if not self.is_paced:
            merged.due_ns = np.empty(0, np.int64)
        return merged


def _merged(parts: list[OutgoingBatch]) -> OutgoingBatch:
    """All events of these, by their due times; those of the same moment in the order of the parts."""
    if not parts:
        return unimpaired(to_batch([], 0, 1, 1, np.zeros(1, np.int32)))
    if len(parts) == 1:
        return parts[0]
    whole = concat(parts)
    merged = whole.take(np.argsort(whole.due_ns, kind="stable"))
    merged.dropped_ms = np.sort(np.concatenate([part.dropped_ms for part in parts]))
    return merged


def _together(parts: Sequence[Listeners]) -> Listeners:
    """The listeners of all of these, in order; of no crowd none."""
    columns: list[Any] = [np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Listeners)]
    return Listeners(*columns)


def _relabelled(listeners: Listeners, behaviour: Behaviour, labels: Labels) -> Listeners:
    """The same listeners with the codes of these labels, in place of those of their own behaviour."""
    people = behaviour.population
    platform = np.array([labels.platforms.index(name) for name in people.platforms], np.uint8)
    device = np.array([labels.devices.index(name) for name in people.devices], np.uint8)
    return replace(listeners, platform=platform[listeners.platform], device=device[listeners.device])
