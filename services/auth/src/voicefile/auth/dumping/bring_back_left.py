"""Bring back what is left of what was erased after the backup: that it is erased, and certificates.

As auth told it with the erasure, carried beside the tombstones. What is put where the erased thing
was is what the vault had kept itself, so whoever asks gets the answer that they got before. Where
nothing was carried (an erasure of before that was done, one that only the log knows of), what was
erased stays so, without its certificate, and the report names it.

Ingest, whose documents are as old as the backup, is told once more.
"""

from contextlib import suppress

import msgspec
from msgspec.structs import replace

from voicefile.auth.dumping.brought_back import Left
from voicefile.auth.erasing import left
from voicefile.auth.erasing.erasing_store import SHREDDED, ReceiptKeyLeft, Shredded
from voicefile.auth.erasing.remains import of_recording as remains_of
from voicefile.auth.events import AccessErased, RecordingChanged, TenantErased, fact_alone
from voicefile.auth.ports import Ports
from voicefile.auth.store import LetterState, Recording, Tenant
from voicefile.crypto.errors import Tampered
from voicefile.docstore.port import Document, DocumentExists, PendingEvent
from voicefile.identity.ids import PLATFORM


class Leftovers:
    """Puts what is left where it belongs; keeps the ids of what has no certificate."""

    def __init__(self, told: Left, ports: Ports) -> None:
        self._told = told
        self._ports = ports
        self._believed: set[str] = set()
        self.certificates = 0
        self.without: list[str] = []

    async def of_recording(self, recording: Recording, tenant: str) -> Recording:
        """In place of a recording whose customer is still there."""
        told = await self._recording(recording.id, tenant)
        if told is None:
            self.without.append(recording.id)
            return remains_of(recording, on="", certificate="")
        self.certificates += 1
        return told

    def event(self, tenant: str, recording: Recording, letter: LetterState) -> PendingEvent:
        """That it is erased, for those who knew it alive when the backup was made."""
        # What nobody vouches for is not told on.
        believed = recording.certificate and recording.id in self._believed
        content = self._told.recordings[recording.id] if believed else b""
        return fact_alone(RecordingChanged.of(tenant, recording, letter, left=content))

    async def customers(self, *, but: frozenset[str]) -> set[str]:
        """All that were told of, of tenants that are there; answers which."""
        found = set()
        for credential, content in self._told.customers.items():
            with suppress(*left.UNBELIEVED):
                told = left.read(content, left.CustomerLeft)
                if told.credential != credential or told.tenant in but:
                    continue
                await self._believe(told)
                await self._customer(told, content)
                found.add(credential)
        return found

    async def _customer(self, told: left.CustomerLeft, content: bytes) -> None:
        tenant, access = told.tenant, told.access
        recordings = [await self._with_certificate(each, tenant) for each in access.recordings]
        access = replace(access, recordings=tuple(recordings))
        pending = [self.event(tenant, each, access.letter) for each in recordings]
        pending.append(fact_alone(AccessErased(tenant, told.credential, content)))
        with suppress(DocumentExists):  # the backup knew
            records = self._ports.access.of(told.tenant)
            await records.insert(told.credential, access, pending=pending)
            self.certificates += sum(bool(each.certificate) for each in recordings)
            self.without += [each.id for each in recordings if not each.certificate]

    async def _with_certificate(self, recording: Recording, tenant: str) -> Recording:
        if recording.certificate:
            return recording
        return await self._recording(recording.id, tenant) or recording

    async def _recording(self, recording: str, tenant: str) -> Recording | None:
        content = self._told.recordings.get(recording)
        if content is None:
            return None
        try:
            told = left.read(content, left.RecordingLeft)
            if (told.tenant, told.recording.id) != (tenant, recording):
                return None
            await self._believe(told)
        except left.UNBELIEVED:
            return None
        self._believed.add(recording)
        return told.recording

    async def _believe(self, told: left.RecordingLeft | left.CustomerLeft) -> None:
        """Raises what is in `left.UNBELIEVED`."""
        custody = self._ports.custody
        identity = await custody.identity(told.tenant, left.claimed_identity(told))
        left.believe(told, identity=identity)

    async def tenant(self, tenant: str, record: Tenant | None, *, on: str) -> None:
        """That it is no more.

        `record`: as the backup has it, believed. If nothing better came, the public halves of its
        keys are kept, so that what it signed can be checked.
        """
        content = self._told.tenants.get(tenant, b"")
        with suppress(DocumentExists):  # the backup knew
            try:
                document = Document(tenant, PLATFORM, msgspec.msgpack.decode(content or b"\x80"))
                await self._ports.shredded.believe(document)
                pending = (fact_alone(TenantErased(tenant, content)),)
                await self._ports.store.insert(
                    SHREDDED, Document(tenant, PLATFORM, document.body, pending=pending)
                )
                self.certificates += 1
            except (Tampered, msgspec.MsgspecError):
                if record is not None:
                    await self._shredded(tenant, record, on=on)

    async def _shredded(self, tenant: str, record: Tenant, *, on: str) -> None:
        keys = [ReceiptKeyLeft(each.id, each.public) for each in record.keys.receipt_versions]
        kept = Shredded(receipt_keys=tuple(keys), certificate="", shredded_on=on)
        pending = (fact_alone(TenantErased(tenant)),)
        await self._ports.shredded.of(PLATFORM).insert(tenant, kept, pending=pending)
        self.without.append(tenant)
