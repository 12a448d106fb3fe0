"""The routes by which care finds customers, and care and partners look after credentials."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Path, Request

from voicefile.auth.credentials import change_credential as change
from voicefile.auth.credentials.change_credential import Order
from voicefile.auth.credentials.read_objection import read_objection
from voicefile.auth.credentials.reissue import reissue
from voicefile.auth.credentials.search_customers import Hit, Search, search_customers
from voicefile.auth.credentials.settle_objection import settle_objection
from voicefile.auth.errors import SearchUnclear
from voicefile.auth.listening.access_deeds import purpose_of
from voicefile.auth.listening.access_errors import PurposeMissing
from voicefile.auth.ports import Ports
from voicefile.auth.records import Stored
from voicefile.auth.schemas import (
    CredentialAnswer,
    CustomerFound,
    CustomersFound,
    Id,
    LetterBody,
    ObjectionRead,
    ObjectionSettled,
    PinAnswer,
    PurposeCode,
    RecordingFound,
    SearchBody,
    StateBody,
)
from voicefile.auth.store import Access, LetterState, Recording, RecordingDetails
from voicefile.identity.guard import caller
from voicefile.identity.principal import Principal, Role

Change = Callable[..., Awaitable[Stored[Access]]]
_CHANGES: Final[Mapping[str, Change]] = {
    "freeze": change.freeze,
    "revoke": change.revoke,
    "undelivered": change.undelivered,
    "restore": change.restore,
}
_KEEPER: Final = caller(Role.PARTNER, Role.CARE)
_SETTLER: Final = caller(Role.CARE, Role.TENANT_ADMIN)
SHOWN_DETAILS: Final = (
    "contract_reference",
    "contract_kind",
    "recorded_at",
    "language",
    "duration_ms",
)
PurposeHeader = Annotated[PurposeCode | None, Header()]


def search_router(ports: Ports) -> APIRouter:
    """How care finds a customer."""
    router = APIRouter(prefix="/v1/customer-searches", tags=["customers"])

    @router.post("")
    async def search(
        request: Request,
        body: SearchBody,
        by: Principal = Depends(caller(Role.CARE)),
        purpose: PurposeHeader = None,
    ) -> CustomersFound:
        order = order_of(request, by, purpose)
        wanted = _search(body, order)
        hits = await search_customers(wanted, by=by, ports=ports)
        return CustomersFound(customers=[_found(hit) for hit in hits])

    return router


def credential_router(ports: Ports) -> APIRouter:
    """Re-issue, state and letter."""
    router = APIRouter(prefix="/v1/credentials/{credential}", tags=["customers"])

    @router.post("/reissue")
    async def new_pin(
        request: Request,
        credential: Annotated[Id, Path()],
        by: Principal = Depends(_KEEPER),
        purpose: PurposeHeader = None,
    ) -> PinAnswer:
        reissued = await reissue(credential, order=order_of(request, by, purpose), ports=ports)
        return PinAnswer(credential_id=credential, **reissued.told)

    @router.post("/state")
    async def state(
        request: Request,
        body: StateBody,
        credential: Annotated[Id, Path()],
        by: Principal = Depends(_KEEPER),
        purpose: PurposeHeader = None,
    ) -> CredentialAnswer:
        order = order_of(request, by, purpose)
        return _changed(await _CHANGES[body.change](credential, order=order, ports=ports))

    @router.post("/letter")
    async def letter(
        request: Request,
        body: LetterBody,
        credential: Annotated[Id, Path()],
        by: Principal = Depends(_KEEPER),
        purpose: PurposeHeader = None,
    ) -> CredentialAnswer:
        order = order_of(request, by, purpose)
        wanted = LetterState(body.letter)
        return _changed(await change.change_letter(credential, wanted, order=order, ports=ports))

    return router


def objection_router(ports: Ports) -> APIRouter:
    """How an objection to a recording is looked into, and settled."""
    router = APIRouter(prefix="/v1/recordings/{recording}/objection", tags=["customers"])

    @router.get("")
    async def read(
        request: Request,
        recording: Annotated[Id, Path()],
        by: Principal = Depends(_SETTLER),
        purpose: PurposeHeader = None,
    ) -> ObjectionRead:
        order = order_of(request, by, purpose)
        return _objection(await read_objection(recording, order=order, ports=ports))

    @router.delete("")
    async def settled(
        request: Request,
        recording: Annotated[Id, Path()],
        by: Principal = Depends(_SETTLER),
        purpose: PurposeHeader = None,
    ) -> ObjectionSettled:
        order = order_of(request, by, purpose)
        now = await settle_objection(recording, order=order, ports=ports)
        return ObjectionSettled(recording_id=now.id, state=now.state.value, objected=now.objected)

    return router


def order_of(request: Request, by: Principal, purpose: PurposeCode | None) -> Order:
    """What somebody wants, and why: everybody but a partner says that. Raises PurposeMissing."""
    if by.role is not Role.PARTNER and purpose is None:
        raise PurposeMissing
    return Order(by=by, purpose=purpose_of(purpose), request_id=request.state.request_id)


def _objection(recording: Recording) -> ObjectionRead:
    return ObjectionRead(
        recording_id=recording.id,
        state=recording.state.value,
        objected=recording.objected,
        objected_on=recording.objected_on,
        objected_by=recording.objected_by,
        delete_on=recording.due_on,
        kept_by=recording.kept_by,
    )


def _search(body: SearchBody, order: Order) -> Search:
    given = [(name, text) for name, text in body.model_dump().items() if text is not None]
    if len(given) != 1:
        raise SearchUnclear
    ((name, text),) = given
    return Search(name, text, purpose=order.purpose, request_id=order.request_id)


def _changed(stored: Stored[Access]) -> CredentialAnswer:
    return CredentialAnswer(
        credential_id=stored.id,
        state=stored.record.state.value,
        letter=stored.record.letter.value,
    )


def _found(hit: Hit) -> CustomerFound:
    return CustomerFound(
        credential_id=hit.credential,
        state=hit.access.state.value,
        letter=hit.access.letter.value,
        customer=dict(hit.customer.fields),
        recordings=[_recording(*each) for each in hit.recordings],
    )


def _recording(
    recording: Recording, details: RecordingDetails | None, reference: str
) -> RecordingFound:
    found = RecordingFound(
        recording_id=recording.id,
        state=recording.state.value,
        sensitive=recording.sensitive,
        department=recording.department,
        project=recording.project,
        delete_on=recording.due_on,
        kept_by=recording.kept_by,
        hold_reference=reference,
        objected=recording.objected,
    )
    if details is None:
        return found
    shown = {name: getattr(details, name) for name in SHOWN_DETAILS}
    return found.model_copy(update=shown)
