"""The PKCS#11 root against SoftHSM, each token in a folder and a process of its own."""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from tests.engines import running
from tests.engines.softhsm import SoftHsm
from tests.libs.crypto.token_process import TokenProcess, token_process

from voicefile.crypto.errors import Tampered
from voicefile.crypto.rootkey import RootKey, RootUnavailable, VersionGone
from voicefile.crypto.rootkey_conformance import CONTEXT, RootKeyConformance
from voicefile.crypto.secret import SecretKey


def new_token(folder: Path) -> SoftHsm:
    running.engine("softhsm")  # skips, and says why, where there is none
    token = SoftHsm(folder)
    token.start()
    return token


@pytest.fixture
def token(tmp_path: Path) -> SoftHsm:
    return new_token(tmp_path / "token")


@pytest_asyncio.fixture
async def root(token: SoftHsm) -> AsyncIterator[TokenProcess]:
    async with token_process(token) as process:
        yield process


@pytest.fixture(scope="module")
def token_in_use(tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    return new_token(tmp_path_factory.mktemp("token"))


@pytest_asyncio.fixture
async def root_in_use(token_in_use: SoftHsm) -> AsyncIterator[TokenProcess]:
    """It is the law of a token in use, not of one that never held a version."""
    async with token_process(token_in_use) as process:
        await process.create_version()
        yield process


class TestPkcs11(RootKeyConformance):
    @pytest.fixture
    def root(self, root_in_use: TokenProcess) -> RootKey:
        return root_in_use


async def wrapped_by(root: RootKey) -> tuple[str, SecretKey, bytes]:
    version, key = await root.create_version(), SecretKey.random()
    return version, key, await root.wrap(version, key, context=CONTEXT)


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


async def test_another_process_finds_the_versions_and_opens_what_they_wrapped(token: SoftHsm):
    async with token_process(token) as root:
        version, key, wrapped = await wrapped_by(root)
        await root.destroy_version(doomed := await root.create_version())
    async with token_process(token) as root:
        assert await root.versions() == [version]
        assert await root.unwrap(version, wrapped, context=CONTEXT) == key
        with pytest.raises(VersionGone):
            await root.unwrap(doomed, wrapped, context=CONTEXT)


async def test_what_one_process_destroys_is_gone_for_the_others(token: SoftHsm):
    async with token_process(token) as one, token_process(token) as other:
        version, key, wrapped = await wrapped_by(one)
        assert await other.unwrap(version, wrapped, context=CONTEXT) == key
        await other.destroy_version(version)
        with pytest.raises(VersionGone):
            await one.unwrap(version, wrapped, context=CONTEXT)
        assert await one.versions() == []


READ_OUT = """
import sys, pkcs11
from pkcs11 import Attribute, Mechanism, MechanismFlag, KeyType, ObjectClass
session = pkcs11.lib(sys.argv[1]).get_token(token_label=sys.argv[2]).open(rw=True, user_pin=input())
wrapping = session.generate_key(KeyType.AES, 256, capabilities=MechanismFlag.WRAP)
keys = list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.TOKEN: True}))
assert len(keys) == 2, keys
for key in keys:
    assert key[Attribute.SENSITIVE] and key[Attribute.ALWAYS_SENSITIVE] and key[Attribute.LOCAL]
    assert not key[Attribute.EXTRACTABLE] and key[Attribute.NEVER_EXTRACTABLE]
    assert key[Attribute.PRIVATE] and not key[Attribute.WRAP] and not key[Attribute.DERIVE]
    for way in (
        lambda: key[Attribute.VALUE],
        lambda: key.__setitem__(Attribute.EXTRACTABLE, True),
        lambda: key.__setitem__(Attribute.SENSITIVE, False),
        lambda: key.copy({Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False}),
        lambda: wrapping.wrap_key(key, mechanism=Mechanism.AES_KEY_WRAP),
    ):
        try:
            way()
        except pkcs11.PKCS11Error:
            continue
        raise SystemExit("a key came out")
"""


async def test_whoever_has_the_pin_can_use_a_key_but_not_read_it_out(
    token: SoftHsm, root: TokenProcess, tmp_path: Path
):
    version, key, wrapped = await wrapped_by(root)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", READ_OUT, str(token.module), token.label],
        input=token.pin.encode(),
        env=token.environment,
        check=True,
    )
    assert done.returncode == 0
    assert await root.unwrap(version, wrapped, context=CONTEXT) == key


