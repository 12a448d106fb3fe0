"""Manifests: a partner's feed, day by day, signed and chained, so that nothing in it can change.

The manifest of a day covers the numbers after the manifest before, up to the last entry of that
day. It is made when it is first asked for, and those of all days before it; a number belongs to
one manifest, and what arrives late to the next. Made once, it stays.
"""

import datetime as dt
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from voicefile.docstore.port import DocStore, Document, DocumentExists
from voicefile.docstore.tenant import TenantCollection
from voicefile.identity.principal import Principal
from voicefile.ingest.ask_auth import Auth
from voicefile.ingest.changes import Feed
from voicefile.ingest.errors import ManifestNotFound
from voicefile.ingest.schemas import Change, Manifest
from voicefile.ingest.store import MANIFESTS

SETTLED_AFTER: Final = dt.timedelta(minutes=10)
"""A day is over when the facts of its last minutes have had time to arrive."""
DAYS_AT_ONCE_MAX: Final = 400
"""Of a chain nobody asked for so long, the rest is made by the next question."""
PAGE: Final = 500
_DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True)
class _Before:
    """What a manifest continues: the day and number it begins with, and what it hangs on."""

    day: dt.date
    first: int
    sha256: str


class Manifests:
    """The manifests of all partners, each reached through its tenant."""

    def __init__(
        self,
        store: DocStore,
        *,
        auth: Auth,
        feed: Feed,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._auth = auth
        self._feed = feed
        self._now_s = now_s

    async def of_day(self, day: dt.date, *, by: Principal) -> Manifest:
        """Raises ManifestNotFound: not over, before the partner's first entry, or not made yet."""
        now = dt.datetime.fromtimestamp(self._now_s(), tz=dt.UTC)
        if now < _end_of(day) + SETTLED_AFTER:
            raise ManifestNotFound
        manifests = TenantCollection(self._store, MANIFESTS, by.tenant)
        stored = await manifests.get(_id(by.id, day))
        if stored is not None:
            return _manifest(stored)
        before = await self._before(manifests, day, by=by)
        for _ in range(DAYS_AT_ONCE_MAX):
            if before.day > day:
                break
            made = await self._made(manifests, before, by=by)
            if made.day == day.isoformat():
                return made
            before = _Before(before.day + _DAY, made.last + 1, _hash(made.manifest))
        raise ManifestNotFound

    async def _before(self, manifests: TenantCollection, day: dt.date, *, by: Principal) -> _Before:
        found = await manifests.find("partner", by.id, after=_id(by.id, day), limit=1)
        if found:
            last = _manifest(found[0])
            at = dt.date.fromisoformat(last.day)
            return _Before(at + _DAY, last.last + 1, _hash(last.manifest))
        first = (await self._feed.page(by=by, after=0, limit=1)).changes
        if not first:
            raise ManifestNotFound
        return _Before(_at(first[0]).date(), 1, "")

    async def _made(
        self, manifests: TenantCollection, before: _Before, *, by: Principal
    ) -> Manifest:
        last, digest = await self._entries(before, by=by)
        claims = {
            "tenant": by.tenant,
            "partner": by.id,
            "day": before.day.isoformat(),
            "first": before.first,
            "last": last,
            "entries_sha256": digest,
            "previous_sha256": before.sha256,
        }
        body = {
            "partner": by.id,
            "day": before.day.isoformat(),
            "first": before.first,
            "last": last,
            "manifest": await self._auth.manifest(claims),
        }
        document = Document(_id(by.id, before.day), by.tenant, body)
        try:
            await manifests.insert(document)
        except DocumentExists:
            # Another instance was here first: its word stands, what came meanwhile is tomorrow's.
            stored = await manifests.get(document.id)
            assert stored is not None, "manifests are never deleted"
            document = stored
        return _manifest(document)

    async def _entries(self, before: _Before, *, by: Principal) -> tuple[int, str]:
        """The last number of the day, and the hash over its entries."""
        last, digest = before.first - 1, sha256()
        while changes := (await self._feed.page(by=by, after=last, limit=PAGE)).changes:
            for change in changes:
                if _at(change) >= _end_of(before.day):
                    return last, digest.hexdigest()
                digest.update(line(change))
                last = change.sequence
        return last, digest.hexdigest()


def line(change: Change) -> bytes:
    """An entry as it is hashed: what the feed answers, as canonical JSON."""
    told = change.model_dump(mode="json")
    return json.dumps(told, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _at(change: Change) -> dt.datetime:
    return dt.datetime.fromisoformat(change.at)


def _end_of(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC) + _DAY


def _id(partner: str, day: dt.date) -> str:
    """The newest first, like the feed."""
    return f"{partner}{dt.date.max.toordinal() - day.toordinal():07d}"


def _hash(manifest: str) -> str:
    return sha256(manifest.encode("ascii")).hexdigest()


def _manifest(document: Document) -> Manifest:
    return Manifest.model_validate(
        {name: value for name, value in document.body.items() if name != "partner"}
    )
