"""What a reader finds of the fields of a user's own schema that are the same in each record, and in no proof."""

import pyarrow as pa

from loadgen.decode import avro, protobuf
from loadgen.encode.encodings import RegisteredSchema


def constants_of(schema: RegisteredSchema) -> pa.Table | bytes:
    """These fields, as `Schemas` leaves them out."""
    own = schema.own
    assert own is not None
    if schema.name == "jsonschema":
        return own.end
    others = {field.name for field in own.format.fields}
    data = pa.array([b"".join(data for _, data in own.literals)], pa.binary())
    if schema.name == "protobuf":
        table = protobuf.decode(data, protobuf.columns_of(schema.text)).table
    else:
        columns = tuple(column for column in avro.columns_of(schema.text) if column.name not in others)
        table = avro.decode(data, columns).table
    return table.select(own.unproved)
