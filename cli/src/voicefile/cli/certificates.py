"""Certificates for a cluster on one machine: an authority for services and engines, made here.

For development. In earnest certificates come from the cluster's own authority; what they have to
say is the same, and is written down in the operations guide.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from voicefile.chassis.tls import CERTIFICATE_DAYS, SERVICE_DOMAIN, service_certificate
from voicefile.cli.engine_settings import SERVICES

ENGINES: Final = ("kafka", "mongo", "s3", "openbao", "collector")
NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)


def make(out: Path, names: Sequence[str]) -> int:
    """Makes what is missing or about to expire, keeps the rest, and says where everything is."""
    wrong = [name for name in names if not NAME.fullmatch(name)]
    if wrong:
        sys.stderr.write("A name is small letters, digits and hyphens, a letter first.\n")
        return 1
    try:
        found = {name: service_certificate(out, name) for name in names or (*SERVICES, *ENGINES)}
    except OSError as error:
        sys.stderr.write(f"The folder can't be written: {error.strerror}.\n")
        return 1
    width = max(len(str(path)) for path in found.values())
    sys.stdout.write(f"{out / 'ca.pem'!s:{width}}  what all of them trust\n")
    for name, path in found.items():
        sys.stdout.write(f"{path!s:{width}}  {name}, {name}.{SERVICE_DOMAIN}, localhost\n")
    sys.stdout.write(
        f"Each file holds its key: keep them from others. Good for {CERTIFICATE_DAYS} days;\n"
        "say this again in time, and whoever uses them takes them over.\n"
    )
    return 0
