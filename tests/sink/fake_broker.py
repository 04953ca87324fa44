"""A broker that only says no: just enough of Kafka's protocol to refuse a login, an ACL, or a topic's creation.

In: which of these to refuse. Out: an address to connect to. What librdkafka's mock cluster has no words for.
"""

import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Self

METADATA, SASL_HANDSHAKE, API_VERSIONS, CREATE_TOPICS, DESCRIBE_CONFIGS, SASL_AUTHENTICATE = 3, 17, 18, 19, 32, 36
NEWEST = {
    METADATA: 4, SASL_HANDSHAKE: 1, API_VERSIONS: 0, CREATE_TOPICS: 2, DESCRIBE_CONFIGS: 0, SASL_AUTHENTICATE: 0
}  # fmt: skip
OK, UNKNOWN_TOPIC, TOPIC_DENIED, BAD_MECHANISM, UNSUPPORTED_VERSION, BAD_LOGIN = 0, 3, 29, 33, 35, 58


def text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def array(*items: bytes) -> bytes:
    return struct.pack(">i", len(items)) + b"".join(items)


def config_in(body: bytes) -> dict[str, str]:
    """The names and values of an array of settings."""
    (n_settings,), at = struct.unpack(">i", body[:4]), 4
    texts: list[str] = []
    for _ in range(2 * n_settings):
        (length,) = struct.unpack(">h", body[at : at + 2])
        texts.append(body[at + 2 : at + 2 + length].decode())
        at += 2 + length
    return dict(zip(texts[::2], texts[1::2], strict=True))


class FakeBroker:
    """Listens on loopback until closed.

    Attributes:
        address: "127.0.0.1:PORT".
        topics: the number of partitions by topic.
        copies: the replication factor of each topic that was made.
        configs: the configuration of each topic that was made.
        config: of every topic.
        refuse_config: the error with which the question for it is answered.
        refuse_topic: the error with which each topic is answered; OK for none.
        refuse_create: the error with which the creation of a topic is answered; OK makes it.
        mechanisms: what SASL may use.
    """

    def __init__(
        self, *, topics: dict[str, int] | None = None, refuse_topic: int = OK, refuse_create: int = OK,
        mechanisms: tuple[str, ...] = ("PLAIN",), config: dict[str, str] | None = None, refuse_config: int = OK,
    ) -> None:  # fmt: skip
        self.topics, self.refuse_topic, self.refuse_create = topics or {}, refuse_topic, refuse_create
        self.mechanisms = mechanisms
        self.config, self.refuse_config = config or {}, refuse_config
        self.copies: dict[str, int] = {}
        self.configs: dict[str, dict[str, str]] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        self.address = f"127.0.0.1:{self._port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection.makefile("rb") as stream:
            while size := stream.read(4):
                request = stream.read(struct.unpack(">i", size)[0])
                api, version, correlation = struct.unpack(">hhi", request[:8])
                answer = struct.pack(">i", correlation) + self._answer(api, version, request)
                connection.sendall(struct.pack(">i", len(answer)) + answer)

    def _answer(self, api: int, version: int, request: bytes) -> bytes:
        if api == API_VERSIONS:
            known = [struct.pack(">hhh", key, 0, newest) for key, newest in NEWEST.items()]
            return struct.pack(">h", UNSUPPORTED_VERSION if version else OK) + array(*known)
        if api == METADATA:
            return self._metadata(request)
        if api == SASL_HANDSHAKE:
            is_known = any(text(mechanism) in request for mechanism in self.mechanisms)
            return struct.pack(">h", OK if is_known else BAD_MECHANISM) + array(*map(text, self.mechanisms))
        if api == SASL_AUTHENTICATE:
            return struct.pack(">h", BAD_LOGIN) + text("wrong user or password") + struct.pack(">i", 0)
        return self._config() if api == DESCRIBE_CONFIGS else self._create(request)

    def _config(self) -> bytes:
        """As version 0 has it: whatever was asked about, there is one topic."""
        flags = b"\0\0\0"  # read-only, default, sensitive
        entries = array(*(text(name) + text(value) + flags for name, value in self.config.items()))
        answer = struct.pack(">h", self.refuse_config) + text("so it is") + b"\x02" + text("t") + entries
        return struct.pack(">i", 0) + array(answer)

    def _metadata(self, request: bytes) -> bytes:
        body = request[10 + struct.unpack(">h", request[8:10])[0] :]
        topics = []
        for _ in range(max(0, struct.unpack(">i", body[:4])[0])):
            n = struct.unpack(">h", body[4:6])[0]
            topics.append(self._topic(body[6 : 6 + n].decode()))
            body = body[2 + n :]
        broker = struct.pack(">i", 1) + text("127.0.0.1") + struct.pack(">ih", self._port, -1)
        return struct.pack(">i", 0) + array(broker) + text("fake") + struct.pack(">i", 1) + array(*topics)

    def _topic(self, name: str) -> bytes:
        error = self.refuse_topic or (OK if name in self.topics else UNKNOWN_TOPIC)
        one = array(struct.pack(">i", 1))
        partitions = [struct.pack(">hii", OK, at, 1) + one + one for at in range(self.topics.get(name, 0))]
        return struct.pack(">h", error) + text(name) + b"\0" + array(*partitions)

    def _create(self, request: bytes) -> bytes:
        body = request[10 + struct.unpack(">h", request[8:10])[0] :]
        n = struct.unpack(">h", body[4:6])[0]
        name = body[6 : 6 + n].decode()
        if self.refuse_create == OK:
            self.topics[name], self.copies[name] = struct.unpack(">ih", body[6 + n : 12 + n])
            self.configs[name] = config_in(body[16 + n :])  # behind an empty list of assignments
        return struct.pack(">i", 0) + array(text(name) + struct.pack(">h", self.refuse_create) + text("so it is"))

    def close(self) -> None:
        """Stop listening and cut all connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
