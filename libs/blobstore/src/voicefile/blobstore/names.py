"""Blob names: random, unrelated to any other id, and safe as a file name or object key."""

import re
import secrets

from voicefile.blobstore.port import BlobName, BlobNameRefused

NAME_BYTES = 16
_NAME = re.compile(r"[0-9a-f]{32}")


def new_blob_name() -> BlobName:
    """A name nobody has given before, nor can guess."""
    return BlobName(secrets.token_hex(NAME_BYTES))


def blob_name(text: str) -> BlobName:
    """The text as a name. Raises BlobNameRefused.

    Adapters ask this before they build a path or a key: what is not 32 hexadecimal digits
    (`..`, a slash, a NUL, an upper-case twin) never reaches a file system.
    """
    if not _NAME.fullmatch(text):
        raise BlobNameRefused("a blob name is 32 lower-case hexadecimal digits")
    return BlobName(text)
