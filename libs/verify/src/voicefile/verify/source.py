"""Where a whole log is read from: a folder, or the address at which it is published."""

import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Final

FILE_BYTES_MAX: Final = 16 * 1024 * 1024
SECONDS_MAX: Final = 60

Read = Callable[[str], bytes | None]
"""Answers a file by its path below the log (`checkpoint`, `tile/0/000`); None if it is missing."""


class SourceAway(Exception):
    """The place can't be reached, or answers with something else than files."""


def folder(place: Path) -> Read:
    """The files of an exported or fetched log."""

    def read(path: str) -> bytes | None:
        try:
            return (place / path).read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            return None
        except OSError:
            raise SourceAway(f"{path} can't be read") from None

    return read


def web(address: str, authority: Path | None = None) -> Read:
    """The files at `https://…/audit/v1/logs/<log>`; `authority`: the file of its private CA."""
    if not address.startswith("https://"):
        raise SourceAway("a log is fetched over https")
    trusted = ssl.create_default_context(cafile=authority)

    def read(path: str) -> bytes | None:
        asked = urllib.request.Request(f"{address.rstrip('/')}/{path}")  # noqa: S310 - https, see above
        try:
            with urllib.request.urlopen(  # noqa: S310 - https, see above
                asked, timeout=SECONDS_MAX, context=trusted
            ) as answer:
                content: bytes = answer.read(FILE_BYTES_MAX + 1)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:  # noqa: PLR2004 - not found
                    return None
            raise SourceAway(f"{path}: answered {error.code}") from None
        except OSError:
            raise SourceAway(f"{path} can't be fetched") from None
        if len(content) > FILE_BYTES_MAX:
            raise SourceAway(f"{path} is too large")
        return content

    return read
