"""The null sink counts everything as delivered."""

import numpy as np

from loadgen.sink.null import NullSink
from tests.sink.lines import make_lines


def test_everything_is_delivered_at_once():
    sink = NullSink(500, np.array([7]))
    sink.send(make_lines(100))
    sink.drop(make_lines(10, 100))
    sink.close()
    assert sink.tally.counts() == {"planned": 110, "delivered": 100, "failed": 0, "dropped": 10, "unfinished": 0}
    assert sink.settled.tolist() == [117]
    assert sink.tally.fingerprint.count.sum() == 100
    assert len(sink.tally.ack_s) == len(sink.tally.intended_to_ack_s) == 100
