"""What must hold in every vault that was killed and started again, read from its own stores.

Not through the doors: documents against blobs, documents against the log, the log against itself.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from voicefile.audit.check import check_log
from voicefile.audit.numbering import Numbers
from voicefile.audit.store import HEADS, SEGMENTS, Head, Segment, record_of
from voicefile.auth.listening.access_store import RELEASES
from voicefile.auth.store import ACCESS, DIRECTORY
from voicefile.auth.sweep import sweep
from voicefile.contracts.deed.v1 import Action, Deed, Outcome
from voicefile.ingest.store import RESERVATIONS, Reservation

SETTLED_S_MAX = 30
DAY_S = 25 * 3_600


async def all_of(store, collection):
    found, after = [], ""
    while page := await store.scan(collection, after=after, limit=500):
        found += page
        after = page[-1].id
    return found


async def settled(stores):
    """Waits until all that happened stands in the log, under a checkpoint."""
    async with asyncio.timeout(SETTLED_S_MAX):
        while not await _is_settled(stores):
            await asyncio.sleep(0.02)


async def _is_settled(stores):
    for store in stores.values():
        if await store.pending(1):
            return False
    audit = stores["audit"]
    for head in await all_of(audit, HEADS):
        newest = await audit.newest(SEGMENTS, "stop", tenant=head.tenant)
        if newest and record_of(newest, Segment).stop != record_of(head, Head).size:
            return False
    return True


async def swept(stage):
    """Lets more than a day pass, and every sweeper do its round."""
    stage.clock.ahead_s += DAY_S
    services = stage.vault.services
    await services["/ingest"].public.state.sweeper.sweep()
    while await sweep(stage.ports):
        pass
    await services["/playback"].public.state.playback.listenings.sweep_lost()
    await settled(stage.stores)


@dataclass
class Log:
    """All deeds of all logs, and what their numbers say."""

    deeds: list = field(default_factory=list)
    holes: dict = field(default_factory=dict)
    """By instance: numbers that were given and never stored."""

    def of(self, action, outcome=Outcome.OUTCOME_DONE):
        return [deed for deed in self.deeds if (deed.action, deed.outcome) == (action, outcome)]

    def objects(self, action):
        return Counter(deed.object_id for deed in self.of(action))

    def requests(self, action):
        return Counter(deed.request_id for deed in self.of(action))


async def read_log(stage):
    """Every log, recounted from its leaves. Raises LogDamaged; AssertionError for a double."""
    docs, log = stage.stores["audit"], Log()
    publisher = stage.vault.services["/audit"].public.state.publisher
    for head in await all_of(docs, HEADS):
        await check_log(docs, head.tenant, publisher.verifier_key(head.tenant))
    for document in await all_of(docs, SEGMENTS):
        for entry in record_of(document, Segment).entries:
            deed = Deed.FromString(entry)
            assert deed.tenant == document.tenant, "a deed in another tenant's log"
            log.deeds.append(deed)
    _none_twice(Counter(deed.deed_id for deed in log.deeds), "deeds told twice")
    _none_twice(Counter((deed.boot_id, deed.n) for deed in log.deeds), "numbers used twice")
    boots = {}
    for deed in log.deeds:
        numbers = boots.setdefault(deed.boot_id, Numbers())
        numbers.heard(deed.n, stored_through=deed.stored_through)
    lost = {boot: numbers.lost for boot, numbers in boots.items() if numbers.lost.count}
    assert not lost, ("deeds that were stored and never came", lost)
    log.holes = {boot: numbers.missing for boot, numbers in boots.items() if numbers.missing}
    return log


async def examine(stage):
    """Everything that holds before the sweepers have been; answers the log."""
    await settled(stage.stores)
    log = await read_log(stage)
    access = await all_of(stage.stores["auth"], ACCESS)
    recordings = Counter(each["id"] for document in access for each in document.body["recordings"])
    _none_twice(recordings, "recordings stored twice")
    issued = log.objects(Action.ACTION_ACCESS_ISSUED)
    assert issued == recordings, ("recordings and their deeds", issued, recordings)
    stored = log.objects(Action.ACTION_RECORDING_STORED)
    _none_twice(stored, "stored twice in the log")
    assert set(stored) <= set(recordings), "a deed for a recording that is none"
    releases = Counter(
        document.body["recording"] for document in await all_of(stage.stores["auth"], RELEASES)
    )
    granted = log.objects(Action.ACTION_RELEASE_GRANTED)
    assert releases <= granted, ("released without a deed", releases - granted)
    return log


async def examine_swept(stage):
    """What is left when a day has passed: nothing that nobody knows."""
    await swept(stage)
    auth, ingest = stage.stores["auth"], stage.stores["ingest"]
    access = await all_of(auth, ACCESS)
    locators = {document.body["locator"] for document in access}
    claims = {document.id for document in await all_of(auth, DIRECTORY)}
    assert claims == locators, ("access IDs nobody has", claims ^ locators)
    owned = {
        blob["name"]
        for document in access
        for recording in document.body["recordings"]
        for blob in recording["blobs"].values()
    }
    kept = {path.name for path in stage.place.blobs.rglob("*") if path.is_file()}
    assert kept == owned, ("blobs", len(kept - owned), "orphaned", len(owned - kept), "lost")
    recordings = {each["id"] for document in access for each in document.body["recordings"]}
    reservations = [Reservation.of(each) for each in await all_of(ingest, RESERVATIONS)]
    assert all(each.marked for each in reservations), "a reservation that nobody settled"
    _none_twice(Counter(each.recording for each in reservations), "reserved twice")
    assert {each.recording for each in reservations} == recordings, "reservations and recordings"
    log = await read_log(stage)
    assert set(log.objects(Action.ACTION_RECORDING_STORED)) == recordings, "stored, and not told"
    _none_twice(log.objects(Action.ACTION_RECORDING_STORED), "stored twice in the log")
    _none_twice(log.objects(Action.ACTION_LISTENING_ENDED), "ended twice")
    return log


def _none_twice(counted, what):
    double = {each: count for each, count in counted.items() if count > 1}
    assert not double, (what, double)
