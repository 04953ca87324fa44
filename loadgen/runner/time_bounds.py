"""How far a run's simulated time gets from the clock, told before its first event.

In: settings, and how many events its listeners cause in a simulated second. Out: bounds. Simulated time runs ahead
where --rate, --shape or --speed compresses it, and where the run starts in the future. For --speed both bounds are the
same, for a rate they are as good as the listeners' mean rate, and without a schedule, where the machine decides, they
are wide.
"""

import math
from collections.abc import Sequence

import numpy as np

from loadgen.config import RunSettings
from loadgen.kafka.topic_config import TimeBounds
from loadgen.simulate.crowd_load import CrowdLoad, TotalLoad
from loadgen.simulate.crowds import CrowdWorld
from loadgen.simulate.feed import Load, Offered, offered
from loadgen.simulate.gaps import gaps_of
from loadgen.simulate.model import Model
from loadgen.simulate.state import age_band
from loadgen.simulate.world import SimulationSettings

N_SAMPLE = 20_000
N_TIMES = 1001
"""Points of a run at which the integral of its shape is taken."""
LOW, HIGH = 0.8, 1.25
"""The simulated time that some number of events takes, against that at the mean rate: it follows the day's curve."""
SLOW_PER_S, FAST_PER_S = 10_000.0, 2_000_000.0
"""Nothing that a run is made on is slower or faster than this when events are offered without a schedule."""


def natural_per_s(settings: SimulationSettings, model: Model) -> float:
    """Events that all listeners of the run (those of other machines too) cause in a simulated second, on average."""
    n = min(settings.users, N_SAMPLE)
    listeners = model.people.draw(np.arange(n), settings.seed, settings.start_ms)
    per_s = gaps_of(settings, model.pace, listeners).events_per_s(age_band(listeners.age))
    return per_s * settings.users / n


def natural_rates(settings: SimulationSettings, model: Model, crowds: Sequence[CrowdWorld]) -> list[float]:
    """`natural_per_s` of each crowd; of all listeners where they are one."""
    each = [(crowd.simulation, crowd.model) for crowd in crowds] or [(settings, model)]
    return [natural_per_s(*one) for one in each]


def time_bounds(settings: RunSettings, natural_rates: Sequence[float], now_ms: float) -> TimeBounds:
    """How far ahead of the clock the run's event times are.

    Args:
        settings: of the run.
        natural_rates: see there.
        now_ms: the clock, ms since 1970.
    """
    natural_per_s = sum(natural_rates)
    if settings.timestamps == "wall":
        return TimeBounds(0.0, 0.0, 0.0)
    first_ms = settings.start_ms - now_ms
    shape = None if settings.unpaced else offered(settings)
    if shape is not None:
        end_s = _end_s(settings, shape)
        loads = shape.loads if isinstance(shape, TotalLoad) else [shape]
        gains = [
            max(_load_gain_s(load, end_s, rate / share) for load, rate in zip(loads, natural_rates, strict=True))
            for share in (LOW, HIGH)
        ]
    else:
        gains = [
            _gain_s(_span_s(settings, natural_per_s, speed, share), speed)
            for speed, share in zip(_speeds(settings, natural_per_s), (LOW, HIGH), strict=True)
        ]
    is_bounded = not settings.continuous
    return TimeBounds(first_ms, first_ms + 1000 * (gains[0] if is_bounded else 0.0), first_ms + 1000 * gains[1])


def _speeds(settings: RunSettings, natural_per_s: float) -> tuple[float, float]:
    """Simulated seconds per second, at least and at most."""
    if settings.unpaced:
        return LOW * SLOW_PER_S / natural_per_s, HIGH * FAST_PER_S / natural_per_s
    return settings.speed, settings.speed


def _span_s(settings: RunSettings, natural_per_s: float, speed: float, share: float) -> float:
    """Simulated seconds of the run: up to whatever ends it first."""
    ends = [math.inf]
    if settings.end_ms is not None:
        ends.append((settings.end_ms - settings.start_ms) / 1000)
    if settings.events is not None:
        ends.append(share * settings.events / natural_per_s)
    if settings.duration_s is not None:
        ends.append(speed * settings.duration_s)
    return min(ends)


def _gain_s(span_s: float, speed: float) -> float:
    """How much further ahead simulated time is at the end of the run than at its start; not less than 0."""
    return span_s * (1 - 1 / speed) if speed > 1 else 0.0


def _end_s(settings: RunSettings, shape: Offered) -> float:
    """When the run ends, seconds after its start; inf where nothing ends it."""
    end_s = math.inf if settings.duration_s is None else settings.duration_s
    if settings.events is not None:
        end_s = min(end_s, float(shape.invert(settings.events - 1e-6)))  # before any silence that follows the last
    return end_s


def _load_gain_s(load: Load, end_s: float, natural_per_s: float) -> float:
    """How much further ahead simulated time gets than it is at the start, at the natural rate of the listeners."""
    start_s = load.start_s if isinstance(load, CrowdLoad) else 0.0
    if math.isinf(end_s):
        return math.inf if load.peak_per_s > natural_per_s else 0.0
    at_s = np.linspace(0.0, end_s, N_TIMES)
    return float((load.integral(at_s) / natural_per_s - np.maximum(at_s - start_s, 0.0)).max())
