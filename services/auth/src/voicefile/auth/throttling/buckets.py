"""Throttle buckets as documents: changed by compare-and-set, named by keyed hashes.

What a change answered is durable. A bucket's name cannot be computed without the key, so neither
an access ID nor an address nor a number can be read from the store, or looked for in it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

import msgspec
from msgspec import Struct

from voicefile.auth.listening.access_errors import Busy
from voicefile.auth.listening.access_metrics import throttle_races
from voicefile.auth.listening.access_store import THROTTLES
from voicefile.auth.throttling.throttle_policy import SECOND_MS, Wait
from voicefile.crypto.primitives import hmac_sha512
from voicefile.crypto.secret import SecretKey
from voicefile.docstore.port import DocStore, Document, DocumentExists, VersionConflict
from voicefile.identity.ids import PLATFORM

ID_BYTES = 16
RACES_MAX = 50
"""How often a charge is tried against other instances before the answer is "busy"."""
SWEEP_DOCUMENTS = 200

State = TypeVar("State", bound=Struct)


class Kind(StrEnum):
    """What is counted."""

    STRANGERS = "strangers"
    KNOWN = "known"
    ORIGIN = "origin"
    TENANT = "tenant"
    DEPLOYMENT = "deployment"
    ANSWERS = "answers"


class Bucket(Generic[State]):
    """One bucket: whose tries it counts, what it is when empty, how long it says something."""

    def __init__(self, kind: Kind, *of: str, empty: State, keep_s: Callable[[State], int]) -> None:
        self.kind = kind
        self.of = of
        self.empty = empty
        self.keep_s = keep_s


class Buckets:
    """Reads and changes buckets. Instances may share a store; each change is made once."""

    def __init__(
        self,
        store: DocStore,
        *,
        key: Callable[[], Awaitable[SecretKey]],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._key = key
        self._now_s = now_s
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def now_ms(self) -> int:
        return int(self._now_s() * SECOND_MS)

    async def read(self, bucket: Bucket[State]) -> State:
        document = await self._store.get(THROTTLES, await self._id(bucket))
        return bucket.empty if document is None else _state(document, bucket)

    async def change(
        self, bucket: Bucket[State], rule: Callable[[State], State | Wait]
    ) -> State | Wait:
        """Applies the rule to the newest state; writes nothing if it says Wait. Raises Busy."""
        bucket_id = await self._id(bucket)
        # Those of one process queue here, in order; the versions decide between processes.
        turn = self._turns.setdefault(bucket_id, asyncio.Lock())
        async with turn:
            for _ in range(RACES_MAX):
                found = await self._store.get(THROTTLES, bucket_id)
                before = bucket.empty if found is None else _state(found, bucket)
                after = rule(before)
                if isinstance(after, Wait) or after == before:
                    return after
                if await self._written(bucket_id, found, after, keep_s=bucket.keep_s(after)):
                    return after
                throttle_races().inc()
        # Every other instance won. To refuse is safe; to go on without a charge is not.
        raise Busy

    async def sweep(self) -> int:
        """Removes buckets that say nothing any more; answers how many."""
        gone = 0
        while due := await self._store.due(
            THROTTLES, "expires", int(self._now_s()), limit=SWEEP_DOCUMENTS
        ):
            for document in due:
                try:
                    await self._store.delete(THROTTLES, document)
                except VersionConflict:
                    continue  # Charged meanwhile: it lives on.
                gone += 1
        return gone

    async def _written(
        self, bucket_id: str, found: Document | None, after: Struct, *, keep_s: int
    ) -> bool:
        body = {
            "state": msgspec.to_builtins(after),
            "expires_at_s": int(self._now_s()) + keep_s,
        }
        version = 0 if found is None else found.version
        changed = Document(bucket_id, PLATFORM, body, version=version)
        try:
            if found is None:
                await self._store.insert(THROTTLES, changed)
            else:
                await self._store.replace(THROTTLES, changed)
        except (DocumentExists, VersionConflict):
            return False
        return True

    async def _id(self, bucket: Bucket[State]) -> str:
        parts = [part.encode() for part in (bucket.kind, *bucket.of)]
        message = b"".join(len(part).to_bytes(2, "big") + part for part in parts)
        return hmac_sha512(await self._key(), message)[:ID_BYTES].hex()


def _state(document: Document, bucket: Bucket[State]) -> State:
    return msgspec.convert(document.body["state"], type(bucket.empty))
