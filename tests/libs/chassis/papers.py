"""Certificates as they should not be, and two authorities at once; all of a test's own making."""

import time
from pathlib import Path

from cryptography.x509.oid import ExtendedKeyUsageOID

from voicefile.chassis import tls
from voicefile.chassis.private_file import write_private

DAY_S = 86_400
BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


def papers(directory: Path, name: str, **changes) -> Path:
    """Chain and key for `name`; `changes`: now_s, usages, file."""
    authority = tls._authority(directory, time.time(), domain=tls.SERVICE_DOMAIN)
    names = (tls.x509.DNSName(f"{name}.{tls.SERVICE_DOMAIN}"), *tls._NAMES)
    pair = tls._issue(
        authority,
        name,
        changes.get("now_s", time.time()),
        usages=changes.get("usages", BOTH),
        names=names,
    )
    path = directory / changes.get("file", f"{name}-other.pem")
    write_private(path, pair.pem())
    return path


def expired(directory: Path, name: str) -> Path:
    return papers(directory, name, now_s=time.time() - (tls.CERTIFICATE_DAYS + 1) * DAY_S)


def not_yet_valid(directory: Path, name: str) -> Path:
    return papers(directory, name, now_s=time.time() + DAY_S)


def for_serving_only(directory: Path, name: str) -> Path:
    return papers(directory, name, usages=BOTH[:1])


def for_calling_only(directory: Path, name: str) -> Path:
    return papers(directory, name, usages=BOTH[1:])


def serial(path: Path) -> int:
    return tls.x509.load_pem_x509_certificate(path.read_bytes()).serial_number
