"""Logins: what the telephone asks auth, step by step, and what each answer means to the dialogue.

A telephone session is an id that opens something only together with the call it was opened for
and playback's certificate: the bearer that is made of the two never leaves this process but to
auth, and is not kept.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import httpx

from voicefile.identity.guard import TELEPHONE_PREFIX
from voicefile.identity.principal import Role
from voicefile.playback.ask_auth import Auth
from voicefile.playback.listener import Caller
from voicefile.playback.telephone import moves
from voicefile.playback.telephone.call_state import Call
from voicefile.playback.telephone.posts import Post
from voicefile.playback.telephone.speech import About


def caller_of(call: Call, call_id: str) -> Caller:
    """Who listens by this call, for auth to check each time."""
    return Caller(Role.CUSTOMER, f"{TELEPHONE_PREFIX}{call.session}.{call_id}")


class Logins:
    """Auth, as a call sees it. Raises AuthUnavailable where nobody answers."""

    def __init__(self, auth: Auth, *, pin_timeout_s: float) -> None:
        self._auth = auth
        self._pin_timeout_s = pin_timeout_s

    async def ask(
        self, post: Post, call: Call, asked: moves.Login | moves.Object
    ) -> moves.Happened:
        """What auth says to it."""
        match asked:
            case moves.BeginLogin():
                return await self._begin(post, call, asked)
            case moves.TryPin(pin):
                body = {"pin": pin.expose(), **_from(post)}
                path = f"telephone-logins/{call.login}/pin"
                return _let_in(await self._auth.ask(path, body, timeout_s=self._pin_timeout_s))
            case moves.TryAnswer(answer):
                body = {"answer": answer.expose(), **_from(post)}
                return _let_in(await self._auth.ask(f"telephone-logins/{call.login}/answer", body))
            case moves.Object():
                return await self._object(post, call)

    async def _begin(self, post: Post, call: Call, asked: moves.BeginLogin) -> moves.Happened:
        """Whether the access ID exists nobody says."""
        body = {
            "access_id": asked.access_id.expose(),
            "tenant": call.line_tenant,
            **_from(post),
        }
        answer = await self._auth.ask("telephone-logins", body)
        if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            return moves.Mistyped()
        if not answer.is_success:
            return _not_let_in(answer)
        return moves.LoginBegun(str(answer.json()["login_id"]))

    async def hearable(self, call: Call, call_id: str, *, request_id: str) -> Mapping[str, About]:
        """What may be heard, the newest first, by id. Raises as `Auth.hearable` does."""
        caller = caller_of(call, call_id)
        told = await self._auth.hearable(caller, credential=None, request_id=request_id)
        heard = [each for each in told["recordings"] if each["heard"]]
        heard.sort(key=lambda each: str(each["recorded_at"]), reverse=True)
        return {str(each["recording_id"]): _about(each) for each in heard}

    async def _object(self, post: Post, call: Call) -> moves.Happened:
        """Has the chosen recording kept against erasing."""
        bearer = caller_of(call, post.call_id).bearer
        path = f"recordings/{call.recording}/objection"
        answer = await self._auth.ask(path, {}, bearer=bearer)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            return moves.SessionOver()
        return moves.Kept() if answer.is_success else moves.Away()

    async def sign_out(self, call: Call, call_id: str) -> None:
        """The caller has gone. A session that is not ended so ends by itself."""
        if call.session:
            bearer = caller_of(call, call_id).bearer
            await self._auth.ask("telephone-sessions/current", {}, bearer=bearer, method="DELETE")


def _about(told: Mapping[str, Any]) -> About:
    day = dt.datetime.fromisoformat(told["recorded_at"]).date()
    return About(kind=told["contract_kind"], day=day, fingerprint=told["receipt_digits"])


def _from(post: Post) -> Mapping[str, str]:
    return {"caller": post.caller, "call_id": post.call_id}


def _let_in(answer: httpx.Response) -> moves.Happened:
    if not answer.is_success:
        return _not_let_in(answer)
    told: dict[str, Any] = answer.json()
    if "question" in told:
        return moves.QuestionAsked(kind=told["question"]["kind"], tenant=told["tenant"])
    return moves.LetIn(session=told["session_id"], tenant=told["tenant"])


def _not_let_in(answer: httpx.Response) -> moves.Happened:
    """Wrong, locked, throttled: it sounds alike. Only what nobody can help is something else."""
    return moves.Away() if answer.is_server_error else moves.Refused()
