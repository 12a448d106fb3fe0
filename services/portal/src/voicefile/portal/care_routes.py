"""The care agent's pages: sign in, search with a purpose, play and download with that purpose."""

from typing import Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from voicefile.identity.guard import open_to_all
from voicefile.portal import cookies, vault
from voicefile.portal.customer_routes import SEE_OTHER, keep_device, stream, visitor_of
from voicefile.portal.forms import check_csrf, read_form
from voicefile.portal.pages import Pages
from voicefile.portal.player import only, player_page
from voicefile.portal.staff import ADMIN, AUDITOR, staff_of
from voicefile.portal.vault import Vault

PURPOSES: Final = ("customer-request", "complaint", "dispute", "quality", "legal", "authority")
FIELDS: Final = ("contract_reference", "customer_number", "phone", "email")
_SHOWN: Final[dict[type[vault.VaultError], tuple[str, int]]] = {
    vault.Refused: ("care_refused", 401),
    vault.TooMany: ("too_many", 429),
    vault.Unavailable: ("unavailable", 503),
}

anybody = Depends(open_to_all("pages check the agent's token with auth and playback themselves"))
router = APIRouter(prefix="/care", dependencies=[anybody])


@router.get("")
async def start(request: Request) -> Response:
    pages: Pages = request.app.state.pages
    token = cookies.read(request, cookies.CARE)
    if token:
        role = staff_of(token).role
        if role in (ADMIN, AUDITOR):
            return pages.page(request, "care_home.html", area="care", session=token, role=role)
        return _search_page(request)
    notices = {"out": "signed_out", "over": "session_over"}
    notice = notices.get(request.query_params.get("session", ""), "")
    return pages.page(request, "care_sign_in.html", area="care", notice=notice)


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    pages: Pages = request.app.state.pages
    form = await read_form(request, bytes_max=pages.settings.form_bytes_max)
    known: Vault = request.app.state.vault
    try:
        token = await known.care_sign_in(
            form.get("username", ""),
            form.get("password", ""),
            form.get("totp", "").strip(),
            visitor=visitor_of(request),
        )
    except tuple(_SHOWN) as refusal:
        error, status = _SHOWN[type(refusal)]
        return pages.page(request, "care_sign_in.html", area="care", status=status, error=error)
    response = RedirectResponse(f"{pages.settings.root}/care", SEE_OTHER)
    cookies.keep(response, cookies.CARE, token)
    keep_device(request, response)
    return response


@router.post("/search")
async def search(request: Request) -> Response:
    pages: Pages = request.app.state.pages
    known: Vault = request.app.state.vault
    token = cookies.read(request, cookies.CARE)
    # What is searched for names a person: it comes in a body, and no page address repeats it.
    form = await read_form(request, bytes_max=pages.settings.form_bytes_max)
    check_csrf(form, token)
    field, purpose = form.get("field", ""), form.get("purpose", "")
    if field not in FIELDS or purpose not in PURPOSES:
        return _search_page(request, error="purpose_missing", status=422)
    try:
        found = await known.search(token, field, form.get("value", "").strip(), purpose=purpose)
    except vault.Refused:
        found = []  # nothing was typed, or more than any such value has
    results = [
        {
            "credential": each["credential_id"],
            "name": each["customer"].get("name", ""),
            "recordings": [pages.shown(one, request) for one in each["recordings"]],
        }
        for each in found
    ]
    return _search_page(request, field=field, purpose=purpose, results=results)


def _search_page(
    request: Request,
    *,
    field: str = FIELDS[0],
    purpose: str = "",
    results: list[dict[str, object]] | None = None,
    error: str = "",
    status: int = 200,
) -> Response:
    pages: Pages = request.app.state.pages
    return pages.page(
        request,
        "care_search.html",
        area="care",
        session=cookies.read(request, cookies.CARE),
        fields=FIELDS,
        purposes=PURPOSES,
        field=field,
        purpose=purpose,
        results=results,
        error=error,
        status=status,
    )


@router.get("/recordings/{recording_id}")
async def player(
    request: Request,
    recording_id: str,
    credential: str,
    purpose: str,
    rendition: str = "original",
) -> Response:
    pages: Pages = request.app.state.pages
    known: Vault = request.app.state.vault
    token = cookies.read(request, cookies.CARE)
    if purpose not in PURPOSES:
        raise vault.NotThere
    found = await known.recordings(token, purpose=purpose, credential=credential)
    return player_page(
        request,
        only(found, recording_id),
        area="care",
        session=token,
        place=f"{pages.settings.root}/care/recordings",
        rendition=rendition,
        purpose=purpose,
        credential=credential,
    )


@router.get("/recordings/{recording_id}/evidence")
async def evidence(request: Request, recording_id: str, purpose: str) -> Response:
    return await sound(request, recording_id, "evidence", purpose)


@router.get("/recordings/{recording_id}/{part}")
async def sound(request: Request, recording_id: str, part: str, purpose: str) -> Response:
    known: Vault = request.app.state.vault
    token = cookies.read(request, cookies.CARE)
    if purpose not in PURPOSES:
        raise vault.NotThere
    return await stream(request, known, recording_id, part, token=token, purpose=purpose)


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    pages: Pages = request.app.state.pages
    form = await read_form(request, bytes_max=pages.settings.form_bytes_max)
    check_csrf(form, cookies.read(request, cookies.CARE))
    response = RedirectResponse(f"{pages.settings.root}/care?session=out", SEE_OTHER)
    cookies.forget(response, cookies.CARE)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response
