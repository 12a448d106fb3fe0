"""Every refusal has its own answer, repeats nothing, keeps nothing, and frees the key."""

import json
import re
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.journeys.bad_requests import CANARY, MULTIPART, SAID, UPLOAD_BYTES_MAX, all_bad_uploads
from tests.journeys.bad_requests import upload as an_upload
from tests.stand import OPERATOR, company, stand

from voicefile.auth.issuing.access_id import new_access_id
from voicefile.auth.keys.compact_jws import signed
from voicefile.auth.store import ACCESS
from voicefile.auth.tenants.open_tenant import close_tenant
from voicefile.auth.tenants.principals import NewPrincipal, add_principal
from voicefile.auth.tokens.issue_token import TYP
from voicefile.chassis.problems import _OF_STATUS, TYPE_PREFIX
from voicefile.identity.principal import Role
from voicefile.ingest.problem_table import problem_table
from voicefile.ingest.settings import IngestSettings
from voicefile.ingest.store import RESERVATIONS

pytestmark = pytest.mark.asyncio(loop_scope="module")
GUIDE = Path(__file__).parents[2] / "docs" / "partner-guide.md"
UPLOADS = all_bad_uploads()
NEVER_TAKEN = {"tenant-closed", "recording-switched-off"}
"""Whatever they send: there is no corrected upload."""
SIGNED = ("partner", "strict", "switched off", "closed", "care", "auditor", "admin")
RENEW_AFTER_S = 60


@dataclass
class Desk:
    """A vault with tenants of all kinds, and everybody's tokens."""

    vault: object
    client: httpx.AsyncClient
    tokens: dict[str, str]
    known: dict[str, str]
    """Access IDs of all kinds."""
    credential: str
    recording: str
    foreign_recording: str
    renewed_at_s: float = field(default_factory=time.monotonic)

    async def post(self, content, *, who="partner", key=None, **headers):
        sent = {"Content-Type": MULTIPART, "Idempotency-Key": key, **self.bearer(who), **headers}
        sent = {name: value for name, value in sent.items() if value is not None}
        return await self.client.post("/ingest/v1/recordings", content=content, headers=sent)

    def bearer(self, who="partner"):
        token = self.tokens[who]
        return {"Authorization": f"Bearer {token}"} if token else {}

    async def renewed(self):
        """Tokens live for minutes; with a network between, all these tests take longer."""
        if time.monotonic() - self.renewed_at_s < RENEW_AFTER_S:
            return
        self.renewed_at_s = time.monotonic()
        signer = await self.vault.ports.custody.token_signer()
        for name in SIGNED:
            claims = jwt.decode(self.tokens[name], options={"verify_signature": False})
            now = int(time.time())
            fresh = claims | {"iat": now, "exp": now + claims["exp"] - claims["iat"]}
            self.tokens[name] = signed(fresh, typ=TYP, signer=signer)

    async def kept(self):
        """What there is: blobs, reservations, access documents."""
        vault = self.vault
        return (
            len(await vault.blobs.entries(limit=100_000)),
            len(await vault.stores["ingest"].scan(RESERVATIONS, limit=100_000)),
            len(await vault.stores["auth"].scan(ACCESS, limit=100_000)),
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory):
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("VOICEFILE_INGEST_UPLOAD_BYTES_MAX", str(UPLOAD_BYTES_MAX))
        async with stand(tmp_path_factory.mktemp("desk"), companies=2) as vault:
            yield await _furnished(vault)


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _fresh_tokens(desk):
    await desk.renewed()


