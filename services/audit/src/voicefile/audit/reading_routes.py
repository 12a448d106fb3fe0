"""Routes of looking deeds up: by auditors, and by auth for a customer who asks who listened."""

from collections.abc import AsyncGenerator
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from voicefile.audit.checkpoint import Publisher
from voicefile.audit.look_up import Bounds, Cursor
from voicefile.audit.papers import gather_papers
from voicefile.audit.prove import read_head, tenant_of
from voicefile.audit.reading import Reader, Readings
from voicefile.audit.reading_schemas import (
    CURSOR,
    DeedsAnswer,
    DeedsQuery,
    HearingsAnswer,
    PagedDeedsQuery,
    PapersAnswer,
    lines,
)
from voicefile.audit.recordings import look_up_hearings
from voicefile.audit.routes import LogPath, PurposeHeader
from voicefile.audit.settings import AuditSettings
from voicefile.chassis.streaming import StreamedResponse
from voicefile.identity.guard import caller, peer
from voicefile.identity.principal import Principal, Role
from voicefile.translog.origin import log_of

public = APIRouter(prefix="/v1")
internal = APIRouter(prefix="/internal/v1")

EXPORT_MEDIA: Final = "application/x-ndjson"
HEARINGS_PAGE: Final = 50
RANDOM_ID: Final = "^[0-9a-f]{32}$"

CursorQuery = Annotated[str, Query(pattern=CURSOR)]
RecordingPath = Annotated[str, Path(pattern=RANDOM_ID)]


@public.get("/logs/{log}/deeds")
async def deeds(
    request: Request,
    log: LogPath,
    asked: Annotated[PagedDeedsQuery, Query()],
    by: Annotated[Principal, Depends(caller(Role.AUDITOR, Role.OPERATOR))],
    purpose: PurposeHeader = "",
) -> DeedsAnswer:
    """Deeds of one's own log: by who, what, on which object, when, with what outcome."""
    readings: Readings = request.app.state.readings
    head, found = await readings.deeds(
        log,
        asked.wanted,
        by=Reader(by, purpose, request.state.request_id),
        cursor=Cursor.parse(asked.cursor or ""),
        bounds=_bounds(request, asked.limit),
    )
    return DeedsAnswer.of(log, head, found)


@public.get("/logs/{log}/export", response_class=Response)
async def export(
    request: Request,
    log: LogPath,
    asked: Annotated[DeedsQuery, Query()],
    by: Annotated[Principal, Depends(caller(Role.AUDITOR, Role.OPERATOR))],
    purpose: PurposeHeader = "",
) -> Response:
    """The same as one file of JSON lines, to be checked against the log line by line."""
    readings: Readings = request.app.state.readings
    publisher: Publisher = request.app.state.publisher
    settings: AuditSettings = request.app.state.settings
    reader = Reader(by, purpose, request.state.request_id)
    bounds = _bounds(request, settings.entries_page_max)
    head, entries = await readings.export(log, asked.wanted, by=reader, bounds=bounds)

    async def content() -> AsyncGenerator[bytes, None]:
        key = publisher.verifier_key(tenant_of(log))
        async for line in lines(log, head, key, entries):
            yield line

    return StreamedResponse(content(), media_type=EXPORT_MEDIA)


@public.get("/recordings/{recording_id}/deeds")
async def about(
    request: Request,
    recording_id: RecordingPath,
    by: Annotated[Principal, Depends(caller(Role.AUDITOR))],
    cursor: CursorQuery = "0",
    purpose: PurposeHeader = "",
) -> DeedsAnswer:
    """What the log knows about one recording, with how each listening to it ended."""
    readings: Readings = request.app.state.readings
    settings: AuditSettings = request.app.state.settings
    head, found = await readings.about(
        recording_id,
        by=Reader(by, purpose, request.state.request_id),
        cursor=Cursor.parse(cursor),
        bounds=_bounds(request, settings.entries_page_max),
    )
    return DeedsAnswer.of(log_of(by.tenant), head, found)


@internal.get("/recordings/{recording_id}/hearings", dependencies=[Depends(peer("auth"))])
async def hearings(
    request: Request,
    recording_id: RecordingPath,
    tenant: Annotated[str, Query(pattern=RANDOM_ID)],
    cursor: CursorQuery = "0",
) -> HearingsAnswer:
    """Who heard a recording; auth has checked who asks, and recorded that they did."""
    docs = request.app.state.docs
    head = await read_head(docs, tenant)
    found, following = await look_up_hearings(
        docs,
        tenant,
        recording_id,
        head=head,
        cursor=Cursor.parse(cursor),
        bounds=_bounds(request, HEARINGS_PAGE),
    )
    return HearingsAnswer.of(found, following)


@internal.get("/recordings/{recording_id}/papers", dependencies=[Depends(peer("auth"))])
async def papers(
    request: Request,
    recording_id: RecordingPath,
    tenant: Annotated[str, Query(pattern=RANDOM_ID)],
) -> PapersAnswer:
    """What a bundle holds of the log; auth has checked who asks, and recorded that they did."""
    publisher: Publisher = request.app.state.publisher
    settings: AuditSettings = request.app.state.settings
    bounds = _bounds(request, settings.entries_page_max)
    gathered = await gather_papers(request.app.state.docs, tenant, recording_id, bounds=bounds)
    return PapersAnswer.of(publisher.verifier_key(tenant), gathered)


def _bounds(request: Request, entries: int) -> Bounds:
    settings: AuditSettings = request.app.state.settings
    return Bounds(min(entries, settings.entries_page_max), settings.search_steps_max)
