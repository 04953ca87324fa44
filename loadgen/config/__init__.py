"""What a command is told: flag > LOADGEN_* variable > TOML file > default, checked as a whole.

In: flags, environment and a file. Out: the command's settings, frozen and complete, or one UsageError that lists every
problem. `values` and `names` read what users write, `settings` declares each setting once, `rules` says what may not go
together, `layers` puts flags, variables and file in order, `secrets` keeps passwords out of everything that is shown.
"""

from loadgen.config.layers import Resolved, resolve
from loadgen.config.secrets import KafkaOptions
from loadgen.config.settings import (
    AnalyzeSettings,
    CompactSettings,
    CompareSettings,
    ConsumeSettings,
    DashboardSettings,
    DoctorSettings,
    Impairments,
    PipelineSettings,
    RealismSettings,
    RunSettings,
    Settings,
    VerifySettings,
)
from loadgen.config.values import ShardOf

__all__ = [
    "AnalyzeSettings",
    "CompactSettings",
    "CompareSettings",
    "ConsumeSettings",
    "DashboardSettings",
    "DoctorSettings",
    "Impairments",
    "KafkaOptions",
    "PipelineSettings",
    "RealismSettings",
    "Resolved",
    "RunSettings",
    "Settings",
    "ShardOf",
    "VerifySettings",
    "resolve",
]
