"""The vault as the portal sees it: the public interfaces of auth and playback, over HTTP.

VaultError
├── Refused          what was entered is not right (or blocked: the answer is the same)
├── Mistyped         the access ID's check digits are wrong
├── SessionOver      the session is not known any more
├── NotThere         missing, foreign, or not to be heard
├── TooMany          too many attempts from this address
├── StandsAgainst    something stands against it: who asks, what was typed, a hold, the law
├── ProofPending     the log has no proof of the recording yet
└── Unavailable      the vault can't answer now
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

CLIENT_ADDRESS = "Voicefile-Client-Address"
DEVICE = "Voicefile-Device"
STANDS_AGAINST: Final = frozenset(
    {
        "second-person-required",
        "confirmation-mistyped",
        "recording-held",
        "kept-by-law",
        "change-not-possible",
        "changed-meanwhile",
        "tenant-closed",
    }
)
"""What a decision about somebody's recording can meet; pages have a sentence for each."""
_PROBLEM = "urn:voicefile:problem:"


class VaultError(Exception):
    """What the vault answered instead of yes."""


class Refused(VaultError):
    """What was entered is not right, or access is blocked."""


class Mistyped(VaultError):
    """The access ID's check digits are wrong."""


class SessionOver(VaultError):
    """The session is not known any more."""


class NotThere(VaultError):
    """Missing, foreign, or not to be heard."""


class TooMany(VaultError):
    """Too many attempts from this address."""


class StandsAgainst(VaultError):
    """Something stands against it; `slug` says what, as the vault's problems are called."""

    def __init__(self, slug: str) -> None:
        super().__init__(slug)
        self.slug = slug


class ProofPending(VaultError):
    """The log has no proof of the recording yet; minutes at most after it was filed."""


class Unavailable(VaultError):
    """The vault can't answer now."""


@dataclass(frozen=True)
class Visitor:
    """Whose browser it is; only the portal may assert this to auth."""

    address: str = field(repr=False)
    device: str = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        return {CLIENT_ADDRESS: self.address} | ({DEVICE: self.device} if self.device else {})


@dataclass(frozen=True)
class SignedIn:
    """A session; or, before one, a question and the challenge that its answer goes with."""

    token: str = field(repr=False, default="")
    question: str = ""
    prompt: str = field(repr=False, default="")
    challenge: str = field(repr=False, default="")


class Vault:
    """Calls auth and playback; every refusal becomes one of this module's errors."""

    def __init__(self, client: httpx.AsyncClient, *, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s

    async def sign_in(self, access_id: str, pin: str, *, visitor: Visitor) -> SignedIn:
        body = {"access_id": access_id, "pin": pin}
        answer = await self.send("POST", "/auth/v1/customer-sessions", visitor.headers, body)
        return _signed_in(checked(answer, unauthorised=Refused))

    async def answer(self, challenge: str, answer: str, *, visitor: Visitor) -> SignedIn:
        body = {"challenge": challenge, "answer": answer}
        path = "/auth/v1/customer-sessions/answers"
        return _signed_in(
            checked(await self.send("POST", path, visitor.headers, body), unauthorised=Refused)
        )

    async def sign_out(self, token: str) -> None:
        path = "/auth/v1/customer-sessions/current"
        checked(await self.send("DELETE", path, bearer(token)))

    async def care_sign_in(
        self, username: str, password: str, totp: str, *, visitor: Visitor
    ) -> str:
        body = {"username": username, "password": password, "totp": totp}
        answer = await self.send("POST", "/auth/v1/staff-sessions", visitor.headers, body)
        return str(checked(answer, unauthorised=Refused)["access_token"])

    async def search(
        self, token: str, field_name: str, value: str, *, purpose: str
    ) -> list[dict[str, Any]]:
        headers = bearer(token, purpose)
        answer = await self.send("POST", "/auth/v1/customer-searches", headers, {field_name: value})
        found = checked(answer)
        return list(found["customers"])

    async def recordings(
        self, token: str, *, purpose: str = "", credential: str = ""
    ) -> list[dict[str, Any]]:
        query = {"credential": credential} if credential else {}
        answer = await self.send(
            "GET", "/playback/v1/recordings", bearer(token, purpose), query=query
        )
        return list(checked(answer)["recordings"])

    async def hearings(self, token: str, recording_id: str, *, cursor: str) -> dict[str, Any]:
        path = f"/playback/v1/recordings/{recording_id}/hearings"
        query = {"cursor": cursor} if cursor else {}
        return checked(await self.send("GET", path, bearer(token), query=query))

    async def open_stream(
        self, path: str, token: str, *, purpose: str, range_header: str, query: Mapping[str, str]
    ) -> httpx.Response:
        """An open response whose body is not read yet; the caller closes it."""
        headers = bearer(token, purpose) | ({"Range": range_header} if range_header else {})
        request = self._client.build_request(
            "GET", path, params=query, headers=headers, timeout=self._timeout_s
        )
        try:
            answer = await self._client.send(request, stream=True)
        except httpx.HTTPError:
            raise Unavailable from None
        if answer.is_error and answer.status_code != httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            await answer.aread()
            await answer.aclose()
            checked(answer)
        return answer

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Mapping[str, object] | None = None,
        *,
        query: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One question; the answer as it came. Raises Unavailable."""
        try:
            return await self._client.request(
                method, path, json=body, params=query, headers=headers, timeout=self._timeout_s
            )
        except httpx.HTTPError:
            raise Unavailable from None


def bearer(token: str, purpose: str = "") -> dict[str, str]:
    """The headers of whoever is signed in. Raises SessionOver."""
    if not token:
        # Nobody signed in here. And over a network a header that ends in a blank can't be sent:
        # the vault would seem to be away.
        raise SessionOver
    return {"Authorization": f"Bearer {token}"} | ({"Purpose": purpose} if purpose else {})


def checked(
    answer: httpx.Response,
    *,
    unauthorised: type[VaultError] = SessionOver,
    against: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """What was answered. Raises a VaultError; StandsAgainst for a problem named in `against`."""
    if answer.is_success:
        return dict(answer.json()) if answer.content else {}
    if _slug(answer) in against:
        raise StandsAgainst(_slug(answer))
    if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
        raise Mistyped if _slug(answer) == "mistyped-access-id" else Refused
    if _slug(answer) == "proof-pending":
        raise ProofPending
    meaning: dict[int, type[VaultError]] = {
        400: Refused,
        401: unauthorised,
        403: NotThere,
        404: NotThere,
        429: TooMany,
    }
    raise meaning.get(answer.status_code, Unavailable)


def _slug(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["type"]).removeprefix(_PROBLEM)
    except (ValueError, KeyError, TypeError):
        return ""


def _signed_in(answer: Mapping[str, Any]) -> SignedIn:
    if "question" in answer:
        asked = answer["question"]
        return SignedIn(
            question=asked["kind"], prompt=asked["prompt"], challenge=answer["challenge"]
        )
    return SignedIn(token=answer["session_token"])
