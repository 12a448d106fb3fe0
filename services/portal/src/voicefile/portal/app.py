"""The portal: pages for customers and care, and nothing of its own but a cookie.

It is a client of the other services like any other; what it may do is what its visitor may do.
"""

from collections.abc import Awaitable, Callable
from importlib.resources import files

import httpx
from fastapi import Depends, FastAPI, Request
from starlette.responses import FileResponse, RedirectResponse, Response

from voicefile.chassis.limits import BodyLimit
from voicefile.chassis.service import Service, new_app, serve_routes
from voicefile.identity.guard import open_to_all
from voicefile.portal import (
    care_routes,
    cookies,
    customer_routes,
    erasure_routes,
    objection_routes,
    rules_routes,
    vault,
)
from voicefile.portal.customer_routes import SEE_OTHER
from voicefile.portal.forms import FormRefused
from voicefile.portal.keeping import Keeping
from voicefile.portal.pages import Pages
from voicefile.portal.settings import PortalSettings
from voicefile.portal.vault import Vault

Handler = Callable[[Request, Exception], Awaitable[Response]]
_STATIC = {
    "portal.css": "text/css",
    "waveform.js": "text/javascript",
    "mark.svg": "image/svg+xml",
}


def build(settings: PortalSettings, *, client: httpx.AsyncClient) -> Service:
    """`client` reaches the public doors of auth and playback, as the peer `portal`."""
    app = new_app(
        "voiceFileServer portal",
        body=BodyLimit(bytes_max=settings.form_bytes_max),
        openapi_path=None,
    )
    app.state.pages = Pages.load(settings)
    app.state.vault = Vault(client, timeout_s=settings.answer_timeout_s)
    app.state.keeping = Keeping(app.state.vault)
    serve_routes(
        app,
        customer_routes.router,
        # Before those of care: a recording's objection is not a part of its sound.
        objection_routes.router,
        rules_routes.router,
        erasure_routes.router,
        care_routes.router,
    )
    _serve_static(app)
    _show_refusals(app)
    return Service(name="portal", public=app)


def _serve_static(app: FastAPI) -> None:
    folder = files("voicefile.portal") / "static"

    @app.get(
        "/static/{name}",
        dependencies=[Depends(open_to_all("style and script hold nothing of anybody"))],
    )
    async def static(name: str) -> Response:
        if name not in _STATIC:
            raise vault.NotThere
        headers = {"Cache-Control": "public, max-age=300"}
        return FileResponse(str(folder / name), media_type=_STATIC[name], headers=headers)


def _show_refusals(app: FastAPI) -> None:
    async def over(request: Request, _refusal: Exception) -> Response:
        pages: Pages = request.app.state.pages
        care = request.url.path.removeprefix(pages.settings.root).startswith("/care")
        place, cookie = ("/care", cookies.CARE) if care else ("/", cookies.CUSTOMER)
        response = RedirectResponse(f"{pages.settings.root}{place}?session=over", SEE_OTHER)
        cookies.forget(response, cookie)
        return response

    def message(heading: str, text: str, status: int) -> Handler:
        async def show(request: Request, _refusal: Exception) -> Response:
            pages: Pages = request.app.state.pages
            return pages.page(request, "message.html", heading=heading, message=text, status=status)

        return show

    app.add_exception_handler(vault.SessionOver, over)
    app.add_exception_handler(vault.NotThere, message("not_found_heading", "not_found", 404))
    # What no page foresees (an agent's token in a customer's cookie) shows nothing, and no error.
    app.add_exception_handler(vault.VaultError, message("not_found_heading", "not_found", 404))
    app.add_exception_handler(vault.Unavailable, message("title", "unavailable", 503))
    app.add_exception_handler(vault.ProofPending, message("title", "proof_pending", 503))
    app.add_exception_handler(vault.TooMany, message("title", "too_many", 429))
    app.add_exception_handler(FormRefused, message("title", "session_over", 400))
    app.add_exception_handler(404, message("not_found_heading", "not_found", 404))
