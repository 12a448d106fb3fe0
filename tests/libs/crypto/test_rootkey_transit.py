"""The transit root against a real OpenBao: sealed storage on disk, TLS, a token of least rights."""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from tests.engines import running
from tests.engines.openbao import OpenBao

from voicefile.crypto.errors import Tampered
from voicefile.crypto.rootkey import RootKey, RootUnavailable, VersionGone
from voicefile.crypto.rootkey_conformance import CONTEXT, RootKeyConformance
from voicefile.crypto.rootkey_transit import TransitRootKey
from voicefile.crypto.secret import SecretKey


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    # The shared one is everybody's, so nobody may seal it; but it says whether one can be had.
    running.engine("openbao")
    folder = tmp_path_factory.mktemp("openbao")
    engine = OpenBao(folder / "engine", folder / "certificates")
    engine.start()
    yield engine
    engine.stop()


def client_of(bao: OpenBao, token: str | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=bao.url,
        verify=ssl.create_default_context(cafile=str(bao.authority)),
        headers={"X-Vault-Token": bao.token if token is None else token},
        trust_env=False,
    )


@pytest_asyncio.fixture
async def root(bao: OpenBao) -> AsyncIterator[TransitRootKey]:
    async with client_of(bao) as client:
        yield TransitRootKey(client, mount=bao.mount)


class TestTransit(RootKeyConformance):
    @pytest.fixture
    def root(self, root: TransitRootKey) -> RootKey:
        return root


async def unusable(root: RootKey, version: str, wrapped: bytes) -> None:
    assert not await root.ready()
    for asked in (
        root.create_version(),
        root.versions(),
        root.wrap(version, SecretKey.random(), context=CONTEXT),
        root.unwrap(version, wrapped, context=CONTEXT),
        root.destroy_version(version),
    ):
        with pytest.raises(RootUnavailable):
            await asked


async def wrapped_by(root: RootKey) -> tuple[str, SecretKey, bytes]:
    version, key = await root.create_version(), SecretKey.random()
    return version, key, await root.wrap(version, key, context=CONTEXT)


async def test_a_sealed_engine_is_out_of_reach_and_loses_nothing(
    bao: OpenBao, root: TransitRootKey
):
    version, key, wrapped = await wrapped_by(root)
    with bao.client() as operator:
        operator.put("/v1/sys/seal").raise_for_status()
    await unusable(root, version, wrapped)
    await asyncio.to_thread(bao.furnish)
    assert await root.unwrap(version, wrapped, context=CONTEXT) == key


async def test_an_engine_that_was_killed_loses_nothing(bao: OpenBao, root: TransitRootKey):
    version, key, wrapped = await wrapped_by(root)
    doomed = await root.create_version()
    await root.destroy_version(doomed)
    await asyncio.to_thread(bao.kill)
    await unusable(root, version, wrapped)
    await asyncio.to_thread(bao.start)
    assert await root.unwrap(version, wrapped, context=CONTEXT) == key
    assert version in await root.versions()
    assert doomed not in await root.versions()


async def test_an_engine_that_hangs_is_waited_for_only_so_long(bao: OpenBao, root: TransitRootKey):
    version, key, wrapped = await wrapped_by(root)
    # Connections for all that is asked below: httpcore forgets the socket of a handshake that is
    # given up.
    await asyncio.gather(*(root.versions() for _ in range(4)))
    bao.pause()
    try:
        began = time.monotonic()
        assert not await root.ready()
        with pytest.raises(RootUnavailable):
            await root.unwrap(version, wrapped, context=CONTEXT)
        assert time.monotonic() - began < 60
    finally:
        bao.resume()
    assert await root.unwrap(version, wrapped, context=CONTEXT) == key


async def test_a_wrong_token_opens_nothing(bao: OpenBao, root: TransitRootKey):
    version, _, wrapped = await wrapped_by(root)
    async with client_of(bao, "s.wrong") as client:
        await unusable(TransitRootKey(client, mount=bao.mount), version, wrapped)


