"""Ingest by itself: its documents, the blob store, the bus, and auth to issue access."""

from collections.abc import Mapping
from typing import Final

from voicefile.chassis.service import Service
from voicefile.cli.apart.engines import Engines
from voicefile.cli.engine_settings import read
from voicefile.cli.store_plan import StorePlan
from voicefile.dumps.settings import DumpSettings
from voicefile.ingest import app
from voicefile.ingest.settings import IngestSettings

PLAN: Final = StorePlan(app.COLLECTIONS, app.STEPS)
REFUSED: Final[Mapping[type[Exception], str]] = {}


async def build(engines: Engines) -> Service:
    """Ingest over what `engines` opens."""
    docs = await engines.documents(PLAN)
    leadership = engines.leadership(docs)
    return app.build(
        read(IngestSettings),
        deployment=engines.deployment,
        blobs=await engines.blobs(),
        docs=docs,
        bus=engines.bus(docs),
        client=engines.calls(),
        tokens=engines.tokens(),
        on_failure=engines.on_failure,
        dumping=read(DumpSettings),
        leadership=leadership,
    )
