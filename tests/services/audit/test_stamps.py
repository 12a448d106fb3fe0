"""Time stamps, by OpenSSL's own authority: that a log's head existed on a day."""

import asyncio
import base64
import dataclasses
import time
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from prometheus_client import REGISTRY
from tests.services.audit.authority import POLICY, Authority, need_openssl
from tests.services.audit.conftest import DEPLOYMENT, LOG_KEY, house_over, key_of

from voicefile.audit.prove import read_head
from voicefile.audit.settings import AuditSettings
from voicefile.audit.stamp_day import ClocksDisagree, DayStamps
from voicefile.audit.stamper import Stamp, StamperAway
from voicefile.audit.store import DAY_STAMPS
from voicefile.audit.timestamps import read_timestamps
from voicefile.translog.checkpoint import sign_checkpoint
from voicefile.translog.errors import NoteInvalid, ProofInvalid, StampInvalid
from voicefile.translog.note import VerifierKey
from voicefile.translog.proof_text import TlogProof
from voicefile.translog.stamped import verify_stamped
from voicefile.translog.timestamp import StampTrust, stamp_request, verify_stamp

MESSAGE = b"what existed then"
DAY_S = 86_400


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    need_openssl()
    return Authority(tmp_path_factory.mktemp("time") / "authority")


@pytest.fixture(scope="module")
def trust(authority) -> StampTrust:
    return StampTrust.of_pem(authority.root.read_bytes())


def test_a_stamp_tells_when_and_openssl_says_the_same(authority, trust) -> None:
    request = stamp_request(MESSAGE)
    response = authority.reply(request.body)
    at_s = verify_stamp(response, MESSAGE, trust, nonce=request.nonce)
    assert abs(at_s - time.time()) < 300
    assert authority.openssl_believes(MESSAGE, response)


def test_a_stamp_of_something_else_or_asked_by_somebody_else_is_refused(authority, trust) -> None:
    request = stamp_request(MESSAGE)
    response = authority.reply(request.body)
    with pytest.raises(StampInvalid):
        verify_stamp(response, MESSAGE + b".", trust)
    with pytest.raises(StampInvalid):
        verify_stamp(response, MESSAGE, trust, nonce=request.nonce + 1)
    assert not authority.openssl_believes(MESSAGE + b".", response)


def test_a_stamp_under_another_policy_or_by_another_authority_is_refused(
    authority, trust, tmp_path
) -> None:
    response = authority.reply(stamp_request(MESSAGE).body)
    assert verify_stamp(response, MESSAGE, dataclasses.replace(trust, policy=POLICY))
    with pytest.raises(StampInvalid):
        verify_stamp(response, MESSAGE, dataclasses.replace(trust, policy="1.2.3.4.9"))
    other = Authority(tmp_path / "other")
    with pytest.raises(StampInvalid):
        verify_stamp(response, MESSAGE, StampTrust.of_pem(other.root.read_bytes()))


def test_a_certificate_that_is_not_for_time_stamps_is_refused(tmp_path) -> None:
    need_openssl()
    server = Authority(tmp_path / "server", usages=(ExtendedKeyUsageOID.SERVER_AUTH,))
    # OpenSSL itself refuses to stamp with it; whoever does so all the same is not believed.
    with pytest.raises(AssertionError):
        server.reply(stamp_request(MESSAGE).body)


def test_every_changed_byte_of_a_stamp_is_found(authority, trust) -> None:
    response = authority.reply(stamp_request(MESSAGE).body)
    at_s = verify_stamp(response, MESSAGE, trust)
    for at in range(0, len(response), 7):
        changed = bytearray(response)
        changed[at] ^= 0x55
        try:
            told = verify_stamp(bytes(changed), MESSAGE, trust)
        except StampInvalid:
            continue
        # What no signature covers (the outer status text, a certificate too many) changes nothing.
        assert told == at_s


@pytest.mark.parametrize("nonsense", [b"", b"\x30\x00", b"x" * 100, bytes(100_000)])
def test_what_is_no_stamp_is_refused(trust, nonsense) -> None:
    with pytest.raises(StampInvalid):
        verify_stamp(nonsense, MESSAGE, trust)


class Direct:
    """The authority without a wire."""

    def __init__(self, authority: Authority, trust: StampTrust, *, shift_s: float = 0) -> None:
        self._authority, self._trust, self._shift_s = authority, trust, shift_s
        self.away = False

    async def stamp(self, message: bytes) -> Stamp:
        if self.away:
            raise StamperAway
        request = stamp_request(message)
        response = await asyncio.to_thread(self._authority.reply, request.body)
        at_s = verify_stamp(response, message, self._trust, nonce=request.nonce)
        return Stamp(response, at_s + self._shift_s)