@pytest.mark.parametrize("whose", ["token", "root_token"])
async def test_a_mount_that_is_not_there_is_not_an_empty_one(
    bao: OpenBao, root: TransitRootKey, whose: str
):
    version, _, wrapped = await wrapped_by(root)
    async with client_of(bao, getattr(bao, whose)) as client:
        await unusable(TransitRootKey(client, mount="elsewhere"), version, wrapped)


@pytest.mark.parametrize("said", [b"<html>not found", b"{}", b"[]", b'{"errors": ["no"]}'])
async def test_what_is_no_transit_engine_never_calls_a_version_gone(said: bytes):
    """Gone means erased: whoever answers at a wrong address must not say so."""
    transport = httpx.MockTransport(lambda _: httpx.Response(404, content=said))
    async with httpx.AsyncClient(transport=transport, base_url="https://elsewhere") as client:
        await unusable(TransitRootKey(client), "0" * 32, b"\0\0\0\1" + bytes(60))


async def test_another_authority_is_not_believed(bao: OpenBao, root: TransitRootKey):
    version, _, wrapped = await wrapped_by(root)
    async with httpx.AsyncClient(base_url=bao.url, trust_env=False) as client:
        await unusable(TransitRootKey(client, mount=bao.mount), version, wrapped)


async def test_even_a_token_that_may_do_all_makes_no_key_by_wrapping(bao: OpenBao):
    async with client_of(bao, bao.root_token) as client:
        root = TransitRootKey(client, mount=bao.mount)
        before = await root.versions()
        for version in ("0" * 32, await gone(root)):
            with pytest.raises(VersionGone):
                await root.wrap(version, SecretKey.random(), context=CONTEXT)
            with pytest.raises(VersionGone):
                await root.unwrap(version, b"\0\0\0\1" + bytes(60), context=CONTEXT)
        assert await root.versions() == before


async def gone(root: RootKey) -> str:
    version = await root.create_version()
    await root.destroy_version(version)
    return version


async def test_keys_of_others_in_the_same_mount_are_none_of_ours(
    bao: OpenBao, root: TransitRootKey
):
    before = await root.versions()
    with bao.client() as operator:
        for name in ("voicefile-short", "other-" + "0" * 32, "0" * 32):
            operator.post(f"/v1/{bao.mount}/keys/{name}").raise_for_status()
    assert await root.versions() == before


FORBIDDEN: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "{mount}/export/encryption-key/{key}", None),
    ("GET", "{mount}/backup/{key}", None),
    ("POST", "{mount}/keys/{key}/config", {"exportable": True}),
    ("POST", "{mount}/keys/{key}/config", {"allow_plaintext_backup": True}),
    ("POST", "{mount}/keys/{key}/rotate", {}),
    ("POST", "{mount}/keys/fresh", {"type": "aes256-gcm96", "exportable": True}),
    ("POST", "{mount}/keys/fresh", {"allow_plaintext_backup": True}),
    ("POST", "{mount}/encrypt/fresh", {"plaintext": "aGVsbG8="}),
    ("POST", "{mount}/datakey/plaintext/{key}", {}),
    ("POST", "{mount}/config/keys", {"disable_upsert": False}),
    ("PUT", "sys/seal", {}),
    ("POST", "auth/token/create", {}),
    ("GET", "sys/policies/acl/{mount}", None),
    ("LIST", "{mount}-auth/keys", None),
    ("POST", "sys/mounts/another", {"type": "transit"}),
]


@pytest.mark.parametrize(("method", "path", "body"), FORBIDDEN, ids=str)
async def test_the_shipped_policy_lets_no_key_out(
    bao: OpenBao, root: TransitRootKey, method: str, path: str, body: dict[str, Any] | None
):
    version = await root.create_version()
    where = "/v1/" + path.format(mount=bao.mount, key=f"voicefile-{version}")
    with bao.client(bao.token) as client:
        assert client.request(method, where, json=body).status_code == httpx.codes.FORBIDDEN


async def test_not_even_an_operator_can_export_a_version(bao: OpenBao, root: TransitRootKey):
    version = await root.create_version()
    with bao.client() as operator:
        for path in (f"export/encryption-key/voicefile-{version}", f"backup/voicefile-{version}"):
            said = operator.get(f"/v1/{bao.mount}/{path}")
            assert said.status_code >= 400
            assert "export" in said.text


