"""The portal by itself: a client of auth and playback that keeps nothing."""

from collections.abc import Mapping
from typing import Final

from voicefile.chassis.service import Service
from voicefile.cli.apart.engines import Engines
from voicefile.cli.engine_settings import read
from voicefile.portal import app
from voicefile.portal.settings import PortalSettings

REFUSED: Final[Mapping[type[Exception], str]] = {}


async def build(engines: Engines) -> Service:
    """The portal over the other services' addresses."""
    return app.build(read(PortalSettings), client=engines.calls())
