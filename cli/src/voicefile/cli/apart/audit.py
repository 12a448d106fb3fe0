"""Audit by itself: its documents, its own root key, the bus it hears, and auth's public keys."""

from collections.abc import Mapping
from typing import Final

from voicefile.audit import app
from voicefile.audit.settings import AuditSettings
from voicefile.chassis.service import Service
from voicefile.cli.apart.engines import Engines
from voicefile.cli.engine_settings import read
from voicefile.cli.store_plan import StorePlan
from voicefile.dumps.settings import DumpSettings

PLAN: Final = StorePlan(app.COLLECTIONS, app.STEPS)
REFUSED: Final[Mapping[type[Exception], str]] = {}


async def build(engines: Engines) -> Service:
    """Audit over what `engines` opens."""
    docs = await engines.documents(PLAN)
    leadership = engines.leadership(docs)
    return app.build(
        read(AuditSettings),
        deployment=engines.deployment,
        docs=docs,
        bus=engines.bus(docs, consuming=leadership),
        root=await engines.root(),
        tokens=engines.tokens(),
        on_failure=engines.on_failure,
        dumping=read(DumpSettings),
        leadership=leadership,
    )
