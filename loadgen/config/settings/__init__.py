"""The settings of each command.

`base` is what all have in common, `shared` holds the settings of several commands, the others declare the commands'.
"""

from loadgen.config.settings.analysis import AnalyzeSettings, CompareSettings, DashboardSettings, RealismSettings
from loadgen.config.settings.base import Settings
from loadgen.config.settings.check import DoctorSettings, VerifySettings
from loadgen.config.settings.consume import CompactSettings, ConsumeSettings
from loadgen.config.settings.pipeline import PipelineSettings
from loadgen.config.settings.replay import ReplaySettings
from loadgen.config.settings.run import RunSettings

ALL: tuple[type[Settings], ...] = (
    RunSettings,
    ReplaySettings,
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
"""The classes of all commands that have settings."""
