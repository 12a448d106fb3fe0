"""Keeping and erasing as the pages for care and administrators ask the vault about them.

Nothing is decided here: auth checks each time who asks and what stands against it.
"""

from collections.abc import Mapping
from typing import Any

from voicefile.portal.vault import STANDS_AGAINST, NotThere, Vault, bearer, checked

LISTINGS = ("planned", "held", "erased")


class Keeping:
    """Objections, lists, early erasures, previews and certificates. Raises as `Vault` does."""

    def __init__(self, known: Vault) -> None:
        self._vault = known

    async def objection(self, token: str, recording: str, *, purpose: str) -> dict[str, Any]:
        path = f"/auth/v1/recordings/{_id(recording)}/objection"
        return checked(await self._vault.send("GET", path, bearer(token, purpose)))

    async def settle(self, token: str, recording: str, *, purpose: str) -> dict[str, Any]:
        path = f"/auth/v1/recordings/{_id(recording)}/objection"
        answer = await self._vault.send("DELETE", path, bearer(token, purpose))
        return checked(answer, against=STANDS_AGAINST)

    async def listed(self, token: str, listing: str, *, cursor: str) -> dict[str, Any]:
        path, query = f"/auth/v1/retention/{listing}", {"cursor": cursor} if cursor else {}
        return checked(await self._vault.send("GET", path, bearer(token), query=query))

    async def asked(self, token: str) -> list[dict[str, Any]]:
        """The early erasures that wait for a second person."""
        found = checked(await self._vault.send("GET", "/auth/v1/erasures", bearer(token)))
        return list(found["erasures"])

    async def approve(self, token: str, erasure: str, *, typed: str) -> dict[str, Any]:
        path = f"/auth/v1/erasures/{_id(erasure)}/confirmation"
        answer = await self._vault.send("POST", path, bearer(token), {"typed": typed})
        return checked(answer, against=STANDS_AGAINST)

    async def reject(self, token: str, erasure: str) -> None:
        path = f"/auth/v1/erasures/{_id(erasure)}"
        checked(await self._vault.send("DELETE", path, bearer(token)), against=STANDS_AGAINST)

    async def rules(self, token: str) -> list[dict[str, Any]]:
        """What holds now: the tenant's rules first, then each scope's."""
        found = checked(await self._vault.send("GET", "/auth/v1/tenant", bearer(token)))
        return [found["policy"], *found["scopes"]]

    async def preview(self, token: str, wanted: Mapping[str, object]) -> dict[str, Any]:
        path = "/auth/v1/retention-previews"
        return checked(await self._vault.send("POST", path, bearer(token), wanted))

    async def certificate(self, token: str, recording: str) -> str:
        path = f"/auth/v1/recordings/{_id(recording)}/shred-certificate"
        return str(checked(await self._vault.send("GET", path, bearer(token)))["certificate"])


def _id(given: str) -> str:
    # What comes out of an address of ours goes into one of auth's.
    if not (given.isascii() and given.isalnum()):
        raise NotThere
    return given
