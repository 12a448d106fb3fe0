"""Reading a certificate: what the vault vouches for, for those whose recording or tenant it was."""

from voicefile.auth.errors import NotFound
from voicefile.auth.issuing.answer_retry import find_issued
from voicefile.auth.ports import Ports
from voicefile.auth.refusals import refusal_told
from voicefile.deeds.deed import Action, Actor, Deed
from voicefile.identity.ids import PLATFORM
from voicefile.identity.principal import Principal, Role


async def read_certificate(
    recording_id: str, *, by: Principal, request_id: str, ports: Ports
) -> str:
    """Of an erased recording. Raises NotFound, also while it lives, and for another partner's."""
    deed = Deed(
        actor=Actor.of(by),
        action=Action.ACTION_CERTIFICATE_READ,
        tenant=by.tenant,
        object_id=recording_id,
        request_id=request_id,
    )
    async with refusal_told(ports.deeds, deed, NotFound):
        issued = await find_issued(by.tenant, recording_id, ports=ports)
        if issued is None or not issued.recording.certificate:
            raise NotFound
        if by.role is Role.PARTNER and issued.recording.partner != by.id:
            raise NotFound
    await ports.deeds.record(deed)
    return issued.recording.certificate


async def certificate_of_tenant(tenant: str, *, ports: Ports) -> str:
    """Of a tenant that is no more; it holds random ids and times only. Raises NotFound."""
    found = await ports.shredded.of(PLATFORM).get(tenant)
    # Without: restored from a backup that was older than its end, and nothing more was known.
    if found is None or not found.record.certificate:
        raise NotFound
    return found.record.certificate


async def receipt_keys_of(tenant: str, *, ports: Ports) -> list[tuple[str, bytes]]:
    """The public halves of the keys it signed with, by id. Raises NotFound."""
    found = await ports.shredded.of(PLATFORM).get(tenant)
    if found is None:
        raise NotFound
    return [(key.id, key.public) for key in found.record.receipt_keys]
