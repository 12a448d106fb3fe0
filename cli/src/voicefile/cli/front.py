"""The public port: services by the first part of the path; the portal for who types the host."""

from collections.abc import Mapping
from typing import Final

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from voicefile.chassis.edge import Edge
from voicefile.chassis.inprocess import MountRouter

PORTAL: Final = "/portal"


class Front:
    """The public doors of one service or of all; nothing internal is here."""

    def __init__(self, apps: Mapping[str, ASGIApp]) -> None:
        self._apps = MountRouter(apps)
        self._has_portal = PORTAL in apps
        # An edge of its own, as every other door has: its headers hold for the whole host.
        self._home = Edge(RedirectResponse(f"{PORTAL}/"), name="front")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._has_portal and scope["type"] == "http" and scope["path"] == "/":
            await self._home(scope, receive, send)
            return
        await self._apps(scope, receive, send)
