"""The route of lists: what is to be erased when, what is held, what was erased."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request

from voicefile.auth.erasing.erasing_schemas import (
    HoldListed,
    KeptListAnswer,
    KeptListed,
    ObjectionListed,
)
from voicefile.auth.erasing.hold_reference import hold_reference
from voicefile.auth.erasing.list_kept import PAGE_DOCUMENTS_MAX, Kept, Listing, Mark, list_kept
from voicefile.auth.ports import Ports
from voicefile.auth.store import Recording
from voicefile.auth.tenants.admin_routes import record_look
from voicefile.auth.tenants.principals import name_of
from voicefile.identity.guard import caller
from voicefile.identity.principal import Principal, Role

Cursor = Annotated[str, Query(pattern=r"^([0-9]{1,7}\.([0-9a-f]{32})?)?$", max_length=40)]
_READER: Final = caller(Role.TENANT_ADMIN, Role.AUDITOR)


def list_router(ports: Ports) -> APIRouter:
    """Lists for a tenant's administrators and auditors."""
    router = APIRouter(prefix="/v1/retention", tags=["erasing"])

    @router.get("/{listing}")
    async def listed(
        request: Request,
        listing: Annotated[Listing, Path()],
        by: Principal = Depends(_READER),
        cursor: Cursor = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_DOCUMENTS_MAX)] = PAGE_DOCUMENTS_MAX,
    ) -> KeptListAnswer:
        # Recorded first: references of holds are opened for it.
        await record_look(by, request, ports=ports)
        page = await list_kept(listing, _mark(cursor), limit=limit, by=by, ports=ports)
        shown = [await _shown(each, by=by, ports=ports) for each in page.kept]
        following = page.following
        return KeptListAnswer(
            recordings=shown,
            cursor=f"{following.day}.{following.after}" if following else None,
        )

    return router


def _mark(cursor: str) -> Mark:
    day, _, after = cursor.partition(".")
    return Mark(int(day), after) if day else Mark()


async def _shown(kept: Kept, *, by: Principal, ports: Ports) -> KeptListed:
    recording = kept.recording
    return KeptListed(
        recording_id=recording.id,
        credential_id=kept.credential,
        state=recording.state.value,
        stored_on=recording.stored_on,
        delete_on=recording.due_on,
        retention_class=recording.retention_class,
        kept_by=recording.kept_by,
        hold=await _hold(recording, by=by, ports=ports),
        objection=_objection(recording),
        erased_on=recording.erased_on or None,
    )


async def _hold(recording: Recording, *, by: Principal, ports: Ports) -> HoldListed | None:
    hold = recording.hold
    if hold is None:
        return None
    # An auditor sees ids in the log and in lists; names are for who lets people in.
    known = hold.placed_by if by.role is Role.TENANT_ADMIN else ""
    return HoldListed(
        placed_on=hold.placed_on,
        placed_by=hold.placed_by,
        placed_by_name=await name_of(known, tenant=by.tenant, ports=ports),
        purpose=hold.purpose,
        reference=await hold_reference(recording, tenant=by.tenant, custody=ports.custody),
    )


def _objection(recording: Recording) -> ObjectionListed | None:
    if not recording.objected:
        return None
    return ObjectionListed(on=recording.objected_on, by=recording.objected_by)
