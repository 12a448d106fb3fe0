"""The pin pool: bounded, fair to those who are known, and never growing in secret."""

import asyncio
import threading

import pytest
from tests.services.auth.access_world import settled

from voicefile.auth.listening.access_errors import Busy
from voicefile.auth.throttling.pin_pool import PinPool, Rank
from voicefile.auth.throttling.verifiers import answer_verifier, new_salt, pin_verifier
from voicefile.crypto.secret import SecretKey, SecretText

PEPPER = SecretKey.random()
OF = {"tenant": "a" * 32, "credential": "b" * 32}


class Gate:
    """Work that waits until it is let go, and says in which order it was begun."""

    def __init__(self):
        self.begun, self.go = [], threading.Event()

    def work(self, name):
        def run():
            self.begun.append(name)
            assert self.go.wait(10)
            return name.encode()

        return run


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def pool(gate):
    opened = PinPool(threads=1, waiting_max=4, strangers_max=2)
    yield opened
    gate.go.set()
    opened.close()


async def waiting(pool, rank, work):
    with pool.place(rank):
        return await pool._run(rank, work)


async def test_strangers_leave_places_to_known_callers(pool):
    with pool.place(Rank.STRANGER), pool.place(Rank.STRANGER), pool.place(Rank.STRANGER):
        with pytest.raises(Busy), pool.place(Rank.STRANGER):
            pass
        with (
            pool.place(Rank.KNOWN),
            pool.place(Rank.ISSUING),
            pytest.raises(Busy),
            pool.place(Rank.KNOWN),
        ):
            pass
    with pool.place(Rank.STRANGER):
        pass


async def test_known_callers_go_first(pool, gate):
    async with asyncio.TaskGroup() as group:
        group.create_task(waiting(pool, Rank.STRANGER, gate.work("first")))
        await settled(lambda: gate.begun == ["first"])
        for rank in (Rank.STRANGER, Rank.ISSUING, Rank.KNOWN):
            group.create_task(waiting(pool, rank, gate.work(rank.name)))
        await settled(lambda: len(pool._queue) == 3)
        gate.go.set()
    assert gate.begun == ["first", "KNOWN", "ISSUING", "STRANGER"]


async def test_callers_who_leave_free_their_place_but_not_a_busy_thread(pool, gate):
    task = asyncio.ensure_future(waiting(pool, Rank.STRANGER, gate.work("left")))
    await settled(lambda: gate.begun == ["left"])
    queued = asyncio.ensure_future(waiting(pool, Rank.STRANGER, gate.work("never")))
    await settled(lambda: len(pool._queue) == 1)
    for each in (queued, task):
        each.cancel()
        with pytest.raises(asyncio.CancelledError):
            await each
    later = asyncio.ensure_future(waiting(pool, Rank.STRANGER, gate.work("later")))
    await settled(lambda: len(pool._queue) == 2)
    assert gate.begun == ["left"]
    gate.go.set()
    assert await later == b"later"
    assert gate.begun == ["left", "later"]


async def test_a_verifier_fits_one_tenant_credential_pin_and_pepper(pool):
    salt, pin = new_salt(), SecretText("12345678")
    kept = await pool.hash(PEPPER, pin, salt=salt, **OF)
    assert kept == pin_verifier(PEPPER, pin, salt=salt, **OF)
    others = [
        pin_verifier(PEPPER, SecretText("12345679"), salt=salt, **OF),
        pin_verifier(SecretKey.random(), pin, salt=salt, **OF),
        pin_verifier(PEPPER, pin, salt=new_salt(), **OF),
        pin_verifier(PEPPER, pin, salt=salt, **(OF | {"credential": "c" * 32})),
        pin_verifier(PEPPER, pin, salt=salt, **(OF | {"tenant": "c" * 32})),
    ]
    assert kept not in others


def test_an_answers_verifier_fits_one_tenant_credential_answer_and_pepper():
    answer = SecretText("1234")
    kept = answer_verifier(PEPPER, answer, **OF)
    others = [
        answer_verifier(PEPPER, SecretText("1235"), **OF),
        answer_verifier(SecretKey.random(), answer, **OF),
        answer_verifier(PEPPER, answer, **(OF | {"credential": "c" * 32})),
    ]
    assert len({kept, *others}) == 4
