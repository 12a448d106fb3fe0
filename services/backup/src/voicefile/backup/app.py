"""Backup: sealed copies elsewhere. Builds; nothing else does.

Of instances over one store, the one that leads copies and takes backups; all of them hear.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import httpx

from voicefile.backup import metrics
from voicefile.backup.ask_services import Services
from voicefile.backup.chain import Chain
from voicefile.backup.copy_blobs import Copying
from voicefile.backup.drill import Reports
from voicefile.backup.events import AUTH_TOPIC, GROUP, INGEST_TOPIC, wrap
from voicefile.backup.hear import Ears
from voicefile.backup.orders import Orders
from voicefile.backup.repository import Repository, Room
from voicefile.backup.rounds import KEYS_LOOK_S, Rounds
from voicefile.backup.settings import BackupSettings
from voicefile.backup.signing import Signer
from voicefile.backup.store import COLLECTIONS, TOPIC
from voicefile.backup.take import Taking
from voicefile.backup.tombstones import Graveyard
from voicefile.blobstore.port import BlobStore
from voicefile.chassis.metrics import shown
from voicefile.chassis.rounds import keep_doing
from voicefile.chassis.service import Service, new_app
from voicefile.deeds.series import DeedSeries
from voicefile.docstore.lease import ALONE, Leadership, Work
from voicefile.docstore.led import led
from voicefile.docstore.migrations import Step
from voicefile.docstore.port import DocStore
from voicefile.eventbus.port import EventBus
from voicefile.eventbus.relay import Relay
from voicefile.translog.note import VerifierKey

__all__ = ["COLLECTIONS", "STEPS", "build"]

STEPS: Final[Sequence[Step]] = ()
"""The migrations backup's store has gone through; none yet."""
LOOK_S: Final = 30.0
"""How often is looked whether a backup is due."""


def build(
    settings: BackupSettings,
    *,
    deployment: str,
    source: BlobStore,
    targets: Mapping[str, Mapping[Room, BlobStore]],
    docs: DocStore,
    bus: EventBus,
    client: httpx.AsyncClient,
    signer: Signer,
    on_failure: Callable[[Exception], None],
    leadership: Leadership = ALONE,
    now_s: Callable[[], float] = time.time,
) -> Service:
    """`source` is read only; `client` reaches other services as the peer `backup`.

    `on_failure` ends the instance: a deed could not be stored.
    """
    deeds = DeedSeries[None](docs, topic=TOPIC, wrap=wrap, now_s=now_s, on_failure=on_failure)
    repositories = [Repository(name, dict(rooms)) for name, rooms in targets.items()]
    rounds = _rounds(
        settings,
        repositories,
        deployment=deployment,
        source=source,
        docs=docs,
        services=Services(client, dump_s_max=settings.dump_s_max),
        signer=signer,
        deeds=deeds,
        now_s=now_s,
    )
    drills = _drills(settings, repositories, deeds, now_s=now_s)
    ears = Ears(docs, list(targets), now_s=now_s)
    bus.subscribe(INGEST_TOPIC, group=GROUP, handler=ears.stored)
    bus.subscribe(AUTH_TOPIC, group=GROUP, handler=ears.erased)
    public = new_app("voiceFileServer backup", openapi_path=None)
    public.state.rounds = rounds
    leading = partial(led, leadership, partial(_working, rounds, drills, settings))
    running = partial(_running, Relay(docs, bus, leadership=leadership), leading)
    return Service("backup", public=public, running=running, ready=docs.ready)


def _drills(
    settings: BackupSettings,
    repositories: Sequence[Repository],
    deeds: DeedSeries[None],
    *,
    now_s: Callable[[], float],
) -> list[Reports]:
    if settings.drill_reports is None:
        return []
    key = VerifierKey.parse(settings.drill_reports)
    return [Reports(each, key, deeds, now_s=now_s) for each in repositories]


def _rounds(
    settings: BackupSettings,
    repositories: Sequence[Repository],
    *,
    deployment: str,
    source: BlobStore,
    docs: DocStore,
    services: Services,
    signer: Signer,
    deeds: DeedSeries[None],
    now_s: Callable[[], float],
) -> list[Rounds]:
    made = []
    for repository in repositories:
        copying = Copying(docs, source, repository)
        graveyard = Graveyard(docs, repository, signer, deployment=deployment)
        chain = Chain(docs, repository, Room.MANIFESTS)
        parts = (repository, copying, graveyard)
        taking = Taking(
            services,
            *parts,
            chain,
            signer=signer,
            deployment=deployment,
            settings=settings,
            now_s=now_s,
        )
        made.append(
            Rounds(
                taking,
                *parts,
                orders=Orders(docs, repository.name),
                signer=signer,
                deeds=deeds,
                settings=settings,
                now_s=now_s,
            )
        )
    return made


@asynccontextmanager
async def _running(relay: Relay, leading: Work) -> AsyncIterator[None]:
    shown(metrics.backup_age_seconds, metrics.backup_failures, metrics.tombstone_lag_seconds)
    async with relay.running(), leading():
        yield


@asynccontextmanager
async def _working(
    rounds: Sequence[Rounds], drills: Sequence[Reports], settings: BackupSettings
) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        loops = [
            tasks.create_task(keep_doing(work, every_s=every_s, name=name, first_s=first_s))
            for each in rounds
            for work, every_s, name, first_s in (
                (each.copy, settings.copy_every_s, "copy", settings.copy_every_s),
                (each.take_if_ordered, settings.copy_every_s, "order", settings.copy_every_s),
                # Not right at the start: it reads every document, and the vault is starting.
                (each.take_if_due, LOOK_S, "backup", LOOK_S),
                (each.tell_missed, LOOK_S, "backup-missed", LOOK_S),
                (each.forget_keys, KEYS_LOOK_S, "backup-keys", LOOK_S),
            )
        ]
        loops += [
            tasks.create_task(keep_doing(each.look, every_s=LOOK_S, name="drills"))
            for each in drills
        ]
        try:
            yield
        finally:
            for loop in loops:
                loop.cancel()
