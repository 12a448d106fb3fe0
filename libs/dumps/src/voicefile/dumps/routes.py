"""The one route by which a service's documents leave it: sealed, to backup's certificate alone."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from voicefile.chassis.problems import Problem
from voicefile.chassis.streaming import StreamedResponse
from voicefile.deeds.deed import Action, Actor, Deed
from voicefile.docstore.port import Collection, DocStore
from voicefile.dumps.changes import Source, documents_of
from voicefile.dumps.dump import sealed_dump
from voicefile.dumps.errors import RecipientsMissing
from voicefile.dumps.recipient import Recipient, fingerprint
from voicefile.dumps.settings import DumpSettings
from voicefile.identity.guard import peer

DUMPS_PATH: Final = "/internal/v1/dumps"
KEY_BACKUPS_PATH: Final = "/internal/v1/key-backups"
CANARIES_PATH: Final = "/internal/v1/canaries"
MEDIA_TYPE: Final = "application/octet-stream"
PROBLEMS: Final[Mapping[type[Exception], Problem]] = {
    RecipientsMissing: Problem("recipients-missing", 409, "Nobody is set who could read a backup"),
}
_MARK: Final = "^([0-9a-f]{32}-[0-9a-f]{16})?$"
Record = Callable[[Deed], Awaitable[None]]
"""Records a deed, durable when it returns."""


@dataclass(frozen=True)
class Leaving:
    """Something that may leave a service by a route of its own, sealed."""

    path: str
    name: str
    """Whose dump it calls itself."""
    source: Source
    to: Callable[[], Sequence[Recipient]]
    """Who can open it. Raises RecipientsMissing."""


def dump_router(leaving: Sequence[Leaving], *, deployment: str, record: Record) -> APIRouter:
    """Routes for what can be dumped. They are told nothing but to begin, and since when."""
    router = APIRouter(tags=["dumps"], dependencies=[Depends(peer("backup"))])
    for each in leaving:
        router.post(each.path)(_route(each, deployment=deployment, record=record))
    return router


def store_router(
    service: str,
    store: DocStore,
    collections: Sequence[Collection],
    record: Record,
    *,
    deployment: str,
    to: DumpSettings | None,
) -> APIRouter:
    """For a service whose documents may be dumped as they are."""
    told = to or DumpSettings()
    documents = Leaving(DUMPS_PATH, service, documents_of(store, collections), told.sealed_to)
    return dump_router([documents], deployment=deployment, record=record)


def _route(
    leaving: Leaving, *, deployment: str, record: Record
) -> Callable[[str], Awaitable[Response]]:
    async def dump(since: Annotated[str, Query(pattern=_MARK)] = "") -> Response:
        recipients = leaving.to()
        # Changes since a dump that others can read are of no use to these: they need all.
        readers = f"-{fingerprint(recipients)}"
        known = since.removesuffix(readers) if since.endswith(readers) else ""
        # Recorded before the first byte leaves, like everything that leaves.
        await record(Deed(actor=Actor.service(), action=Action.ACTION_DOCUMENTS_DUMPED))
        begun = await leaving.source(known)
        begun = replace(
            begun,
            since=since if begun.since else "",
            mark=begun.mark + readers if begun.mark else "",
        )
        content = sealed_dump(leaving.name, begun, deployment=deployment.encode(), to=recipients)
        return StreamedResponse(content, media_type=MEDIA_TYPE)

    return dump
