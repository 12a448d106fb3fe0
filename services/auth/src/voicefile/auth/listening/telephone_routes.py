"""The routes of signing in by telephone, for playback's dialogue; `app.py` includes the router."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response, status

from voicefile.auth.listening.access_routes import PLAYBACK, shown
from voicefile.auth.listening.doors import Doors
from voicefile.auth.listening.log_out import hang_up
from voicefile.auth.listening.sign_in_by_telephone import key_access_id, key_answer, key_pin
from voicefile.auth.listening.telephone_schemas import (
    KeyedAnswerBody,
    KeyedPinBody,
    TelephoneLoginAnswer,
    TelephoneLoginBody,
    TelephoneQuestionAnswer,
    TelephoneSessionAnswer,
    keyed_pin_answer,
)
from voicefile.auth.schemas import Id
from voicefile.crypto.secret import SecretText
from voicefile.identity.guard import peer

LoginId = Annotated[Id, Path()]


def telephone_router(doors: Doors) -> APIRouter:
    """Access ID, PIN, answer, hanging up: what playback's dialogue asks, step by step."""
    router = APIRouter(
        prefix="/internal/v1", tags=["telephone"], dependencies=[Depends(peer(PLAYBACK))]
    )

    @router.post("/telephone-logins", status_code=status.HTTP_201_CREATED)
    async def login(body: TelephoneLoginBody) -> TelephoneLoginAnswer:
        login_id = await key_access_id(doors, body.access_id, by=body.visitor, dialled=body.tenant)
        return TelephoneLoginAnswer(login_id=login_id)

    @router.post("/telephone-logins/{login_id}/pin", status_code=status.HTTP_201_CREATED)
    async def pin(
        request: Request, body: KeyedPinBody, login_id: LoginId
    ) -> TelephoneSessionAnswer | TelephoneQuestionAnswer:
        result = await key_pin(
            doors,
            login_id,
            SecretText(body.pin.get_secret_value()),
            by=body.visitor,
            request_id=body.request_id or request.state.request_id,
        )
        return keyed_pin_answer(result)

    @router.post("/telephone-logins/{login_id}/answer", status_code=status.HTTP_201_CREATED)
    async def answer(
        request: Request, body: KeyedAnswerBody, login_id: LoginId
    ) -> TelephoneSessionAnswer:
        signed_in = await key_answer(
            doors,
            login_id,
            SecretText(body.answer.get_secret_value()),
            by=body.visitor,
            request_id=body.request_id or request.state.request_id,
        )
        return TelephoneSessionAnswer.of(signed_in)

    @router.delete("/telephone-sessions/current", status_code=status.HTTP_204_NO_CONTENT)
    async def hung_up(request: Request) -> Response:
        await hang_up(doors, shown(request), request_id=request.state.request_id)
        return Response(status_code=status.HTTP_204_NO_CONTENT)

    return router
