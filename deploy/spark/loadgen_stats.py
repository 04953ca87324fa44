"""`loadgen analyze` as a Spark job, for what one machine is too small for: the same figures, tables and report.

In: stores and files, as `loadgen analyze` takes them. Out: `music_stats_YYYYMMDD_HHMMSS` with `.txt`, `.json` and
`_genres.csv` and so on, in a folder of the driver's machine. Run it where loadgen is installed; executors need nothing
but Spark:

    spark-submit deploy/spark/loadgen_stats.py hdfs://namenode:8020/music_events --since 2026-03-01 --out march

How both come to the same figures: the driver lists with loadgen's own code, so days outside of --since and --until are
not read, and files that a compacted one stands for are left out. Spark then counts the combinations that `tally` names,
in SQL, and `figures` asks Spark the same questions as DuckDB. No Python runs on executors. Where compaction takes
a file away meanwhile, the job fails; start it again.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from functools import reduce
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import col, from_json

from loadgen.analyze import output
from loadgen.analyze.events import FIELDS
from loadgen.analyze.figures import ListeningFigures, figures_of
from loadgen.analyze.output import report_of, tables_of
from loadgen.analyze.tally import COMBINATIONS, FACTS, grouping, table_of
from loadgen.config.values import BadValue, moment_ms
from loadgen.errors import LoadgenError
from loadgen.files import check_writable
from loadgen.store.event_files import File, Interval, batches
from loadgen.store.local import LocalStore
from loadgen.terminal import say

TYPES = {name: {"VARCHAR": "STRING", "UBIGINT": "BIGINT"}.get(kind, kind) for name, kind in FIELDS.items()}
IN_SPARK = {
    "epoch_ms(": "unix_millis(",
    "TIMESTAMPTZ": "TIMESTAMP",
    "hash(": "xxhash64(",
    '"': "`",
}
"""DuckDB's words → Spark's; all others are the same."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; returns the exit code."""
    words = _parser().parse_args(argv)
    stamp = time.strftime("%Y%m%d_%H%M%S", time.gmtime())
    try:
        check_writable(words.out)
        interval = Interval(words.since, words.until)
        figures = figures_by_spark(files_of(words.stores, interval), interval, words.top)
        report = report_of(figures, f"loadgen_stats.py {' '.join(words.stores)}", words.top)
        files = {f"_{name}.csv": text.encode() for name, text in tables_of(figures).items()}
        as_json = output.as_json(figures.as_json())
        output.write(words.out, stamp, {".txt": report.encode(), ".json": as_json, **files})
    except LoadgenError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    say(report)
    return 0


def files_of(stores: Sequence[str], interval: Interval) -> list[File]:
    """What is to be read.

    Raises:
        LoadgenError: a store cannot be listed, there is nothing to read, or there are files of Avro.
    """
    files = [file for batch in batches(stores, interval) for file in batch.files]
    if not files:
        raise LoadgenError(
            f"there is no file of events of that time in {', '.join(stores)}; name another store or time"
        )
    for file in files:
        if file.kind == "avro":
            step = "use loadgen analyze, or store them with loadgen consume --file-format parquet"
            raise LoadgenError(f"the Spark job reads JSON lines and Parquet, got {file.shown}; {step}")
    return files


def figures_by_spark(files: Sequence[File], interval: Interval, top: int) -> ListeningFigures:
    """The figures of these files' events of this interval."""
    spark = _session()
    records = reduce(DataFrame.unionByName, _records(spark, files))
    facts = records.selectExpr(*(f"{in_spark(sql)} AS {name}" for name, sql in FACTS.items()))
    facts.selectExpr("*", "ts_ms div 60000 AS minute").createOrReplaceTempView("events")
    spark.sql(grouping("events", interval)).createOrReplaceTempView("parts")
    spark.sql("CACHE TABLE counted AS SELECT * FROM parts")  # so that the files are read once
    for name in COMBINATIONS:
        spark.sql(table_of(name, "counted", n_parts=1)).createOrReplaceTempView(name)
    try:
        return figures_of(lambda question: [tuple(row) for row in spark.sql(in_spark(question)).collect()], top)
    finally:
        spark.sql("UNCACHE TABLE counted")


def in_spark(sql: str) -> str:
    """DuckDB's SQL in Spark's words."""
    return reduce(lambda text, pair: text.replace(*pair), IN_SPARK.items(), sql)


def _records(spark: SparkSession, files: Sequence[File]) -> Iterator[DataFrame]:
    """The records of lines and rows, with the columns of FIELDS."""
    rows = [_uri(file) for file in files if file.kind == "parquet"]
    lines = [_uri(file) for file in files if file.kind == "lines"]
    if lines:
        yield _parsed(spark.read.option("lineSep", "\n").text(lines))
    if rows:
        table = spark.read.option("mergeSchema", True).parquet(*rows)
        yield _columns(table if "raw" not in table.columns else table.where("raw IS NULL"))
        if "raw" in table.columns:
            yield _parsed(table.where("raw IS NOT NULL").select(col("raw").alias("value")))


def _parsed(lines: DataFrame) -> DataFrame:
    """The records of lines; blank ones are none, and one that is no JSON has no value at all."""
    schema = ", ".join(f"`{name}` {kind}" for name, kind in TYPES.items())
    record = from_json("value", schema, {"mode": "PERMISSIVE"}).alias("record")
    return lines.where("trim(value) != ''").select(record).select("record.*")


def _columns(table: DataFrame) -> DataFrame:
    """The columns of FIELDS, NULL where there is none or it has another type."""
    there = [f"`{name}`" if name in table.columns else "NULL" for name in TYPES]
    return table.selectExpr(
        *(f"try_cast({sql} AS {TYPES[name]}) AS `{name}`" for sql, name in zip(there, TYPES, strict=True))
    )


def _uri(file: File) -> str:
    """The file for Hadoop, of whose patterns it is none."""
    path = "".join(f"\\{letter}" if letter in "*?[]{}\\^," else letter for letter in file.shown)
    return f"file://{path}" if isinstance(file.store, LocalStore) else path


def _session() -> SparkSession:
    spark: SparkSession = SparkSession.builder.appName("loadgen_stats").getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    return spark


def _time(text: str) -> int:
    try:
        return moment_ms(text)
    except BadValue as error:
        raise argparse.ArgumentTypeError(f"{error.rule}; {error.next_step}") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="The figures of loadgen analyze, counted by Spark.")
    parser.add_argument("stores", nargs="+", metavar="STORE", help="folders, hdfs:// URLs, or single files")
    parser.add_argument("--out", type=Path, default=Path("analysis"), help="folder for the results")
    parser.add_argument("--since", type=_time, help="only events of this time and later")
    parser.add_argument("--until", type=_time, help="only events before this time")
    parser.add_argument("--top", type=int, default=10, help="how many names the lists have")
    return parser


if __name__ == "__main__":
    sys.exit(main())
