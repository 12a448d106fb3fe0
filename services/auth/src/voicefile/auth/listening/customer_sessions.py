"""Customer sessions: one proved credential, for minutes; the token exists only at the customer's.

A session from the telephone has no token: it is an id that is good only together with that of its
call, and only from playback's certificate.

A session says nothing by itself. Whoever uses one is checked live: the credential's state, the
PIN's generation, the tenant. So a re-issue, a freeze or a log-out ends it wherever it is used.
"""

import base64
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from voicefile.auth.listening.access_errors import SessionOver
from voicefile.auth.listening.access_settings import AccessSettings
from voicefile.auth.listening.access_store import SESSIONS, Session
from voicefile.auth.records import Identities
from voicefile.auth.stamped import Kept, Stamped
from voicefile.crypto.primitives import sha256
from voicefile.crypto.secret import SecretText
from voicefile.docstore.port import DocStore, PendingEvent, VersionConflict
from voicefile.identity.guard import SESSION_PREFIX
from voicefile.identity.ids import new_id

TOKEN_BYTES = 32
TOUCH_EVERY_S = 30
"""How exactly the last use is remembered; a write for each would say nothing more."""


def new_secret(prefix: str = "") -> SecretText:
    """256 random bits as text: nothing that can be guessed or counted through."""
    random = base64.urlsafe_b64encode(secrets.token_bytes(TOKEN_BYTES)).rstrip(b"=").decode()
    return SecretText(prefix + random)


def hashed(secret: SecretText) -> str:
    """What stands in the store for a random secret; 256 bits need no salt and no pepper."""
    return sha256(secret.expose().encode()).hex()


def hashed_call(call_id: str) -> str:
    """What stands in the store for a telephone call."""
    return hashed(SecretText(call_id))


@dataclass(frozen=True)
class NewSession:
    """A session about to be stored, and its token, which is shown once."""

    session: Session
    stored_as: str
    token: SecretText | None = None
    """None on the telephone."""


class Sessions:
    """Opens, finds and ends customer sessions."""

    def __init__(
        self,
        store: DocStore,
        *,
        identities: Identities,
        settings: AccessSettings,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._kept = Stamped(
            store, collection=SESSIONS, kind=Session, identities=identities, now_s=now_s
        )
        self._settings = settings
        self._now_s = now_s

    def new(
        self, *, tenant: str, credential: str, generation: int, level: int, call: str = ""
    ) -> NewSession:
        now_s = int(self._now_s())
        session = Session(
            id=new_id(),
            tenant=tenant,
            credential=credential,
            generation=generation,
            level=level,
            opened_at_s=now_s,
            seen_at_s=now_s,
            expires_at_s=now_s + self._settings.session_s_max,
            call=call or msgspec.UNSET,
        )
        if call:
            return NewSession(session, stored_as=session.id)
        token = new_secret(SESSION_PREFIX)
        return NewSession(session, stored_as=hashed(token), token=token)

    async def store(self, new: NewSession, *events: PendingEvent) -> None:
        await self._kept.insert(new.stored_as, new.session, pending=events)

    async def use(self, session: str, *, call: str | None) -> Kept[Session]:
        """The session, by its document's id; it was used now. Raises SessionOver, Tampered.

        `call`: in which telephone call it is shown, empty for none; None is for whoever found it
        by what was given to it before.
        """
        kept = await self._kept.get(session)
        now_s = int(self._now_s())
        if kept is None or kept.record.ended:
            raise SessionOver
        if call is not None and (kept.record.call or "") != call:
            raise SessionOver
        unused_s = now_s - kept.record.seen_at_s
        if unused_s >= self._settings.session_idle_s:
            raise SessionOver
        if unused_s < TOUCH_EVERY_S:
            return kept
        try:
            return await self._kept.replace(
                kept, msgspec.structs.replace(kept.record, seen_at_s=now_s)
            )
        except VersionConflict:
            # Another request touched or ended it in this moment; look once more.
            again = await self._kept.get(session)
            if again is None or again.record.ended:
                raise SessionOver from None
            return again

    async def end(self, kept: Kept[Session], event: PendingEvent) -> None:
        """Logs out. Raises VersionConflict."""
        ended = msgspec.structs.replace(kept.record, ended=True)
        await self._kept.replace(kept, ended, pending=(event,))

    async def sweep(self) -> int:
        return await self._kept.sweep()
