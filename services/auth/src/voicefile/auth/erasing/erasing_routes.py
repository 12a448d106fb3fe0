"""The routes of holds, of early erasures and certificates, and of what rules would erase."""

import datetime as dt
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Request, Response, status

from voicefile.auth.credentials.change_credential import Order
from voicefile.auth.credentials.credential_routes import PurposeHeader, order_of
from voicefile.auth.erasing import hold
from voicefile.auth.erasing.ask import Wish, ask, pending, withdraw
from voicefile.auth.erasing.certificate import What
from voicefile.auth.erasing.confirm import confirm
from voicefile.auth.erasing.erasing_schemas import (
    CertificateAnswer,
    ConfirmationAnswer,
    ConfirmationBody,
    DayMoved,
    ErasureAnswer,
    ErasureBody,
    ErasuresAnswer,
    HoldAnswer,
    HoldBody,
    PreviewAnswer,
    PreviewBody,
)
from voicefile.auth.erasing.erasing_store import ErasureAsked
from voicefile.auth.erasing.preview import Moved, preview
from voicefile.auth.erasing.read_certificate import certificate_of_tenant, read_certificate
from voicefile.auth.issuing.admission import day_of
from voicefile.auth.listening.access_deeds import code_of
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.schemas import Id
from voicefile.auth.store import Recording
from voicefile.auth.tenants.admin_routes import record_look, rules_of
from voicefile.auth.tenants.open_tenant import reopen_tenant
from voicefile.auth.tenants.principals import name_of
from voicefile.auth.tenants.scopes import Scope
from voicefile.deeds.deed import Actor
from voicefile.identity.guard import caller, open_to_all
from voicefile.identity.principal import Principal, Role

_ADMIN: Final = caller(Role.TENANT_ADMIN)
_KEEPER: Final = caller(Role.CARE, Role.TENANT_ADMIN)


def hold_router(ports: Ports) -> APIRouter:
    """Legal holds, and what is kept of an erased recording."""
    router = APIRouter(prefix="/v1/recordings/{recording}", tags=["erasing"])

    @router.put("/hold")
    async def place(
        request: Request,
        body: HoldBody,
        recording: Annotated[Id, Path()],
        by: Principal = Depends(_KEEPER),
        purpose: PurposeHeader = None,
    ) -> HoldAnswer:
        order = order_of(request, by, purpose)
        return _held(await hold.place_hold(recording, body.reference, order=order, ports=ports))

    @router.delete("/hold")
    async def lift(
        request: Request,
        recording: Annotated[Id, Path()],
        by: Principal = Depends(_ADMIN),
        purpose: PurposeHeader = None,
    ) -> HoldAnswer:
        order = order_of(request, by, purpose)
        return _held(await hold.lift_hold(recording, order=order, ports=ports))

    @router.get("/shred-certificate")
    async def certificate(
        request: Request,
        recording: Annotated[Id, Path()],
        by: Principal = Depends(caller(Role.PARTNER, Role.AUDITOR, Role.TENANT_ADMIN)),
    ) -> CertificateAnswer:
        asked = request.state.request_id
        text = await read_certificate(recording, by=by, request_id=asked, ports=ports)
        return CertificateAnswer(certificate=text)

    return router


def erasure_router(ports: Ports) -> APIRouter:
    """Erasing before the time: one asks, another confirms."""
    router = APIRouter(prefix="/v1/erasures", tags=["erasing"])

    @router.post("", status_code=status.HTTP_201_CREATED)
    async def asked(
        request: Request,
        body: ErasureBody,
        by: Principal = Depends(_KEEPER),
        purpose: PurposeHeader = None,
    ) -> ErasureAnswer:
        order = order_of(request, by, purpose)
        return _asked(await ask(_wish(body), order=order, ports=ports))

    @router.get("")
    async def waiting(request: Request, by: Principal = Depends(_ADMIN)) -> ErasuresAnswer:
        await record_look(by, request, ports=ports)
        order = Order(by=by)
        found = [stored async for stored in pending(order=order, ports=ports)]
        return ErasuresAnswer(erasures=[await _named(each, ports=ports) for each in found])

    @router.post("/{erasure}/confirmation")
    async def confirmed(
        request: Request,
        body: ConfirmationBody,
        erasure: Annotated[Id, Path()],
        by: Principal = Depends(_ADMIN),
    ) -> ConfirmationAnswer:
        order = Order(by=by, request_id=request.state.request_id)
        done = await confirm(erasure, body.typed, order=order, ports=ports)
        return ConfirmationAnswer(
            what=done.what,
            erased=done.erased.recordings,
            held=done.erased.held,
            customer_erased=done.erased.customer,
            delete_on=done.delete_on or None,
        )

    @router.delete("/{erasure}", status_code=status.HTTP_204_NO_CONTENT)
    async def withdrawn(
        request: Request, erasure: Annotated[Id, Path()], by: Principal = Depends(_KEEPER)
    ) -> Response:
        order = Order(by=by, request_id=request.state.request_id)
        await withdraw(erasure, order=order, ports=ports)
        return Response(status_code=status.HTTP_204_NO_CONTENT)

    return router