async def _furnished(vault):
    ports, client = vault.ports, vault.client
    own, other = vault.companies
    strict, switched_off, closed = [
        await company(ports, client, name) for name in ("strict", "switched-off", "closed")
    ]
    admin = await _admin(own)
    for department, allowed in (("sales", True), ("silent", False)):
        scope = {"department": department, "rules": {"recording_allowed": allowed}}
        (await client.post("/auth/v1/scopes", headers=admin, json=scope)).raise_for_status()
    rules = {"question_kinds": ["postcode"], "retention_days": {"contract": 9}}
    await client.put("/auth/v1/policy", headers=await _admin(strict), json=rules)
    off = {"recording_allowed": False, "retention_days": {"contract": 9}}
    await client.put("/auth/v1/policy", headers=await _admin(switched_off), json=off)
    sibling = await add_principal(
        own.id, NewPrincipal(Role.PARTNER, "Other CRM"), by=OPERATOR, ports=ports
    )
    await vault.published()
    sibling_token = await own.partner_token(sibling)
    filed = (await own.upload()).json()
    foreign = (await other.upload()).json()
    revoked = (await own.upload()).json()
    tokens = {
        "partner": await own.partner_token(),
        "strict": await strict.partner_token(),
        "switched off": await switched_off.partner_token(),
        "closed": await closed.partner_token(),
        **{role: await own.staff_token(role) for role in ("care", "auditor", "admin")},
        "customer": (await own.sign_in(filed["access_id"], filed["pin"])).json()["session_token"],
        "nobody": "",
        "nonsense": CANARY,
    }
    tokens |= await _forged(tokens["partner"], ports)
    await close_tenant(closed.id, by=OPERATOR, ports=ports)
    headers = {"Authorization": f"Bearer {tokens['partner']}"}
    credentials = [
        (await client.get(f"/ingest/v1/recordings/{each['recording_id']}", headers=headers)).json()
        for each in (filed, revoked)
    ]
    gone = credentials[1]["credential_id"]
    await client.post(
        f"/auth/v1/credentials/{gone}/state", headers=headers, json={"change": "revoke"}
    )
    await vault.published()
    known = {
        "own": filed["access_id"],
        "of another tenant": foreign["access_id"],
        "of another partner": (await own.upload(token=sibling_token)).json()["access_id"],
        "revoked": revoked["access_id"],
        "unknown": new_access_id(),
        "mistyped": filed["access_id"][:-2] + "00",
    }
    return Desk(
        vault,
        client,
        tokens,
        known,
        credentials[0]["credential_id"],
        filed["recording_id"],
        foreign["recording_id"],
    )


async def _admin(of):
    return {"Authorization": f"Bearer {await of.staff_token('admin')}"}


async def _forged(token, ports):
    """Tokens that look right: an old one, another vault's, one nobody signed."""
    head = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})
    past = claims | {"iat": int(time.time()) - 900, "exp": int(time.time()) - 600}
    signer = await ports.custody.token_signer()
    return {
        "expired": signed(past, typ=TYP, signer=signer),
        "of another vault": jwt.encode(
            claims, Ed25519PrivateKey.generate(), algorithm="EdDSA", headers=head
        ),
        "unsigned": jwt.encode(claims, None, algorithm="none"),
    }


def slug_of(answer):
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == answer.status_code
    assert told["type"].startswith(TYPE_PREFIX)
    return told["type"].removeprefix(TYPE_PREFIX)


def assert_tells_nothing(answer):
    told = answer.text + json.dumps(dict(answer.headers))
    assert CANARY.lower() not in told.lower()


@pytest.mark.parametrize("bad", UPLOADS, ids=lambda bad: bad.name)
async def test_a_bad_upload_is_told_why_and_leaves_nothing(desk, bad):
    key = str(uuid.uuid4())
    sent = key if bad.key == "" else bad.key
    body = an_upload(bad.takes(desk.known)) if bad.takes else bad.body
    before = await desk.kept()
    answer = await desk.post(body, who=bad.who, key=sent, **bad.headers)
    assert (answer.status_code, slug_of(answer)) == (bad.status, bad.slug)
    assert_tells_nothing(answer)
    assert await desk.kept() == before
    assert bad.slug in problems_in_the_guide()
    # The same key serves for the upload put right.
    right = await desk.post(an_upload({"retention_class": "contract"}), key=key)
    assert right.status_code == 201, right.text
    assert await desk.kept() == (before[0] + 3, before[1] + 1, before[2] + 1)