def days(docs: Any, stamper: Any, now_s: Any = time.time) -> DayStamps:
    return DayStamps(
        docs,
        stamper,
        lambda checkpoint: sign_checkpoint(checkpoint, LOG_KEY),
        settings=AuditSettings(),
        deployment=DEPLOYMENT,
        now_s=now_s,
    )


@pytest.fixture
async def tenants(docs, instance, keeper_of, tenant, other_tenant) -> list[str]:
    keeper = keeper_of(docs)
    names = [tenant, other_tenant, ""]
    for at, name in enumerate(names):
        await keeper.append(instance.does_often(name, at + 3))
        await keeper.publish(name)
    return names


async def test_each_log_proves_that_its_head_existed_that_day(
    docs, tenants, authority, trust
) -> None:
    assert await days(docs, Direct(authority, trust)).stamp_today()
    for tenant in tenants:
        [stamp] = await read_timestamps(docs, tenant, after="", limit=10)
        stamped = verify_stamped(stamp.proof, stamp.response, key_of(tenant), trust)
        head = await read_head(docs, tenant)
        assert (stamped.checkpoint.size, stamped.checkpoint.root) == (head.size, head.root)
        assert int(stamped.at_s) == stamp.stamped_at_s
        # Without any program of ours: the note alone, and OpenSSL.
        note = TlogProof.parse(stamp.proof).checkpoint
        assert authority.openssl_believes(note.encode(), stamp.response)


async def test_a_stamp_tells_a_tenant_nothing_of_others(docs, tenants, authority, trust) -> None:
    await days(docs, Direct(authority, trust)).stamp_today()
    [stamp] = await read_timestamps(docs, tenants[0], after="", limit=10)
    assert tenants[1] not in stamp.proof
    # Three logs look like four: the tree is filled up, and places are drawn by lot.
    assert TlogProof.parse(stamp.proof).checkpoint.split("\n")[1] == "4"


async def test_a_stamp_does_not_serve_another_log_or_another_day(
    docs, tenants, authority, trust
) -> None:
    await days(docs, Direct(authority, trust)).stamp_today()
    [stamp] = await read_timestamps(docs, tenants[0], after="", limit=10)
    [other] = await read_timestamps(docs, tenants[1], after="", limit=10)
    with pytest.raises(NoteInvalid):
        verify_stamped(stamp.proof, stamp.response, key_of(tenants[1]), trust)
    mixed = dataclasses.replace(
        TlogProof.parse(stamp.proof), extra=TlogProof.parse(other.proof).extra
    )
    with pytest.raises(ProofInvalid):
        verify_stamped(str(mixed), stamp.response, key_of(tenants[1]), trust)
    redated = stamp.proof.replace(f"heads/{stamp.day}", "heads/2001-01-01")
    with pytest.raises(NoteInvalid):
        verify_stamped(redated, stamp.response, key_of(tenants[0]), trust)
    foreign = VerifierKey(key_of(tenants[0]).name.replace("/test/", "/live/"), LOG_KEY.public)
    with pytest.raises(NoteInvalid):
        verify_stamped(stamp.proof, stamp.response, foreign, trust)


async def test_a_day_is_stamped_once_and_the_next_one_again(
    docs, tenants, authority, trust
) -> None:
    asked = authority.folder / "serial"
    before = asked.read_text()
    for at in (0, 1, 2):
        # A stamp's time is real, so days are told apart by a clock that is right at midnight.
        now_s = time.time()
        assert await days(
            docs, Direct(authority, trust), lambda now_s=now_s: now_s
        ).stamp_today() == (at == 0)
    assert int(asked.read_text(), 16) == int(before, 16) + 1
    shifted = Direct(authority, trust, shift_s=DAY_S)
    tomorrow = days(docs, shifted, lambda: time.time() + DAY_S)
    assert await tomorrow.stamp_today()
    found = await read_timestamps(docs, tenants[0], after="", limit=10)
    assert len(found) == 2
    assert await read_timestamps(docs, tenants[0], after=found[0].day, limit=10) == found[1:]
    assert await read_timestamps(docs, tenants[0], after="", limit=1) == found[:1]


async def test_two_that_stamp_one_day_leave_one_stamp_with_its_own_parts(
    docs, tenants, authority, trust
) -> None:
    both = [days(docs, Slow(Direct(authority, trust), n)) for n in range(2)]
    done = await asyncio.gather(*(each.stamp_today() for each in both))
    assert sorted(done) == [False, True]
    for tenant in tenants:
        [stamp] = await read_timestamps(docs, tenant, after="", limit=10)
        verify_stamped(stamp.proof, stamp.response, key_of(tenant), trust)


