"""Signing a day of a partner's feed: ingest counts, auth vouches with the tenant's receipt key."""

from voicefile.auth.errors import NotFound
from voicefile.auth.keys.manifests import DayFiled, manifest
from voicefile.auth.ports import Ports
from voicefile.auth.schemas import ManifestBody


async def sign_manifest(body: ManifestBody, *, ports: Ports) -> str:
    """The manifest's text. Raises NotFound for a partner that this tenant does not have."""
    if await ports.principals.of(body.tenant).get(body.partner) is None:
        raise NotFound
    filed = DayFiled(
        tenant=body.tenant,
        partner=body.partner,
        day=body.day,
        first=body.first,
        last=body.last,
        entries_sha256=body.entries_sha256,
        previous_sha256=body.previous_sha256,
    )
    signer = await ports.custody.receipt_signer(body.tenant)
    return manifest(filed, issuer=ports.deployment, signer=signer)
