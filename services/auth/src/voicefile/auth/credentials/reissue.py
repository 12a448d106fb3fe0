"""Re-issue: a new PIN for a credential, and the old one dead at once.

Care can order one and never sees it: then the letter shop alone opens it.
"""

from dataclasses import dataclass, field

from msgspec.structs import replace

from voicefile.auth.credentials.change_credential import (
    Order,
    change_credential,
    reachable,
    without_answers,
)
from voicefile.auth.issuing.pins import letter_shop_for, new_pin
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.store import Access, CredentialState, LetterState
from voicefile.auth.tenants import scopes
from voicefile.auth.tenants.change_tenant import tenant_of
from voicefile.auth.tenants.scopes import Scope
from voicefile.deeds.deed import Action
from voicefile.identity.principal import Role


@dataclass(frozen=True)
class Reissued:
    """The credential and what is told of its new PIN."""

    credential: str
    told: dict[str, str] = field(repr=False)


async def reissue(credential: str, *, order: Order, ports: Ports) -> Reissued:
    """Raises NotFound, TenantClosed, CredentialOver, LetterShopMissing, ChangedMeanwhile."""
    action = Action.ACTION_CREDENTIAL_REISSUED
    stored = await reachable(credential, action, order=order, ports=ports)
    tenant = await tenant_of(order.by.tenant, ports=ports)
    policy = scopes.effective(tenant.record, await ports.rules_of_reseller(tenant), _scope(stored))
    pin = await new_pin(
        policy,
        credential=credential,
        tenant=order.by.tenant,
        letter_shop=letter_shop_for(
            tenant.record, policy, sealed=order.by.role is not Role.PARTNER
        ),
        custody=ports.custody,
        pins=ports.pins,
    )

    def renewed(access: Access) -> Access:
        # The generation ends every session of the old PIN; the kept answers would still tell it.
        return replace(
            without_answers(access),
            pin_salt=pin.salt,
            pin_verifier=pin.verifier,
            pepper=pin.pepper,
            generation=access.generation + 1,
            state=CredentialState.ISSUED,
            restorable=False,
            letter=LetterState.WANTED,
        )

    await change_credential(credential, renewed, action, order=order, ports=ports)
    return Reissued(credential, pin.told)


def _scope(stored: Stored[Access]) -> Scope:
    # The scope the credential was issued in: its first recording's.
    first = stored.record.recordings[0]
    return Scope(first.department, first.project)
