"""How much chaos, and by which dice: from TEST_CHAOS_KILLS and TEST_CHAOS_SEED, read before tests hide them."""

import os
from random import Random

KILLS = int(os.environ.get("TEST_CHAOS_KILLS", "8"))
"""Kills, or what else is done again and again, in one test."""
FULL_SIZE = 50


def seeds(variable: str, n_kills: int) -> list[int]:
    """The seeds that a variable names, or else one by chance, three at full size: every test is run once with each."""
    given = os.environ.get(variable, "").replace(",", " ").split()
    chance = Random(os.environ.get("PYTEST_XDIST_TESTRUNUID"))  # processes that share the tests draw the same
    return list(map(int, given)) or [chance.randrange(10**6) for _ in range(3 if n_kills >= FULL_SIZE else 1)]


SEEDS = seeds("TEST_CHAOS_SEED", KILLS)


def some(share: float) -> int:
    """This share of the kills, but one at least."""
    return max(1, round(KILLS * share))
