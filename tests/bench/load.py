"""Fills a running vault with recordings nobody will hear, as fast as its stores take them.

One real recording is the model. Each copy has ids, blob names, tokens, wrapped keys and a MAC of
its own, and an index entry wherever a real one has; its sealed fields are the model's, so they
open for nobody. There are no blobs: nothing that is measured looks at how many there are.
"""

import secrets
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace as replaced
from typing import cast

from msgspec.structs import replace
from tests.stand import Company, Stand

from voicefile.auth.ports import Ports
from voicefile.auth.store import ACCESS, DIRECTORY, Access
from voicefile.blobstore.names import new_blob_name
from voicefile.crypto.secret import DataKey, SubjectKey
from voicefile.docstore.port import DocStore, Document
from voicefile.identity.ids import new_id
from voicefile.ingest.store import FEED, RESERVATIONS

AT_ONCE = 1_000
"""Embedded: each batch costs the pages it touches, and those come to be all there are."""
AT_ONCE_APART = 100
"""More at once, and a write takes so long on the stand-in for MongoDB that others time out."""


async def load(
    stand: Stand,
    company: Company,
    count: int,
    *,
    at_once: int = AT_ONCE,
    meanwhile: AbstractContextManager[None] = nullcontext(),
) -> float:
    """Adds that many recordings, each of a customer of its own; answers how many a second."""
    filed = (await company.upload()).raise_for_status().json()
    await stand.published()
    ingest: DocStore = stand.vault.services["/ingest"].public.state.feed._store
    reservation = (await ingest.find(RESERVATIONS, "recording", filed["recording_id"]))[0]
    runs = await ingest.find(FEED, "recording", filed["recording_id"])
    with meanwhile:
        begun_s = time.monotonic()
        for start in range(0, count, at_once):
            recordings = await add_copies(
                stand.ports, company.id, filed["recording_id"], min(at_once, count - start)
            )
            copies = [_of(reservation, each, secrets.token_hex(32)) for each in recordings]
            await ingest.insert_many(RESERVATIONS, copies)
            for run in runs:
                # Behind the model, whose number is the partner's last: the next real one follows.
                await ingest.insert_many(FEED, [_run_of(run, each) for each in recordings])
        return count / (time.monotonic() - begun_s)


async def add_copies(ports: Ports, tenant: str, model: str, count: int) -> list[str]:
    """Access documents like that of the recording `model`, with their places in the directory."""
    found = await ports.access.of(tenant).find_one("recording", model)
    assert found
    copies = {new_id(): await _copy(found.record, ports, tenant) for _ in range(count)}
    accesses = [
        Document(
            each,
            tenant,
            await ports.access.body_of(access, tenant=tenant, document_id=each),
        )
        for each, access in copies.items()
    ]
    await ports.store.insert_many(ACCESS, accesses)
    places = [
        Document(access.locator, tenant, {"tenant": tenant, "credential": each})
        for each, access in copies.items()
    ]
    await ports.store.insert_many(DIRECTORY, places)
    return [access.recordings[0].id for access in copies.values()]


async def _copy(model: Access, ports: Ports, tenant: str) -> Access:
    (recording,), subject = model.recordings, new_id()
    blobs = {role: replace(blob, name=new_blob_name()) for role, blob in recording.blobs.items()}
    fresh = new_id()
    slip = await ports.custody.wrap_data_key(tenant, fresh, DataKey.random())
    key = await ports.custody.wrap_subject_key(tenant, subject, SubjectKey.random())
    return replace(
        model,
        locator=secrets.token_hex(len(model.locator) // 2),
        subject=replace(model.subject, id=subject, key=key),
        tokens=tuple(sorted(secrets.token_bytes(len(each)) for each in model.tokens)),
        recordings=(replace(recording, id=fresh, blobs=blobs, slip=slip),),
    )


def _of(model: Document, recording: str, document_id: str) -> Document:
    return replaced(model, id=document_id, body={**model.body, "recording": recording}, pending=())


def _run_of(model: Document, recording: str) -> Document:
    """Its own feed's run, about one recording that nobody else's feed tells of."""
    entries = [
        {**entry, "event": new_id(), "recording": recording}
        for entry in cast(list[dict[str, object]], model.body["entries"])
    ]
    return replaced(model, id=f"{model.id}{new_id()}", body={**model.body, "entries": entries})
