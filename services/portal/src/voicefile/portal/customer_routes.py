"""The customer's pages: sign in, answer the question, list, listen, take the file, sign out."""

import secrets
from contextlib import suppress
from typing import Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from voicefile.identity.guard import open_to_all
from voicefile.portal import cookies, vault
from voicefile.portal.forms import check_csrf, read_form
from voicefile.portal.pages import Pages
from voicefile.portal.player import only, player_page
from voicefile.portal.streams import passed_on
from voicefile.portal.vault import SignedIn, Vault, Visitor

SEE_OTHER: Final = 303
_SHOWN: Final[dict[type[vault.VaultError], tuple[str, int]]] = {
    vault.Refused: ("sign_in_refused", 401),
    vault.Mistyped: ("mistyped", 422),
    vault.TooMany: ("too_many", 429),
    vault.Unavailable: ("unavailable", 503),
}
_QUESTIONS: Final = frozenset({"iban_last4", "birth_date", "postcode", "digits"})

anybody = Depends(open_to_all("pages check the session cookie with auth themselves"))
router = APIRouter(dependencies=[anybody])


def visitor_of(request: Request) -> Visitor:
    """Whose browser it is, as auth's throttles know it."""
    address = request.client.host if request.client else ""
    return Visitor(address=address, device=cookies.read(request, cookies.DEVICE))


@router.get("/")
async def start(request: Request) -> Response:
    pages: Pages = request.app.state.pages
    if cookies.read(request, cookies.CUSTOMER):
        return RedirectResponse(f"{pages.settings.root}/recordings", SEE_OTHER)
    notices = {"out": "signed_out", "over": "session_over"}
    notice = notices.get(request.query_params.get("session", ""), "")
    return pages.page(request, "sign_in.html", notice=notice)


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    pages: Pages = request.app.state.pages
    form = await read_form(request, bytes_max=pages.settings.form_bytes_max)
    access_id, pin = form.get("access_id", "").strip(), form.get("pin", "").strip()
    if not access_id or not pin:
        return pages.page(request, "sign_in.html", status=422, error="missing")
    known: Vault = request.app.state.vault
    try:
        signed_in = await known.sign_in(access_id, pin, visitor=visitor_of(request))
    except tuple(_SHOWN) as refusal:
        error, status = _SHOWN[type(refusal)]
        return pages.page(request, "sign_in.html", status=status, error=error)
    if signed_in.challenge:
        return _question(request, signed_in)
    return _welcome(request, signed_in)


def _question(request: Request, signed_in: SignedIn) -> Response:
    pages: Pages = request.app.state.pages
    texts = pages.catalogues[pages.language(request)].texts
    kind = signed_in.question if signed_in.question in _QUESTIONS else "digits"
    # The partner's own words first: which digits it agreed on with the customer, only it knows.
    prompt = signed_in.prompt or texts[f"question_{kind}"]
    return pages.page(request, "question.html", challenge=signed_in.challenge, prompt=prompt)


@router.post("/answer")
async def answer(request: Request) -> Response:
    pages: Pages = request.app.state.pages
    form = await read_form(request, bytes_max=pages.settings.form_bytes_max)
    known: Vault = request.app.state.vault
    try:
        signed_in = await known.answer(
            form.get("challenge", ""), form.get("answer", "").strip(), visitor=visitor_of(request)
        )
    except vault.Refused:
        return pages.page(request, "sign_in.html", status=401, error="answer_refused")
    except tuple(_SHOWN) as refusal:
        error, status = _SHOWN[type(refusal)]
        return pages.page(request, "sign_in.html", status=status, error=error)
    return _welcome(request, signed_in)


def _welcome(request: Request, signed_in: SignedIn) -> Response:
    pages: Pages = request.app.state.pages
    response = RedirectResponse(f"{pages.settings.root}/recordings", SEE_OTHER)
    cookies.keep(response, cookies.CUSTOMER, signed_in.token)
    keep_device(request, response)
    return response


