"""Auth by itself: its documents, its root key, the bus, and audit to ask."""

from collections.abc import Mapping
from typing import Final

from voicefile.auth import app
from voicefile.auth.settings import AuthSettings
from voicefile.auth.tenants.open_tenant import WrongDeployment
from voicefile.chassis.service import Service
from voicefile.cli.apart.engines import Engines
from voicefile.cli.apart.refusals import ANOTHER_DEPLOYMENT
from voicefile.cli.engine_settings import read
from voicefile.cli.store_plan import StorePlan
from voicefile.dumps.settings import DumpSettings

PLAN: Final = StorePlan(app.COLLECTIONS, app.STEPS)
REFUSED: Final[Mapping[type[Exception], str]] = {WrongDeployment: ANOTHER_DEPLOYMENT}


async def build(engines: Engines) -> Service:
    """Auth over what `engines` opens."""
    docs = await engines.documents(PLAN)
    leadership = engines.leadership(docs)
    return app.build(
        read(AuthSettings),
        deployment=engines.deployment,
        docs=docs,
        bus=engines.bus(docs),
        root=await engines.root(),
        client=engines.calls(),
        on_failure=engines.on_failure,
        dumping=read(DumpSettings),
        leadership=leadership,
    )
