"""Auth's internal interface, as ingest uses it: its answers, and what its refusals mean here."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from voicefile.chassis.calls import REPEATABLE
from voicefile.chassis.problems import TYPE_PREFIX
from voicefile.crypto.secret import SecretText
from voicefile.ingest.errors import (
    AccessIdUnknown,
    AnswerExpired,
    AuthUnavailable,
    AuthUnreachable,
    IngestError,
    IngestRefused,
    KeyReused,
    LetterShopMissing,
    QuestionKindNotAllowed,
    QuestionMissing,
    RecordingNotAllowed,
    RetentionClassUnknown,
    RetentionMissing,
    ScopeUnknown,
    TenantClosed,
    UploadNotAccepted,
)
from voicefile.ingest.schemas import Answer, RecordingStatus
from voicefile.ingest.store import SealingKey

REFUSALS: Final[Mapping[str, type[IngestRefused]]] = {
    "unknown-access-id": AccessIdUnknown,
    "tenant-closed": TenantClosed,
    "recording-not-allowed": RecordingNotAllowed,
    "question-required": QuestionMissing,
    "question-kind-not-allowed": QuestionKindNotAllowed,
    "retention-required": RetentionMissing,
    "unknown-retention-class": RetentionClassUnknown,
    "unknown-scope": ScopeUnknown,
    "letter-shop-missing": LetterShopMissing,
    "key-reused": KeyReused,
    "answer-expired": AnswerExpired,
}
"""Auth's problem types and what they are called here; any other refusal is UploadNotAccepted."""

EPOCH_RETIRED: Final = "epoch-retired"
CHANGED_MEANWHILE: Final = "changed-meanwhile"


class EpochRetired(IngestError):
    """The data key was sealed to an epoch whose key is gone; names the one to seal to."""

    def __init__(self, sealing_key: SealingKey) -> None:
        super().__init__("epoch retired")
        self.sealing_key = sealing_key


@dataclass(frozen=True)
class Who:
    """Whose recording it is: one partner of one tenant."""

    tenant: str
    partner: str


@dataclass(frozen=True)
class KeptAnswer:
    """An answer given before, and whether it belongs to this request."""

    answer: Answer
    matches: bool | None
    """None: no digest was given to compare."""


class Auth:
    """Asks auth; every question has a time-out, and none is asked about another tenant."""

    def __init__(self, client: httpx.AsyncClient, *, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s

    async def issue(self, order: Mapping[str, object]) -> Answer:
        """The commit point; the same recording id again gets the same answer.

        Raises IngestRefused (surely not issued), EpochRetired, AuthUnavailable (unknown).
        """
        response = await self._ask("POST", "/issues", order)
        return _answer(_accepted(response))

    async def answer(
        self, recording: str, *, who: Who, key: SecretText, digest: bytes | None
    ) -> KeptAnswer | None:
        """What was answered when it was issued; None: it is not issued. Raises AnswerExpired."""
        question = {
            "tenant": who.tenant,
            "partner": who.partner,
            "idempotency_key": key.expose(),
            "request_digest": None if digest is None else base64.b64encode(digest).decode(),
        }
        response = await self._ask("POST", f"/issues/{recording}/answer", question)
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        body = _accepted(response)
        return KeptAnswer(_answer(body["answer"]), body["request_digest_matches"])

    async def known(self, names: Sequence[str]) -> set[str]:
        """Which of these blobs have an owner."""
        response = await self._ask("POST", "/blobs/known", {"names": list(names)})
        return set(_accepted(response)["known"]) & set(names)

    async def status(self, recording: str, *, who: Who) -> RecordingStatus | None:
        """How a recording is doing; None: missing, or not this partner's."""
        where = {"tenant": who.tenant, "partner": who.partner}
        response = await self._ask("GET", f"/recordings/{recording}", query=where)
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        return RecordingStatus.model_validate({"recording_id": recording, **_accepted(response)})

    async def manifest(self, claims: Mapping[str, object]) -> str:
        """A day of a partner's feed, signed; the same claims get the same text."""
        return str(_accepted(await self._ask("POST", "/manifests", claims))["manifest"])

    async def signing_keys(self) -> list[bytes]:
        """The Ed25519 public keys auth signs with, from its published key set."""
        response = await self._ask("GET", "/auth/v1/keys")
        keys = _accepted(response)["keys"]
        return [_from_base64url(key["x"]) for key in keys if key.get("crv") == "Ed25519"]

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        query: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        url = path if path.startswith("/auth/") else f"/auth/internal/v1{path}"
        try:
            return await self._client.request(
                method,
                url,
                json=body,
                params=query,
                timeout=self._timeout_s,
                # Every question here may be asked twice: one is idempotent by recording id, the
                # others change nothing.
                extensions={REPEATABLE: True},
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise AuthUnreachable from None
        except (httpx.HTTPError, ConnectionError):
            # The error holds the request, and the request holds the Idempotency-Key.
            raise AuthUnavailable from None


def _accepted(response: httpx.Response) -> dict[str, Any]:
    """Auth's word, or the error its refusal means. A broken answer is an unknown one."""
    try:
        body: dict[str, Any] = response.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise AuthUnavailable from None
    if response.is_success:
        return body
    slug = str(body.get("type", "")).removeprefix(TYPE_PREFIX)
    if slug == EPOCH_RETIRED:
        raise EpochRetired(
            SealingKey(
                epoch=body["epoch"],
                public=base64.b64decode(body["sealing_key"], validate=True),
                signature=base64.b64decode(body["signature"], validate=True),
            )
        )
    if response.is_server_error or slug in {CHANGED_MEANWHILE, "rate-limited", "body-too-slow"}:
        raise AuthUnavailable
    raise REFUSALS.get(slug, UploadNotAccepted)


def _answer(body: Mapping[str, Any]) -> Answer:
    # Absent stays absent: a join's answer has no PIN, not an empty one.
    return Answer.model_validate(body)


def _from_base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
