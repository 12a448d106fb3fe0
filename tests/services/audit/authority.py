"""A time-stamp authority for tests: OpenSSL's own, behind HTTPS, with certificates made here."""

import asyncio
import datetime as dt
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from voicefile.chassis.tls import development_certificates

POLICY = "1.2.3.4.1"
OPENSSL = shutil.which("openssl")
CONFIG = f"""\
[tsa]
default_tsa = here
[here]
serial = serial
signer_digest = sha256
default_policy = {POLICY}
digests = sha256, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
"""


def need_openssl() -> str:
    """The command; without it these tests say aloud that no authority has answered."""
    if OPENSSL is None:
        pytest.skip("openssl is not installed: no time-stamp authority has answered")
    return OPENSSL


@dataclass
class Authority:
    """A folder with an authority's certificates, and what it is made to do."""

    folder: Path
    usages: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.TIME_STAMPING,)
    answers: list[str] = field(default_factory=list)
    """What the next answers are instead of a stamp: away, nonsense, old, other."""
    asked: int = 0
    last: bytes = b""

    def __post_init__(self) -> None:
        self.folder.mkdir()
        root_key, root = _certificate("Test time authority")
        key, certificate = _certificate("Test time stamps", by=(root_key, root), usages=self.usages)
        self.root.write_bytes(root.public_bytes(serialization.Encoding.PEM))
        (self.folder / "signer.pem").write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
        )
        (self.folder / "signer.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        (self.folder / "tsa.cnf").write_text(CONFIG)
        (self.folder / "serial").write_text("01\n")

    @property
    def root(self) -> Path:
        """What whoever believes its stamps has to trust."""
        return self.folder / "root.pem"

    def reply(self, query: bytes) -> bytes:
        """A stamp by `openssl ts`."""
        (self.folder / "query.tsq").write_bytes(query)
        _openssl(
            *("ts", "-reply", "-config", "tsa.cnf", "-section", "here"),
            *("-queryfile", "query.tsq", "-out", "reply.tsr"),
            *("-signer", "signer.pem", "-inkey", "signer.key"),
            folder=self.folder,
        )
        return (self.folder / "reply.tsr").read_bytes()

    def openssl_believes(self, message: bytes, response: bytes) -> bool:
        """Whether `openssl ts -verify` finds that the response stamps the message."""
        (self.folder / "message").write_bytes(message)
        (self.folder / "response").write_bytes(response)
        done = subprocess.run(
            [
                *(need_openssl(), "ts", "-verify", "-data", "message", "-in", "response"),
                *("-CAfile", "root.pem"),
            ],
            cwd=self.folder,
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    @asynccontextmanager
    async def served(self) -> AsyncIterator["ServedAuthority"]:
        """Behind HTTPS on a port of its own."""
        made = development_certificates(self.folder / "tls")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(made.server)
        server = await asyncio.start_server(self._answer, "localhost", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        async with server:
            yield ServedAuthority(f"https://localhost:{port}/tsa", made.authority)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length:")[2].split("\r\n")[0])
        query = await reader.readexactly(length)
        self.asked += 1
        assert head.startswith("post /tsa http/1.1\r\n"), "an authority is asked where it is"
        assert "content-type: application/timestamp-query" in head
        status, body = await asyncio.to_thread(self._told, query)
        writer.write(
            f"HTTP/1.1 {status} x\r\nContent-Type: application/timestamp-reply\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        writer.close()

    def _told(self, query: bytes) -> tuple[int, bytes]:
        instead = self.answers.pop(0) if self.answers else ""
        if instead == "away":
            return 503, b""
        if instead == "nonsense":
            return 200, b"\x30\x03\x02\x01\x00"
        if instead == "endless":
            return 200, bytes(200_000)
        if instead == "old":
            return 200, self.last
        self.last = self.reply(query)
        return 200, self.last


@dataclass(frozen=True)
class ServedAuthority:
    """Where it answers, and what its certificate for TLS leads to."""

    url: str
    tls_ca: Path


def _openssl(*words: str, folder: Path) -> None:
    done = subprocess.run(
        [need_openssl(), *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


Pair = tuple[rsa.RSAPrivateKey, x509.Certificate]


def _certificate(
    name: str, *, by: Pair | None = None, usages: tuple[x509.ObjectIdentifier, ...] = ()
) -> Pair:
    key = rsa.generate_private_key(65_537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    issuer_key, issuer = (key, subject) if by is None else (by[0], by[1].subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=True)
    return key, builder.sign(issuer_key, hashes.SHA256())
