"""Renders pages: one template, one catalogue, one set of headers that forbid what isn't needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from voicefile.portal import cookies
from voicefile.portal.forms import csrf_of
from voicefile.portal.languages import LANGUAGES, Catalogue, catalogues, preferred
from voicefile.portal.settings import PortalSettings

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


@cache
def _environment() -> Environment:
    """All templates, compiled once in a process."""
    environment = Environment(
        loader=FileSystemLoader(str(files("voicefile.portal") / "templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in environment.list_templates():
        environment.get_template(name)
    return environment


@dataclass(frozen=True)
class Pages:
    """Everything needed to answer with a page."""

    environment: Environment
    catalogues: Mapping[str, Catalogue]
    settings: PortalSettings

    @classmethod
    def load(cls, settings: PortalSettings) -> "Pages":
        """Reads templates and texts once, so that a broken one fails the start, not a visitor."""
        return cls(_environment(), catalogues(), settings)

    def language(self, request: Request) -> str:
        """The visitor's choice, else what the browser prefers."""
        chosen = cookies.read(request, cookies.LANGUAGE)
        if chosen in LANGUAGES:
            return chosen
        header = request.headers.get("accept-language", "")
        return preferred(header, default=self.settings.default_language)

    def page(
        self,
        request: Request,
        template: str,
        *,
        area: str = "customer",
        status: int = 200,
        session: str = "",
        **values: Any,
    ) -> Response:
        """A page in the visitor's language; `session` adds the sign-out button and its token."""
        language = self.language(request)
        other = next(each for each in LANGUAGES if each != language)
        root = self.settings.root
        html = self.environment.get_template(template).render(
            t=self.catalogues[language].texts,
            lang=language,
            other_language=other,
            other_language_name=self.catalogues[other].texts["language_name"],
            root=root,
            home=f"{root}/care" if area == "care" else f"{root}/",
            area=area,
            csrf=csrf_of(session) if session else "",
            **{"error": "", "notice": "", **values},
        )
        return HTMLResponse(
            html, status_code=status, headers={"Content-Security-Policy": CONTENT_SECURITY_POLICY}
        )

    def texts(self, request: Request) -> Mapping[str, str]:
        """The words of the visitor's language."""
        return self.catalogues[self.language(request)].texts

    def shown(self, recording: Mapping[str, Any], request: Request) -> dict[str, Any]:
        """One recording as the templates show it: dates and lengths in the visitor's way."""
        language = self.language(request)
        state = recording["state"]
        hearable = state in ("playable", "held")
        return {
            "id": recording["recording_id"],
            "title": recording.get("contract_kind", ""),
            "contract_reference": recording.get("contract_reference", ""),
            "recorded_at": moment(recording.get("recorded_at", ""), language),
            "duration": _length(int(recording.get("duration_ms", 0))),
            "delete_on": day(recording.get("delete_on", ""), language),
            "state": state,
            "heard": bool(recording.get("heard", hearable)),
            "objected": bool(recording.get("objected", False)),
            "needs_question": hearable and not recording.get("heard", hearable),
        }

    def heard(self, hearing: Mapping[str, Any], request: Request) -> dict[str, str]:
        """One hearing as the template shows it, in words of the catalogue where it has them."""
        language = self.language(request)
        texts = self.catalogues[language].texts
        role, purpose = hearing["role"], hearing["purpose"]
        at = datetime.fromtimestamp(int(hearing["at_ms"]) / 1000, tz=UTC)
        return {
            "at": f"{moment(at.isoformat(), language)} (UTC)",
            "who": texts.get(f"heard_{role}", texts["heard_other"]),
            "purpose": texts.get(f"purpose_{purpose}", "–"),
            "how": texts["heard_downloaded" if hearing["downloaded"] else "heard_listened"],
        }


def _length(milliseconds: int) -> str:
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    return f"{minutes}:{seconds:02d}"


def moment(written: str, language: str) -> str:
    """A time as its readers write it; a dash for none."""
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        return "–"
    return at.strftime("%d.%m.%Y, %H:%M Uhr" if language == "de" else "%d %B %Y, %H:%M")


def day(written: str, language: str) -> str:
    """A day as its readers write it; a dash for none."""
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        return "–"
    return at.strftime("%d.%m.%Y" if language == "de" else "%d %B %Y")
