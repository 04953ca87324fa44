"""How a pipeline ends without losing an event, and what it then says for certain.

In: parts that run, the ground they stand on. Out: parts that have ended, in the order in which the events go; and the
comparison of what was sent with what is stored.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from loadgen.errors import StoreError
from loadgen.pipeline.child import Child
from loadgen.pipeline.offsets import has_messages, missing, stored_of
from loadgen.pipeline.prepare import PipelineContext
from loadgen.pipeline.supervisor import Part, State
from loadgen.verifier.report import VerifyReport

PART_ENDS_S = 45.0
"""A producer and a consumer wait 30 s for what is in flight; one that takes longer hangs."""
ORPHANS_S = 8.0
"""The workers of a coordinator that was killed give what is in flight 3 s, and closing takes as long."""
LOOK_S = 0.5
QUIET_S = 5.0
Turn = Callable[[], None]
"""Called a few times a second while something is waited for: keeps the other parts alive, and the user informed."""


def end_part(part: Part, turn: Turn, timeout_s: float = PART_ENDS_S) -> bool:
    """Have a part end in its own way; returns whether it did, and was not killed for taking too long."""
    part.stop()
    deadline_s = time.monotonic() + timeout_s
    while part.state is State.RUNNING and time.monotonic() < deadline_s:
        turn()
    in_order = part.state is not State.RUNNING
    if not in_order:
        part.kill()
    return in_order


def end_orphans(children: Sequence[Child], turn: Turn) -> None:
    """See to it that nothing that a dead producer has started still sends."""
    deadline_s = time.monotonic() + ORPHANS_S
    living = [child for child in children if child.has_descendants()]
    while living and time.monotonic() < deadline_s:
        turn()
        living = [child for child in living if child.has_descendants()]
    for child in living:
        child.kill()


class DrainWaiter:
    """Waits until everything up to some offsets is stored."""

    def __init__(self, ground: PipelineContext, ends: Mapping[int, int], timeout_s: float) -> None:
        """Prepare.

        Args:
            ground: of the pipeline.
            ends: one past the last offset of each partition.
            timeout_s: longest time in which nothing more is stored.
        """
        self._ground, self._ends, self._timeout_s = ground, ends, timeout_s
        self._n_missing = -1

    def wait(self, consumer: Part, turn: Turn) -> bool:
        """Wait; returns whether everything is stored, as far as offsets tell."""
        progress_s = time.monotonic()
        while consumer.state is not State.GIVEN_UP:
            left = self._missing()
            n_missing = sum(self._ends[number] - offset for number, offset in left.items()) if left is not None else -1
            if n_missing == 0:
                return True
            now_s = time.monotonic()
            if n_missing not in (-1, self._n_missing):
                self._n_missing, progress_s = n_missing, now_s
            elif left and now_s - progress_s > QUIET_S and not has_messages(self._ground.kafka, left, self._ends):
                return True
            if time.monotonic() - progress_s > self._timeout_s:
                return False
            self._pause(turn)
        return False

    def _missing(self) -> dict[int, int] | None:
        """See `missing`; None where the store does not say."""
        ground = self._ground
        try:
            return missing(stored_of(ground.store, ground.source, ground.n_partitions), self._ends)
        except StoreError:
            return None

    def _pause(self, turn: Turn) -> None:
        until_s = time.monotonic() + LOOK_S
        while time.monotonic() < until_s:
            turn()


def verify(
    ground: PipelineContext, manifests: Sequence[Path], show: int, progress: Callable[[str, int, float], None]
) -> VerifyReport:
    """Hold what the producers sent against what is stored of this pipeline's time.

    Events of others, which the same topic holds, are no fault; where the topic is the pipeline's own there are none.

    Raises:
        LoadgenError: the store cannot be read, or a run not be made again.
    """
    from loadgen.verifier.files import part_source
    from loadgen.verifier.manifest_spec import read_promises
    from loadgen.verifier.verify import compared

    source = part_source(ground.store, ground.source.tag, ground.begins)
    report = compared(read_promises(manifests, "store"), source, show, progress)
    findings = report.findings
    if ground.is_shared and findings.counts["foreign"]:
        n_foreign = findings.counts.pop("foreign")
        findings.notes.append(f"{n_foreign:,} events of others, from the same topic, are stored among them")
        return replace(report, shown=[one for one in report.shown if one.kind != "foreign"])
    return report
