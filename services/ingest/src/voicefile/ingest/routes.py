"""Ingest's public routes: each parses, calls one verb, and answers."""

import datetime as dt
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from voicefile.deeds.deed import Action, Actor, Deed, Outcome
from voicefile.identity.guard import caller
from voicefile.identity.principal import Principal, Role
from voicefile.ingest.ask_auth import Who
from voicefile.ingest.changes import SEQUENCE_MAX, Feed
from voicefile.ingest.errors import ManifestNotFound
from voicefile.ingest.manifests import Manifests
from voicefile.ingest.receive import Arrival, Desk, receive
from voicefile.ingest.recordings import read_recording
from voicefile.ingest.schemas import Answer, Changes, Manifest, RecordingStatus, metadata_schema

RECORDINGS_PATH: Final = "/v1/recordings"
FEED_PAGE: Final = 100

# FastAPI can't see the body: it is read as it flows, so its form is told here.
_UPLOAD: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": True,
            "description": "A random UUID, or at least 22 random base64url characters.",
            "schema": {"type": "string", "minLength": 22, "maxLength": 130},
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["metadata", "audio"],
                    "properties": {
                        "metadata": metadata_schema(),
                        "audio": {"type": "string", "format": "binary"},
                    },
                },
                "encoding": {"metadata": {"contentType": "application/json"}},
            }
        },
    },
}

router = APIRouter()


@router.post(
    RECORDINGS_PATH,
    status_code=201,
    response_model=Answer,
    response_model_exclude_unset=True,
    openapi_extra=_UPLOAD,
)
async def post_recording(
    request: Request, response: Response, by: Principal = Depends(caller(Role.PARTNER))
) -> Answer:
    """Stores a voice file and issues access to it. Metadata first, then audio."""
    keys = request.headers.getlist("idempotency-key")
    arrival = Arrival(
        by=by,
        request_id=request.state.request_id,
        content_type=request.headers.get("content-type", ""),
        body=request.stream(),
        # Two keys are none: which one would count?
        idempotency_key=keys[0] if len(keys) == 1 else None,
    )
    desk: Desk = request.app.state.desk
    answer = await receive(arrival, desk=desk)
    prefix = request.scope.get("root_path", "")
    response.headers["Location"] = f"{prefix}{RECORDINGS_PATH}/{answer.recording_id}"
    return answer


@router.get(RECORDINGS_PATH + "/{recording_id}")
async def get_recording(
    recording_id: str, request: Request, by: Principal = Depends(caller(Role.PARTNER))
) -> RecordingStatus:
    """How a recording is doing, for the partner that brought it."""
    desk: Desk = request.app.state.desk
    return await read_recording(
        recording_id,
        by=by,
        request_id=request.state.request_id,
        auth=desk.issuing.auth,
        deeds=desk.marking.deeds,
    )


@router.get("/v1/manifests")
async def get_manifest(
    request: Request, day: dt.date, by: Principal = Depends(caller(Role.PARTNER))
) -> Manifest:
    """What became of the partner's recordings on a day that is over (UTC), signed and chained."""
    manifests: Manifests = request.app.state.manifests
    desk: Desk = request.app.state.desk
    deed = Deed(
        actor=Actor.of(by),
        action=Action.ACTION_MANIFEST_READ,
        tenant=by.tenant,
        request_id=request.state.request_id,
    )
    try:
        found = await manifests.of_day(day, Who(by.tenant, by.id))
    except ManifestNotFound:
        await desk.marking.deeds.record(replace(deed, outcome=Outcome.OUTCOME_REFUSED))
        raise
    await desk.marking.deeds.record(deed)
    return found


@router.get("/v1/changes")
async def get_changes(
    request: Request,
    after: Annotated[int, Query(ge=0, le=SEQUENCE_MAX)] = 0,
    limit: Annotated[int, Query(ge=1, le=500)] = FEED_PAGE,
    by: Principal = Depends(caller(Role.PARTNER)),
) -> Changes:
    """What became of the partner's own recordings, after a cursor."""
    feed: Feed = request.app.state.feed
    desk: Desk = request.app.state.desk
    page = await feed.page(Who(by.tenant, by.id), after=after, limit=limit)
    await desk.marking.deeds.record(
        Deed(
            actor=Actor.of(by),
            action=Action.ACTION_CHANGES_READ,
            tenant=by.tenant,
            request_id=request.state.request_id,
        )
    )
    return page