class Slow:
    """Two authorities that use one folder have to take turns."""

    turn = asyncio.Lock()

    def __init__(self, inner: Direct, _n: int) -> None:
        self._inner = inner

    async def stamp(self, message: bytes) -> Stamp:
        async with self.turn:
            return await self._inner.stamp(message)


class DiesAtInsertOf:
    """A store whose process is gone when it comes to write the day."""

    def __init__(self, docs: Any) -> None:
        self._docs = docs

    def __getattr__(self, name: str) -> Any:
        if name == "insert":
            raise KeyboardInterrupt
        return getattr(self._docs, name)


async def test_a_kill_before_the_day_is_written_leaves_nothing_that_counts(
    docs, tenants, authority, trust
) -> None:
    with pytest.raises(KeyboardInterrupt):
        await days(DiesAtInsertOf(docs), Direct(authority, trust)).stamp_today()
    assert await read_timestamps(docs, tenants[0], after="", limit=10) == []
    assert await days(docs, Direct(authority, trust)).stamp_today()
    [stamp] = await read_timestamps(docs, tenants[0], after="", limit=1)
    verify_stamped(stamp.proof, stamp.response, key_of(tenants[0]), trust)


async def test_a_clock_that_is_wrong_is_noticed(docs, tenants, authority, trust) -> None:
    for shift_s in (-3600, 3600):
        with pytest.raises(ClocksDisagree):
            await days(docs, Direct(authority, trust, shift_s=shift_s)).stamp_today()
    assert await docs.scan(DAY_STAMPS) == []


async def test_without_logs_nobody_is_asked(docs, authority, trust) -> None:
    stamper = Direct(authority, trust)
    stamper.away = True
    assert not await days(docs, stamper).stamp_today()


async def test_an_authority_elsewhere_stamps_the_day_and_its_failures_hold_nothing_up(
    docs, tmp_path, tenant, instance
) -> None:
    need_openssl()
    authority = Authority(tmp_path / "authority")
    authority.answers += ["away", "nonsense", "endless"]
    async with (
        authority.served() as served,
        house_over(
            docs,
            tmp_path / "root",
            now_s=time.time,
            tsa_url=served.url,
            tsa_ca=authority.root,
            tsa_tls_ca=served.tls_ca,
            tsa_policy=POLICY,
            stamp_again_s_max=0.1,
        ) as house,
    ):
        await house.bus.publish(instance.does_often(tenant, 5))
        await house.published(tenant, 5)
        async with asyncio.timeout(60):
            while not (told := await timestamps(house, tenant)):
                await asyncio.sleep(0.05)
        assert authority.asked == 4
        key = VerifierKey.parse((await house.get(f"/v1/logs/{tenant}/key")).text.strip())
        response = base64.b64decode(told[0]["response"])
        trust = StampTrust.of_pem(authority.root.read_bytes(), policy=POLICY)
        stamped = verify_stamped(told[0]["tlog_proof"], response, key, trust)
        assert 1 <= stamped.checkpoint.size <= 5
        assert REGISTRY.get_sample_value("voicefile_audit_stamp_age_seconds") < 300


async def timestamps(house: Any, tenant: str) -> list[Any]:
    answer = await house.get(f"/v1/logs/{tenant}/timestamps")
    assert answer.status_code == 200
    assert answer.json()["next"] is None
    return answer.json()["timestamps"]


async def test_an_answer_that_was_given_before_is_no_stamp_of_today(
    docs, tmp_path, tenant, instance
) -> None:
    """Someone on the way plays back yesterday's answer: its nonce and its hash are yesterday's."""
    need_openssl()
    authority = Authority(tmp_path / "authority")
    authority.last = authority.reply(stamp_request(MESSAGE).body)
    authority.answers += ["old"]
    async with (
        authority.served() as served,
        house_over(
            docs,
            tmp_path / "root",
            now_s=time.time,
            tsa_url=served.url,
            tsa_ca=authority.root,
            tsa_tls_ca=served.tls_ca,
            stamp_again_s_max=0.1,
        ) as house,
    ):
        await house.bus.publish(instance.does_often(tenant, 1))
        await house.published(tenant, 1)
        async with asyncio.timeout(60):
            while authority.asked < 2:
                await asyncio.sleep(0.05)
            while not await timestamps(house, tenant):
                await asyncio.sleep(0.05)
        [day] = await docs.scan(DAY_STAMPS)
        assert day.body["response"] != authority.reply(stamp_request(MESSAGE).body)


def test_settings_that_name_an_authority_without_its_chain_are_refused() -> None:
    with pytest.raises(ValueError, match="tsa_ca"):
        AuditSettings(tsa_url="https://tsa.invalid/")