def keep_device(request: Request, response: Response) -> None:
    """A browser that once signed in keeps its own count of attempts.

    So a stranger's wrong secrets can't lock this person out. It proves nothing, opens nothing.
    """
    pages: Pages = request.app.state.pages
    device = cookies.read(request, cookies.DEVICE) or secrets.token_urlsafe(24)
    cookies.keep(response, cookies.DEVICE, device, max_age_s=pages.settings.known_device_s)


@router.get("/recordings")
async def recordings(request: Request) -> Response:
    pages: Pages = request.app.state.pages
    known: Vault = request.app.state.vault
    session = cookies.read(request, cookies.CUSTOMER)
    found = await known.recordings(session)
    shown = [pages.shown(each, request) for each in found]
    return pages.page(request, "recordings.html", session=session, recordings=shown)


@router.get("/recordings/{recording_id}")
async def player(request: Request, recording_id: str, rendition: str = "original") -> Response:
    pages: Pages = request.app.state.pages
    known: Vault = request.app.state.vault
    session = cookies.read(request, cookies.CUSTOMER)
    one = only(await known.recordings(session), recording_id)
    return player_page(
        request,
        one,
        area="customer",
        session=session,
        place=f"{pages.settings.root}/recordings",
        rendition=rendition,
    )


@router.get("/recordings/{recording_id}/heard")
async def heard(request: Request, recording_id: str, after: str = "") -> Response:
    pages: Pages = request.app.state.pages
    known: Vault = request.app.state.vault
    session = cookies.read(request, cookies.CUSTOMER)
    if not recording_id.isalnum():
        raise vault.NotThere
    found = await known.hearings(session, recording_id, cursor=after)
    return pages.page(
        request,
        "heard.html",
        session=session,
        recording=recording_id,
        hearings=[pages.heard(each, request) for each in found["hearings"]],
        following=found["cursor"],
    )


@router.get("/recordings/{recording_id}/evidence")
async def evidence(request: Request, recording_id: str) -> Response:
    known: Vault = request.app.state.vault
    session = cookies.read(request, cookies.CUSTOMER)
    return await stream(request, known, recording_id, "evidence", token=session, purpose="")


@router.get("/recordings/{recording_id}/{part}")
async def sound(request: Request, recording_id: str, part: str) -> Response:
    known: Vault = request.app.state.vault
    session = cookies.read(request, cookies.CUSTOMER)
    return await stream(request, known, recording_id, part, token=session, purpose="")


async def stream(
    request: Request, known: Vault, recording_id: str, part: str, *, token: str, purpose: str
) -> Response:
    """Audio, peaks or evidence from playback, passed on as it comes."""
    if part not in ("audio", "peaks", "evidence") or not recording_id.isalnum():
        raise vault.NotThere
    query = {
        name: value
        for name, value in request.query_params.items()
        if name in ("rendition", "download")
    }
    asked = request.headers.get("range", "")
    answer = await known.open_stream(
        f"/playback/v1/recordings/{recording_id}/{part}",
        token,
        purpose=purpose,
        # No range has such signs; a header with them could not be sent on.
        range_header=asked if asked.isascii() else "",
        query=query,
    )
    return passed_on(answer)


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    pages: Pages = request.app.state.pages
    known: Vault = request.app.state.vault
    session = cookies.read(request, cookies.CUSTOMER)
    form = await read_form(request, bytes_max=pages.settings.form_bytes_max)
    check_csrf(form, session)
    # Over already is what was asked for.
    with suppress(vault.SessionOver):
        await known.sign_out(session)
    response = RedirectResponse(f"{pages.settings.root}/?session=out", SEE_OTHER)
    cookies.forget(response, cookies.CUSTOMER)
    # Only the cache: the cookie of the known browser is to stay.
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@router.post("/language")
async def language(request: Request) -> Response:
    pages: Pages = request.app.state.pages
    form = await read_form(request, bytes_max=pages.settings.form_bytes_max)
    place = "/care" if form.get("area") == "care" else "/"
    response = RedirectResponse(pages.settings.root + place, SEE_OTHER)
    if form.get("language") in pages.catalogues:
        lifetime_s = pages.settings.known_device_s
        cookies.keep(response, cookies.LANGUAGE, form["language"], max_age_s=lifetime_s)
    return response
