"""Development certificates: an authority made once on this machine, good for this machine only.

Its name constraints let it vouch for localhost and nothing else: who trusts it in a browser
trusts no more than that. In a cluster certificates come from outside.
"""

import datetime as dt
import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from voicefile.chassis.private_file import write_private

AUTHORITY_DAYS: Final = 3650
CERTIFICATE_DAYS: Final = 90
RENEW_DAYS: Final = 14
"""A certificate with less than this left is replaced."""
_BACKDATED: Final = dt.timedelta(minutes=5)
_DAY_S: Final = 86_400
_ADDRESSES: Final = (ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1"))
_NAMES: Final = (x509.DNSName("localhost"), *(x509.IPAddress(each) for each in _ADDRESSES))
SERVICE_DOMAIN: Final = "voicefile.internal"
"""Services are called `<name>.voicefile.internal`, wherever they listen."""
_SERVER: Final = (ExtendedKeyUsageOID.SERVER_AUTH,)
_CLIENT: Final = (ExtendedKeyUsageOID.CLIENT_AUTH,)
_BOTH: Final = (*_SERVER, *_CLIENT)
_CONSTRAINTS: Final = (
    x509.DNSName("localhost"),
    *(x509.IPAddress(ipaddress.ip_network(each)) for each in _ADDRESSES),
)


@dataclass(frozen=True)
class DevelopmentCertificates:
    """Files of the development authority."""

    authority: Path
    """What clients trust; holds no key."""
    server: Path
    """Chain and key of the server, one file so that they can't come from two writes."""


@dataclass(frozen=True)
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> bytes:
        return (
            self.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + self.chain()
        )

    def chain(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def development_certificates(
    directory: Path, *, now_s: Callable[[], float] = time.time
) -> DevelopmentCertificates:
    """Makes what is missing or about to expire, and keeps the rest, the authority above all."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    authority = _authority(directory, now_s())
    server = directory / "server.pem"
    if not _good(_load(server), now_s(), issuer=authority):
        write_private(server, _issue(authority, "localhost", now_s(), usages=_SERVER).pem())
    return DevelopmentCertificates(authority=directory / "ca.pem", server=server)


def peer_certificate(directory: Path, name: str, *, now_s: Callable[[], float] = time.time) -> Path:
    """Chain and key that let a service call others as `name`; for tests of internal ports."""
    authority = _authority(directory, now_s())
    path = directory / f"peer-{name}.pem"
    if not _good(_load(path), now_s(), issuer=authority):
        write_private(path, _issue(authority, name, now_s(), usages=_CLIENT).pem())
    return path


def service_certificate(
    directory: Path, name: str, *, now_s: Callable[[], float] = time.time
) -> Path:
    """Chain and key with which a service or an engine serves and calls others as `name`.

    The authority in `directory` is one of its own, apart from the one that browsers trust: what
    it vouches for are `<name>.voicefile.internal` and this machine. `ca.pem` lies beside.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = _authority(directory, now_s(), domain=SERVICE_DOMAIN)
    path = directory / f"{name}.pem"
    if not _good(_load(path), now_s(), issuer=authority):
        names = (x509.DNSName(f"{name}.{SERVICE_DOMAIN}"), *_NAMES)
        write_private(path, _issue(authority, name, now_s(), usages=_BOTH, names=names).pem())
    return path


def _authority(directory: Path, now_s: float, *, domain: str | None = None) -> _Pair:
    path = directory / "authority.pem"
    pair = _load(path)
    if pair is None or not _good(pair, now_s, issuer=None):
        pair = _new_authority(now_s, domain)
        write_private(path, pair.pem())
    # Looked at each time: a crash between the two writes heals itself. Not written again each
    # time: whoever uses it would take it for a new one.
    shown = directory / "ca.pem"
    if not shown.exists() or shown.read_bytes() != pair.chain():
        write_private(shown, pair.chain())
    return pair


def _good(pair: _Pair | None, now_s: float, *, issuer: _Pair | None) -> bool:
    if pair is None:
        return False
    left_s = pair.certificate.not_valid_after_utc.timestamp() - now_s
    started = pair.certificate.not_valid_before_utc.timestamp() <= now_s
    if issuer is not None:
        try:
            pair.certificate.verify_directly_issued_by(issuer.certificate)
        except Exception:  # noqa: BLE001 whatever is wrong with it, a new one is right
            return False
    return started and left_s >= RENEW_DAYS * _DAY_S


def _new_authority(now_s: float, domain: str | None) -> _Pair:
    constraints = [*_CONSTRAINTS, *([] if domain is None else [x509.DNSName(domain)])]
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("voiceFileServer development authority")
    certificate = (
        _builder(name, name, key, now_s, days=AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.NameConstraints(constraints, None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return _Pair(certificate, key)


def _issue(
    authority: _Pair,
    common_name: str,
    now_s: float,
    *,
    usages: tuple[x509.ObjectIdentifier, ...],
    names: tuple[x509.GeneralName, ...] = _NAMES,
) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate.subject
    certificate = (
        _builder(_name(common_name), issuer, key, now_s, days=CERTIFICATE_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        # A client has them, too: without any, OpenSSL holds the common name to the constraints.
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
        .sign(authority.key, hashes.SHA256())
    )
    return _Pair(certificate, key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now_s: float,
    *,
    days: int,
) -> x509.CertificateBuilder:
    now = dt.datetime.fromtimestamp(now_s, dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _load(path: Path) -> _Pair | None:
    try:
        pem = path.read_bytes()
        key = serialization.load_pem_private_key(pem, password=None)
        certificate = x509.load_pem_x509_certificate(pem)
    except (OSError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        return None
    return _Pair(certificate, key)
