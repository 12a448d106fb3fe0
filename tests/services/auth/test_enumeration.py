"""Nobody finds out which access IDs exist: one answer, one amount of work, one grid of moments."""

from collections import Counter

import pytest
from tests.bench.enumeration import KNOWN_T_MAX, welch_t
from tests.services.auth.access_world import OPEN_THROTTLES, World, a_world

from voicefile.auth.issuing.access_id import new_access_id
from voicefile.auth.keys.custody import Custody
from voicefile.auth.listening.access_settings import AccessSettings
from voicefile.auth.store import DIRECTORY, CredentialState
from voicefile.auth.tenants.open_tenant import close_tenant
from voicefile.auth.throttling.pin_pool import PinPool
from voicefile.deeds.deed import Actor
from voicefile.docstore.port import Document

WRONG = "00000000"


class CountingStore:
    """A store that counts what is asked of it, and by which collection."""

    def __init__(self, inner):
        self._inner = inner
        self.counts = Counter()

    def __getattr__(self, name):
        method = getattr(self._inner, name)

        async def counted(*args, **kwargs):
            collection = getattr(args[0], "name", "") if args else ""
            self.counts[name, collection] += 1
            return await method(*args, **kwargs)

        return counted


@pytest.fixture
async def world(tmp_path):
    # The real pool: how long an answer takes is part of what is seen.
    async with a_world(tmp_path, pool=PinPool()) as opened:
        yield opened


def seen(response):
    """All an attacker sees, but the request's own random id."""
    headers = [
        (name, value)
        for name, value in response.headers.multi_items()
        if name != "voicefile-request-id"
    ]
    return response.status_code, tuple(headers), response.content


async def test_every_refusal_is_the_same_bytes(world):
    tenant, closed = await world.tenant(), await world.tenant("b")
    unknown = [
        await world.sign_in(None, access_id=new_access_id(), pin=WRONG, address="198.51.1.1")
        for _ in range(2)
    ]
    wrong_pin = await world.letter(tenant)
    answers = [*unknown, await world.sign_in(wrong_pin, pin=WRONG, address="198.51.2.1")]
    for number, state in enumerate(CredentialState):
        letter = await world.letter(tenant, state=state)
        address = f"198.51.{10 + number}.1"
        answers.append(await world.sign_in(letter, pin=WRONG, address=address))
        if state not in {CredentialState.ISSUED, CredentialState.ACTIVE}:
            answers.append(await world.sign_in(letter, address=address))
    gone = await world.letter(closed)
    await close_tenant(closed, by=Actor.service(), ports=world.ports)
    answers.append(await world.sign_in(gone, address="198.51.3.1"))
    # Locked: the right PIN, and an ID that does not exist, tried equally often.
    for access_id in (wrong_pin.access_id, new_access_id()):
        for number in range(5):
            address = f"203.0.{number}.1"
            answers.append(
                await world.sign_in(None, access_id=access_id, pin=WRONG, address=address)
            )
    answers.append(await world.sign_in(wrong_pin, address="203.0.9.1"))
    assert answers[-1].status_code == 401
    assert len({seen(each) for each in answers}) == 1
    assert "retry-after" not in answers[-1].headers


async def test_a_wrong_answer_looks_like_a_wrong_pin(world):
    letter = await world.letter(await world.tenant(), question=True)
    challenge = (await world.sign_in(letter)).json()["challenge"]
    refusals = [
        await world.answer(challenge, "0000"),
        await world.answer("A" * 43, "1234"),
        await world.sign_in(letter, pin=WRONG),
    ]
    assert len({seen(each) for each in refusals}) == 1


async def test_a_network_is_told_to_wait_whether_or_not_its_ids_exist(world):
    tenant = await world.tenant()
    letters = [await world.letter(tenant) for _ in range(11)]
    for known, address in ((True, "198.51.1.1"), (False, "198.51.2.1")):
        answers = [
            await world.sign_in(
                None,
                access_id=letter.access_id if known else new_access_id(),
                pin=WRONG,
                address=address,
            )
            for letter in letters
        ]
        assert [each.status_code for each in answers] == [401] * 10 + [429]


async def test_unknown_ids_cost_the_same_reads_and_writes(tmp_path):
    async with a_world(tmp_path, limits=OPEN_THROTTLES) as plain:
        store = CountingStore(plain.docs)
        custody = Custody(plain.custody.root, store, deployment="test")
        world = World(
            store, custody, settings=AccessSettings(), limits=OPEN_THROTTLES, clock=plain.clock
        )
        tenant = await world.tenant()
        letters = [await world.letter(tenant, state=state) for state in CredentialState]
        tried = [letter.access_id for letter in letters] + [new_access_id() for _ in range(3)]
        # The first ones fill the caches of keys and make the buckets of tenant and platform.
        for number, access_id in enumerate((letters[0].access_id, new_access_id())):
            address = f"10.9.{number}.9"
            await world.sign_in(None, access_id=access_id, pin=WRONG, address=address)
        costs = []
        for number, access_id in enumerate(tried):
            store.counts.clear()
            address = f"10.0.{number + 1}.1"
            await world.sign_in(None, access_id=access_id, pin=WRONG, address=address)
            costs.append(dict(store.counts))
        assert costs[1:] == [costs[-1]] * (len(costs) - 1)
        assert costs[-1]["get", "access"] == costs[-1]["get", "directory"] == 1
        assert costs[-1]["insert_many", "deeds"] == 1
        world.pool.close()


async def test_refusals_leave_on_a_grid_of_moments(tmp_path):
    settings = AccessSettings(refusals_every_s=0.1)
    async with a_world(tmp_path, settings=settings) as world:
        letter = await world.letter(await world.tenant())
        await world.sign_in(letter, pin=WRONG)
        await world.sign_in(None, access_id=new_access_id(), pin=WRONG)
        # The virtual clock stood still while they worked: each waited for one whole step.
        assert world.clock.slept == pytest.approx([0.1, 0.1])


async def test_a_claim_that_nothing_came_of_is_unknown(world):
    tenant = await world.tenant()
    letter = await world.letter(tenant)
    stored = await world.access(letter)
    await world.ports.access.of(tenant).delete(stored)
    refused = await world.sign_in(letter)
    unknown = await world.sign_in(None, access_id=new_access_id(), pin=WRONG)
    assert seen(refused) == seen(unknown)


async def test_a_directory_bent_to_another_credential_opens_nothing(world):
    tenant = await world.tenant()
    mine, victims = await world.letter(tenant), await world.letter(tenant)
    locator = await world.custody.directory_locator(victims.access_id)
    entry = await world.docs.get(DIRECTORY, locator)
    body = dict(entry.body) | {"credential": mine.credential}
    await world.docs.replace(DIRECTORY, Document(entry.id, entry.tenant, body, entry.version))
    assert (await world.sign_in(victims, pin=mine.pin)).status_code == 401


def test_the_bench_tells_a_difference_from_none():
    assert abs(welch_t([1.0, 2.0, 3.0] * 50, [1.1, 2.0, 2.9] * 50)) < KNOWN_T_MAX
    assert abs(welch_t([1.0, 1.1, 1.2] * 50, [2.0, 2.1, 2.2] * 50)) > KNOWN_T_MAX
