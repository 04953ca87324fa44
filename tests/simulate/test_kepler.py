"""Kepler's equation is solved for every M and e."""

import numpy as np
import pytest

from loadgen.simulate.shapes import eccentric_anomaly

ANGLES = np.concatenate([np.linspace(0, 6 * np.pi, 20_001), np.logspace(-9, 0, 200)])


@pytest.mark.parametrize("e", [0.0, 1e-9, 0.3, 0.9, 0.999, 1 - 1e-12, 1.0, -1e-9, -0.3, -0.999, -1.0])
def test_the_solution_fulfils_the_equation_to_the_last_digits(e: float) -> None:
    mean = ANGLES - e * np.sin(ANGLES)
    found = eccentric_anomaly(mean, np.full_like(mean, e))
    np.testing.assert_allclose(found - e * np.sin(found), mean, rtol=0, atol=2e-14)


@pytest.mark.parametrize("e", [0.0, 0.5, 0.99, -0.5, -0.99])
def test_where_the_curve_is_not_flat_the_angle_itself_comes_back(e: float) -> None:
    found = eccentric_anomaly(ANGLES - e * np.sin(ANGLES), np.full_like(ANGLES, e))
    np.testing.assert_allclose(found, ANGLES, rtol=0, atol=5e-12)


def test_in_a_circle_the_angle_is_the_mean_one() -> None:
    np.testing.assert_allclose(eccentric_anomaly(ANGLES, np.zeros_like(ANGLES)), ANGLES, rtol=1e-15)
