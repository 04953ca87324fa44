"""How much chaos, and by which dice: from TEST_CHAOS_KILLS and TEST_CHAOS_SEED, read before tests hide them."""

import os
from random import Random

KILLS = int(os.environ.get("TEST_CHAOS_KILLS", "8"))
"""Kills, or what else is done again and again, in one test."""
FULL_SIZE = 50
_GIVEN = os.environ.get("TEST_CHAOS_SEED", "").replace(",", " ").split()
_CHANCE = Random(os.environ.get("PYTEST_XDIST_TESTRUNUID"))  # processes that share the tests draw the same
SEEDS = list(map(int, _GIVEN)) or [_CHANCE.randrange(10**6) for _ in range(3 if KILLS >= FULL_SIZE else 1)]
"""Every test is run once with each."""


def some(share: float) -> int:
    """This share of the kills, but one at least."""
    return max(1, round(KILLS * share))
