"""Certificates for TLS on loopback, made for each test, so that no key is kept in the repository."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PASSWORD = b"hunter2"


class Certificates:
    """PEM files in a folder.

    Attributes:
        authority: the certificate that has signed the others.
        client, client_key: of a client.
        locked_key: the same key with a password.
    """

    def __init__(self, folder: Path) -> None:
        """Make them."""
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
        self.authority = self._signed("authority", self._key, is_authority=True)
        server, client = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self._server, self.client = self._signed("server", server), self._signed("client", client)
        self._server_key, self.client_key = self._kept("server-key", server), self._kept("client-key", client)
        self.locked_key = self._kept("locked-key", client, PASSWORD)

    def of_server(self, asks: bool = False) -> ssl.SSLContext:
        """TLS for a server, which may ask clients for their certificates."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._server, self._server_key)
        if asks:
            context.load_verify_locations(self.authority)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _signed(self, name: str, key: ec.EllipticCurvePrivateKey, is_authority: bool = False) -> str:
        now = datetime.now(UTC)
        subject = self._name if is_authority else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder(self._name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        signed = builder.add_extension(names, critical=False).sign(self._key, hashes.SHA256())
        return self._write(name, signed.public_bytes(serialization.Encoding.PEM))

    def _kept(self, name: str, key: ec.EllipticCurvePrivateKey, password: bytes | None = None) -> str:
        lock: serialization.KeySerializationEncryption = (
            serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        )
        form = serialization.PrivateFormat.PKCS8
        return self._write(name, key.private_bytes(serialization.Encoding.PEM, form, lock))

    def _write(self, name: str, content: bytes) -> str:
        file = self._folder / f"{name}.pem"
        file.write_bytes(content)
        return str(file)
