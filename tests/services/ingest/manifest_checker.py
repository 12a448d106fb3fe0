"""What a partner checks its manifests with: the published keys, the feed, and nothing else of ours.

Written as a partner would, with a JOSE library and the standard one.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import jwt

TYP = "voicefile-manifest+jwt"


class NotWhatWasSigned(Exception):
    """Manifests and feed do not belong together; the text says where."""


def check(manifests: Sequence[str], changes: Sequence[dict[str, Any]], keys: dict[str, Any]) -> int:
    """Checks a chain from its beginning; answers up to which number the feed is vouched for."""
    previous, following, left = "", 1, list(changes)
    for text in manifests:
        header = jwt.get_unverified_header(text)
        try:
            claims = jwt.decode(text, keys[header["kid"]], algorithms=["EdDSA"])
        except (KeyError, jwt.PyJWTError) as error:
            raise NotWhatWasSigned("the signature") from error
        if header["typ"] != TYP or claims["previous_sha256"] != previous:
            raise NotWhatWasSigned(f"the chain at {claims.get('day')}")
        if claims["first"] != following:
            raise NotWhatWasSigned(f"the numbers at {claims['day']}")
        entries, left = left[: claims["count"]], left[claims["count"] :]
        numbers = list(range(claims["first"], claims["last"] + 1))
        digest = hashlib.sha256(b"".join(map(_line, entries))).hexdigest()
        if [each["sequence"] for each in entries] != numbers or digest != claims["entries_sha256"]:
            raise NotWhatWasSigned(f"the entries of {claims['day']}")
        previous = hashlib.sha256(text.encode()).hexdigest()
        following = claims["last"] + 1
    return following - 1


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, sort_keys=True, separators=(",", ":")).encode() + b"\n"
