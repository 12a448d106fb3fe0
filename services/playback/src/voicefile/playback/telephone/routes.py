"""The edge's two routes, on the internal port: what happened, and the sounds it fetches."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from voicefile.chassis.streaming import StreamedResponse
from voicefile.identity.guard import peer
from voicefile.playback.telephone import documents
from voicefile.playback.telephone.answer import Answering
from voicefile.playback.telephone.posts import post_of
from voicefile.playback.telephone.sounds import Sounds

EDGE: Final = "edge-"
"""How the common name of an edge's certificate begins; the rest is the edge's own."""
SOUND: Final = r"^[A-Za-z0-9_-]{32}\.wav$"
CALL: Final = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
NO_STORE: Final = {"Cache-Control": "no-store"}


def telephone_router(answering: Answering, sounds: Sounds) -> APIRouter:
    """For edges alone."""
    router = APIRouter(
        prefix="/internal/v1/telephone",
        tags=["telephone"],
        dependencies=[Depends(peer(f"{EDGE}*"))],
    )

    @router.post("", response_class=Response)
    async def post(request: Request) -> Response:
        """A form of mod_httapi; answered with its next document."""
        # A few hundred bytes; the app's limit holds for them.
        told = post_of(b"".join([piece async for piece in request.stream()]))
        document = await answering.answer(told, request_id=request.state.request_id)
        return Response(document, media_type=documents.CONTENT_TYPE, headers=NO_STORE)

    @router.get("/sounds/{call_id}/{file}", response_class=Response)
    async def sound(
        request: Request,
        call_id: Annotated[str, Path(pattern=CALL)],
        file: Annotated[str, Path(pattern=SOUND)],
    ) -> Response:
        """One sound, once."""
        token = file.removesuffix(".wav")
        found = await sounds.sound(call_id, token, request_id=request.state.request_id)
        headers = {**NO_STORE, "Content-Length": str(found.size)}
        return StreamedResponse(found.pieces, media_type="audio/wav", headers=headers)

    return router