async def test_an_expired_token_was_a_good_one(desk):
    """The control: with its time put right, the same forging makes a token that is taken."""
    claims = jwt.decode(desk.tokens["expired"], options={"verify_signature": False})
    assert claims["exp"] < time.time()
    fresh = claims | {"iat": int(time.time()), "exp": int(time.time()) + 300}
    signer = await desk.vault.ports.custody.token_signer()
    token = signed(fresh, typ=TYP, signer=signer)
    mine = {"Authorization": f"Bearer {token}"}
    taken = await desk.client.get("/ingest/v1/changes", headers=mine)
    assert taken.status_code == 200


async def test_who_takes_nothing_takes_nothing_put_right_either(desk):
    for bad in (each for each in UPLOADS if each.name in NEVER_TAKEN):
        key = str(uuid.uuid4())
        for _ in range(2):
            answer = await desk.post(bad.body, who=bad.who, key=key)
            assert slug_of(answer) == bad.slug


async def test_all_ways_of_joining_nothing_look_the_same(desk):
    names = ("mistyped", "unknown", "of another tenant", "of another partner", "revoked")
    answers = [
        await desk.post(an_upload({"join_access_id": desk.known[name]}), key=str(uuid.uuid4()))
        for name in names
    ]
    assert len({answer.content for answer in answers}) == 1


async def test_a_key_used_for_another_upload_is_refused_and_keeps_the_first(desk):
    key = str(uuid.uuid4())
    first = await desk.post(an_upload({}), key=key)
    before = await desk.kept()
    for changes in ({"contract_reference": f"V-{CANARY}-2"}, {"language": "en"}):
        answer = await desk.post(an_upload(changes), key=key)
        assert (answer.status_code, slug_of(answer)) == (409, "key-reused")
        assert_tells_nothing(answer)
    assert await desk.kept() == before
    assert (await desk.post(an_upload({}), key=key)).content == first.content


SMALLER = {
    "no-such-recording": ("GET", "/ingest/v1/recordings/" + "0" * 32, None, 404, "not-found"),
    "no-recording-id": ("GET", f"/ingest/v1/recordings/{CANARY}", None, 404, "not-found"),
    "no-such-path": ("GET", f"/ingest/v1/{CANARY}", None, 404, "not-found"),
    "odd-cursor": ("GET", f"/ingest/v1/changes?after={CANARY}", None, 422, "invalid-request"),
    "wrong-method": ("DELETE", "/ingest/v1/recordings", None, 405, "method-not-allowed"),
    "no-such-credential": (
        "POST",
        f"/auth/v1/credentials/{'0' * 32}/reissue",
        None,
        404,
        "not-found",
    ),
    "no-credential-id": (
        "POST",
        f"/auth/v1/credentials/{CANARY}/reissue",
        None,
        422,
        "invalid-request",
    ),
    "odd-letter": ("POST", "…/letter", {"letter": CANARY, CANARY: 1}, 422, "invalid-request"),
    "impossible-letter": ("POST", "…/letter", {"letter": "returned"}, 409, "change-not-possible"),
    "impossible-change": ("POST", "…/state", {"change": "restore"}, 409, "change-not-possible"),
    "broken-json": ("POST", "…/state", f'{{"change": "{CANARY}'.encode(), 400, "malformed-request"),
    "large-json": ("POST", "…/state", CANARY.encode() * 9_000, 413, "body-too-large"),
    "search": ("POST", "/auth/v1/customer-searches", {"phone": CANARY}, 403, "not-permitted"),
}


@pytest.mark.parametrize("name", SMALLER)
async def test_other_requests_of_partners_are_refused_as_clearly(desk, name):
    method, path, body, status, slug = SMALLER[name]
    path = path.replace("…", f"/auth/v1/credentials/{desk.credential}")
    content = body if isinstance(body, bytes) else json.dumps(body).encode() if body else None
    headers = desk.bearer() | {"Content-Type": "application/json"}
    answer = await desk.client.request(method, path, content=content, headers=headers)
    assert (answer.status_code, slug_of(answer)) == (status, slug)
    assert_tells_nothing(answer)
    assert slug in problems_in_the_guide()


