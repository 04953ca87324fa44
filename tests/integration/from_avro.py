"""A job of Spark: a topic of Avro as JSON lines, by `from_avro`.

In: brokers, a topic, a file with the schema, and a folder for the lines. Out: a line for each message, without nulls.
"""

import sys
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql.avro.functions import from_avro

brokers, topic, schema, out = sys.argv[1:]
kafka = {"kafka.bootstrap.servers": brokers, "subscribe": topic, "startingOffsets": "earliest"}
messages = SparkSession.builder.getOrCreate().read.format("kafka").options(**kafka).load()
payloads = messages.selectExpr("substr(value, 6) AS payload")  # behind the zero byte and the schema's id
records = payloads.select(from_avro("payload", Path(schema).read_text()).alias("record")).select("record.*")
records.selectExpr("* EXCEPT (ts)", "unix_millis(ts) AS ts").write.json(out)
