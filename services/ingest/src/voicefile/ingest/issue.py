"""Issuing access: the one question to auth that makes a stored recording a recording."""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass

from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.crypto.primitives import seal_to
from voicefile.crypto.secret import DataKey
from voicefile.ingest.ask_auth import Auth, EpochRetired
from voicefile.ingest.errors import AuthUnavailable, AuthUnreachable, IngestError, SealingKeyRefused
from voicefile.ingest.reservations import Hold
from voicefile.ingest.schemas import Answer
from voicefile.ingest.settings import IngestSettings
from voicefile.ingest.store import SealingKey
from voicefile.ingest.tenants import SealingKeys


@dataclass(frozen=True)
class Issuing:
    """What issuing needs."""

    auth: Auth
    keys: SealingKeys
    deployment: str
    settings: IngestSettings


async def issue(
    order: Mapping[str, object], *, key: DataKey, to: SealingKey, hold: Hold, at: Issuing
) -> Answer:
    """Auth's answer. `key` is sealed to the tenant's epoch, and again if the epoch retires.

    Raises AuthUnavailable if auth may have issued it. Whatever else it raises, AuthUnreachable
    too, means: surely not issued.
    """
    asking = _Asking(hold, at=at)
    try:
        for _ in range(at.settings.reseal_attempts_max + 1):
            try:
                return await asking.ask({**order, **_sealed(key, to, hold, at.deployment)})
            except EpochRetired as retired:
                to = await at.keys.check(hold.reservation.tenant, retired.sealing_key)
    except IngestError:
        # One unanswered question makes every later refusal doubtful: the first may yet arrive.
        if asking.unanswered:
            raise AuthUnavailable from None
        raise
    raise SealingKeyRefused


class _Asking:
    """Questions about one recording, and whether one of them went unanswered."""

    def __init__(self, hold: Hold, *, at: Issuing) -> None:
        self._hold = hold
        self._at = at
        self.unanswered = False

    async def ask(self, order: Mapping[str, object]) -> Answer:
        """Auth's answer, asked for again while there is none."""
        pause_s = self._at.settings.issue_retry_s
        left = self._at.settings.issue_attempts_max
        while True:
            # A fresh lease before each try: no retry is to take over while auth decides.
            await self._hold.beat()
            try:
                return await self._at.auth.issue(order)
            except AuthUnavailable as unavailable:
                self.unanswered |= not isinstance(unavailable, AuthUnreachable)
                left -= 1
                if not left:
                    raise
            await asyncio.sleep(pause_s)
            pause_s *= 2


def _sealed(key: DataKey, to: SealingKey, hold: Hold, deployment: str) -> dict[str, str]:
    context = Context(
        deployment=deployment.encode(),
        tenant=hold.reservation.tenant,
        object_id=object_id(hold.reservation.recording, "slip"),
        kind=Kind.WRAPPED_KEY,
        wrapping_key=to.epoch.encode(),
    )
    sealed = seal_to(to.public, context.encode(), key)
    return {"epoch": to.epoch, "sealed_key": base64.b64encode(sealed).decode()}
