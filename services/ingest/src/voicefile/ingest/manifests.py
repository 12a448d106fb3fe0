"""Manifests: a partner's feed, day by day, signed and chained, so that nothing in it can change.

The manifest of a day covers the numbers after the manifest before, up to the last entry of that
day. It is made when the day is over, or when it is first asked for if that is sooner, with those
of all days before it; a number belongs to one manifest, and what arrives late to the next. Made
once, it stays, and its hash stands in the tenant's log.
"""

import datetime as dt
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

import structlog

from voicefile.chassis.rounds import keep_doing
from voicefile.deeds.deed import Action, Actor, Deed
from voicefile.deeds.series import DeedSeries
from voicefile.docstore.port import DocStore, Document, DocumentExists
from voicefile.docstore.tenant import TenantCollection
from voicefile.ingest.ask_auth import Auth, Who
from voicefile.ingest.changes import Feed
from voicefile.ingest.errors import IngestRefused, ManifestNotFound
from voicefile.ingest.events import RecordingStored
from voicefile.ingest.schemas import Change, Manifest
from voicefile.ingest.store import MANIFESTS

log = structlog.get_logger(__name__)

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
        deeds: DeedSeries[RecordingStored],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._auth = auth
        self._feed = feed
        self._deeds = deeds
        self._now_s = now_s

    async def keep_signing(self, *, every_s: float) -> None:
        """Signs what is due now and then, for ever; one instance does it for all."""
        await keep_doing(self.sign_due, every_s=every_s, name="manifests", first_s=every_s)

    async def sign_due(self) -> None:
        """Signs the days that are over, of everybody who filed. Raises AuthUnavailable."""
        over = (self._now() - SETTLED_AFTER).date() - _DAY
        async for who in self._feed.partners():
            try:
                await self.of_day(over, who)
            except ManifestNotFound:
                continue  # began today; or behind so far that the next round goes on
            except IngestRefused:
                # Removed, or its tenant is closed: that ends its chain, and nobody else's.
                log.warning("manifest_refused", tenant=who.tenant, principal=who.partner)

    async def of_day(self, day: dt.date, who: Who) -> Manifest:
        """Raises ManifestNotFound: not over, before the partner's first entry, or not made yet."""
        if self._now() < _end_of(day) + SETTLED_AFTER:
            raise ManifestNotFound
        manifests = TenantCollection(self._store, MANIFESTS, who.tenant)
        stored = await manifests.get(_id(who.partner, day))
        if stored is not None:
            return _manifest(stored)
        before = await self._before(manifests, day, who)
        for _ in range(DAYS_AT_ONCE_MAX):
            if before.day > day:
                break
            made = await self._made(manifests, before, who)
            if made.day == day.isoformat():
                return made
            before = _Before(before.day + _DAY, made.last + 1, _hash(made.manifest))
        raise ManifestNotFound

    async def _before(self, manifests: TenantCollection, day: dt.date, who: Who) -> _Before:
        found = await manifests.find("partner", who.partner, after=_id(who.partner, day), limit=1)
        if found:
            last = _manifest(found[0])
            at = dt.date.fromisoformat(last.day)
            return _Before(at + _DAY, last.last + 1, _hash(last.manifest))
        first = (await self._feed.page(who, after=0, limit=1)).changes
        if not first:
            raise ManifestNotFound
        return _Before(_at(first[0]).date(), 1, "")

    async def _made(self, manifests: TenantCollection, before: _Before, who: Who) -> Manifest:
        last, digest = await self._entries(before, who)
        claims = {
            "tenant": who.tenant,
            "partner": who.partner,
            "day": before.day.isoformat(),
            "first": before.first,
            "last": last,
            "entries_sha256": digest,
            "previous_sha256": before.sha256,
        }
        text = await self._auth.manifest(claims)
        body = {
            "partner": who.partner,
            "day": before.day.isoformat(),
            "first": before.first,
            "last": last,
            "manifest": text,
        }
        document = Document(_id(who.partner, before.day), who.tenant, body)
        deed = Deed(
            actor=Actor.service(),
            action=Action.ACTION_MANIFEST_SIGNED,
            tenant=who.tenant,
            object_id=who.partner,
            commitment=sha256(text.encode("ascii")).digest(),
        )
        try:
            await self._deeds.write(
                deed, lambda event: manifests.insert(replace(document, pending=(event,)))
            )
        except DocumentExists:
            # Another instance was here first: its word stands, what came meanwhile is tomorrow's.
            stored = await manifests.get(document.id)
            assert stored is not None, "manifests are never deleted"
            document = stored
        return _manifest(document)

    def _now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self._now_s(), tz=dt.UTC)

    async def _entries(self, before: _Before, who: Who) -> tuple[int, str]:
        """The last number of the day, and the hash over its entries."""
        last, digest = before.first - 1, sha256()
        while changes := (await self._feed.page(who, after=last, limit=PAGE)).changes:
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