def retention_router(ports: Ports) -> APIRouter:
    """What other rules would erase and when; a closed tenant's way back; what is left of one."""
    router = APIRouter(prefix="/v1", tags=["erasing"])

    @router.post("/retention-previews")
    async def tried_out(
        request: Request, body: PreviewBody, by: Principal = Depends(_ADMIN)
    ) -> PreviewAnswer:
        await record_look(by, request, ports=ports)
        scope = Scope(body.department or "", body.project or "")
        moved = preview(by.tenant, rules_of(body.rules), scope, ports=ports)
        return await _preview(moved, today=day_of(int(ports.now_s() * 1000)))

    @router.post("/tenant/restoration", status_code=status.HTTP_204_NO_CONTENT)
    async def restored(request: Request, by: Principal = Depends(_ADMIN)) -> Response:
        asked = request.state.request_id
        await reopen_tenant(by.tenant, by=Actor.of(by), request_id=asked, ports=ports)
        return Response(status_code=status.HTTP_204_NO_CONTENT)

    @router.get(
        "/tenants/{tenant}/shred-certificate",
        dependencies=[Depends(open_to_all("nobody is left who could be asked for a token"))],
    )
    async def of_tenant(tenant: Annotated[Id, Path()]) -> CertificateAnswer:
        return CertificateAnswer(certificate=await certificate_of_tenant(tenant, ports=ports))

    return router


def _wish(body: ErasureBody) -> Wish:
    if body.recording_id is not None:
        return Wish(What.RECORDING, body.recording_id)
    if body.credential_id is not None:
        return Wish(What.CUSTOMER, body.credential_id)
    assert body.tenant_id is not None, "one of them is there"
    return Wish(What.TENANT, body.tenant_id)


def _held(recording: Recording) -> HoldAnswer:
    return HoldAnswer(
        recording_id=recording.id,
        state=recording.state.value,
        delete_on=recording.due_on,
        kept_by=recording.kept_by,
    )


def _asked(stored: Stored[ErasureAsked]) -> ErasureAnswer:
    asked = stored.record
    return ErasureAnswer(
        erasure_id=stored.id,
        what=What(asked.what),
        object_id=asked.object,
        asked_by=asked.asked_by,
        purpose=code_of(asked.purpose),  # type: ignore[arg-type]  # as it was stored
        asked_at=_utc(asked.asked_at_s),
        expires_at=_utc(asked.expires_at_s),
    )


async def _named(stored: Stored[ErasureAsked], *, ports: Ports) -> ErasureAnswer:
    name = await name_of(stored.record.asked_by, tenant=stored.tenant, ports=ports)
    return _asked(stored).model_copy(update={"asked_by_name": name})


async def _preview(moved: AsyncIterator[Moved], *, today: str) -> PreviewAnswer:
    # Counted as they come: a tenant may have a million of them.
    days: Counter[str] = Counter()
    held: Counter[str] = Counter()
    async for each in moved:
        days[each.after] += 1
        held[each.after] += each.held
    return PreviewAnswer(
        recordings=days.total(),
        due_at_once=sum(days[day] - held[day] for day in days if day <= today),
        days=[
            DayMoved(delete_on=day, recordings=count, held=held[day])
            for day, count in sorted(days.items())
        ],
    )


def _utc(at_s: int) -> str:
    return dt.datetime.fromtimestamp(at_s, dt.UTC).isoformat().replace("+00:00", "Z")
