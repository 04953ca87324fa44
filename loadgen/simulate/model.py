"""What all shards of a run have in common: the tables of a behaviour and a catalogue, prepared once.

Settings and a catalogue go in; a `Model` comes out, which the coordinator makes once and sends to every worker.
"""

from dataclasses import dataclass

from loadgen.event import Int64s
from loadgen.simulate.choice import Chooser, Songs
from loadgen.simulate.pace import Pace
from loadgen.simulate.population import PopulationTables
from loadgen.simulate.start import typical_lengths
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
