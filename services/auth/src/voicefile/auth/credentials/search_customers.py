"""Care's search: one exact value finds the customers it belongs to, and the log knows who asked."""

from dataclasses import dataclass

from voicefile.auth.credentials.change_credential import within
from voicefile.auth.erasing.hold_reference import hold_reference
from voicefile.auth.errors import TenantClosed
from voicefile.auth.issuing.customer import Customer, open_customer
from voicefile.auth.issuing.details import open_details
from voicefile.auth.keys import blind_index
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.refusals import refusal_told
from voicefile.auth.store import Access, Recording, RecordingDetails, RecordingState
from voicefile.auth.tenants.change_tenant import tenant_of
from voicefile.deeds.deed import Action, Actor, Deed, Purpose
from voicefile.identity.principal import Principal

SHOWN = ("name", "phone", "email", "customer_number")
"""What care sees of a customer: enough to tell two apart."""


@dataclass(frozen=True)
class Search:
    """What care looks for, and why."""

    field: str
    value: str
    purpose: Purpose
    request_id: str

    def __repr__(self) -> str:
        return "<Search>"


@dataclass(frozen=True)
class Hit:
    """A customer that was found."""

    credential: str
    access: Access
    customer: Customer
    recordings: tuple[tuple[Recording, RecordingDetails | None, str], ...]
    """Each with its details, and the reference of its legal hold where it has one."""


async def search_customers(search: Search, *, by: Principal, ports: Ports) -> list[Hit]:
    """Customers of the agent's own tenant and scope. Raises TenantClosed."""
    async with refusal_told(ports.deeds, _deed(search, "", by), TenantClosed):
        stored_tenant = await tenant_of(by.tenant, ports=ports)
        if not stored_tenant.record.open:
            raise TenantClosed
    found = await _found(search, by=by, ports=ports)
    # Recorded before anything is opened: one deed for the search, one for each customer seen.
    await _record(search, found, by=by, ports=ports)
    return [await _opened(stored, by=by, ports=ports) for stored in found]


async def _found(search: Search, *, by: Principal, ports: Ports) -> list[Stored[Access]]:
    records = ports.access.of(by.tenant)
    namespace = await ports.custody.namespace(by.tenant)
    found: dict[str, Stored[Access]] = {}
    # Documents written under an older identity key keep its tokens until they are written again.
    for version in namespace.identity_versions:
        identity = await ports.custody.identity(by.tenant, version.id)
        token = blind_index.token(identity, search.field, search.value)
        if token is None:
            return []
        limit = ports.settings.search_hits_max
        for stored in await records.find("token", token, limit=limit):
            if any(within(recording, by) for recording in stored.record.recordings):
                found[stored.id] = stored
    return list(found.values())[: ports.settings.search_hits_max]


async def _record(
    search: Search, found: list[Stored[Access]], *, by: Principal, ports: Ports
) -> None:
    for credential in ("", *(stored.id for stored in found)):
        await ports.deeds.record(_deed(search, credential, by))


def _deed(search: Search, credential: str, by: Principal) -> Deed:
    return Deed(
        actor=Actor.of(by),
        action=Action.ACTION_CUSTOMERS_SEARCHED,
        tenant=by.tenant,
        object_id=credential,
        purpose=search.purpose,
        request_id=search.request_id,
    )


async def _opened(stored: Stored[Access], *, by: Principal, ports: Ports) -> Hit:
    access, tenant = stored.record, stored.tenant
    customer = await open_customer(
        access.subject, custody=ports.custody, tenant=tenant, names=SHOWN
    )
    recordings = [
        (
            recording,
            await _details(recording, tenant, ports=ports),
            await hold_reference(recording, tenant=tenant, custody=ports.custody),
        )
        for recording in access.recordings
        if within(recording, by)
    ]
    return Hit(stored.id, access, customer, tuple(recordings))


async def _details(recording: Recording, tenant: str, *, ports: Ports) -> RecordingDetails | None:
    if recording.state is RecordingState.ERASED:
        return None
    key = await ports.custody.slip_key(tenant, recording.id, recording.slip)
    return open_details(
        recording.details,
        key,
        deployment=ports.custody.deployment,
        tenant=tenant,
        recording=recording.id,
    )
