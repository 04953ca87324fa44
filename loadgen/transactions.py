"""Which events of a worker make a transaction, and which transactions are aborted: no Kafka, no state.

A worker's events are a sequence in the order of sending, cut into blocks of `n_events`. A transaction never spans two
blocks; time may end one before its block is full, so that a block has several. Whether the transactions of a block are
aborted is drawn from the seed. So the aborted events are the same ones in each run with the same seed, workers and
sizes, however the run was timed; and `verify` knows them without a list.
"""

from dataclasses import dataclass

import numpy as np

from loadgen.config import RunSettings
from loadgen.event import Bools, Int64s
from loadgen.rng import draw, keys_of

_BITS = 32
_WORKERS = 1 << 16


@dataclass(frozen=True, slots=True)
class TransactionPlan:
    """The blocks of one worker.

    Attributes:
        seed: of the run.
        n_events: events of a block, at least 1.
        abort_prob: the share of blocks whose transactions are aborted, 0..1.
        machine, worker: which of the run's workers it is.
    """

    seed: int
    n_events: int
    abort_prob: float
    machine: int = 0
    worker: int = 0

    def n_left(self, position: int) -> int:
        """How many events the block of this position has from it on: 1..n_events."""
        return self.n_events - position % self.n_events

    def is_aborted(self, positions: Int64s) -> Bools:
        """Whether the transactions of these events of the worker's sequence are aborted: bool[n]."""
        keys = keys_of(self.seed, np.full(1, self.machine * _WORKERS + self.worker, np.int64))
        bits = draw(keys, (positions // self.n_events).astype(np.uint64)) >> (64 - _BITS) & ((1 << _BITS) - 1)
        found: Bools = bits < round(self.abort_prob * (1 << _BITS))
        return found


def transaction_plan(settings: RunSettings, worker: int) -> TransactionPlan:
    """That of a worker of this machine."""
    return TransactionPlan(
        settings.seed, settings.transaction_events, settings.abort_prob, settings.shard.index, worker
    )
