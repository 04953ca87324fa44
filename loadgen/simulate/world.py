"""What a simulation depends on, and the words behind its codes.

`SimulationSettings` travel to every worker and, with the catalogue, decide every event; `labels` names cities,
platforms, devices, genres and people.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

from loadgen.event import Labels
from loadgen.places import CITIES
from loadgen.simulate.behaviour import Behaviour

Presence = Literal["online", "everyday"]


class NamedCatalog(Protocol):
    """What is read of a catalogue, see simulate/catalog.py."""

    @property
    def genres(self) -> tuple[str, ...]: ...
    @property
    def first_names(self) -> tuple[str, ...]: ...
    @property
    def last_names(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """Everything but the catalogue that events depend on.

    Attributes:
        users: size of the population; user ids are 0..users-1.
        seed: any integer.
        start_ms: the first moment of the simulation, ms since 1970 (UTC).
        presence: gaps between sessions: short (online) or as in life (everyday).
        behaviour: how listeners behave.
    """

    users: int
    seed: int
    start_ms: int
    presence: Presence
    behaviour: Behaviour


def labels(catalog: NamedCatalog, *behaviours: Behaviour) -> Labels:
    """The words behind the codes of `Listeners` and of the catalogue; of several crowds all that any of them has."""
    populations = [behaviour.population for behaviour in behaviours]
    return Labels(
        locations=tuple(city.location for city in CITIES),
        countries=tuple(city.country for city in CITIES),
        platforms=tuple(dict.fromkeys(name for people in populations for name in people.platforms)),
        devices=tuple(dict.fromkeys(name for people in populations for name in people.devices)),
        genres=catalog.genres,
        first_names=catalog.first_names,
        last_names=catalog.last_names,
        pages=behaviours[0].page_table,
    )
