"""Avro and Protobuf to columns: all records of an array are read at once, field by field."""