TOKENS = {
    "wrong-secret": ({"grant_type": "client_credentials"}, CANARY, 401, "not-recognised"),
    "odd-grant": ({"grant_type": CANARY}, CANARY, 400, "token-request-unclear"),
    "odd-assertion": (
        {
            "grant_type": "client_credentials",
            "client_assertion": CANARY,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        },
        None,
        401,
        "not-recognised",
    ),
}


@pytest.mark.parametrize("name", TOKENS)
async def test_a_token_is_refused_in_the_words_of_oauth_and_ours(desk, name):
    form, secret, status, slug = TOKENS[name]
    auth = httpx.BasicAuth(desk.credential, secret) if secret else None
    answer = await desk.client.post("/auth/v1/token", data=form, auth=auth)
    assert (answer.status_code, slug_of(answer)) == (status, slug)
    assert answer.json()["error"] in ("invalid_client", "unsupported_grant_type")
    assert_tells_nothing(answer)
    assert slug in problems_in_the_guide()


async def test_a_revoked_credential_gets_no_new_pin(desk):
    mine = desk.bearer()
    filed = (await desk.post(an_upload({}), key=str(uuid.uuid4()))).json()
    status = await desk.client.get(f"/ingest/v1/recordings/{filed['recording_id']}", headers=mine)
    credential = f"/auth/v1/credentials/{status.json()['credential_id']}"
    await desk.client.post(f"{credential}/state", headers=mine, json={"change": "revoke"})
    answer = await desk.client.post(f"{credential}/reissue", headers=mine)
    assert (answer.status_code, slug_of(answer)) == (409, "credential-over")


async def test_somebody_elses_recording_looks_like_none(desk):
    answers = [
        await desk.client.get(f"/ingest/v1/recordings/{each}", headers=desk.bearer())
        for each in (desk.foreign_recording, "0" * 32, CANARY)
    ]
    assert {(each.status_code, each.content) for each in answers} == {(404, answers[0].content)}


ELSEWHERE = {
    "upload-stalled": "needs a minute's waiting: ingest's own tests, by settings",
    "body-too-slow": "the same for requests that are no uploads",
    "answer-expired": "needs 72 hours: auth's and ingest's own tests, by a clock",
    "recording-gone": "needs an erasure",
    "upload-not-accepted": "what auth may refuse some day in words of its own",
    "internal": "is a bug",
    "rate-limited": "needs many tries: auth's own tests",
    "changed-meanwhile": "needs a race: auth's own tests",
    "unavailable": "503 is for moments: the faults' tests",
    "upload-in-progress": "503",
    "upload-overtaken": "503",
    "busy": "503",
    "tenant-not-yet-known": "503",
    "sealing-key-refused": "503",
    "auth-unavailable": "503",
    "decoder-unavailable": "503",
    "vault-full": "needs a full disk: the faults' tests",
}
"""Problem types the guide names and no test here can bring about."""
BROUGHT_ABOUT = (
    {bad.slug for bad in UPLOADS}
    | {slug for *_, slug in SMALLER.values()}
    | {slug for *_, slug in TOKENS.values()}
    | {"key-reused", "credential-over"}
)


def problems_in_the_guide():
    """Status by slug, from the table of problems."""
    rows = re.findall(r"^\| (\d{3}) \|(.*?)\|", GUIDE.read_text(), re.MULTILINE)
    return {slug: int(status) for status, slugs in rows for slug in re.findall(r"`(.+?)`", slugs)}


async def test_the_guide_names_every_problem_and_no_other():
    ingest = {p.type_slug: p.status for p in problem_table(IngestSettings()).values()}
    general = {p.type_slug: p.status for p in _OF_STATUS.values()}
    told = problems_in_the_guide()
    assert set(told) == BROUGHT_ABOUT | set(ELSEWHERE)
    assert set(ingest) <= set(told)
    assert not BROUGHT_ABOUT & set(ELSEWHERE)
    for slug, status in told.items():
        assert (ingest | general).get(slug, status) == status


async def test_more_than_sixty_uploads_are_refused():
    assert len(UPLOADS) > 100
    assert len({bad.slug for bad in UPLOADS}) > 20
    assert CANARY in json.dumps(SAID)
