"""Manifests: a day of the feed, signed and chained; what is not as it was filed is noticed."""

import copy
from hashlib import sha256

import jwt
import pytest
from tests.services.ingest.manifest_checker import NotWhatWasSigned, check
from tests.services.ingest.stand import PARTNER, SIBLING, STRANGER, TENANT
from tests.services.ingest.test_feed import hear, issued, page

from voicefile.contracts.deed.v1 import Action, Outcome
from voicefile.identity.ids import new_id

DAY_MS = 86_400_000
FIRST_DAY_MS = 1_799_971_200_000
"""2027-01-15, the day on which the stand's clock stands."""
DAYS = ("2027-01-15", "2027-01-16", "2027-01-17")
FILED = (3, 0, 2)
"""How many entries each of the days has: the second one is quiet."""


@pytest.fixture
async def filed(stand):
    """Three days that are over; the partner and its sibling filed on two of them."""
    for day, count in enumerate(FILED):
        for at in range(count):
            for by in (PARTNER, SIBLING):
                message = issued(new_id(), by=by)
                message.deed.at_ms = FIRST_DAY_MS + day * DAY_MS + 40_000_000 + at
                await hear(stand, message)
    stand.clock.now_s = FIRST_DAY_MS / 1000 + 3 * 86_400 + 3_600
    return stand


async def manifest(stand, day, *, token="partner"):
    return await stand.get(f"/v1/manifests?day={day}", token=token)


def keys_of(stand):
    jwk = {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": jwt.utils.base64url_encode(stand.auth.signer.public).decode(),
    }
    return {"1": jwt.PyJWK(jwk, algorithm="EdDSA")}


async def all_of_it(stand):
    """What a partner has in hand: the manifests, the feed, the keys."""
    texts = [(await manifest(stand, day)).json()["manifest"] for day in DAYS]
    return texts, (await page(stand))["changes"], keys_of(stand)


async def test_a_chain_vouches_for_every_entry_of_the_feed(filed):
    assert check(*await all_of_it(filed)) == 5
    ranges = [(await manifest(filed, day)).json() for day in DAYS]
    assert [(each["first"], each["last"]) for each in ranges] == [(1, 3), (4, 3), (4, 5)]


async def test_the_last_day_alone_makes_all_before_it_and_each_only_once(filed):
    last = (await manifest(filed, DAYS[2])).json()
    assert filed.auth.asked.count("manifest") == 3
    texts, *_ = await all_of_it(filed)
    assert texts[2] == last["manifest"]
    assert filed.auth.asked.count("manifest") == 3


async def test_what_is_over_is_signed_without_anybody_asking_and_its_hash_is_in_the_log(filed):
    asked = filed.auth.asked.count("manifest")
    for _ in range(2):
        await filed.service.public.state.manifests.sign_due()
    assert filed.auth.asked.count("manifest") == asked + 2 * len(DAYS)
    texts, changes, keys = await all_of_it(filed)
    assert filed.auth.asked.count("manifest") == asked + 2 * len(DAYS)
    assert check(texts, changes, keys) == 5
    told = await filed.deeds(Action.ACTION_MANIFEST_SIGNED)
    mine = [deed.commitment for deed in told if deed.object_id == PARTNER.id]
    assert mine == [sha256(text.encode()).digest() for text in texts]
    assert {(deed.tenant, deed.object_id) for deed in told} == {
        (TENANT, PARTNER.id),
        (TENANT, SIBLING.id),
    }


async def test_a_partner_that_auth_refuses_keeps_nobody_elses_from_being_signed(filed):
    first = min(PARTNER.id, SIBLING.id)
    filed.auth.refused_partners.add(first)
    await filed.service.public.state.manifests.sign_due()
    told = await filed.deeds(Action.ACTION_MANIFEST_SIGNED)
    assert {deed.object_id for deed in told} == {max(PARTNER.id, SIBLING.id)}
    filed.auth.refused_partners.clear()
    await filed.service.public.state.manifests.sign_due()
    assert len(await filed.deeds(Action.ACTION_MANIFEST_SIGNED)) == 2 * len(DAYS)


async def test_who_began_today_has_nothing_to_sign_yet(filed):
    message = issued(new_id(), by=STRANGER)
    message.deed.at_ms = int(filed.clock.now_s * 1000)
    await hear(filed, message)
    await filed.service.public.state.manifests.sign_due()
    told = await filed.deeds(Action.ACTION_MANIFEST_SIGNED)
    assert STRANGER.id not in {deed.object_id for deed in told}


@pytest.mark.parametrize("what", ["drop", "add", "reorder", "exchange", "another state"])
async def test_a_feed_that_was_changed_is_noticed(filed, what):
    texts, changes, keys = await all_of_it(filed)
    changed = copy.deepcopy(changes)
    if what == "drop":
        del changed[1]
    elif what == "add":
        changed.insert(2, {**changed[2], "recording_id": new_id()})
    elif what == "reorder":
        changed[0], changed[1] = changed[1], changed[0]
    elif what == "exchange":
        one, other = changed[0]["recording_id"], changed[4]["recording_id"]
        changed[0]["recording_id"], changed[4]["recording_id"] = other, one
    else:
        changed[0]["state"] = "quarantined"
    with pytest.raises(NotWhatWasSigned):
        check(texts, changed, keys)


@pytest.mark.parametrize("what", ["a day left out", "the first left out", "reordered", "forged"])
async def test_a_chain_that_was_changed_is_noticed(filed, what):
    texts, changes, keys = await all_of_it(filed)
    if what == "a day left out":
        del texts[1]
    elif what == "the first left out":
        del texts[0]
    elif what == "reordered":
        texts[0], texts[1] = texts[1], texts[0]
    else:
        head, _, signature = texts[0].split(".")
        texts[0] = f"{head}.{texts[1].split('.')[1]}.{signature}"
    with pytest.raises(NotWhatWasSigned):
        check(texts, changes, keys)


async def test_a_day_that_is_not_over_has_none_and_neither_has_one_before_the_first(filed):
    for day in ("2027-01-18", "2027-01-14", "2099-01-01"):
        assert (await manifest(filed, day)).status_code == 404
    assert (await manifest(filed, DAYS[0], token="stranger")).status_code == 404
    assert (await manifest(filed, "15.01.2027")).status_code == 422


async def test_what_arrives_late_belongs_to_the_next_manifest(filed):
    await manifest(filed, DAYS[0])
    late = issued(new_id())
    late.deed.at_ms = FIRST_DAY_MS + 40_000_100
    await hear(filed, late)
    texts, changes, keys = await all_of_it(filed)
    assert len(changes) == 6
    assert check(texts, changes, keys) == 6


async def test_a_partner_has_its_own_and_reading_is_a_deed(filed):
    theirs = (await manifest(filed, DAYS[0], token="sibling")).json()["manifest"]
    claims = jwt.decode(theirs, keys_of(filed)["1"], algorithms=["EdDSA"])
    assert (claims["partner"], claims["tenant"], claims["count"]) == (SIBLING.id, TENANT, 3)
    await manifest(filed, "2027-01-18", token="sibling")
    deeds = await filed.deeds(Action.ACTION_MANIFEST_READ)
    assert [(deed.actor, deed.outcome) for deed in deeds] == [
        (SIBLING.id, Outcome.OUTCOME_DONE),
        (SIBLING.id, Outcome.OUTCOME_REFUSED),
    ]
