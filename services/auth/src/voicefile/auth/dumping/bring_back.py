"""Bring back: auth's documents from a dump, their keys from a key backup, into an empty store.

Whatever comes is believed by its MAC alone, for a backup passes through hands that may seal to its
recipients. Everybody gets an epoch of their own anew, under a new version of the root, so that
nothing hangs on versions that should be gone. What was erased since stays erased.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from msgspec.structs import replace

from voicefile.auth.dumping.back_up_keys import EPOCHS, SLIPS
from voicefile.auth.dumping.bring_back_left import Leftovers
from voicefile.auth.dumping.brought_back import BroughtBack, Erased
from voicefile.auth.dumping.dump_documents import AS_THEY_ARE
from voicefile.auth.dumping.require_roots import require_roots
from voicefile.auth.dumping.take_apart import (
    NO_SLIP,
    REMAINS,
    AccessKeys,
    Belongings,
    DumpedAccess,
    EpochKeys,
    believe,
    believe_access,
    believe_access_keys,
    believe_epoch_keys,
    claimed_identity,
    from_item,
    opened_access,
)
from voicefile.auth.erasing.erasing_store import SHREDDED
from voicefile.auth.erasing.remains import tokens_left
from voicefile.auth.events import fact_alone
from voicefile.auth.keys.custody import DEPLOYMENT_ID
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.store import (
    ACCESS,
    DEPLOYMENT,
    DIRECTORY,
    PRINCIPALS,
    RESELLERS,
    TENANTS,
    Access,
    Deployment,
    Period,
    PolicyRules,
    Recording,
    Slip,
    Tenant,
)
from voicefile.auth.tenants.publish_tenant import as_published
from voicefile.crypto.envelope import object_id
from voicefile.crypto.epoch_backup import BackedUpEpoch
from voicefile.crypto.errors import Tampered, UnknownKey
from voicefile.crypto.keyring import KeyNamespace, open_epoch
from voicefile.crypto.rootkey import VersionGone
from voicefile.crypto.secret import SecretKey
from voicefile.docstore.port import Collection, Document, DocumentExists, PendingEvent
from voicefile.dumps.segment import unpacked
from voicefile.identity.ids import PLATFORM

BATCH_DOCUMENTS: Final = 64
"""Access documents that are written at the same time: they share commits."""

Items = Callable[[str], AsyncIterator[Any]]
"""The items of one kind, in their order."""


class OtherDeployment(Exception):
    """The backup is of another deployment, or the root key is."""


async def bring_back(documents: Items, keys: Items, erased: Erased, *, ports: Ports) -> BroughtBack:
    """All of a dump, into a store without documents. Raises OtherDeployment, RootMissing."""
    await require_roots(documents, but=erased.tenants, root=ports.custody.root)
    returning = _Returning(documents, keys, erased, ports)
    await returning.deployment()
    # Resellers before the tenants that they rule, and principals after those whose they are.
    await returning.verbatim(RESELLERS)
    await returning.tenants()
    for collection in AS_THEY_ARE:
        if collection is not RESELLERS:
            await returning.verbatim(collection)
    await returning.epochs()
    await returning.access()
    await returning.remains()
    await returning.left()
    await returning.old_roots()
    return returning.done


class _Returning:
    def __init__(self, documents: Items, keys: Items, erased: Erased, ports: Ports) -> None:
        self._documents = documents
        self._keys = keys
        self._erased = erased
        self._ports = ports
        self._leftovers = Leftovers(erased.left, ports)
        self._gone: dict[str, Sequence[str]] = {}
        """Recordings of customers that were erased as a whole."""
        self._period = ""
        self._lasting: set[str] = set()
        self._epochs: dict[tuple[str, str], BackedUpEpoch] = {}
        self.done = BroughtBack()

    async def deployment(self) -> None:
        ports = self._ports
        async for document_id, tenant, body, pending in self._documents(DEPLOYMENT.name):
            record = from_item(body, Deployment)
            if record.deployment != ports.deployment or document_id != DEPLOYMENT_ID:
                raise OtherDeployment
            try:
                await self._believe_keys(record, DEPLOYMENT, tenant, document_id)
            except (Tampered, UnknownKey):
                raise OtherDeployment from None
            self._period = await ports.custody.root.create_version()
            periods = (Period(self._period, int(ports.now_s())),)
            await ports.deployments.of(PLATFORM).insert(
                DEPLOYMENT_ID, replace(record, periods=periods), pending=_events(pending)
            )
            ports.custody.forget(PLATFORM)
        if not self._period:
            raise OtherDeployment

    async def tenants(self) -> None:
        async for document_id, tenant, body, pending in self._documents(TENANTS.name):
            if tenant in self._erased.tenants:
                continue
            record = from_item(body, Tenant)
            try:
                await self._believe_keys(record, TENANTS, tenant, document_id)
            except (Tampered, UnknownKey):
                self.done.refused.append(document_id)
                continue
            keys = await self._renewed(record.keys)
            self._ports.custody.expect(tenant, keys)
            renewed = replace(record, keys=keys, version=record.version + 1)
            await self._ports.tenants.of(tenant).insert(
                document_id, renewed, pending=(*_events(pending), await self._told(tenant, renewed))
            )
            self._ports.custody.forget(tenant)
            self.done.tenants += 1

    async def _told(self, tenant: str, record: Tenant) -> PendingEvent:
        """What ingest has to know: it would seal to an epoch that is no more."""
        rules = PolicyRules()
        if record.reseller:
            found = await self._ports.resellers.of(PLATFORM).get(record.reseller)
            rules = rules if found is None else found.record.rules
        custody = self._ports.custody
        return fact_alone(await as_published(tenant, record, reseller=rules, custody=custody))

    async def _renewed(self, keys: KeyNamespace) -> KeyNamespace:
        custody = self._ports.custody
        return await open_epoch(
            custody.root,
            keys,
            deployment=custody.deployment,
            root_version=self._period,
            now_s=self._ports.now_s(),
        )

    async def _believe_keys(
        self, record: Tenant | Deployment, collection: Collection, tenant: str, document_id: str
    ) -> None:
        # The record's own keys make its MAC: custody has to know them before it is believed.
        custody = self._ports.custody
        custody.expect(tenant, record.keys)
        of = Belongings(custody.deployment, tenant, document_id)
        try:
            identity = await custody.identity(tenant, claimed_identity(record))
            believe(record, collection.name, of=of, identity=identity)
        except (Tampered, UnknownKey):
            custody.forget(tenant)
            raise
        self._lasting |= record.keys.lasting_roots()

    async def verbatim(self, collection: Collection) -> None:
        async for item in self._documents(collection.name):
            document = unpacked(item)
            if document.tenant in self._erased.tenants:
                continue
            try:
                if collection is PRINCIPALS:
                    await self._ports.principals.believe(document)
                elif collection is RESELLERS:
                    await self._ports.resellers.believe(document)
                elif collection is SHREDDED:
                    await self._ports.shredded.believe(document)
            except Tampered:
                self.done.refused.append(document.id)
                continue
            await self._ports.store.insert(collection, document)

    async def epochs(self) -> None:
        async for content in self._keys(EPOCHS):
            keys = from_item(content, EpochKeys)
            try:
                identity = await self._ports.custody.identity(keys.tenant, claimed_identity(keys))
                believe_epoch_keys(keys, identity=identity)
            except (Tampered, UnknownKey):
                continue  # Of a tenant that is not brought back, or nobody's.
            self._epochs[keys.tenant, keys.epoch] = BackedUpEpoch(
                keys.epoch,
                SecretKey(keys.key),
                deployment=self._ports.custody.deployment,
                tenant=keys.tenant,
            )

    async def access(self) -> None:
        batch: list[tuple[Sequence[Any], AccessKeys | None]] = []
        slips = _InOrder(self._keys(SLIPS))
        async for item in self._documents(ACCESS.name):
            batch.append((item, await slips.of(item[0])))
            if len(batch) == BATCH_DOCUMENTS:
                await self._write(batch)
                batch = []
        await self._write(batch)

    async def _write(self, batch: list[tuple[Sequence[Any], AccessKeys | None]]) -> None:
        async with asyncio.TaskGroup() as writes:
            for item, keys in batch:
                writes.create_task(self._access(item, keys))

    async def _access(self, item: Sequence[Any], keys: AccessKeys | None) -> None:
        credential, tenant, body, pending = item
        dumped = from_item(body, DumpedAccess)
        gone = tenant in self._erased.tenants or credential in self._erased.credentials
        if gone or self._erased.recordings.issuperset(dumped.recordings):
            self.done.erased += len(dumped.recordings)
            if tenant not in self._erased.tenants:
                self._gone[credential] = dumped.recordings
            return
        of = Belongings(self._ports.custody.deployment, tenant, credential)
        try:
            access = await self._opened(dumped, keys, of)
        except (Tampered, UnknownKey):
            self.done.refused.append(credential)
            return
        except _KeyMissing:
            self.done.without_keys += dumped.recordings
            return
        await self._claim(access.locator, tenant, credential)
        told = [
            self._leftovers.event(tenant, each, access.letter)
            for each in access.recordings
            if each.id in self._erased.recordings
        ]
        events = (*_events(pending), *told)
        await self._ports.access.of(tenant).insert(credential, access, pending=events)
        self.done.credentials += 1

    async def _opened(
        self, dumped: DumpedAccess, keys: AccessKeys | None, of: Belongings
    ) -> Access:
        custody = self._ports.custody
        identity = await custody.identity(of.tenant, claimed_identity(dumped))
        believe_access(dumped, of=of, identity=identity)
        if keys is None:
            raise _KeyMissing
        signer = await custody.identity(of.tenant, claimed_identity(keys))
        believe_access_keys(keys, identity=signer)
        if (keys.tenant, keys.subject) != (of.tenant, dumped.subject):
            raise Tampered("another document's keys")
        name = object_id(dumped.subject, "key")
        subject_key = self._unwrapped(of.tenant, keys.subject_slip, name)
        access = opened_access(dumped, of=of, subject_key=subject_key)
        epoch = await custody.epoch(of.tenant)
        subject_slip = Slip(epoch.id, epoch.wrap(subject_key, name))
        recordings = [
            await self._recording(each, keys.slips.get(each.id), of.tenant)
            for each in access.recordings
        ]
        access = replace(
            access,
            subject=replace(access.subject, key=subject_slip),
            recordings=tuple(recordings),
        )
        if self._erased.recordings.isdisjoint(dumped.recordings):
            return access
        # What led to an erased contract goes with it, as it did when it was erased.
        living = [each for each in recordings if each.slip.sealed]
        stored = Stored(access, Document(of.document, of.tenant, {}))
        tokens = await tokens_left(stored, living, ports=self._ports)
        return replace(access, tokens=tokens)

    async def _recording(self, recording: Recording, slip: Slip | None, tenant: str) -> Recording:
        if recording.erased:
            return recording
        if recording.id in self._erased.recordings:
            self.done.erased += 1
            return await self._leftovers.of_recording(recording, tenant)
        name = object_id(recording.id, "slip")
        try:
            key = self._unwrapped(tenant, slip or NO_SLIP, name)
        except _KeyMissing:
            self.done.without_keys.append(recording.id)
            return replace(recording, slip=NO_SLIP)
        epoch = await self._ports.custody.epoch(tenant)
        self.done.recordings += 1
        return replace(recording, slip=Slip(epoch.id, epoch.wrap(key, name)))

    def _unwrapped(self, tenant: str, slip: Slip, name: bytes) -> SecretKey:
        epoch = self._epochs.get((tenant, slip.epoch))
        if epoch is None:
            raise _KeyMissing
        return epoch.unwrap(slip.sealed, name)

    async def remains(self) -> None:
        custody = self._ports.custody
        async for credential, tenant, body, pending in self._documents(REMAINS):
            if tenant in self._erased.tenants:
                continue
            record = from_item(body, Access)
            of = Belongings(custody.deployment, tenant, credential)
            try:
                identity = await custody.identity(tenant, claimed_identity(record))
                believe(record, REMAINS, of=of, identity=identity)
            except (Tampered, UnknownKey):
                self.done.refused.append(credential)
                continue
            with suppress(DocumentExists):  # erased while the dump was made: it is there already
                await self._ports.access.of(tenant).insert(
                    credential, record, pending=_events(pending)
                )

    async def left(self) -> None:
        """Of what was erased since: that it was, and its certificates."""
        async for document_id, tenant, body, _ in self._documents(TENANTS.name):
            if tenant in self._erased.tenants:
                self.done.shredded.append(tenant)
                record = await self._believed(from_item(body, Tenant), tenant, document_id)
                on = self._erased.days.get(tenant, "")
                await self._leftovers.tenant(tenant, record, on=on)
        for tenant in self._erased.left.tenants.keys() - set(self.done.shredded):
            # Opened and shredded since: the backup knows nothing of it.
            await self._leftovers.tenant(tenant, None, on="")
        back = await self._leftovers.customers(but=self._erased.tenants)
        for credential, recordings in self._gone.items():
            if credential not in back:
                self._leftovers.without += recordings
        self.done.certificates = self._leftovers.certificates
        self.done.without_certificate = self._leftovers.without

    async def _believed(self, record: Tenant, tenant: str, document_id: str) -> Tenant | None:
        try:
            await self._believe_keys(record, TENANTS, tenant, document_id)
        except (Tampered, UnknownKey, VersionGone):
            return None
        finally:
            self._ports.custody.forget(tenant)
        return record

    async def _claim(self, locator: str, tenant: str, credential: str) -> None:
        body = {"tenant": tenant, "credential": credential}
        await self._ports.store.insert(DIRECTORY, Document(locator, tenant, body))

    async def old_roots(self) -> None:
        """Versions that only epochs of the past hung on: who restores knows whether they may go."""
        versions, used = await self._ports.custody.root.versions(), self._lasting | {self._period}
        self.done.roots_left = [each for each in versions if each not in used]


class _KeyMissing(Exception):
    """No key backup has it any more."""


class _InOrder:
    """Slips beside the documents they belong to: both come in the order of credentials."""

    def __init__(self, contents: AsyncIterator[Any]) -> None:
        self._contents = contents
        self._next: AccessKeys | None = None
        self._over = False

    async def of(self, credential: str) -> AccessKeys | None:
        """The slips of that credential; ids only grow from call to call."""
        while not self._over and (self._next is None or self._next.credential < credential):
            content = await anext(self._contents, None)
            if content is None:
                self._over, self._next = True, None
                break
            self._next = from_item(content, AccessKeys)
        found = self._next
        return found if found is not None and found.credential == credential else None


def _events(pending: Sequence[Sequence[Any]]) -> tuple[PendingEvent, ...]:
    return tuple(PendingEvent(*each) for each in pending)
