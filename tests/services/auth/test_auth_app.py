"""Auth as it runs: every route says whom it serves, the loops turn, and ingest hears of tenants."""

import asyncio
from contextlib import nullcontext

import pytest
from pydantic import ValidationError
from tests.services.auth.issuing_world import DEPLOYMENT, Upload, an_auth

from voicefile.auth.events import TOPIC
from voicefile.auth.settings import AuthSettings
from voicefile.contracts.auth.v1 import AuthEvent
from voicefile.crypto.rootkey import RootUnavailable
from voicefile.identity.guard import RuleKind, rules_of
from voicefile.identity.principal import Role
from voicefile.identity.tokens import RemoteKeySet, TokenVerifier


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path) as world:
        yield world


async def test_every_route_says_whom_it_serves(vault):
    public, internal = rules_of(vault.service.public), rules_of(vault.service.internal)
    assert {path for _, path in public if "internal" in path} == set()
    assert {path.split("/")[1] for _, path in internal} == {"internal"}
    assert {rule.kind for rule in internal.values()} == {RuleKind.PEERS}
    assert {frozenset(rule.who) for rule in internal.values()} == {
        frozenset({"ingest"}),
        frozenset({"playback"}),
        frozenset({"backup"}),
    }
    open_to_all = {path for (_, path), rule in public.items() if rule.kind is RuleKind.PUBLIC}
    assert open_to_all == {
        "/v1/token",
        "/v1/staff-sessions",
        "/v1/keys",
        "/v1/tenants/{tenant}/receipt-keys",
        "/v1/tenants/{tenant}/shred-certificate",
        "/v1/customer-sessions",
        "/v1/customer-sessions/answers",
        "/v1/openapi.json",
    }


async def test_without_a_token_nothing_answers(vault):
    for (method, path), rule in rules_of(vault.service.public).items():
        if rule.kind is RuleKind.PUBLIC:
            continue
        filled = path.replace("{credential}", "0" * 32).replace("{principal}", "0" * 32)
        told = await vault.call(method, filled)
        assert told.status_code == 401, (method, path)


async def test_the_interface_describes_itself(vault):
    described = (await vault.call("GET", "/v1/openapi.json")).json()
    assert "/v1/credentials/{credential}/reissue" in described["paths"]
    assert "requestBody" in described["paths"]["/v1/token"]["post"]


async def test_others_check_our_tokens_without_asking_more_than_the_keys(vault):
    tenant = await vault.tenant()
    token = await vault.token(tenant, Role.CARE)
    async with vault.client(peer="playback") as client:
        verifier = TokenVerifier(RemoteKeySet(client), issuer=DEPLOYMENT, now=vault.clock)
        assert (await verifier.verify(token)).tenant == tenant


async def test_what_auth_tells_reaches_the_bus_while_it_runs(vault):
    told = []

    async def hear(events):
        told.extend(AuthEvent.FromString(event.payload) for event in events)

    vault.bus.subscribe(TOPIC, group="test", handler=hear)
    async with vault.bus.running(), vault.service.running():
        tenant = await vault.tenant()
        async with asyncio.timeout(20):
            while not any(event.tenant_published.tenant == tenant for event in told):
                await asyncio.sleep(0.01)
    assert vault.failures == []


async def test_the_loops_do_their_work_and_survive_a_root_that_is_away(tmp_path):
    class Flaky:
        def __init__(self, root):
            self._root, self.away = root, False

        def __getattr__(self, name):
            return getattr(self._root, name)

        async def create_version(self):
            if self.away:
                self.away = False
                raise RootUnavailable
            return await self._root.create_version()

    settings = AuthSettings(rotate_every_s=1, sweep_every_s=1)
    async with an_auth(tmp_path, settings=settings, wrap_root=Flaky) as world:
        tenant = await world.tenant()
        before = (await world.custody.namespace(tenant)).current_epoch.id
        world.clock.s += settings.epoch_max_s
        world.root.away = True
        async with world.bus.running(), world.service.running(), asyncio.timeout(30):
            while (await world.custody.namespace(tenant)).current_epoch.id == before:
                await asyncio.sleep(0.05)
                world.custody.forget(tenant)
    assert world.root.away is False


@pytest.mark.parametrize(
    ("held_s", "grace_s", "possible"),
    [(300, 0, False), (300, 359, False), (300, 360, True), (1, 60, False), (1, 61, True)],
)
def test_no_epoch_dies_while_an_instance_may_still_hold_it(held_s, grace_s, possible):
    expected = nullcontext() if possible else pytest.raises(ValidationError)
    with expected:
        AuthSettings(custody_ttl_s=held_s, epoch_grace_s=grace_s)


async def test_a_root_that_is_away_is_no_error_of_ours(tmp_path):
    class Away:
        def __init__(self, root):
            self._root, self.away = root, False

        def __getattr__(self, name):
            return getattr(self._root, name)

        async def unwrap(self, version, wrapped, *, context):
            if self.away:
                raise RootUnavailable
            return await self._root.unwrap(version, wrapped, context=context)

    async with an_auth(tmp_path, wrap_root=Away) as world:
        partner = await world.partner(await world.tenant())
        upload = await world.prepared(Upload(partner))
        world.root.away = True
        world.custody.forget(partner.tenant)
        assert (await world.ask(upload)).status_code == 503
        world.root.away = False
        assert (await world.ask(upload)).status_code == 201


async def test_ready_means_that_a_write_would_succeed(vault):
    assert await vault.service.ready()