async def test_a_wrong_pin_is_tried_once(token: SoftHsm):
    async with token_process(token) as right:
        version, key, wrapped = await wrapped_by(right)
        async with token_process(token, pin="000000") as root:
            for _ in range(3):
                await unusable(root, version, wrapped)
            with pytest.raises(RootUnavailable, match="not tried again"):
                await root.versions()
        assert await right.unwrap(version, wrapped, context=CONTEXT) == key


async def test_a_token_that_went_away_is_not_a_version_that_is_gone(
    token: SoftHsm, root: TokenProcess
):
    version, key, wrapped = await wrapped_by(root)
    tokens, elsewhere = token.folder / "tokens", token.folder / "elsewhere"
    tokens.rename(elsewhere)
    for _ in range(2):
        await unusable(root, version, wrapped)
    elsewhere.rename(tokens)
    assert await root.unwrap(version, wrapped, context=CONTEXT) == key
    assert await root.versions() == [version]
    assert await root.ready()


async def test_an_empty_token_in_the_place_of_ours_has_nothing_gone(token: SoftHsm, tmp_path: Path):
    async with token_process(token) as root:
        version, _, wrapped = await wrapped_by(root)
    shutil.rmtree(token.folder / "tokens")
    token.start()
    async with token_process(token) as root:
        for asked in (
            root.wrap(version, SecretKey.random(), context=CONTEXT),
            root.unwrap(version, wrapped, context=CONTEXT),
            root.destroy_version(version),
        ):
            with pytest.raises(RootUnavailable, match="never had a version"):
                await asked


async def test_a_new_token_is_ready_and_empty(root: TokenProcess):
    assert await root.ready()
    assert await root.versions() == []
    version = await root.create_version()
    assert await root.versions() == [version]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"module": "/nowhere/libhsm.so"}, "no PKCS#11 module /nowhere/libhsm.so"),
        ({"module": __file__}, "can't be used as PKCS#11 module"),
        ({"label": "of another vault"}, "NoSuchToken"),
    ],
    ids=["no module", "not a module", "no token"],
)
async def test_a_root_that_can_not_be_opened_says_why(
    token: SoftHsm, wrong: dict[str, str], told: str
):
    async with token_process(token, **wrong) as root:
        await unusable(root, "0" * 32, bytes(60))
        with pytest.raises(RootUnavailable, match=told):
            await root.versions()


async def test_a_forked_child_is_refused_and_harms_nobody(root: TokenProcess):
    version, key, wrapped = await wrapped_by(root)
    assert await root.fork() == "RootUnavailable: a token is not used across a fork"
    assert await root.unwrap(version, wrapped, context=CONTEXT) == key
    with pytest.raises(Tampered):
        await root.unwrap(version, wrapped, context=b"other")


async def test_a_second_root_of_the_process_may_come_and_go(root: TokenProcess):
    version, key, wrapped = await wrapped_by(root)
    for _ in range(2):
        assert await root.twin()
    assert await root.unwrap(version, wrapped, context=CONTEXT) == key


async def test_a_module_that_hangs_is_not_ready_and_is_not_waited_for(root: TokenProcess):
    version, key, wrapped = await wrapped_by(root)
    await root.busy(4)
    assert not await root.ready()
    assert await root.unwrap(version, wrapped, context=CONTEXT) == key
    assert await root.ready()


async def test_keys_of_others_in_the_same_token_are_none_of_ours(
    token: SoftHsm, root: TokenProcess
):
    version = await root.create_version()
    made = "generate_key(KeyType.AES, 256, label=label, store=True)"
    script = (
        "import sys, pkcs11\nfrom pkcs11 import KeyType\n"
        "token = pkcs11.lib(sys.argv[1]).get_token(token_label=sys.argv[2])\n"
        "session = token.open(rw=True, user_pin=input())\n"
        "for label in ('voicefile-x', 'other', '0' * 32, 'voicefile-mark'):\n"
        f"    session.{made}\n"
    )
    await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", script, str(token.module), token.label],
        input=token.pin.encode(),
        env=token.environment,
        check=True,
    )
    assert await root.versions() == [version]
