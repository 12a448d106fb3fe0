"""Playback's public routes: the list, the audio by range, the waveform, the evidence."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from starlette.responses import Response

from voicefile.chassis.streaming import StreamedResponse
from voicefile.identity.guard import Bearer, customer_session
from voicefile.identity.principal import Role
from voicefile.playback.errors import PurposeMissing
from voicefile.playback.listener import Caller
from voicefile.playback.outcomes import PURPOSES
from voicefile.playback.play import Opened, Playback, Rendition
from voicefile.playback.schemas import Hearable, Hearings

router = APIRouter(prefix="/v1")
RANDOM_ID: Final = r"^[0-9a-f]{32}$"
PARTIAL: Final = 206

RecordingPath = Annotated[str, Path(pattern=RANDOM_ID)]
RangeHeader = Annotated[str | None, Header(alias="Range", max_length=64)]


async def caller_of(
    bearer: Annotated[Bearer, Depends(customer_session(Role.CARE))],
    purpose: Annotated[str, Header(max_length=32)] = "",
) -> Caller:
    """Who asks. A care agent without a known purpose is refused before anything is looked up."""
    if bearer.principal is None:
        return Caller(role=Role.CUSTOMER, bearer=bearer.token)
    if purpose not in PURPOSES:
        raise PurposeMissing
    role, principal = bearer.principal.role, bearer.principal.id
    return Caller(role=role, bearer=bearer.token, principal=principal, purpose=purpose)


Asking = Annotated[Caller, Depends(caller_of)]


@router.get("/recordings")
async def hearable(
    request: Request,
    caller: Asking,
    credential: Annotated[str | None, Query(pattern=RANDOM_ID)] = None,
) -> Hearable:
    """What this session, or this care agent for one customer, may hear."""
    playback: Playback = request.app.state.playback
    found = await playback.hearable(
        caller, credential=credential, request_id=request.state.request_id
    )
    return Hearable.model_validate(found)


@router.get("/recordings/{recording_id}/audio", response_class=Response)
async def audio(
    request: Request,
    caller: Asking,
    recording_id: RecordingPath,
    wanted: RangeHeader = None,
    *,
    rendition: Annotated[str, Query(pattern="^(original|telephone)$")] = "original",
    download: bool = False,
) -> Response:
    """The recording, or the range of it that was asked for."""
    playback: Playback = request.app.state.playback
    opened = await playback.play(
        caller,
        recording_id,
        Rendition(rendition),
        range_header=wanted,
        download=download,
        request_id=request.state.request_id,
    )
    return _sent(opened, name=f"recording.{opened.suffix}" if download else "")


@router.get("/recordings/{recording_id}/evidence", response_class=Response)
async def evidence(request: Request, caller: Asking, recording_id: RecordingPath) -> Response:
    """The recording with all that proves it, as one file (docs/audit-log.md)."""
    playback: Playback = request.app.state.playback
    bundle = await playback.bundle(caller, recording_id, request_id=request.state.request_id)
    headers = {
        "Content-Length": str(bundle.size),
        "Content-Disposition": 'attachment; filename="evidence.zip"',
    }
    return StreamedResponse(bundle.pieces, media_type="application/zip", headers=headers)


@router.get("/recordings/{recording_id}/hearings")
async def hearings(
    request: Request,
    session: Annotated[Bearer, Depends(customer_session())],
    recording_id: RecordingPath,
    cursor: Annotated[str, Query(pattern="^[0-9-]{1,50}$")] = "0",
) -> Hearings:
    """Who heard the recording: for the customer it belongs to."""
    playback: Playback = request.app.state.playback
    found = await playback.hearings(
        Caller(role=Role.CUSTOMER, bearer=session.token),
        recording_id,
        cursor=cursor,
        request_id=request.state.request_id,
    )
    return Hearings.model_validate(found)


@router.get("/recordings/{recording_id}/peaks", response_class=Response)
async def peaks(request: Request, caller: Asking, recording_id: RecordingPath) -> Response:
    """The waveform: twenty peaks a second."""
    playback: Playback = request.app.state.playback
    opened = await playback.play(
        caller, recording_id, Rendition.PEAKS, request_id=request.state.request_id
    )
    return _sent(opened)


def _sent(opened: Opened, *, name: str = "") -> Response:
    headers = {"Accept-Ranges": "bytes", "Content-Length": str(opened.span.length)}
    if opened.span.partial:
        headers["Content-Range"] = opened.span.content_range
    if name:
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return StreamedResponse(
        opened.pieces,
        status_code=PARTIAL if opened.span.partial else 200,
        media_type=opened.media_type,
        headers=headers,
    )
