"""The routes of a tenant's admin: rules, scopes, letter shop, principals."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response, status

from voicefile.auth.ports import Ports
from voicefile.auth.schemas import Id
from voicefile.auth.store import PolicyRules
from voicefile.auth.store import Principal as PrincipalRecord
from voicefile.auth.tenants import administer, scopes
from voicefile.auth.tenants.admin_schemas import (
    LetterShopBody,
    PolicyAnswer,
    PrincipalAdded,
    PrincipalBody,
    PrincipalListed,
    PrincipalsListed,
    RulesPart,
    ScopeBody,
    TenantAnswer,
)
from voicefile.auth.tenants.change_tenant import tenant_of
from voicefile.auth.tenants.policy import Policy
from voicefile.auth.tenants.principals import (
    Added,
    NewPrincipal,
    add_principal,
    all_principals,
    remove_principal,
)
from voicefile.auth.tenants.scopes import Scope
from voicefile.crypto.secret import SecretText
from voicefile.deeds.deed import Action, Actor, Deed
from voicefile.identity.guard import caller
from voicefile.identity.principal import Principal, Role

_ADMIN = caller(Role.TENANT_ADMIN)


def admin_router(ports: Ports) -> APIRouter:
    """What a tenant's admin sees and changes; always the own tenant."""
    router = APIRouter(prefix="/v1", tags=["administration"])

    @router.get("/tenant")
    async def tenant(
        request: Request,
        by: Principal = Depends(caller(Role.TENANT_ADMIN, Role.AUDITOR, Role.CARE, Role.PARTNER)),
    ) -> TenantAnswer:
        return await _tenant(by, request, ports=ports)

    @router.put("/policy")
    async def policy(
        request: Request, body: RulesPart, by: Principal = Depends(_ADMIN)
    ) -> TenantAnswer:
        asked = request.state.request_id
        await administer.set_rules(rules_of(body), by=by, request_id=asked, ports=ports)
        return await _tenant(by, request, ports=ports)

    @router.post("/scopes")
    async def scope(
        request: Request, body: ScopeBody, by: Principal = Depends(_ADMIN)
    ) -> TenantAnswer:
        wanted, asked = Scope(body.department, body.project or ""), request.state.request_id
        rules = rules_of(body.rules)
        await administer.set_scope(wanted, rules, by=by, request_id=asked, ports=ports)
        return await _tenant(by, request, ports=ports)

    @router.put("/letter-shop", status_code=status.HTTP_204_NO_CONTENT)
    async def letter_shop(
        request: Request, body: LetterShopBody, by: Principal = Depends(_ADMIN)
    ) -> Response:
        asked = request.state.request_id
        await administer.set_letter_shop(body.public_key, by=by, request_id=asked, ports=ports)
        return Response(status_code=status.HTTP_204_NO_CONTENT)

    return router


def principal_router(ports: Ports) -> APIRouter:
    """Whom a tenant's admin lets in."""
    router = APIRouter(prefix="/v1/principals", tags=["administration"])

    @router.get("")
    async def principals(request: Request, by: Principal = Depends(_ADMIN)) -> PrincipalsListed:
        await record_look(by, request, ports=ports)
        listed = [
            _listed(principal_id, record, name)
            async for principal_id, record, name in all_principals(by.tenant, ports=ports)
        ]
        return PrincipalsListed(principals=listed)

    @router.post("", status_code=status.HTTP_201_CREATED)
    async def add(
        request: Request, body: PrincipalBody, by: Principal = Depends(_ADMIN)
    ) -> PrincipalAdded:
        added = await add_principal(
            by.tenant,
            _new_principal(body),
            by=Actor.of(by),
            request_id=request.state.request_id,
            ports=ports,
        )
        return _added(added, body)

    @router.delete("/{principal}", status_code=status.HTTP_204_NO_CONTENT)
    async def remove(
        request: Request, principal: Annotated[Id, Path()], by: Principal = Depends(_ADMIN)
    ) -> Response:
        await remove_principal(
            by.tenant,
            principal,
            by=Actor.of(by),
            request_id=request.state.request_id,
            ports=ports,
        )
        return Response(status_code=status.HTTP_204_NO_CONTENT)

    return router


async def record_look(by: Principal, request: Request, *, ports: Ports) -> None:
    """Records that somebody looked at their tenant's rules or people."""
    await ports.deeds.record(
        Deed(
            actor=Actor.of(by),
            action=Action.ACTION_ADMINISTRATION_READ,
            tenant=by.tenant,
            object_id=by.tenant,
            request_id=request.state.request_id,
        )
    )


async def _tenant(by: Principal, request: Request, *, ports: Ports) -> TenantAnswer:
    stored = await tenant_of(by.tenant, ports=ports)
    reseller = await ports.rules_of_reseller(stored)
    await record_look(by, request, ports=ports)
    record = stored.record
    return TenantAnswer(
        id=stored.id,
        name=record.name,
        open=record.open,
        delete_on=record.delete_on or None,
        version=record.version,
        login_domain=record.login_domain,
        policy=_policy(scopes.effective(record, reseller, Scope()), Scope()),
        scopes=tuple(
            _policy(scopes.effective(record, reseller, scope), scope)
            for scope in scopes.all_scopes(record)
        ),
        letter_shop=bool(record.letter_shop_key),
    )


def _policy(policy: Policy, scope: Scope) -> PolicyAnswer:
    return PolicyAnswer(
        department=scope.department,
        project=scope.project,
        recording_allowed=policy.recording_allowed,
        retention_days=dict(policy.retention_days or {}),
        default_retention_class=policy.default_retention_class,
        pin_digits=policy.pin_digits,
        question_kinds=tuple(sorted(policy.question_kinds)),
        sealed_pin_only=policy.sealed_pin_only,
        retention_days_min=dict(policy.retention_days_min),
    )


def rules_of(part: RulesPart) -> PolicyRules:
    """The rules of a request."""
    return PolicyRules(
        recording_allowed=part.recording_allowed,
        retention_days=part.retention_days,
        default_retention_class=part.default_retention_class,
        pin_digits=part.pin_digits,
        question_kinds=part.question_kinds,
        sealed_pin_only=part.sealed_pin_only,
        retention_days_min=part.retention_days_min,
    )


def _listed(principal_id: str, record: PrincipalRecord, name: str) -> PrincipalListed:
    return PrincipalListed(
        id=principal_id,
        role=record.role,
        name=name,
        department=record.department,
        project=record.project,
        active=record.active,
    )


def _new_principal(body: PrincipalBody) -> NewPrincipal:
    return NewPrincipal(
        role=Role(body.role),
        name=body.name or "",
        handle=body.handle or "",
        scope=Scope(body.department or "", body.project or ""),
        jwk=body.jwk,
    )


def _added(added: Added, body: PrincipalBody) -> PrincipalAdded:
    return PrincipalAdded(
        id=added.id,
        role=body.role,
        client_id=added.id if body.role == Role.PARTNER.value else None,
        client_secret=_shown(added.client_secret),
        username=added.username,
        password=_shown(added.password),
        totp_secret=_shown(added.totp_secret),
    )


def _shown(secret: SecretText | None) -> str | None:
    # The edge: from here it goes to the admin, once, and nowhere else.
    return None if secret is None else secret.expose()
