"""However a run ended: what is wrong is never called proved, and what is right is never called broken."""

import os

import numpy as np
import pytest

from loadgen.verifier.manifest_spec import read_promises
from loadgen.verifier.regenerator import Regenerator, find_catalog
from tests.verifier.endings import ENDINGS, FAULTS, PLACES, Planned, compare, left_by
from tests.verifier.runs import one_file

N_CASES = int(os.environ.get("TEST_PROOF_CASES", "600"))
"""Of the test that is marked slow. 10,000 take some minutes."""
N_QUICK = 72


@pytest.fixture(scope="module")
def remake(tmp_path_factory: pytest.TempPathFactory) -> Regenerator:
    run = one_file(tmp_path_factory.mktemp("run"), events=400, users=40)
    (promise,) = read_promises([run.manifest], "file")
    return Regenerator(promise, find_catalog(promise, lambda *_: None), promise.key)


@pytest.fixture(scope="module")
def planned(remake: Regenerator) -> Planned:
    return Planned.of(remake)


def look(case: int, planned: Planned, remake: Regenerator) -> str:
    """One run, with a fault or without; says what is wrong with the verdict, if anything is."""
    rng = np.random.default_rng(case)
    place, ending = PLACES[case % len(PLACES)], ENDINGS[case // len(PLACES) % len(ENDINGS)]
    base = remake.promise
    left = left_by(ending, place, planned, base, rng)
    clean = compare(left, remake)
    said = "" if clean.is_proved else f"case {case} ({ending}, {place}) is clean, and called {clean}"
    fault = FAULTS[place][int(rng.integers(len(FAULTS[place])))]
    fault(left, rng)
    spoilt = compare(left, remake)
    if spoilt.is_proved:
        said += f"; case {case} ({ending}, {place}) has a fault, {fault.__name__}, and is called proved"
    remake.promise = base
    return said


def test_faults_are_found_and_clean_places_proved_however_a_run_ended(planned: Planned, remake: Regenerator) -> None:
    assert [said for case in range(N_QUICK) if (said := look(case, planned, remake))] == []


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_many_faults_are_found_and_clean_places_proved(planned: Planned, remake: Regenerator) -> None:
    first = 1_000_000
    assert [said for case in range(first, first + N_CASES) if (said := look(case, planned, remake))] == []
