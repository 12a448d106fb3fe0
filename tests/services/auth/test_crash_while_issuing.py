"""Killed in the middle of issuing: what is left harms nobody, and a retry finds its answer."""

import pytest
from tests.services.auth.issuing_world import Clock, Upload, an_auth

from voicefile.auth.issuing.issue_access import issue_access
from voicefile.auth.schemas import IssueBody
from voicefile.auth.store import ACCESS, DIRECTORY
from voicefile.auth.sweep import sweep


class Killed(BaseException):
    """The process ends here: nothing after it runs, no clean-up either."""


class KillingStore:
    """A store that kills its process at one write: before it happened, or after."""

    def __init__(self, store):
        self._store = store
        self.collection = None
        self.before = True

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def insert(self, collection, document):
        if collection is self.collection and self.before:
            raise Killed
        stored = await self._store.insert(collection, document)
        if collection is self.collection:
            raise Killed
        return stored


async def _killed_issue(directory, *, collection, before, clock):
    """An upload whose issue died at that write; its tenant and partner go on living."""
    async with an_auth(directory, clock=clock, wrap_store=KillingStore) as world:
        partner = await world.partner(await world.tenant())
        upload = await world.prepared(Upload(partner))
        world.docs.collection, world.docs.before = collection, before
        with pytest.raises(Killed):
            await issue_access(IssueBody.model_validate(upload.body), ports=world.ports)
    return upload


@pytest.mark.parametrize(
    ("collection", "before"),
    [(DIRECTORY, True), (DIRECTORY, False), (ACCESS, True), (ACCESS, False)],
    ids=["before-claim", "after-claim", "before-document", "after-document"],
)
async def test_a_retry_after_a_kill_gets_one_answer(tmp_path, collection, before):
    clock = Clock()
    upload = await _killed_issue(tmp_path, collection=collection, before=before, clock=clock)
    async with an_auth(tmp_path, clock=clock) as world:
        first, again = await world.ask(upload), await world.ask(upload)
        assert first.status_code == 201
        assert first.content == again.content
        stored = await world.credential(upload.partner, upload.recording)
        assert len(stored.record.recordings) == 1
        assert len(await world.deeds("ACCESS_ISSUED")) == 1


async def test_a_claim_without_a_document_is_unknown_and_swept_after_a_day(tmp_path):
    clock = Clock()
    await _killed_issue(tmp_path, collection=ACCESS, before=True, clock=clock)
    async with an_auth(tmp_path, clock=clock) as world:
        ((locator, claim),) = await world.ports.directory.claimed_until(int(clock()))
        assert await world.ports.access.of(claim.tenant).get(claim.credential) is None
        await sweep(world.ports)
        assert await world.ports.directory.lookup(locator) is not None
        clock.s += world.settings.claim_max_s
        await sweep(world.ports)
        assert await world.ports.directory.lookup(locator) is None


async def test_the_sweep_keeps_claims_that_were_used(tmp_path):
    async with an_auth(tmp_path) as world:
        partner = await world.partner(await world.tenant())
        answer = await world.issued(partner)
        locator = await world.custody.directory_locator(answer["access_id"])
        world.clock.s += world.settings.claim_max_s
        await sweep(world.ports)
        assert await world.ports.directory.lookup(locator) is not None
        assert await world.ports.directory.claimed_until(int(world.clock())) == []


async def test_expired_answers_leave_the_store(tmp_path):
    async with an_auth(tmp_path) as world:
        partner = await world.partner(await world.tenant())
        answer = await world.issued(partner)
        world.clock.s += world.settings.answer_max_s
        await sweep(world.ports)
        stored = await world.credential(partner, answer["recording_id"])
        assert stored.record.recordings[0].answer is None
        assert await world.docs.due(ACCESS, "answer", int(world.clock())) == []
