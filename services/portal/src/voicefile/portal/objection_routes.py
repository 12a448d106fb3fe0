"""Settling "this is not my contract": who looked into it says why, and that it is done."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from voicefile.portal import cookies, kept_words
from voicefile.portal.care_routes import PURPOSES, anybody
from voicefile.portal.customer_routes import SEE_OTHER
from voicefile.portal.forms import check_csrf, read_form
from voicefile.portal.keeping import Keeping
from voicefile.portal.pages import Pages
from voicefile.portal.staff import ADMIN, CARE, staff_with
from voicefile.portal.vault import NotThere, StandsAgainst

LOOKING: Final = "dispute"
"""For what an objection is looked into, where nobody said so before."""

router = APIRouter(prefix="/care/recordings/{recording_id}/objection", dependencies=[anybody])


@router.get("")
async def shown(request: Request, recording_id: str, purpose: str = LOOKING) -> Response:
    staff_with(cookies.read(request, cookies.CARE), CARE, ADMIN)
    if purpose not in PURPOSES:
        raise NotThere
    settled = "settled" if request.query_params.get("settled") else ""
    return await _page(request, recording_id, purpose=purpose, notice=settled)


@router.post("")
async def settle(request: Request, recording_id: str) -> Response:
    pages: Pages = request.app.state.pages
    keeping: Keeping = request.app.state.keeping
    token = cookies.read(request, cookies.CARE)
    form = await read_form(request, bytes_max=pages.settings.form_bytes_max)
    check_csrf(form, token)
    staff_with(token, CARE, ADMIN)
    reason = form.get("reason", "")
    if reason not in PURPOSES:
        return await _page(request, recording_id, error="reason_missing", status=422)
    if form.get("sure") != "yes":
        return await _page(request, recording_id, reason=reason, error="not_sure", status=422)
    try:
        await keeping.settle(token, recording_id, purpose=reason)
    except StandsAgainst as against:
        error = f"against_{against.slug}"
        return await _page(request, recording_id, reason=reason, error=error, status=409)
    place = f"{pages.settings.root}/care/recordings/{recording_id}/objection"
    return RedirectResponse(f"{place}?purpose={reason}&settled=yes", SEE_OTHER)


async def _page(
    request: Request,
    recording_id: str,
    *,
    purpose: str = LOOKING,
    reason: str = "",
    notice: str = "",
    error: str = "",
    status: int = 200,
) -> Response:
    pages: Pages = request.app.state.pages
    keeping: Keeping = request.app.state.keeping
    token = cookies.read(request, cookies.CARE)
    found = await keeping.objection(token, recording_id, purpose=purpose)
    words = kept_words.objection(found, pages.texts(request), pages.language(request))
    return pages.page(
        request,
        "objection.html",
        area="care",
        session=token,
        r=words,
        reasons=PURPOSES,
        reason=reason,
        # What stood in the way of nothing is not settled.
        notice=notice if notice and not found["objected"] else "",
        error=error,
        status=status,
    )
