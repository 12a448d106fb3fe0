"""The routes by which partners and staff get tokens, and everybody the keys to check them with."""

import base64
import binascii
from typing import Annotated, Final
from urllib.parse import parse_qsl, unquote_plus

from fastapi import APIRouter, Depends, Path, Request

from voicefile.auth.erasing.read_certificate import receipt_keys_of
from voicefile.auth.errors import NotFound, NotRecognised, TokenRequestUnclear
from voicefile.auth.keys.compact_jws import public_jwk
from voicefile.auth.keys.signing_keys import published_keys
from voicefile.auth.listening.visitors import web_visitor
from voicefile.auth.ports import Ports
from voicefile.auth.schemas import AccessTokenAnswer, Id, JwkSet, StaffSessionBody
from voicefile.auth.throttling.throttles import Throttles
from voicefile.auth.tokens.client_assertion import TYPE, Assertion, read_assertion
from voicefile.auth.tokens.issue_token import AccessToken, ClientSecret, issue_token
from voicefile.auth.tokens.staff_sessions import SignIn, sign_in
from voicefile.crypto.secret import SecretText
from voicefile.identity.guard import open_to_all
from voicefile.identity.ids import PLATFORM

FORM: Final = "application/x-www-form-urlencoded"
FORM_FIELDS_MAX: Final = 16
_FORM_SCHEMA: Final = {
    "requestBody": {
        "required": True,
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"type": "string", "enum": ["client_credentials"]},
                        "client_assertion_type": {"type": "string", "enum": [TYPE]},
                        "client_assertion": {"type": "string"},
                    },
                }
            }
        },
    }
}


def sign_in_router(ports: Ports, throttles: Throttles) -> APIRouter:
    """Tokens and public keys."""
    router = APIRouter(prefix="/v1", tags=["signing in"])

    @router.post(
        "/token",
        dependencies=[Depends(open_to_all("a client proves itself in the request"))],
        openapi_extra=_FORM_SCHEMA,
    )
    async def token(request: Request) -> AccessTokenAnswer:
        proof = await _proof(request)
        return _answer(await issue_token(proof, request_id=_request_id(request), ports=ports))

    @router.post(
        "/staff-sessions",
        dependencies=[Depends(open_to_all("whoever is staff proves it in the request"))],
    )
    async def staff_session(request: Request, body: StaffSessionBody) -> AccessTokenAnswer:
        typed = SignIn(
            username=body.username,
            password=SecretText(body.password.get_secret_value()),
            totp=SecretText(body.totp.get_secret_value()),
            request_id=_request_id(request),
        )
        visitor = web_visitor(request)
        return _answer(await sign_in(typed, visitor, throttles=throttles, ports=ports))

    @router.get("/keys", dependencies=[Depends(open_to_all("public keys are public"))])
    async def keys() -> JwkSet:
        return await _published(PLATFORM, ports=ports)

    @router.get(
        "/tenants/{tenant}/receipt-keys",
        dependencies=[Depends(open_to_all("a receipt is checked by whoever holds it"))],
    )
    async def receipt_keys(tenant: Annotated[Id, Path()]) -> JwkSet:
        return await _published(tenant, ports=ports)

    return router


async def _proof(request: Request) -> Assertion | ClientSecret:
    """How the client proves itself, if it does in a way we know. Raises TokenRequestUnclear."""
    # The app's body limit bounds what is joined here.
    body = b"".join([chunk async for chunk in request.stream()])
    fields = _form(body, request.headers.get("content-type", ""))
    if fields.get("grant_type") != "client_credentials":
        raise TokenRequestUnclear("unsupported_grant_type")
    header = request.headers.get("authorization", "")
    if "client_assertion" in fields:
        # Two proofs at once are none: which one would count?
        if header or fields.get("client_assertion_type") != TYPE:
            raise TokenRequestUnclear
        return read_assertion(fields["client_assertion"])
    return _basic(header)


def _form(body: bytes, content_type: str) -> dict[str, str]:
    if content_type.partition(";")[0].strip().lower() != FORM:
        raise TokenRequestUnclear
    try:
        pairs = parse_qsl(body.decode("ascii"), max_num_fields=FORM_FIELDS_MAX)
    except ValueError:
        raise TokenRequestUnclear from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise TokenRequestUnclear
    return fields


def _basic(header: str) -> ClientSecret:
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "basic":
        raise NotRecognised
    try:
        decoded = base64.b64decode(credentials, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise NotRecognised from None
    # RFC 6749, 2.3.1: both parts are form-encoded before they are joined.
    client_id, _, secret = decoded.partition(":")
    return ClientSecret(unquote_plus(client_id), SecretText(unquote_plus(secret)))


async def _published(tenant: str, *, ports: Ports) -> JwkSet:
    try:
        keys = await published_keys(tenant, ports=ports)
    except NotFound:
        # A tenant that is no more leaves these, so that what it signed can be checked.
        keys = await receipt_keys_of(tenant, ports=ports)
    return JwkSet(keys=[public_jwk(kid, public) for kid, public in keys])


def _answer(token: AccessToken) -> AccessTokenAnswer:
    return AccessTokenAnswer(access_token=token.text, expires_in=token.expires_in_s)


def _request_id(request: Request) -> str:
    found: str = request.state.request_id
    return found
