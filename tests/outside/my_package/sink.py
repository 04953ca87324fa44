"""A sink: a table in SQLite for each worker."""

import sqlite3
from pathlib import Path

from loadgen import EncodedBatch, SimpleSink, SinkContext


class TableSink(SimpleSink):
    """Appends each event as a row."""

    def __init__(self, folder: str | Path) -> None:  # loadgen run --sink 'table?folder=.'
        self.folder = Path(folder)

    def start(self, context: SinkContext) -> None:
        super().start(context)
        self.table = sqlite3.connect(self.folder / f"events-{context.machine}-{context.worker}.db")
        self.table.execute("CREATE TABLE IF NOT EXISTS events (ts INTEGER, user INTEGER, line BLOB)")

    def write(self, batch: EncodedBatch) -> None:
        rows = zip(batch.ts_ms.tolist(), batch.user_id.tolist(), batch.lines.to_pylist(), strict=True)
        with self.table:
            self.table.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)

    def close(self) -> None:
        self.table.close()
