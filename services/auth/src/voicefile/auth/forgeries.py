"""Forgeries: whoever writes past auth is told to the log, whichever route met the record."""

import re
from typing import Final

import structlog
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from voicefile.auth.events import Fact
from voicefile.auth.records import RecordForged
from voicefile.chassis.problems import INTERNAL, problem_response
from voicefile.deeds.deed import Action, Actor, Deed, Outcome
from voicefile.deeds.series import DeedSeries
from voicefile.identity.ids import PLATFORM

log = structlog.get_logger(__name__)
_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


async def tell_forgery(forged: RecordForged, *, request_id: str, deeds: DeedSeries[Fact]) -> None:
    """Records that a document is not auth's own."""
    log.error("record_forged")
    await deeds.record(forgery(forged, request_id=request_id))


def forgery(forged: RecordForged, *, request_id: str) -> Deed:
    """What the log is told of a forged record."""
    # What auth never wrote may name tenants and ids that auth never gave.
    return Deed(
        actor=Actor.service(),
        action=Action.ACTION_INTEGRITY_FAILED,
        tenant=forged.tenant if _ID.fullmatch(forged.tenant) else PLATFORM,
        object_id=forged.document if _ID.fullmatch(forged.document) else "",
        outcome=Outcome.OUTCOME_FAILED,
        request_id=request_id,
    )


def tell_forgeries(app: FastAPI, deeds: DeedSeries[Fact]) -> None:
    """Makes the app record every forgery that no verb has dealt with; the answer stays a 500."""

    async def told(request: Request, error: Exception) -> Response:
        assert isinstance(error, RecordForged)
        request_id: str = request.state.request_id
        await tell_forgery(error, request_id=request_id, deeds=deeds)
        return problem_response(INTERNAL, extensions={"error_id": request_id})

    app.add_exception_handler(RecordForged, told)
