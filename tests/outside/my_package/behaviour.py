"""A behaviour: listeners look at lyrics, too."""

from pathlib import Path

LYRICS = Path(__file__).with_name("lyrics.toml")
