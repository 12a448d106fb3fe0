"""Erasing, for administrators and auditors: what waits, what goes when, what is held, what went."""

from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from voicefile.portal import cookies, kept_words
from voicefile.portal.care_routes import anybody
from voicefile.portal.forms import check_csrf, read_form
from voicefile.portal.keeping import LISTINGS, Keeping
from voicefile.portal.pages import Pages, day
from voicefile.portal.staff import ADMIN, AUDITOR, Staff, staff_with
from voicefile.portal.vault import NotThere, StandsAgainst

SECOND_PERSON: Final = "second-person-required"

router = APIRouter(prefix="/care", dependencies=[anybody])


@router.get("/erasures")
async def waiting(request: Request) -> Response:
    staff = staff_with(cookies.read(request, cookies.CARE), ADMIN)
    return await _waiting_page(request, staff)


@router.get("/erasures/asked/{erasure_id}")
async def one(request: Request, erasure_id: str) -> Response:
    staff = staff_with(cookies.read(request, cookies.CARE), ADMIN)
    return await _asked_page(request, staff, erasure_id)


@router.post("/erasures/asked/{erasure_id}/approval")
async def approve(request: Request, erasure_id: str) -> Response:
    keeping: Keeping = request.app.state.keeping
    form, token = await _posted(request)
    staff = staff_with(token, ADMIN)
    try:
        done = await keeping.approve(token, erasure_id, typed=form.get("typed", "").strip().lower())
    except StandsAgainst as against:
        error = f"against_{against.slug}"
        status = 403 if against.slug == SECOND_PERSON else 409
        return await _asked_page(request, staff, erasure_id, error=error, status=status)
    pages: Pages = request.app.state.pages
    delete_on = day(done["delete_on"] or "", pages.language(request))
    return _page(request, staff, "erasure_done.html", done=done | {"delete_on": delete_on})


@router.post("/erasures/asked/{erasure_id}/rejection")
async def reject(request: Request, erasure_id: str) -> Response:
    keeping: Keeping = request.app.state.keeping
    _, token = await _posted(request)
    staff = staff_with(token, ADMIN)
    await keeping.reject(token, erasure_id)
    return await _waiting_page(request, staff, notice="rejected")


@router.get("/erasures/{listing}")
async def listed(request: Request, listing: str, after: str = "") -> Response:
    pages: Pages = request.app.state.pages
    keeping: Keeping = request.app.state.keeping
    token = cookies.read(request, cookies.CARE)
    staff = staff_with(token, ADMIN, AUDITOR)
    if listing not in LISTINGS:
        raise NotThere
    found = await keeping.listed(token, listing, cursor=after)
    texts, language = pages.texts(request), pages.language(request)
    return _page(
        request,
        staff,
        "kept.html",
        listing=listing,
        recordings=[kept_words.kept(each, texts, language) for each in found["recordings"]],
        following=found["cursor"],
    )


@router.get("/certificates/{recording_id}")
async def certificate(request: Request, recording_id: str) -> Response:
    """The certificate as a file, exactly as it was signed."""
    keeping: Keeping = request.app.state.keeping
    token = cookies.read(request, cookies.CARE)
    staff_with(token, ADMIN, AUDITOR)
    text = await keeping.certificate(token, recording_id)
    name = f"certificate-{recording_id[: kept_words.SHORT_CHARS]}.jws"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(text, media_type="application/jose", headers=headers)


async def _posted(request: Request) -> tuple[dict[str, str], str]:
    """A form of ours and the token that it was made for. Raises FormRefused."""
    pages: Pages = request.app.state.pages
    token = cookies.read(request, cookies.CARE)
    form = await read_form(request, bytes_max=pages.settings.form_bytes_max)
    check_csrf(form, token)
    return form, token


async def _waiting_page(request: Request, staff: Staff, *, notice: str = "") -> Response:
    return _page(request, staff, "erasures.html", asked=await _asked(request, staff), notice=notice)


async def _asked_page(
    request: Request, staff: Staff, erasure_id: str, *, error: str = "", status: int = 200
) -> Response:
    found = await _asked(request, staff)
    one = next((each for each in found if each["id"] == erasure_id), None)
    if one is None:
        raise NotThere
    return _page(request, staff, "erasure.html", e=one, error=error, status=status)


async def _asked(request: Request, staff: Staff) -> list[dict[str, Any]]:
    pages: Pages = request.app.state.pages
    keeping: Keeping = request.app.state.keeping
    texts, language = pages.texts(request), pages.language(request)
    return [
        kept_words.asked(each, texts, language, reader=staff.id)
        for each in await keeping.asked(cookies.read(request, cookies.CARE))
    ]


def _page(request: Request, staff: Staff, template: str, **values: Any) -> Response:
    pages: Pages = request.app.state.pages
    token = cookies.read(request, cookies.CARE)
    return pages.page(request, template, area="care", session=token, role=staff.role, **values)
