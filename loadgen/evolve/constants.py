"""What a reader finds of the fields of a user's own schema that are the same in each record, and in no proof."""

import pyarrow as pa

from loadgen.decode import avro
from loadgen.encode.encodings import RegisteredSchema


def constants_of(schema: RegisteredSchema) -> pa.Table:
    """These fields, as `Schemas` leaves them out."""
    own = schema.own
    assert own is not None
    others = {field.name for field in own.format.fields}
    columns = tuple(column for column in avro.columns_of(schema.text) if column.name not in others)
    data = b"".join(data for _, data in own.literals)
    return avro.decode(pa.array([data], pa.binary()), columns).table.select(own.unproved)
