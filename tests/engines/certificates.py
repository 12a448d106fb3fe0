"""Certificates of the engines' own authority, also when many processes ask at once."""

from pathlib import Path

from tests.engines.one_at_a_time import alone

from voicefile.chassis.tls import service_certificate


def certificate(directory: Path, name: str) -> Path:
    """`<name>.pem`, chain and key; `ca.pem` lies beside."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with alone(directory / ".lock"):
        return service_certificate(directory, name)
