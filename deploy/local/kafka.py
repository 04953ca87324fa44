"""Apache Kafka in KRaft mode: one or three processes, each a broker and a controller.

In: a data folder, the number of brokers, ports. Out: configuration files, commands, and whether the cluster is ready.
With `secure` each broker also listens for TLS with SASL/SCRAM, and `client.properties` holds what a client needs.
"""

import base64
import os
import secrets
import socket
import struct
import subprocess
import uuid
from pathlib import Path

from jars import HERE, ServiceError
from node import HOST, Node, keep_settings

CONTROLLER_OFFSET = 100
SECURE_OFFSET = 200
"""The controller of the broker on port p listens on p + 100, and its TLS listener is on p + 200."""
METADATA, METADATA_VERSION = 3, 5
JVM = ("-Xms64m", "-XX:+UseSerialGC", "-Djava.net.preferIPv4Stack=true", "-Djava.awt.headless=true")
USER = "loadgen"


class Kafka:
    """A cluster; name, nodes, configure, missing: see `Service`."""

    name = "kafka"

    def __init__(
        self, data: Path, java: str, jars: Path, n_brokers: int, port: int, *, heap: str, secure: bool
    ) -> None:  # fmt: skip
        """Describe a cluster; nothing is written or started yet."""
        self._folder = data / "kafka"
        self._port, self._secure, self._n_brokers = port, secure, n_brokers
        logging = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
        self._java = [java, *JVM, f"-Xmx{heap}", logging, "-cp", f"{jars}/*"]
        self.nodes = [self._node(data / f"kafka-{number}", number) for number in range(1, n_brokers + 1)]

    def configure(self) -> None:
        """Write server.properties of each node, and what they share.

        Raises:
            ServiceError: the folder holds a cluster with other settings.
        """
        keep_settings(self._folder, {"brokers": self._n_brokers, "secure": self._secure})
        _keep(self._folder / "cluster.id", _new_cluster_id())
        _keep(self._folder / "password", secrets.token_urlsafe(16))
        if self._secure:
            self._make_certificate()
            self._write_client_properties()
        for number, node in enumerate(self.nodes, 1):
            node.folder.mkdir(parents=True, exist_ok=True)
            lines = [f"{name}={value}" for name, value in self._properties(number, node).items()]
            _write_private(node.folder / "server.properties", "\n".join(lines) + "\n")
            self._add_format(node)

    def missing(self) -> str:
        """What it is that is not ready: every broker has to know every other, and a controller."""
        for node in self.nodes:
            try:
                known, controller = brokers_known_to(node.ports[0])
            except (OSError, struct.error) as error:
                return f"{node.folder.name} does not answer at {HOST}:{node.ports[0]} ({error})"
            if len(known) != self._n_brokers or controller < 0:
                return f"{node.folder.name} knows {len(known)} of {self._n_brokers} brokers, controller {controller}"
        return ""

    def _node(self, folder: Path, number: int) -> Node:
        port = self._port + number - 1
        ports = (port, port + CONTROLLER_OFFSET, *([port + SECURE_OFFSET] if self._secure else []))
        properties = str(folder / "server.properties")
        return Node(folder, ports, [], [*self._java, "kafka.Kafka", properties])

    def _add_format(self, node: Node) -> None:
        """The command is known once the cluster has its id and password."""
        command = [*self._java, "kafka.tools.StorageTool", "format", "-c", str(node.folder / "server.properties")]
        command += ["-t", (self._folder / "cluster.id").read_text()]
        if self._secure:
            password = (self._folder / "password").read_text()
            command += ["--add-scram", f"SCRAM-SHA-256=[name={USER},password={password}]"]
        node.format[:] = command

    def _properties(self, number: int, node: Node) -> dict[str, object]:
        port, controller = node.ports[:2]
        voters = (f"{voter}@{HOST}:{peer.ports[1]}" for voter, peer in enumerate(self.nodes, 1))
        copies = min(3, self._n_brokers)
        listeners = [f"PLAINTEXT://{HOST}:{port}"]
        if self._secure:
            listeners.append(f"SASL_SSL://{HOST}:{node.ports[2]}")
        return {
            "process.roles": "broker,controller",
            "node.id": number,
            "controller.quorum.voters": ",".join(voters),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": ",".join([*listeners, f"CONTROLLER://{HOST}:{controller}"]),
            "advertised.listeners": ",".join(listeners),
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
            "log.dirs": node.folder / "data",
            "auto.create.topics.enable": "false",
            "default.replication.factor": copies,
            "min.insync.replicas": max(1, copies - 1),
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": 8,  # 50, the default, takes seconds to make on a small machine
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": max(1, copies - 1),
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": max(1, copies - 1),
            "share.coordinator.state.topic.num.partitions": 4,
            "group.initial.rebalance.delay.ms": 0,
            "log.cleaner.dedupe.buffer.size": 2 * 1024 * 1024,  # the default, 128 MiB, does not fit a small heap
            "num.network.threads": 2,
            "num.io.threads": 4,
            "broker.session.timeout.ms": 6000,  # a dead leader is replaced after so long
            **(self._tls() if self._secure else {}),
        }

    def _tls(self) -> dict[str, object]:
        return {
            "sasl.enabled.mechanisms": "SCRAM-SHA-256",
            "ssl.keystore.type": "PKCS12",
            "ssl.keystore.location": self._folder / "keystore.p12",
            "ssl.keystore.password": (self._folder / "password").read_text(),
            "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
        }

    def _make_certificate(self) -> None:
        """A key and a certificate for loopback that signs itself, for ten years; and the certificate alone, as PEM."""
        store, pem = self._folder / "keystore.p12", self._folder / "ca.pem"
        if pem.exists():
            return
        store.unlink(missing_ok=True)
        keytool = str(Path(os.path.realpath(self._java[0])).parent / "keytool")
        common = ["-alias", "kafka", "-keystore", str(store), "-storepass:file", str(self._folder / "password")]
        names = ["-dname", "CN=localhost", "-ext", f"SAN=ip:{HOST},dns:localhost"]
        key = ["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-validity", "3650", "-storetype", "PKCS12"]
        for arguments in ([*key, *names, *common], ["-exportcert", "-rfc", "-file", str(pem), *common]):
            done = subprocess.run([keytool, *arguments], capture_output=True, text=True)
            if done.returncode:
                raise ServiceError(f"keytool could not make the certificate: {done.stdout}{done.stderr}")

    def _write_client_properties(self) -> None:
        lines = [
            "# for loadgen run --kafka-config, or any client built on librdkafka",
            "security.protocol=SASL_SSL",
            f"ssl.ca.location={self._folder / 'ca.pem'}",
            "sasl.mechanisms=SCRAM-SHA-256",
            f"sasl.username={USER}",
            f"sasl.password={(self._folder / 'password').read_text()}",
        ]
        _write_private(self._folder / "client.properties", "\n".join(lines) + "\n")


