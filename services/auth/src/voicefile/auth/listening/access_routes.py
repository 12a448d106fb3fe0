"""The routes of signing in on the web and of listening; `app.py` includes both routers."""

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query, Request, Response, status

from voicefile.auth.listening import access_errors as errors
from voicefile.auth.listening.access_schemas import (
    ChallengeAnswer,
    EndBody,
    HearableAnswer,
    HearableBody,
    HearingsAnswer,
    HearingsBody,
    LeaseAnswer,
    ObjectionAnswer,
    ObjectionBody,
    PapersAnswer,
    PapersBody,
    QuestionAnswerBody,
    ReleaseAnswer,
    ReleaseBody,
    RenewalBody,
    SessionAnswer,
    SignInBody,
    sign_in_answer,
)
from voicefile.auth.listening.answer_question import answer_question
from voicefile.auth.listening.check_access import check_access
from voicefile.auth.listening.doors import Doors
from voicefile.auth.listening.gather_papers import gather_papers
from voicefile.auth.listening.list_hearable import list_hearable
from voicefile.auth.listening.list_hearings import list_hearings
from voicefile.auth.listening.log_out import log_out
from voicefile.auth.listening.object_to_recording import object_to_recording
from voicefile.auth.listening.release_key import Wish, end_release, release_key, renew_release
from voicefile.auth.listening.visitors import web_visitor
from voicefile.auth.schemas import Id
from voicefile.chassis.problems import NOT_FOUND, Problem
from voicefile.crypto.secret import SecretText
from voicefile.identity.guard import (
    Bearer,
    NotIdentified,
    bearer,
    customer_session,
    open_to_all,
    peer,
)

PLAYBACK: Final = "playback"
ACCESS_PROBLEMS: Final[Mapping[type[Exception], Problem]] = {
    errors.AccessIdMistyped: Problem("mistyped-access-id", 422, "The access ID is mistyped"),
    # One answer for an unknown ID, a wrong PIN, and every state that lets nobody in.
    errors.SignInRefused: Problem("sign-in-refused", 401, "Access ID or PIN is not right"),
    errors.Busy: Problem("busy", 503, "Too many at once", retry_after_s=2),
    errors.SessionOver: Problem("session-over", 401, "The session is over"),
    errors.NotHearable: NOT_FOUND,
    errors.PurposeMissing: Problem("purpose-required", 422, "A purpose is required"),
    errors.AuditUnavailable: Problem(
        "audit-unavailable", 503, "The log cannot record this now", retry_after_s=1
    ),
    errors.ProofPending: Problem("proof-pending", 409, "The log has no proof of it yet"),
    errors.ReleaseOver: Problem("release-over", 410, "The release is over"),
}


def public_router(doors: Doors) -> APIRouter:
    """Signing in and out."""
    router = APIRouter(prefix="/v1/customer-sessions", tags=["customer sessions"])

    @router.post(
        "",
        status_code=status.HTTP_201_CREATED,
        dependencies=[Depends(open_to_all("whoever holds a letter may try its access ID"))],
    )
    async def sign_in(request: Request, body: SignInBody) -> SessionAnswer | ChallengeAnswer:
        result = await check_access(
            doors,
            body.access_id,
            SecretText(body.pin.get_secret_value()),
            by=web_visitor(request),
            request_id=request.state.request_id,
        )
        return sign_in_answer(result)

    @router.post(
        "/answers",
        status_code=status.HTTP_201_CREATED,
        dependencies=[Depends(open_to_all("the challenge itself shows that the PIN was right"))],
    )
    async def answer(request: Request, body: QuestionAnswerBody) -> SessionAnswer:
        signed_in = await answer_question(
            doors,
            SecretText(body.challenge.get_secret_value()),
            SecretText(body.answer.get_secret_value()),
            by=web_visitor(request),
            request_id=request.state.request_id,
        )
        return SessionAnswer.of(signed_in)

    @router.delete("/current", status_code=status.HTTP_204_NO_CONTENT)
    async def sign_out(request: Request, session: Bearer = Depends(customer_session())) -> Response:
        await log_out(doors, session.token, request_id=request.state.request_id)
        return Response(status_code=status.HTTP_204_NO_CONTENT)

    return router


def internal_router(doors: Doors) -> APIRouter:
    """Listing and releasing, for playback on behalf of whoever's bearer it passes on.

    Renewing and ending need none: the release says whose it is, the instance key whose key it was.
    """
    router = APIRouter(
        prefix="/internal/v1", tags=["listening"], dependencies=[Depends(peer(PLAYBACK))]
    )

    @router.post("/hearable")
    async def hearable(
        request: Request,
        body: HearableBody | None = None,
        credential: Annotated[Id | None, Query()] = None,
        recording: Annotated[Id | None, Query()] = None,
    ) -> HearableAnswer:
        found = await list_hearable(
            doors,
            shown(request),
            credential=credential,
            recording=recording,
            purpose=(body.purpose or None) if body else None,
            request_id=(body and body.request_id) or request.state.request_id,
        )
        return HearableAnswer.of(found)

    @router.post("/hearings")
    async def hearings(request: Request, body: HearingsBody) -> HearingsAnswer:
        found = await list_hearings(
            doors,
            shown(request),
            body.recording_id,
            cursor=body.cursor,
            request_id=body.request_id or request.state.request_id,
        )
        return HearingsAnswer.model_validate(found)

    @router.post("/papers")
    async def papers(request: Request, body: PapersBody) -> PapersAnswer:
        found = await gather_papers(
            doors,
            shown(request),
            body.recording_id,
            purpose=body.purpose or None,
            request_id=body.request_id or request.state.request_id,
        )
        return PapersAnswer.of(found)

    @router.post("/recordings/{recording}/objection")
    async def objection(
        request: Request, recording: Annotated[Id, Path()], body: ObjectionBody | None = None
    ) -> ObjectionAnswer:
        held = await object_to_recording(
            doors,
            shown(request),
            recording,
            request_id=(body and body.request_id) or request.state.request_id,
        )
        return ObjectionAnswer(recording_id=held.id, state=held.state.value, objected=held.objected)

    @router.post("/releases", status_code=status.HTTP_201_CREATED)
    async def release(request: Request, body: ReleaseBody) -> ReleaseAnswer:
        wish = Wish(
            recording_id=body.recording_id,
            listening=body.listening,
            instance_key=body.instance_key,
            purpose=body.purpose or None,
            request_id=body.request_id or request.state.request_id,
        )
        return ReleaseAnswer.of(await release_key(doors, shown(request), wish))

    @router.post("/releases/{release_id}/renewals")
    async def renewal(
        request: Request, body: RenewalBody, release_id: Annotated[Id, Path()]
    ) -> LeaseAnswer:
        lease_s = await renew_release(
            doors,
            release_id,
            instance_key=body.instance_key,
            request_id=request.state.request_id,
            bearer=bearer(request),
        )
        return LeaseAnswer(lease_s=lease_s)

    @router.post("/releases/{release_id}/end", status_code=status.HTTP_204_NO_CONTENT)
    async def end(request: Request, body: EndBody, release_id: Annotated[Id, Path()]) -> Response:
        await end_release(
            doors,
            release_id,
            instance_key=body.instance_key,
            bytes_sent=body.bytes_sent,
            request_id=request.state.request_id,
        )
        return Response(status_code=status.HTTP_204_NO_CONTENT)

    return router


def shown(request: Request) -> str:
    """The bearer of whoever wants to hear, as playback passed it on. Raises NotIdentified."""
    token = bearer(request)
    if token is None:
        raise NotIdentified
    return token