async def test_a_key_that_an_operator_rotated_still_opens_what_it_wrapped(
    bao: OpenBao, root: TransitRootKey
):
    version, key, wrapped = await wrapped_by(root)
    with bao.client() as operator:
        operator.post(f"/v1/{bao.mount}/keys/voicefile-{version}/rotate").raise_for_status()
        again = await root.wrap(version, key, context=CONTEXT)
        for each in (wrapped, again):
            assert await root.unwrap(version, each, context=CONTEXT) == key
        config = f"/v1/{bao.mount}/keys/voicefile-{version}/config"
        operator.post(config, json={"min_decryption_version": 2}).raise_for_status()
    # Not a forgery: what was kept from opening can be allowed again.
    with pytest.raises(RootUnavailable):
        await root.unwrap(version, wrapped, context=CONTEXT)
    with pytest.raises(Tampered):
        await root.unwrap(version, again, context=b"other")


async def test_neither_token_nor_key_is_logged_or_told(
    bao: OpenBao, root: TransitRootKey, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    version, key, wrapped = await wrapped_by(root)
    with pytest.raises(Tampered) as failed:
        await root.unwrap(version, wrapped, context=b"other")
    await asyncio.to_thread(bao.kill)
    with pytest.raises(RootUnavailable) as away:
        await root.create_version()
    await asyncio.to_thread(bao.start)
    assert away.value.__context__ is None
    said = caplog.text + repr(failed.value) + repr(away.value) + repr(root)
    assert bao.token not in said
    assert key.expose().hex() not in said


async def granted(bao: OpenBao, **how: Any) -> str:
    with bao.client() as operator:
        made = operator.post(
            "/v1/auth/token/create",
            json={"policies": [bao.mount], "no_default_policy": True, **how},
        ).raise_for_status()
    token: str = made.json()["auth"]["client_token"]
    return token


async def asked_again_and_again(root: RootKey) -> None:
    while True:
        await root.versions()
        await asyncio.sleep(0.2)


async def test_a_token_is_renewed_before_it_ends(bao: OpenBao):
    told: list[str] = []
    kept, dropped = await granted(bao, period="4s"), await granted(bao, period="4s")
    async with client_of(bao, kept) as client, client_of(bao, dropped) as other:
        root, forgotten = (TransitRootKey(each, mount=bao.mount) for each in (client, other))
        keeping = asyncio.ensure_future(root.keep_token(told.append))
        with pytest.raises(RootUnavailable, match="403"):
            await asked_again_and_again(forgotten)
        await asyncio.sleep(4)
        assert await root.versions()
        assert not keeping.done()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    assert told == []


async def test_a_token_that_ends_in_spite_of_all_is_told(bao: OpenBao):
    for how, told_of in (
        ({"ttl": "60s", "renewable": False}, "token-not-renewable"),
        ({"ttl": "4s", "explicit_max_ttl": "5s"}, "token-shortened"),
    ):
        told: list[str] = []
        async with client_of(bao, await granted(bao, **how)) as client:
            root = TransitRootKey(client, mount=bao.mount)
            keeping = asyncio.ensure_future(root.keep_token(told.append))
            async with asyncio.timeout(20):
                while told_of not in told:
                    await asyncio.sleep(0.1)
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


async def test_a_token_without_an_end_needs_no_keeping(bao: OpenBao):
    async with client_of(bao, bao.root_token) as client:
        told: list[str] = []
        await TransitRootKey(client, mount=bao.mount).keep_token(told.append)
    assert told == []


async def test_keeping_goes_on_while_the_engine_is_away(bao: OpenBao):
    slept: list[float] = []
    told: list[str] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            await asyncio.to_thread(bao.start)
        if len(slept) == 4:
            raise EOFError
        await asyncio.sleep(0)

    await asyncio.to_thread(bao.kill)
    async with client_of(bao) as client:
        with pytest.raises(EOFError):
            await TransitRootKey(client, mount=bao.mount).keep_token(told.append, sleep=sleep)
    assert told == ["token-not-renewed"] * 2
    assert slept[2] == 3600
