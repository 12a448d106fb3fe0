"""Staff signing in: password and code, each code once, and one refusal for everything."""

import asyncio
import json
from contextlib import ExitStack, suppress

import pyotp
import pytest
from tests.services.auth.issuing_world import an_auth, slug

from voicefile.auth.errors import NameTaken
from voicefile.auth.listening.access_errors import Busy
from voicefile.auth.tenants.principals import NewPrincipal, add_principal, remove_principal
from voicefile.auth.throttling.pin_pool import Rank
from voicefile.deeds.deed import Actor, Outcome
from voicefile.identity.ids import PLATFORM
from voicefile.identity.principal import Role


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path) as world:
        yield world


@pytest.fixture
async def tenant(vault):
    return await vault.tenant()


@pytest.fixture
async def agent(vault, tenant):
    return await vault.staff(tenant)


def code(vault, agent, *, steps=0):
    return pyotp.TOTP(agent.totp_secret.expose()).generate_otp(int(vault.clock()) // 30 + steps)


async def sign_in(vault, agent, **changes):
    typed = {
        "username": agent.username,
        "password": agent.password.expose(),
        "totp": code(vault, agent),
        **changes,
    }
    return await vault.call("POST", "/v1/staff-sessions", json=typed)


async def test_password_and_code_get_a_token(vault, tenant, agent):
    answer = await sign_in(vault, agent)
    assert answer.status_code == 200
    assert answer.json()["expires_in"] == 900
    known = await vault.call("GET", "/v1/tenant", token=answer.json()["access_token"])
    assert known.json()["id"] == tenant
    (deed,) = await vault.deeds("STAFF_SIGNED_IN")
    assert (deed.actor, deed.outcome) == (agent.id, Outcome.OUTCOME_DONE)


async def test_a_code_works_once(vault, agent):
    assert (await sign_in(vault, agent)).status_code == 200
    again = await sign_in(vault, agent)
    assert (again.status_code, slug(again)) == (401, "not-recognised")
    vault.clock.s += 30
    assert (await sign_in(vault, agent)).status_code == 200


async def test_an_older_code_is_not_taken_after_a_newer_one(vault, agent):
    assert (await sign_in(vault, agent, totp=code(vault, agent, steps=1))).status_code == 200
    assert (await sign_in(vault, agent)).status_code == 401


async def test_of_two_with_one_code_one_gets_in(vault, agent):
    answers = await asyncio.gather(*(sign_in(vault, agent) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]


@pytest.mark.parametrize("steps", [-1, 1])
async def test_clocks_may_differ_by_a_step(vault, agent, steps):
    assert (await sign_in(vault, agent, totp=code(vault, agent, steps=steps))).status_code == 200


async def test_what_is_wrong_never_shows(vault, tenant, agent):
    removed = await vault.staff(tenant, handle="removed")
    await remove_principal(tenant, removed.id, by=Actor.service(), ports=vault.ports)
    answers = [
        await sign_in(vault, agent, password="wrong"),
        await sign_in(vault, agent, totp="000000"),
        await sign_in(vault, agent, totp=""),
        await sign_in(vault, agent, totp="12345a"),
        await sign_in(vault, agent, totp=code(vault, agent, steps=5)),
        await sign_in(vault, agent, username="nobody@aurora.example"),
        await sign_in(vault, removed),
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1


async def test_every_refusal_is_recorded_of_names_unknown_too(vault, tenant, agent):
    await sign_in(vault, agent, password="wrong")
    await sign_in(vault, agent, username="nobody@aurora.example")
    known, unknown = await vault.deeds("STAFF_SIGNED_IN")
    assert (known.tenant, known.object_id) == (tenant, agent.id)
    assert (unknown.tenant, unknown.object_id) == (PLATFORM, "")
    assert known.outcome == unknown.outcome == Outcome.OUTCOME_REFUSED
    assert known.actor == unknown.actor == ""


async def test_guessing_ends_and_then_even_the_right_password_waits(vault, agent):
    for _ in range(20):
        answer = await sign_in(vault, agent, password="wrong")
    assert answer.status_code in {401, 429}
    assert (await sign_in(vault, agent)).status_code in {401, 429}
    vault.clock.s += 2 * 86_400
    assert (await sign_in(vault, agent)).status_code == 200


async def test_a_username_is_one_however_it_is_typed(vault, agent):
    assert (await sign_in(vault, agent, username=f" {agent.username.upper()}")).status_code == 200


async def test_two_tenants_never_compete_for_a_name(vault, tenant, agent):
    other = await vault.tenant("borealis.example")
    twin = await vault.staff(other)
    assert (agent.username, twin.username) == ("anna@aurora.example", "anna@borealis.example")
    with pytest.raises(NameTaken):
        await vault.staff(tenant)
    with pytest.raises(NameTaken):
        await vault.tenant("borealis.example")
    with pytest.raises(NameTaken):
        await vault.tenant("platform")


async def test_a_removed_agents_name_is_free_again(vault, tenant, agent):
    await remove_principal(tenant, agent.id, by=Actor.service(), ports=vault.ports)
    assert (await vault.staff(tenant)).id != agent.id


async def test_an_operator_signs_in_and_reads_no_tenant(vault, tenant):
    operator = await add_principal(
        PLATFORM, NewPrincipal(Role.OPERATOR, handle="root"), by=Actor.service(), ports=vault.ports
    )
    token = (await sign_in(vault, operator)).json()["access_token"]
    for method, path in (
        ("GET", "/v1/tenant"),
        ("GET", "/v1/principals"),
        ("POST", "/v1/customer-searches"),
        ("POST", f"/v1/credentials/{'0' * 32}/reissue"),
    ):
        answer = await vault.call(method, path, token=token, json={})
        assert answer.status_code == 403


async def test_nothing_typed_comes_back(vault, agent):
    answer = await vault.call(
        "POST",
        "/v1/staff-sessions",
        json={"username": agent.username, "password": {"geheim": 1}, "tpot": "987654"},
    )
    assert answer.status_code == 422
    for secret in ("geheim", "987654", "tpot", agent.username):
        assert secret not in answer.text


async def test_strangers_at_the_staff_door_take_no_place_from_customers(vault, agent):
    with ExitStack() as queue:
        with suppress(Busy):
            while True:
                queue.enter_context(vault.ports.pins.place(Rank.STRANGER))
        assert (await sign_in(vault, agent)).status_code == 503
    assert (await sign_in(vault, agent)).status_code == 200


async def test_who_finds_the_queue_full_loses_no_try(vault, agent):
    with ExitStack() as queue:
        with suppress(Busy):
            while True:
                queue.enter_context(vault.ports.pins.place(Rank.STRANGER))
        busy = [await sign_in(vault, agent) for _ in range(20)]
    assert {answer.status_code for answer in busy} == {503}
    assert (await sign_in(vault, agent)).status_code == 200


@pytest.mark.parametrize("field", ["username", "password", "totp"])
async def test_half_a_character_is_refused_as_what_it_is(vault, agent, field):
    typed = {"username": agent.username, "password": "x", "totp": "123456", field: "\ud800"}
    async with vault.client() as client:
        answer = await client.post(
            "/auth/v1/staff-sessions",
            content=json.dumps(typed),
            headers={"Content-Type": "application/json"},
        )
    assert (answer.status_code, slug(answer)) == (422, "invalid-request")
