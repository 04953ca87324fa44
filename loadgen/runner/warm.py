"""Imported by the fork server, never by anything else: what each worker would otherwise do at its start.

Arrow's functions and NumPy's rarer modules are set up when they are first used; here that happens once, before the
fork.
"""

# ruff: noqa: E402 (what is imported depends on what is prepared before)
import gc

from loadgen import imports

imports.prepare()

import numpy as np
import numpy.ma  # NumPy imports it when certain functions are first called
import pyarrow as pa

import loadgen.runner.worker  # noqa: F401
from loadgen.binary import join
from loadgen.encode import text
from loadgen.event import Labels
from loadgen.json_text import strings
from loadgen.simulate.population import user_names

_LABELS = Labels(("Seoul, KR",), ("KR",), ("Spotify",), ("Mobile",), ("Pop",), ("mina",), ("kim",))

join(strings(pa.array(['"'])), text.integers(np.arange(1)), text.IsoTimes().texts(np.arange(1), b""))
pa.array([b"a"]).take(pa.array([0]))
user_names(np.arange(1), 1, _LABELS)
gc.collect()
gc.freeze()  # what is here now stays shared between the workers
