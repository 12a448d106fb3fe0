"""The witness's routes (C2SP tlog-witness): add a checkpoint, show the last one cosigned."""

import asyncio
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import PlainTextResponse, Response

from voicefile.identity.guard import open_to_all
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.witnessing import SIZE_TYPE, AddCheckpoint
from voicefile.witness.cosign import Witness
from voicefile.witness.errors import LogUnknown, MemoryLost, RequestInvalid, SizeDiffers

public = APIRouter()

signed = Depends(open_to_all("only what a configured log has signed changes anything"))
shown = Depends(open_to_all("a cosigned checkpoint is there to be compared"))


@public.post("/add-checkpoint", dependencies=[signed])
async def add_checkpoint(request: Request) -> Response:
    """The cosignature of a checkpoint that continues the last one."""
    # small: the app's limit
    asked = _asked(await request.body())
    try:
        return PlainTextResponse(await _done(request, lambda it: it.add_checkpoint(asked)))
    except SizeDiffers as differs:
        # In headers: the framework would add a charset to any text.
        return Response(f"{differs.size}\n", 409, headers={"content-type": SIZE_TYPE})


@public.get("/{log}/checkpoint", dependencies=[shown])
async def checkpoint(
    request: Request, log: Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
) -> PlainTextResponse:
    """The last checkpoint cosigned, under the signatures of the log and of the witness."""
    note = await _done(request, lambda it: it.cosigned(log))
    if not note:
        raise LogUnknown
    return PlainTextResponse(note)


async def _done(request: Request, work: Callable[[Witness], str]) -> str:
    try:
        return await asyncio.to_thread(work, request.app.state.witness)
    except (MemoryLost, OSError) as error:
        request.app.state.on_failure(error)
        raise


def _asked(body: bytes) -> AddCheckpoint:
    try:
        return AddCheckpoint.parse(body.decode())
    except (UnicodeDecodeError, NoteInvalid):
        raise RequestInvalid("not a request to add a checkpoint") from None
