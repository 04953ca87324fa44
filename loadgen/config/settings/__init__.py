"""The settings of each verb: RunSettings, ConsumeSettings, VerifySettings, CompactSettings.

`base` is what they have in common, `shared` the settings that several of them have, then one file per verb.
"""

from loadgen.config.settings.base import Flag, Settings
from loadgen.config.settings.compact import CompactSettings
from loadgen.config.settings.consume import ConsumeSettings
from loadgen.config.settings.run import Impairments, RunSettings
from loadgen.config.settings.verify import VerifySettings

ALL: tuple[type[Settings], ...] = (RunSettings, ConsumeSettings, VerifySettings, CompactSettings)
"""Those of every verb that has settings of its own."""

__all__ = [
    "ALL",
    "CompactSettings",
    "ConsumeSettings",
    "Flag",
    "Impairments",
    "RunSettings",
    "Settings",
    "VerifySettings",
]
