"""A journal says of each event how it ended, whenever its writer stopped."""

from pathlib import Path

import numpy as np
import pytest

from loadgen.errors import OutputUnwritable
from loadgen.ledger import Outcome
from loadgen.sink.journal import Journal, Probe, segments_of

D, A, F, U = Outcome.DELIVERED, Outcome.ABORTED, Outcome.FAILED, Outcome.UNFINISHED


def test_what_ended_is_known_again_and_one_transaction_is_open(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.add([(Outcome.DROPPED, 4)])
    for answer in (journal.succeeded, journal.failed, journal.unknown, journal.void):
        journal.ending([(D, 3), (F, 1)], Probe(1, 7))
        answer()
    journal.ending([(A, 2)], Probe(0, 9))
    again = Journal(tmp_path / "j")
    assert again.ended == journal.ended == [(Outcome.DROPPED, 4), (D, 3), (F, 5), (U, 3), (F, 1)]
    assert again.open == ([(A, 2)], Probe(0, 9))


def test_a_record_that_was_cut_off_does_not_count(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.add([(D, 5)])
    with (tmp_path / "j").open("ab") as file:
        file.write(b"half a record")
    again = Journal(tmp_path / "j")
    again.add([(F, 2)])
    assert Journal(tmp_path / "j").ended == [(D, 5), (F, 2)]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputUnwritable, match="no_such_folder"):
        Journal(tmp_path / "no_such_folder" / "j")


def test_outcomes_in_a_row_are_a_segment() -> None:
    outcomes = np.array([D, D, A, D], np.uint8)
    assert segments_of(outcomes) == [(D, 2), (A, 1), (D, 1)]
    assert segments_of(outcomes[:0]) == []
