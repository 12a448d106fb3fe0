"""Calls: where each stands, in the store, so that the next post may reach any instance.

A call's document is found by a hash of the call's id, which the store does not have: what is
written there, a session's id included, opens nothing for whoever reads it. No digits anybody
keyed, no numbers, no tokens: those of what the edge is to fetch are kept as hashes, and each is
used up by a compare-and-set before its first byte leaves. What is to be said may tell of the
customer (a date, six digits): it is sealed under the very token, which only the edge is given.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from voicefile.contracts.playback.v1 import ListeningEnded
from voicefile.crypto.primitives import AesGcm, sha256
from voicefile.deeds.deed import Action, Actor, Deed, Outcome
from voicefile.deeds.series import DeedSeries
from voicefile.docstore.port import (
    Collection,
    DocStore,
    Document,
    Index,
    PendingEvent,
    Value,
    VersionConflict,
)
from voicefile.identity.ids import PLATFORM
from voicefile.playback.telephone import watching
from voicefile.playback.telephone.call_state import Call, Step

CALLS: Final = Collection("calls", indexes=(Index("expires", "expires_at_s"),), ephemeral=True)
"""Body: call, cues, expires_at_s. Gone when the deed of its end is published."""
SWEEP_BATCH: Final = 100
TOKEN_BYTES: Final = 24
ID_CHARS: Final = 32
_NONCE: Final = bytes(12)
"""A token seals once."""


class CallOver(Exception):
    """It was ended, by a farewell or because nothing was heard of it for long."""


@dataclass(frozen=True)
class Cue:
    """Something the edge may fetch once: words, or a run of the recording in samples."""

    token: str
    """A hash of it, hex."""
    said: bytes = b""
    """Sealed under the token."""
    start: int = 0
    stop: int = 0
    used: bool = False


@dataclass(frozen=True)
class Standing:
    """A call, what may be fetched for it now, and the document both are in."""

    call: Call
    cues: tuple[Cue, ...] = ()
    document: Document | None = None


def call_object(call_id: str) -> str:
    """How deeds and the store name a call: not by its id, which is half of what opens a session."""
    return sha256(f"voicefile/call\0{call_id}".encode()).hex()[:ID_CHARS]


@dataclass(frozen=True)
class Taken:
    """What a token stood for; it stands for nothing any more."""

    call: Call
    said: bytes = field(repr=False)
    start: int = 0
    stop: int = 0


def to_say(said: bytes) -> tuple[str, Cue]:
    """A token for words, and what is kept of it."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    return token, Cue(_hashed(token), _sealing(token).seal(_NONCE, b"", said))


def to_play(start: int, stop: int) -> tuple[str, Cue]:
    """A token for a run of the recording, in samples, and what is kept of it."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    return token, Cue(_hashed(token), start=start, stop=stop)


class Calls:
    """The calls of a deployment."""

    def __init__(
        self,
        store: DocStore,
        deeds: DeedSeries[ListeningEnded],
        *,
        idle_s: int,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._deeds = deeds
        self._idle_s = idle_s
        self._now_s = now_s

    async def get(self, call_id: str) -> Standing | None:
        """Where it stands; None for one that is unknown. Raises CallOver until it is forgotten."""
        document = await self._store.get(CALLS, call_object(call_id))
        if document is None:
            return None
        if not _until_s(document) > self._now_s():
            raise CallOver
        return _standing(document)

    async def put(self, call_id: str, standing: Standing) -> None:
        """Keeps where it stands from now on. Raises VersionConflict: somebody else moved it."""
        body = self._body(standing)
        if standing.document is not None:
            await self._store.replace(CALLS, replace(standing.document, body=body))
            return
        named = call_object(call_id)
        await self._deeds.record(_deed(Action.ACTION_CALL_ANSWERED, named, standing.call))
        await self._store.insert(CALLS, Document(named, PLATFORM, body))

    async def handed_over(self, call_id: str, call: Call) -> None:
        """Says that people take over, before they do."""
        await self._deeds.record(_deed(Action.ACTION_CALL_TRANSFERRED, call_object(call_id), call))

    async def take(self, call_id: str, token: str) -> Taken | None:
        """What a token stands for, once; None for a token that is used, old or another call's."""
        try:
            standing = await self.get(call_id)
        except CallOver:
            return None
        if standing is None or standing.document is None:
            return None
        hashed = _hashed(token)
        for place, cue in enumerate(standing.cues):
            if cue.token == hashed and not cue.used:
                cues = list(standing.cues)
                cues[place] = replace(cue, used=True)
                taken = replace(standing, cues=tuple(cues))
                try:
                    await self._store.replace(
                        CALLS, replace(standing.document, body=self._body(taken))
                    )
                except VersionConflict:
                    return None  # fetched twice at once, or the call went on
                said = _sealing(token).open(_NONCE, b"", cue.said) if cue.said else b""
                return Taken(standing.call, said, cue.start, cue.stop)
        return None

    async def end(self, document: Document, *, how: str) -> None:
        """Forgets a call, with a deed of it; whoever comes second finds it forgotten.

        `how`: who ended it, if nobody had before.
        """
        call = _standing(document).call

        async def write(event: PendingEvent) -> Document:
            over = {**document.body, "cues": [], "expires_at_s": None}
            return await self._store.replace(CALLS, replace(document, body=over, pending=(event,)))

        deed = replace(_deed(Action.ACTION_CALL_ENDED, document.id, call), outcome=_outcome(call))
        with suppress(VersionConflict):
            await self._deeds.write(deed, write)
            if call.step is not Step.OVER:
                watching.ended(how)

    async def sweep(self) -> None:
        """Ends calls of which nothing was heard for long: an edge that died says no farewell."""
        until = int(self._now_s())
        for document in await self._store.due(CALLS, "expires", until, limit=SWEEP_BATCH):
            await self.end(document, how="lost")

    def _body(self, standing: Standing) -> Mapping[str, Value]:
        return {
            "call": msgspec.to_builtins(standing.call),
            "cues": [msgspec.to_builtins(cue) for cue in standing.cues],
            "expires_at_s": int(self._now_s()) + self._idle_s,
        }


def _standing(document: Document) -> Standing:
    call = msgspec.convert(document.body["call"], Call)
    cues = msgspec.convert(document.body["cues"], tuple[Cue, ...])
    return Standing(call, cues, document)


def _hashed(token: str) -> str:
    return sha256(f"voicefile/cue/known-by\0{token}".encode()).hex()


def _sealing(token: str) -> AesGcm:
    return AesGcm(sha256(f"voicefile/cue/seals\0{token}".encode()))


def _until_s(document: Document) -> int:
    until_s = document.body["expires_at_s"]
    return until_s if isinstance(until_s, int) else 0


def _deed(action: Action, named: str, call: Call) -> Deed:
    tenant = call.tenant or call.line_tenant or PLATFORM
    return Deed(actor=Actor.unknown(), action=action, tenant=tenant, object_id=named)


def _outcome(call: Call) -> Outcome:
    """Refused: somebody keyed something and was not let in, whatever it was.

    What auth has nobody to look up for (an access ID whose check digits are wrong) is no deed of
    its own, because strangers would make the log grow; so that it happened is told here.
    """
    return Outcome.OUTCOME_REFUSED if call.keyed and not call.session else Outcome.OUTCOME_DONE