def brokers_known_to(port: int, timeout_s: float = 2.0) -> tuple[list[int], int]:
    """The ids of the brokers that are in service, and of the controller (-1: none), as the broker on this port has it.

    Source: the Kafka protocol, request Metadata.
    """
    body = struct.pack(">hhih", METADATA, METADATA_VERSION, 1, -1) + struct.pack(">ib", 0, 0)
    with socket.create_connection((HOST, port), timeout_s) as connection, connection.makefile("rb") as answer:
        connection.sendall(struct.pack(">i", len(body)) + body)
        _size, _request, _throttle, n_brokers = struct.unpack(">iiii", answer.read(16))
        brokers: list[int] = []
        for _ in range(n_brokers):
            brokers.append(int.from_bytes(answer.read(4)))
            for length in (_text_length(answer.read(2)), 4):  # host, port
                answer.read(length)
            answer.read(_text_length(answer.read(2)))  # rack
        answer.read(_text_length(answer.read(2)))  # cluster id
        return brokers, int.from_bytes(answer.read(4), signed=True)


def _text_length(field: bytes) -> int:
    """The length that precedes a text; one that is null is as good as empty here."""
    return max(0, int.from_bytes(field, signed=True))


def _new_cluster_id() -> str:
    """16 random bytes as Kafka writes them; a leading - would be taken for a flag."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes)[:22].decode()).startswith("-"):
        continue
    return text


def _keep(file: Path, text: str) -> None:
    """Write a file that is not there yet."""
    if not file.exists():
        _write_private(file, text)


def _write_private(file: Path, text: str) -> None:
    """Write what may hold a password: only its owner may read it."""
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
        out.write(text)
    new.replace(file)
