"""Throttles of the whole app behind a front: each visitor's network has its own bucket again."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.stand import Stand, company, embedded_stand

from voicefile.auth.issuing.access_id import new_access_id
from voicefile.auth.throttling.throttle_policy import Limits
from voicefile.chassis.behind_front import FRONT, BehindFront
from voicefile.chassis.inprocess import BASE_URL, InProcessTransport

GUESSER, CUSTOMER, THIRD = "203.0.113.9", "198.51.100.7", "2001:db8:7::1"
WRONG = "00000000"
MOST = Limits().origin_failures_per_hour


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    async with embedded_stand(tmp_path, "test") as stand:
        stand.companies.append(await company(stand.ports, stand.client, "company0"))
        await stand.published()
        yield stand


def through_the_front(app, address: str) -> httpx.AsyncClient:
    """Somebody from this address, as a front's requests arrive: all from one socket's address."""
    wire = InProcessTransport(app, peer=FRONT, client=("10.0.0.5", 0))
    return httpx.AsyncClient(
        transport=wire, base_url=BASE_URL, headers={"X-Forwarded-For": f"192.0.2.1, {address}"}
    )


async def sign_in(visitor: httpx.AsyncClient, access_id: str, pin: str = WRONG) -> int:
    body = {"access_id": access_id, "pin": pin}
    return (await visitor.post("/auth/v1/customer-sessions", json=body)).status_code


async def tries(visitor: httpx.AsyncClient, times: int) -> list[int]:
    return [await sign_in(visitor, new_access_id()) for _ in range(times)]


async def test_one_visitors_failures_hold_up_nobody_else(stand: Stand):
    filed = (await stand.companies[0].upload()).json()
    app = BehindFront(stand.vault.public)
    async with (
        through_the_front(app, GUESSER) as guesser,
        through_the_front(app, CUSTOMER) as customer,
        through_the_front(app, THIRD) as third,
    ):
        assert await tries(guesser, MOST - 1) == [401] * (MOST - 1)
        # Another's failures are counted apart, and take nothing from the first.
        assert await tries(third, 1) == [401]
        assert await tries(guesser, 2) == [401, 429]
        assert await sign_in(guesser, filed["access_id"], filed["pin"]) == 429
        assert await sign_in(customer, filed["access_id"], filed["pin"]) == 201
        assert await tries(third, MOST) == [401] * (MOST - 1) + [429]


async def test_addresses_of_one_network_count_together(stand: Stand):
    app = BehindFront(stand.vault.public)
    answers = []
    for number in range(MOST + 1):
        # The last one in IPv6's clothes.
        mapped = "::ffff:" if number == MOST else ""
        async with through_the_front(app, f"{mapped}203.0.113.{number}") as visitor:
            answers += await tries(visitor, 1)
    assert answers == [401] * MOST + [429]


async def test_without_the_door_everybody_is_the_front(stand: Stand):
    """The same visitors at a port that knows of no front: what the door is for."""
    filed = (await stand.companies[0].upload()).json()
    app = stand.vault.public
    async with (
        through_the_front(app, GUESSER) as guesser,
        through_the_front(app, CUSTOMER) as customer,
    ):
        assert await tries(guesser, MOST + 1) == [401] * MOST + [429]
        assert await sign_in(customer, filed["access_id"], filed["pin"]) == 429
