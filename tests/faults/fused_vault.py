"""A vault that kills itself: all services in one process, with a fuse in every port.

`python -m tests.faults.fused_vault` loads everything once. Then it forks a process for each job
(a line of JSON on standard input), and answers with what that process told and how it ended.
The process is really gone then; what it left on disk is all there is.
"""

import asyncio
import gc
import json
import os
import signal
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog
from tests.faults.fittings import ACTING, Clock, Fuse, die, fitted
from tests.faults.people import Company, opened
from tests.faults.scenes import SCENES
from tests.services.auth.quick_pins import quick_pool

from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.embedded import Vault, embedded
from voicefile.cli.place import Place
from voicefile.ingest.media.decoder import Decoders
from voicefile.portal.pages import Pages
from voicefile.portal.settings import PortalSettings

JOB_S_MAX = 90
DEPLOYMENT = "faults"


@dataclass
class Stage:
    """What a scene plays on."""

    place: Place
    vault: Vault
    stores: dict
    clock: Clock
    fuse: Fuse
    tell: object

    @property
    def ports(self):
        return self.vault.services["/auth"].public.state.ports

    @property
    def known(self):
        """Who and what there was before, in clear, beside the vault's own folder."""
        return self.place.data.with_suffix(".json")

    def remembered(self):
        known = json.loads(self.known.read_text())
        known["companies"] = [Company(**each) for each in known["companies"]]
        return known

    def remember(self, **facts):
        facts["companies"] = [asdict(each) for each in facts["companies"]]
        self.known.write_text(json.dumps(facts))

    async def open_companies(self, *names):
        return [await opened(self.ports, name) for name in names]

    async def act(self, work):
        """From here to its end, and not before, the fuse is live."""
        self.fuse.live = True
        ACTING.set(True)
        try:
            return await work
        finally:
            ACTING.set(False)
            self.fuse.live = False

    def kill(self):
        """The end of a scene that nobody could end in an orderly way."""
        self.tell("steps", steps=self.fuse.steps)
        die()


async def play(job, tell):
    clock, stores = Clock(job.get("ahead_s", 0)), {}
    fuse = Fuse(job.get("at"), acting=job.get("acting", True), reads=job.get("reads", False))
    place = Place(Path(job["data"]))
    settings = DeploymentSettings(data_dir=place.data, deployment=DEPLOYMENT)

    def fail(error):
        tell("failed", error=type(error).__name__)
        os._exit(70)

    fuse.live = job.get("from_the_start", False)
    with place.held():
        async with embedded(
            settings,
            place,
            on_failure=fail,
            fittings=fitted(fuse, clock, tell, stores),
            # Most scenes store nothing, and each is a process of its own, hundreds of them.
            decoders=Decoders(on_demand=True),
            pins=quick_pool(),
        ) as vault:
            stage = Stage(place, vault, stores, clock, fuse, tell)
            await SCENES[job["scene"]](stage, **job.get("args", {}))
    tell("steps", steps=fuse.steps)


def innermost(error):
    """What went wrong, out of the groups of everything that ended because of it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def child(job, out):
    def tell(kind, **facts):
        # One write, no buffer: what was told is told, whatever happens next.
        os.write(out, json.dumps({"kind": kind, **facts}).encode() + b"\n")

    signal.alarm(JOB_S_MAX)
    structlog.configure(processors=[structlog.dev.ConsoleRenderer()])
    try:
        asyncio.run(play(job, tell))
    except BaseException as error:  # noqa: BLE001 - the process's edge: its parent hears of it
        tell("error", text="".join(traceback.format_exception(innermost(error))[-8:]))
        os._exit(1)
    os._exit(0)


def run(job):
    mine, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(mine)
        quiet = os.open(job["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        child(job, theirs)
    os.close(theirs)
    with os.fdopen(mine, encoding="utf-8") as lines:
        told = [json.loads(line) for line in lines]
    _, status = os.waitpid(pid, 0)
    return {"exit": os.waitstatus_to_exitcode(status), "told": told}


def main():
    Pages.load(PortalSettings())
    # What is collected is touched, and what is touched is copied.
    gc.collect()
    gc.freeze()
    answers = os.dup(1)
    os.dup2(2, 1)
    for line in sys.stdin:
        os.write(answers, json.dumps(run(json.loads(line))).encode() + b"\n")


if __name__ == "__main__":
    main()
