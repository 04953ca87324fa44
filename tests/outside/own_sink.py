"""A sink as somebody else writes one: a table in SQLite for each worker, `--sink own_sink:TableSink?folder=F`."""

import sqlite3
from pathlib import Path

from loadgen import EncodedBatch, SimpleSink, SinkContext


class TableSink(SimpleSink):
    """Appends each event as a row."""

    def __init__(self, context: SinkContext) -> None:
        super().__init__(context)
        path = Path(context.options["folder"]) / f"events-{context.machine}-{context.worker}.db"
        self.table = sqlite3.connect(path)
        self.table.execute("CREATE TABLE events (ts INTEGER, user INTEGER, line BLOB)")

    def write(self, batch: EncodedBatch) -> None:
        rows = zip(batch.ts_ms.tolist(), batch.user_id.tolist(), batch.lines.to_pylist(), strict=True)
        with self.table:
            self.table.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)

    def close(self) -> None:
        self.table.close()
