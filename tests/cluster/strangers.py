"""Certificates that our own authority has signed for somebody who is none of our services."""

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KINDS = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME}


def stranger_certificate(directory: Path, subject: str) -> Path:
    """Chain and key for a subject like `playback,O=elsewhere`: its first part is a common name."""
    path = directory / f"stranger-{subject.replace(',', '-').replace('=', '-')}.pem"
    if not path.exists():
        pem = (directory / "authority.pem").read_bytes()
        issuer = x509.load_pem_x509_certificate(pem)
        signer = serialization.load_pem_private_key(pem, password=None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _signed(issuer, signer, key, subject)
        path.write_bytes(_pem(key) + certificate.public_bytes(serialization.Encoding.PEM))
    return path


def _signed(
    issuer: x509.Certificate,
    signer: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey,
    subject: str,
) -> x509.Certificate:
    parts = [part.rpartition("=") for part in subject.split(",")]
    names = [x509.NameAttribute(KINDS[kind or "CN"], value) for kind, _, value in parts]
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name(names))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        # Without any name OpenSSL holds the common name to the authority's constraints.
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
