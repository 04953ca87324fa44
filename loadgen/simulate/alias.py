"""Draws from any distribution in one table look-up: Walker's alias method in whole numbers.

Weights go in; out come 63-bit cells. A uniform cell and 20 more random bits pick one of the cell's two members, so the
cost of a draw does not depend on the number of members. Whole numbers: the same cells on every machine.

Source: A. J. Walker, ACM TOMS 3 (1977); the construction is M. D. Vose's, IEEE TSE 17 (1991).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from loadgen.event import Int64s

MEMBER_BITS = 21
MAX_MEMBERS = 1 << MEMBER_BITS
THRESHOLD_BITS = 20
CELL_BITS = 28
"""Random bits that pick the cell."""
_FULL = 1 << THRESHOLD_BITS
_MEMBER_MASK = MAX_MEMBERS - 1
_CELL_MASK = (1 << CELL_BITS) - 1
_SCALE = 1 << 40


def cells(members: Int64s, weights: npt.NDArray[np.floating[Any]]) -> Int64s:
    """The alias table of members (int64, below MAX_MEMBERS) drawn in proportion to weights: int64[n]."""
    n = len(members)
    units = np.round(np.asarray(weights, np.float64) / np.sum(weights) * _SCALE).astype(np.int64) * n
    fair = int(units.sum()) // n
    left: list[int] = units.tolist()
    other = np.arange(n)
    threshold = np.full(n, _FULL)
    small = [i for i in range(n) if left[i] < fair]
    large = [i for i in range(n) if left[i] >= fair]
    while small and large:
        poor, rich = small.pop(), large[-1]
        other[poor] = rich
        threshold[poor] = left[poor] * _FULL // fair
        left[rich] -= fair - left[poor]
        if left[rich] < fair:
            small.append(large.pop())
    return (threshold << 2 * MEMBER_BITS) | (members[other] << MEMBER_BITS) | members


def pick(table: Int64s, first_cell: Int64s, n_cells: Int64s, bits: Int64s) -> Int64s:
    """Draw a member from the n_cells cells that begin at first_cell, with the low 48 of these random bits: int64."""
    cell = table.take(first_cell + (((bits & _CELL_MASK) * n_cells) >> CELL_BITS))
    is_other = ((bits >> CELL_BITS) & (_FULL - 1)) >= (cell >> 2 * MEMBER_BITS)
    return (cell >> is_other * np.int64(MEMBER_BITS)) & _MEMBER_MASK
