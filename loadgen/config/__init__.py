"""The settings of a command: flag > LOADGEN_* variable > TOML file > default, validated together.

In: flags, environment and a file. Out: the command's settings, frozen and complete, or one UsageError that lists every
problem. `values` and `names` parse values, `settings` declares each setting once, `rules` checks combinations, `layers`
resolves flags, variables and file; `masks` hides passwords in messages.
"""

from loadgen.config.kafka_options import KafkaOptions
from loadgen.config.layers import Resolved, resolve
from loadgen.config.settings.analysis import AnalyzeSettings, CompareSettings, DashboardSettings, RealismSettings
from loadgen.config.settings.base import Settings
from loadgen.config.settings.check import DoctorSettings, VerifySettings
from loadgen.config.settings.consume import CompactSettings, ConsumeSettings
from loadgen.config.settings.pipeline import PipelineSettings
from loadgen.config.settings.replay import ReplaySettings
from loadgen.config.settings.run import Impairments, RunSettings
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
    "ReplaySettings",
    "Resolved",
    "RunSettings",
    "Settings",
    "ShardOf",
    "VerifySettings",
    "resolve",
]
