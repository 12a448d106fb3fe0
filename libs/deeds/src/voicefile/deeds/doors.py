"""Doors: who is known and knocks where they have no business is told to the log."""

import re
from typing import Final, TypeVar

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from voicefile.chassis.problems import NOT_PERMITTED, UNAVAILABLE, problem_response
from voicefile.deeds.deed import Action, Actor, Deed, Outcome
from voicefile.deeds.series import DeedSeries
from voicefile.docstore.port import StoreUnavailable
from voicefile.identity.guard import NotPermitted

Fact = TypeVar("Fact")

_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


def tell_refused_doors(app: FastAPI, deeds: DeedSeries[Fact]) -> None:
    """Makes the app record everybody known who asks for what their role may not.

    The answer is the same as without it, and leaves after the deed is durable. A certificate of
    another service and a token that is nobody's are counted only: there is nobody to name.
    """

    async def told(request: Request, error: Exception) -> Response:
        assert isinstance(error, NotPermitted)
        if error.principal is not None:
            deed = Deed(
                actor=Actor.of(error.principal),
                action=Action.ACTION_DOOR_REFUSED,
                tenant=error.principal.tenant,
                # An operator's deed stands in the platform's log, which names nothing of a tenant.
                object_id=_asked_for(request) if error.principal.tenant else "",
                outcome=Outcome.OUTCOME_REFUSED,
                request_id=request.state.request_id,
            )
            try:
                await deeds.record(deed)
            except StoreUnavailable:
                return problem_response(UNAVAILABLE)
        return problem_response(NOT_PERMITTED)

    app.add_exception_handler(NotPermitted, told)


def _asked_for(request: Request) -> str:
    """The id in the path, if there is one and it is one."""
    ids = (str(value) for value in request.path_params.values())
    return next((each for each in ids if _ID.fullmatch(each)), "")
