"""CompactSettings: everything that `loadgen compact` can be told."""

import time
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field
from pydantic_core.core_schema import ValidationInfo

from loadgen.config import names, values
from loadgen.config.settings import shared
from loadgen.config.settings.base import AROUND, WHERE, Flag, Here, Needed, Settings

DAY_S = 86400


def _day(value: Any, info: ValidationInfo) -> int:
    return values.day(value, shared.now_ms(info))


class CompactSettings(Settings):
    """The settings of `loadgen compact`.

    `until_day` is the last day that is compacted, in days since 1970 (UTC).
    """

    verb: ClassVar[str] = "compact"

    store: Annotated[
        str,
        BeforeValidator(names.store),
        Flag(
            "store",
            "STORE",
            "Folder that loadgen consume writes: a path, file:///PATH or hdfs://HOST:PORT/PATH.",
            WHERE,
            is_word=True,
            needed=Needed("compact needs a store", "name it: loadgen compact music_events", "music_events"),
        ),
    ]
    until_day: Annotated[
        int,
        BeforeValidator(_day),
        Flag("until", "DATE", "The last day whose files are merged (UTC). Default: yesterday.", AROUND),
    ] = Field(default_factory=lambda: int(time.time()) // DAY_S - 1)
    grace_s: Annotated[
        float,
        BeforeValidator(values.duration(1, 0, 30 * DAY_S, "60 (seconds) or 5m")),
        Flag("grace", "S", "How long readers get until a later call removes what was merged.", AROUND),
    ] = 60.0
    config: shared.Config = None
    json_summary: shared.JsonSummary = False
    quiet: Annotated[shared.Quiet, Here("Show no progress.")] = False
