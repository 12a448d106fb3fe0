"""Playback by itself: its documents, the blob store, the bus, and auth to take releases from."""

import asyncio
from collections.abc import Mapping
from typing import Final

from voicefile.chassis.service import Service
from voicefile.cli.apart.engines import Engines
from voicefile.cli.engine_settings import read
from voicefile.cli.store_plan import StorePlan
from voicefile.dumps.settings import DumpSettings
from voicefile.playback import app
from voicefile.playback.settings import PlaybackSettings
from voicefile.playback.telephone.prompts import Prompts

PLAN: Final = StorePlan(app.COLLECTIONS, app.STEPS)
REFUSED: Final[Mapping[type[Exception], str]] = {}


async def build(engines: Engines) -> Service:
    """Playback over what `engines` opens."""
    settings = read(PlaybackSettings)
    folder = settings.telephone_prompts
    prompts = None if folder is None else await asyncio.to_thread(Prompts.load, folder)
    docs = await engines.documents(PLAN)
    leadership = engines.leadership(docs)
    return app.build(
        settings,
        deployment=engines.deployment,
        blobs=await engines.blobs(),
        docs=docs,
        bus=engines.bus(docs),
        client=engines.calls(),
        tokens=engines.tokens(),
        on_failure=engines.on_failure,
        dumping=read(DumpSettings),
        prompts=prompts,
        leadership=leadership,
    )
