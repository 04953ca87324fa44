"""The settings of each verb: RunSettings, ConsumeSettings, VerifySettings, CompactSettings.

`base` is what they have in common, `shared` the settings that several of them have, then one file per verb.
"""

from loadgen.config.settings.analyze import AnalyzeSettings
from loadgen.config.settings.base import Flag, Settings
from loadgen.config.settings.compact import CompactSettings
from loadgen.config.settings.compare import CompareSettings
from loadgen.config.settings.consume import ConsumeSettings
from loadgen.config.settings.dashboard import DashboardSettings
from loadgen.config.settings.doctor import DoctorSettings
from loadgen.config.settings.pipeline import PipelineSettings
from loadgen.config.settings.realism import RealismSettings
from loadgen.config.settings.run import Impairments, RunSettings
from loadgen.config.settings.verify import VerifySettings

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
"""Those of every verb that has settings of its own."""

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
