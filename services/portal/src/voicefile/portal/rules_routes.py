"""Trying out other retention rules: what they would erase and when, before anybody decides."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from voicefile.portal import cookies, kept_words, vault
from voicefile.portal.care_routes import anybody
from voicefile.portal.forms import check_csrf, read_form
from voicefile.portal.keeping import Keeping
from voicefile.portal.pages import Pages
from voicefile.portal.staff import ADMIN, staff_with

FIELDS_MAX: Final = 60
"""A scope has fifty retention classes at most, and each has a field."""
_DAYS: Final = "days."

router = APIRouter(prefix="/care/erasures/rules", dependencies=[anybody])


@router.get("")
async def shown(request: Request, scope: str = "") -> Response:
    staff_with(cookies.read(request, cookies.CARE), ADMIN)
    return await _page(request, scope)


@router.post("")
async def tried_out(request: Request) -> Response:
    pages: Pages = request.app.state.pages
    keeping: Keeping = request.app.state.keeping
    token = cookies.read(request, cookies.CARE)
    bytes_max = pages.settings.form_bytes_max
    form = await read_form(request, bytes_max=bytes_max, fields_max=FIELDS_MAX)
    check_csrf(form, token)
    staff_with(token, ADMIN)
    scope = form.get("scope", "")
    try:
        days = {
            name.removeprefix(_DAYS): int(value)
            for name, value in form.items()
            if name.startswith(_DAYS)
        }
    except ValueError:
        return await _page(request, scope, error="days_wrong", status=422)
    policies = await keeping.rules(token)
    try:
        moved = await keeping.preview(token, _wanted(_chosen(policies, scope), days))
    except vault.Refused:
        return await _page(request, scope, error="days_wrong", status=422)
    return await _page(request, scope, policies=policies, days=days, moved=moved)


def _wanted(policy: Mapping[str, Any], days: Mapping[str, int]) -> dict[str, object]:
    rules: dict[str, object] = {"retention_days": days}
    if not policy["department"]:
        # What the law wants stands in the same rules: left out, it would be tried out as gone.
        rules["retention_days_min"] = policy["retention_days_min"]
    scope = {name: policy[name] for name in ("department", "project") if policy[name]}
    return {"rules": rules, **scope}


def _chosen(policies: list[dict[str, Any]], scope: str) -> dict[str, Any]:
    found = next((each for each in policies if _name(each) == scope), None)
    if found is None:
        raise vault.NotThere
    return found


def _name(policy: Mapping[str, Any]) -> str:
    return "/".join(filter(None, (policy["department"], policy["project"])))


async def _page(
    request: Request,
    scope: str,
    *,
    policies: list[dict[str, Any]] | None = None,
    days: Mapping[str, int] | None = None,
    moved: Mapping[str, Any] | None = None,
    error: str = "",
    status: int = 200,
) -> Response:
    pages: Pages = request.app.state.pages
    keeping: Keeping = request.app.state.keeping
    token = cookies.read(request, cookies.CARE)
    known = policies or await keeping.rules(token)
    policy = _chosen(known, scope)
    return pages.page(
        request,
        "rules.html",
        area="care",
        session=token,
        role=ADMIN,
        scope=scope,
        scopes=[_name(each) for each in known],
        now=policy["retention_days"],
        least=policy["retention_days_min"],
        days={**policy["retention_days"], **(days or {})},
        moved=moved,
        rows=kept_words.moved(moved, pages.language(request)) if moved else [],
        error=error,
        status=status,
    )
