"""The portal's cookies: a session, a care agent's token, a known browser, a language.

`__Host-` makes the browser keep a cookie to this very host over TLS. The session cookies die
with the browser; nothing of them is kept here.
"""

from starlette.requests import Request
from starlette.responses import Response

CUSTOMER = "__Host-vf_session"
CARE = "__Host-vf_care"
DEVICE = "__Host-vf_device"
LANGUAGE = "__Host-vf_language"
_LENGTH_MAX = 3000


def read(request: Request, name: str) -> str:
    """The cookie's value, or "" if it is missing or not one of ours."""
    value = request.cookies.get(name, "").strip()
    return value if len(value) <= _LENGTH_MAX and value.isascii() and value.isprintable() else ""


def keep(response: Response, name: str, value: str, *, max_age_s: int | None = None) -> None:
    """Sets a cookie that scripts can't read and other sites can't send."""
    response.set_cookie(
        name, value, max_age=max_age_s, path="/", secure=True, httponly=True, samesite="strict"
    )


def forget(response: Response, name: str) -> None:
    """Removes it."""
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="strict")
