"""The player's page: the same for a customer and for a care agent, at different addresses."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from voicefile.portal import vault
from voicefile.portal.pages import Pages


def only(found: list[dict[str, Any]], recording_id: str) -> dict[str, Any]:
    """The one to be played out of those that may be heard. Raises NotThere."""
    one = next((each for each in found if each["recording_id"] == recording_id), None)
    if one is None or not one["heard"]:
        raise vault.NotThere
    return one


def player_page(
    request: Request,
    recording: Mapping[str, Any],
    *,
    area: str,
    session: str,
    place: str,
    rendition: str,
    purpose: str = "",
    credential: str = "",
) -> Response:
    """`place`: where the area's recordings are; the links repeat purpose and credential."""
    pages: Pages = request.app.state.pages
    telephone = rendition == "telephone"
    chosen, other = ("telephone", "original") if telephone else ("original", "telephone")
    here = f"{place}/{recording['recording_id']}"
    why = {"purpose": purpose} if purpose else {}
    whose = {"credential": credential} if credential else {}

    def link(path: str, **query: str) -> str:
        return f"{here}{path}?{urlencode({**query, **why})}"

    return pages.page(
        request,
        "player.html",
        area=area,
        session=session,
        r=pages.shown(recording, request),
        rendition=chosen,
        purpose=purpose,
        back=f"{pages.settings.root}/care" if area == "care" else place,
        audio_url=link("/audio", rendition=chosen),
        peaks_url=link("/peaks"),
        download_url=link("/audio", rendition="original", download="true"),
        evidence_url=link("/evidence"),
        heard_url=f"{here}/heard",
        other_rendition_url=link("", rendition=other, **whose),
    )
