"""The spectrum says what the sample says: one in x events took y or longer."""

import numpy as np

from loadgen.histogram import Histogram, Sparse
from loadgen.record import HistogramRecord
from loadgen.report.charts import spectrum


def spread_of(values_s: np.ndarray) -> HistogramRecord:
    """These durations as a manifest keeps them."""
    found = Histogram()
    found.record(values_s)
    return HistogramRecord.model_validate(Sparse.of(found).as_json())


def test_each_point_counts_the_events_that_took_as_long_or_longer() -> None:
    values_s = np.random.default_rng(5).lognormal(-4, 1.0, 50_000)
    one_in, values_ms = spectrum(spread_of(values_s))
    assert one_in == sorted(one_in)
    assert values_ms == sorted(values_ms)
    assert (one_in[0], one_in[-1]) == (1.0, 50_000.0)
    assert np.isclose(values_ms[-1], values_s.max() * 1e3, rtol=1e-3)
    for share in (0.5, 0.9, 0.99, 0.999):
        place = np.searchsorted(one_in, 1 / (1 - share), side="right") - 1
        assert np.isclose(values_ms[place], np.quantile(values_s, share) * 1e3, rtol=0.01)


def test_a_single_event_and_none_are_drawn_too() -> None:
    one_in, values_ms = spectrum(spread_of(np.array([0.012])))
    assert (one_in, len(values_ms), values_ms[-1]) == ([1.0, 1.0], 2, 12.0)
    assert spectrum(spread_of(np.array([]))) == ([], [])
    assert spectrum(HistogramRecord(buckets=[5], counts=[0])) == ([], [])
