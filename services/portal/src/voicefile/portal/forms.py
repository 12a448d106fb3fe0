"""Reads a posted form: few short fields, from our own pages only.

Parsed by hand from the stream because a form may hold a PIN: a framework's form parser keeps
uploads in files, and its errors repeat what was typed.
"""

import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

FIELDS_MAX = 12


class FormRefused(Exception):
    """Not a form of ours: too large, not urlencoded, or sent from somebody else's page."""


async def read_form(
    request: Request, *, bytes_max: int, fields_max: int = FIELDS_MAX
) -> dict[str, str]:
    """The fields of an urlencoded body. Raises FormRefused."""
    _same_origin(request.headers)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise FormRefused
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > bytes_max:
            raise FormRefused
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=fields_max)
    except (UnicodeDecodeError, ValueError):
        raise FormRefused from None
    return dict(pairs)


def _same_origin(headers: Mapping[str, str]) -> None:
    # SameSite=Strict cookies already stop forged requests; this also stops a forged sign-in,
    # which needs no cookie: it would make somebody listen under another's name.
    site = headers.get("sec-fetch-site")
    if site is not None:
        # The browser's own word. Origin is "null" on pages that send no referrer, as ours do.
        if site not in ("same-origin", "none"):
            raise FormRefused
        return
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        raise FormRefused


def csrf_of(session: str) -> str:
    """A value only pages made for this session hold; nothing has to be stored for it."""
    return hashlib.sha256(b"voicefile/portal/csrf\0" + session.encode()).hexdigest()


def check_csrf(form: Mapping[str, str], session: str) -> None:
    """Raises FormRefused unless the form was made for this session."""
    if not hmac.compare_digest(form.get("csrf", "").encode(), csrf_of(session).encode()):
        raise FormRefused
