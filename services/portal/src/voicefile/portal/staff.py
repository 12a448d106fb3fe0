"""Who an access token says its holder is, read without its key: it decides what a page offers.

What anybody may do, auth decides, each time, from the same token and its signature.
"""

import base64
import json
from dataclasses import dataclass

from voicefile.portal.vault import NotThere, SessionOver

CARE = "care"
ADMIN = "tenant_admin"
AUDITOR = "auditor"


@dataclass(frozen=True)
class Staff:
    """Somebody of a tenant's staff; empty where the token says nothing."""

    id: str = ""
    role: str = ""


def staff_of(token: str) -> Staff:
    """What the token claims."""
    _, _, rest = token.partition(".")
    claims = rest.partition(".")[0]
    try:
        said = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        return Staff(str(said["sub"]), str(said["role"]))
    except (ValueError, KeyError, TypeError):
        return Staff()


def staff_with(token: str, *roles: str) -> Staff:
    """Raises SessionOver for what is no token, NotThere for somebody the page is not for."""
    staff = staff_of(token)
    if not staff.role:
        raise SessionOver
    if staff.role not in roles:
        raise NotThere
    return staff
