"""Playback's only question: auth says who may hear what, records it, and hands out the key."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.crypto.primitives import SealingKeyPair, open_sealed
from voicefile.crypto.secret import DataKey
from voicefile.playback.errors import (
    AuthUnavailable,
    NotSignedIn,
    ProofPending,
    PurposeMissing,
    RecordingNotFound,
    ReleaseOver,
    ReleaseRefused,
)
from voicefile.playback.listener import Caller
from voicefile.verify.bundle import Papers
from voicefile.verify.receipt import ReceiptKey, parse_receipt


@dataclass(frozen=True)
class Release:
    """A data key handed out for one listening, recorded before it left auth."""

    id: str
    recording: str
    tenant: str
    lease_s: float
    key: DataKey
    blobs: Mapping[str, str]
    """Blob names by role: original, telephone, peaks."""
    true_bytes: Mapping[str, int]
    """Length in bytes by role, without the padding."""
    media_type: str


class Auth:
    """Auth's internal interface, as playback uses it."""

    def __init__(
        self, client: httpx.AsyncClient, *, deployment: str, keys: SealingKeyPair, timeout_s: float
    ) -> None:
        self._client = client
        self._deployment = deployment.encode()
        self._keys = keys
        self._instance = base64.b64encode(keys.public).decode()
        self._timeout_s = timeout_s

    async def hearable(
        self, caller: Caller, *, credential: str | None, request_id: str
    ) -> dict[str, Any]:
        """What the listener may hear. Raises NotSignedIn, RecordingNotFound, PurposeMissing."""
        query = {"credential": credential} if credential else {}
        body = {"purpose": caller.purpose, "request_id": request_id}
        answer = await self._post("hearable", body, bearer=caller.bearer, query=query)
        return _refused(answer).json()  # type: ignore[no-any-return] # auth's own schema

    async def hearings(
        self, caller: Caller, recording_id: str, *, cursor: str, request_id: str
    ) -> dict[str, Any]:
        """Who heard it, for its customer. Raises as `hearable` does; AuthUnavailable: not now."""
        body = {"recording_id": recording_id, "cursor": cursor, "request_id": request_id}
        answer = await self._post("hearings", body, bearer=caller.bearer)
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise AuthUnavailable
        return _refused(answer).json()  # type: ignore[no-any-return] # auth's own schema

    async def papers(self, caller: Caller, recording_id: str, *, request_id: str) -> Papers:
        """Everything in its bundle but the audio.

        Raises as `hearable` does; ProofPending; AuthUnavailable: not now.
        """
        body = {
            "recording_id": recording_id,
            "purpose": caller.purpose,
            "request_id": request_id,
        }
        answer = await self._post("papers", body, bearer=caller.bearer)
        if answer.status_code == httpx.codes.CONFLICT:
            raise ProofPending
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise AuthUnavailable
        told = _refused(answer).json()
        kid = parse_receipt(told["receipt"]).kid
        keys = [ReceiptKey.of(each) for each in told["receipt_keys"]["keys"]]
        return Papers(
            receipt=told["receipt"],
            proof=told["proof"],
            receipt_key=str(next(key for key in keys if key.kid == kid)),
            key_proof=told["receipt_key_proof"],
            log_key=told["log_key"],
            deeds=told["deeds"],
        )

    async def release(
        self, caller: Caller, recording_id: str, *, listening: str, request_id: str
    ) -> Release:
        """A release, recorded by auth. Raises as `hearable` does, and ReleaseRefused."""
        body = {
            "recording_id": recording_id,
            "purpose": caller.purpose or None,
            "instance_key": self._instance,
            "listening": listening,
            "request_id": request_id,
        }
        answer = _refused(await self._post("releases", body, bearer=caller.bearer)).json()
        context = Context(
            deployment=self._deployment,
            tenant=answer["tenant"],
            object_id=object_id(recording_id, "slip"),
            kind=Kind.WRAPPED_KEY,
            wrapping_key=answer["release_id"].encode(),
        )
        sealed = base64.b64decode(answer["sealed_key"], validate=True)
        key = open_sealed(self._keys, sealed, context.encode())
        media = answer["media"]
        return Release(
            id=answer["release_id"],
            recording=recording_id,
            tenant=answer["tenant"],
            lease_s=float(answer["lease_s"]),
            key=DataKey(key.expose()),
            blobs={role: blob["name"] for role, blob in answer["blobs"].items()},
            true_bytes={role: int(media[f"{role}_bytes"]) for role in answer["blobs"]},
            media_type=media["media_type"],
        )

    async def renew(self, release_id: str, *, bearer: str | None = None) -> float:
        """Seconds the lease has now. Raises ReleaseOver; ReleaseRefused if auth can't say now.

        The release itself says whose it is. A bearer in hand shows that they are there still.
        """
        body = {"instance_key": self._instance}
        answer = await self._post(f"releases/{release_id}/renewals", body, bearer=bearer)
        if answer.status_code in (401, 403, 404, 410):
            raise ReleaseOver
        return float(_refused(answer).json()["lease_s"])

    async def end(self, release_id: str, *, bytes_sent: int, end: str) -> None:
        """Gives the release back; auth may have ended it already, which is as well."""
        body = {"instance_key": self._instance, "bytes_sent": bytes_sent, "end": end}
        await self._post(f"releases/{release_id}/end", body)

    async def ask(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        bearer: str | None = None,
        method: str = "POST",
        timeout_s: float | None = None,
    ) -> httpx.Response:
        """An internal question whose refusals are the caller's to understand.

        `timeout_s`: where it may take longer than others. Raises AuthUnavailable.
        """
        return await self._post(path, body, bearer=bearer, method=method, timeout_s=timeout_s)

    async def _post(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        bearer: str | None = None,
        query: Mapping[str, str] | None = None,
        method: str = "POST",
        timeout_s: float | None = None,
    ) -> httpx.Response:
        try:
            return await self._client.request(
                method,
                f"/auth/internal/v1/{path}",
                json=body,
                params=query or {},
                headers={} if bearer is None else {"Authorization": f"Bearer {bearer}"},
                timeout=self._timeout_s if timeout_s is None else timeout_s,
            )
        except httpx.HTTPError as error:
            raise AuthUnavailable from error


def _refused(answer: httpx.Response) -> httpx.Response:
    """The answer, unless auth said no; then what it means here."""
    if answer.is_success:
        return answer
    meaning = {
        400: PurposeMissing,
        401: NotSignedIn,
        403: RecordingNotFound,
        404: RecordingNotFound,
        422: PurposeMissing,
        503: ReleaseRefused,
    }
    raise meaning.get(answer.status_code, AuthUnavailable)
