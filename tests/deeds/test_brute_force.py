"""Everything a log publishes, against everything somebody could guess: nothing is confirmed.

An attacker who has the public tiles tries a million telephone numbers and order numbers, those
of the log's own customers among them, in every way in which a careless log would have hashed
them. And one who knows every deed to the last bit, but not its salt, can't say which it is.
"""

import base64
from collections.abc import Iterable, Iterator
from itertools import chain

import pytest
from tests.isolation.who import Who
from tests.isolation.world import World

from voicefile.audit.entry import LABEL
from voicefile.audit.store import SALT_BYTES
from voicefile.crypto.primitives import sha256
from voicefile.translog.merkle import leaf_hash
from voicefile.translog.tiles import TILE_WIDTH, TilePath, tile_width

PHONE = "+4930734219"
ORDER = "V-482915"
CANDIDATES_EACH = 500_000


def phones() -> Iterator[bytes]:
    """A city's numbers; the customer's is among them."""
    return (b"+4930%06d" % (500_000 + n) for n in range(CANDIDATES_EACH))


def orders() -> Iterator[bytes]:
    """A shop's order numbers of a year or two."""
    return (b"V-%06d" % n for n in range(CANDIDATES_EACH))


def careless(content: bytes) -> tuple[bytes, ...]:
    """What a log without salts, or with a known one, would show of it."""
    return (
        sha256(content),
        sha256(LABEL + content),
        leaf_hash(content),
        leaf_hash(sha256(LABEL + content)),
    )


def confirmed(candidates: Iterable[bytes], published: frozenset[bytes]) -> set[bytes]:
    """The guesses that what is published confirms."""
    return {
        candidate
        for candidate in candidates
        if any(shown in published for shown in careless(candidate))
    }


async def published_by(vault: World, log: str) -> tuple[int, frozenset[bytes]]:
    """How many leaves there are, and every leaf and every hash that nobody needs a token for."""
    client = vault.client(Who.NOBODY)
    head = await client.get(f"/audit/v1/logs/{log}/checkpoint")
    size = int(head.text.splitlines()[1])
    hashes: set[bytes] = set()
    for index in range(-(-size // TILE_WIDTH)):
        width = tile_width(0, index, size)
        tile = await client.get(f"/audit/v1/logs/{log}/tile/{TilePath(0, index, width)}")
        bundle = await client.get(f"/audit/v1/logs/{log}/tile/{TilePath(None, index, width)}")
        hashes.update(tile.content[at : at + 32] for at in range(0, len(tile.content), 32))
        hashes.update(bundle.content[at : at + 32] for at in range(2, len(bundle.content), 34))
    return size, frozenset(hashes)


@pytest.mark.timeout(400)
@pytest.mark.asyncio(loop_scope="session")
async def test_no_guess_is_confirmed_and_a_planted_one_is(vault: World) -> None:
    home = vault.homes[0]
    customer = {"name": "Erika Mustermann", "phone": PHONE}
    filed = await home.company.upload(contract_reference=ORDER, customer=customer)
    assert filed.status_code == 201
    await vault.stand.settled()
    size, published = await published_by(vault, home.id)
    assert len(published) >= 2 * size > 0
    assert PHONE.encode() in set(phones())
    assert ORDER.encode() in set(orders())
    # With it, a control: a log that forgot its salt for two customers is caught, and at them alone.
    planted = {b"+4930500007", b"V-000007"}
    unsalted = {sha256(LABEL + b"+4930500007"), leaf_hash(b"V-000007")}
    found = confirmed(chain(phones(), orders()), published | unsalted)
    assert found == planted


@pytest.mark.asyncio(loop_scope="session")
async def test_who_knows_a_deed_to_the_bit_cannot_find_it_without_its_salt(vault: World) -> None:
    home = vault.homes[0]
    _, published = await published_by(vault, home.id)
    answer = await vault.client(Who.AUDITOR).get(
        f"/audit/v1/logs/{home.id}/entries?limit=500", headers=vault.headers(Who.AUDITOR, home)
    )
    entries = answer.raise_for_status().json()["entries"]
    known = [base64.b64decode(entry["entry"]) for entry in entries]
    assert confirmed(known, published) == set()
    assert confirmed((bytes(SALT_BYTES) + each for each in known), published) == set()
    salted = [
        base64.b64decode(entry["salt"]) + raw for entry, raw in zip(entries, known, strict=True)
    ]
    assert confirmed(salted, published) == set(salted)
