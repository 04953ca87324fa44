"""The settings of each command: RunSettings, ConsumeSettings, VerifySettings, CompactSettings.

`base` is what they have in common, `shared` the settings that several of them have, then one file per command.
"""

from loadgen.config.settings.base import Flag, Settings
from loadgen.config.settings.check import DoctorSettings, VerifySettings
from loadgen.config.settings.consume import CompactSettings, ConsumeSettings
from loadgen.config.settings.dashboard import DashboardSettings
from loadgen.config.settings.figures import AnalyzeSettings, CompareSettings, RealismSettings
from loadgen.config.settings.pipeline import PipelineSettings
from loadgen.config.settings.run import Impairments, RunSettings

ALL: tuple[type[Settings], ...] = (
    RunSettings,
    ConsumeSettings,
    VerifySettings,
    CompareSettings,
    CompactSettings,
    AnalyzeSettings,
    DashboardSettings,
    PipelineSettings,
    DoctorSettings,
    RealismSettings,
)
"""Those of every command that has settings of its own."""

__all__ = [
    "ALL",
    "AnalyzeSettings",
    "CompactSettings",
    "CompareSettings",
    "ConsumeSettings",
    "DashboardSettings",
    "DoctorSettings",
    "Flag",
    "Impairments",
    "PipelineSettings",
    "RealismSettings",
    "RunSettings",
    "Settings",
    "VerifySettings",
]
