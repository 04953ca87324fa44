"""Message classes of .proto texts, compiled by protoc."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_tools import protoc


@cache
def message_class(schema: str) -> Any:
    """The class of the only message of a .proto text."""
    with TemporaryDirectory() as folder:
        source, target = Path(folder, "events.proto"), Path(folder, "events.bin")
        source.write_text(schema)
        arguments = ["protoc", f"--proto_path={folder}", f"--descriptor_set_out={target}", "--fatal_warnings"]
        assert protoc.main([*arguments, str(source)]) == 0
        files = descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(files.file[0].SerializeToString())
    (name,) = (message.name for message in files.file[0].message_type)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{files.file[0].package}.{name}"))
