"""The signer's keys are fetched when needed, kept while the signer is away, never in floods."""

import asyncio
import json
from dataclasses import dataclass, field

import pytest

from voicefile.identity.tokens import (
    KEYS_RENEW_S,
    KEYS_RETRY_S,
    KEYS_STALE_S_MAX,
    KeysUnavailable,
    RemoteKeySet,
    parse_keys,
    publish_keys,
)

KEY_1, KEY_2 = b"\x01" * 32, b"\x02" * 32


@dataclass
class Answer:
    content: bytes
    status_code: int = 200


@dataclass
class Signer:
    """Serves a key document, or nothing; counts how often it is asked."""

    keys: dict[str, bytes]
    away: bool = False
    asked: int = 0
    paths: list[str] = field(default_factory=list)

    async def get(self, url: str, *, timeout: float) -> Answer:  # noqa: ASYNC109 httpx calls it so
        self.asked += 1
        self.paths.append(url)
        await asyncio.sleep(0)
        if self.away:
            raise ConnectionRefusedError
        return Answer(json.dumps(publish_keys(self.keys)).encode())


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def signer() -> Signer:
    return Signer({"k1": KEY_1})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(signer: Signer, clock: Clock) -> RemoteKeySet:
    return RemoteKeySet(signer, monotonic=clock)


async def test_a_key_is_fetched_once(keys: RemoteKeySet, signer: Signer):
    found = await asyncio.gather(*(keys.find("k1") for _ in range(50)))
    assert found == [KEY_1] * 50
    assert signer.asked == 1
    assert signer.paths == ["/auth/v1/keys"]


async def test_a_new_key_is_found_when_its_id_first_appears(
    keys: RemoteKeySet, signer: Signer, clock: Clock
):
    await keys.find("k1")
    signer.keys = {"k1": KEY_1, "k2": KEY_2}
    clock.now_s += KEYS_RETRY_S
    assert await keys.find("k2") == KEY_2


async def test_invented_ids_do_not_flood_the_signer(keys: RemoteKeySet, signer: Signer):
    for number in range(1000):
        assert await keys.find(f"invented-{number}") is None
    assert signer.asked == 1


async def test_a_withdrawn_key_stops_counting(keys: RemoteKeySet, signer: Signer, clock: Clock):
    await keys.find("k1")
    signer.keys = {"k2": KEY_2}
    clock.now_s += KEYS_RENEW_S
    assert await keys.find("k1") is None


async def test_an_absent_signer_leaves_its_known_keys_good_for_a_while(
    keys: RemoteKeySet, signer: Signer, clock: Clock
):
    await keys.find("k1")
    signer.away = True
    clock.now_s += KEYS_STALE_S_MAX - 1
    assert await keys.find("k1") == KEY_1
    clock.now_s += 2
    with pytest.raises(KeysUnavailable):
        await keys.find("k1")


async def test_an_absent_signer_is_not_asked_for_every_token(
    keys: RemoteKeySet, signer: Signer, clock: Clock
):
    signer.away = True
    for _ in range(20):
        with pytest.raises(KeysUnavailable):
            await keys.find("k1")
    assert signer.asked == 1
    signer.away = False
    clock.now_s += KEYS_RETRY_S
    assert await keys.find("k1") == KEY_1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b"", 500),
        Answer(b"{"),
        Answer(b"[]"),
        Answer(b'{"keys": 1}'),
        Answer(b'{"keys": [1]}'),
        Answer(b" " * 70_000 + json.dumps(publish_keys({"k1": KEY_1})).encode()),
    ],
)
async def test_a_broken_document_is_no_answer(answer: Answer):
    class Broken:
        async def get(self, url: str, *, timeout: float) -> Answer:  # noqa: ASYNC109 httpx calls it so
            return answer

    with pytest.raises(KeysUnavailable):
        await RemoteKeySet(Broken()).find("k1")


def test_other_kinds_of_keys_are_passed_over():
    document = publish_keys({"k1": KEY_1})
    document["keys"] += [
        {"kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB"},
        {"kty": "oct", "kid": "k1", "k": "AAAA"},
        {"kty": "OKP", "crv": "X25519", "kid": "x", "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "kid": "short", "x": "AAAA"},
    ]
    assert parse_keys(json.dumps(document).encode()) == {"k1": KEY_1}
