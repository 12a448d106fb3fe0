"""Audit's routes: what everybody may fetch, what auditors read, what a receipt's holder proves."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from starlette.responses import PlainTextResponse, Response

from voicefile.audit.appendable import Appendable
from voicefile.audit.checkpoint import Publisher
from voicefile.audit.cosigned import read_cosigned, with_cosignatures
from voicefile.audit.errors import NotFound
from voicefile.audit.prove import read_head, read_tile, tenant_of
from voicefile.audit.reading import Reader, Readings
from voicefile.audit.schemas import (
    AppendableAnswer,
    EntriesAnswer,
    ProofAnswer,
    TimeStampsAnswer,
)
from voicefile.audit.settings import AuditSettings
from voicefile.audit.timestamps import read_timestamps
from voicefile.docstore.port import DocStore
from voicefile.identity.guard import caller, open_to_all, peer
from voicefile.identity.principal import Principal, Role
from voicefile.translog.errors import TilePathInvalid
from voicefile.translog.origin import log_of
from voicefile.translog.tiles import parse_tile_path

public = APIRouter(prefix="/v1")
internal = APIRouter(prefix="/internal/v1")

INDEX_MAX: Final = 2**63 - 1
IMMUTABLE: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
PURPOSE: Final = "^(customer-request|complaint|dispute|quality|legal|authority)?$"
PROVERS: Final = (Role.PARTNER, Role.AUDITOR, Role.CARE, Role.TENANT_ADMIN)

LogPath = Annotated[str, Path(pattern="^([0-9a-f]{32}|platform)$")]
PurposeHeader = Annotated[str, Header(alias="Purpose", pattern=PURPOSE)]
published = Depends(open_to_all("checkpoints and tiles hold hashes of salted commitments"))


@public.get("/logs/{log}/checkpoint", dependencies=[published])
async def checkpoint(request: Request, log: LogPath) -> PlainTextResponse:
    """The signed head (C2SP tlog-checkpoint), with its cosignatures as soon as it has some."""
    docs: DocStore = request.app.state.docs
    head = await read_head(docs, tenant_of(log))
    return PlainTextResponse((await with_cosignatures(docs, tenant_of(log), head)).checkpoint)


@public.get("/logs/{log}/checkpoint/cosigned", dependencies=[published])
async def cosigned_checkpoint(request: Request, log: LogPath) -> PlainTextResponse:
    """The newest checkpoint that a witness cosigned (C2SP tlog-cosignature)."""
    cosigned = await read_cosigned(request.app.state.docs, tenant_of(log))
    if cosigned is None:
        raise NotFound
    return PlainTextResponse(cosigned.checkpoint)


@public.get("/logs/{log}/timestamps", dependencies=[published])
async def timestamps(
    request: Request,
    log: LogPath,
    after: Annotated[str, Query(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = "",
    limit: Annotated[int, Query(ge=1, le=366)] = 31,
) -> TimeStampsAnswer:
    """That the log's head existed on each day (RFC 3161), oldest first."""
    docs: DocStore = request.app.state.docs
    settings: AuditSettings = request.app.state.settings
    await read_head(docs, tenant_of(log))
    limit = min(limit, settings.timestamps_page_max)
    found = await read_timestamps(docs, tenant_of(log), after=after, limit=limit)
    return TimeStampsAnswer.of(log, found, limit=limit)


@public.get("/logs/{log}/key", dependencies=[published])
async def verifier_key(request: Request, log: LogPath) -> PlainTextResponse:
    """The key that checkpoints are checked with (C2SP signed-note)."""
    publisher: Publisher = request.app.state.publisher
    await read_head(request.app.state.docs, tenant_of(log))
    return PlainTextResponse(f"{publisher.verifier_key(tenant_of(log))}\n")


@public.get("/logs/{log}/tile/{tile:path}", dependencies=[published], response_class=Response)
async def tile(
    request: Request, log: LogPath, tile: Annotated[str, Path(max_length=64)]
) -> Response:
    """A tile or an entry bundle (C2SP tlog-tiles)."""
    docs: DocStore = request.app.state.docs
    try:
        path = parse_tile_path(tile)
    except TilePathInvalid:
        raise NotFound from None
    content = await read_tile(docs, tenant_of(log), path)
    return Response(content, media_type="application/octet-stream", headers=IMMUTABLE)


@public.get("/logs/{log}/entries")
async def entries(
    request: Request,
    log: LogPath,
    by: Annotated[Principal, Depends(caller(Role.AUDITOR, Role.OPERATOR))],
    start: Annotated[int, Query(ge=0, le=INDEX_MAX)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    purpose: PurposeHeader = "",
) -> EntriesAnswer:
    """Deeds of one's own log: an auditor's tenant, or the platform for an operator."""
    settings: AuditSettings = request.app.state.settings
    readings: Readings = request.app.state.readings
    reader = Reader(by, purpose, request.state.request_id)
    limit = min(limit, settings.entries_page_max)
    head, page = await readings.entries(log, by=reader, start=start, limit=limit)
    return EntriesAnswer.of(log, head, page, start=start)


@public.get("/recordings/{recording_id}/proof")
async def proof(
    request: Request,
    recording_id: Annotated[str, Path(pattern="^[0-9a-f]{32}$")],
    by: Annotated[Principal, Depends(caller(*PROVERS))],
    purpose: PurposeHeader = "",
) -> ProofAnswer:
    """That the receipt of a recording is in the log. Not found until it is: minutes at most."""
    readings: Readings = request.app.state.readings
    publisher: Publisher = request.app.state.publisher
    reader = Reader(by, purpose, request.state.request_id)
    proven = await readings.proof(recording_id, by=reader)
    return ProofAnswer.of(log_of(by.tenant), publisher.verifier_key(by.tenant), proven)


@internal.get("/appendable", dependencies=[Depends(peer("auth"))])
async def appendable(request: Request) -> AppendableAnswer:
    """Whether a deed written now would reach its log."""
    asked: Appendable = request.app.state.appendable
    return AppendableAnswer.of(await asked.verdict())
