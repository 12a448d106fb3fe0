"""Planned dates: scopes only shorten, the law and holds lengthen, and a preview comes true."""

import datetime as dt

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.services.auth.issuing_world import an_auth, slug

from voicefile.auth.erasing.apply_retention import apply_retention
from voicefile.auth.erasing.expire import expire
from voicefile.auth.erasing.planned import planned, policies
from voicefile.auth.erasing.preview import preview
from voicefile.auth.settings import WRITE_S_MAX
from voicefile.auth.store import (
    Department,
    Hold,
    PolicyRules,
    Recording,
    RecordingState,
    Slip,
    Tenant,
)
from voicefile.auth.tenants.administer import set_rules, set_scope
from voicefile.auth.tenants.change_tenant import tenant_of
from voicefile.auth.tenants.open_tenant import change_reseller, open_reseller
from voicefile.auth.tenants.scopes import Scope
from voicefile.crypto.keyring import KeyNamespace
from voicefile.deeds.deed import Actor
from voicefile.identity.ids import new_id
from voicefile.identity.principal import Principal, Role

DAY_S = 86_400
CLASSES = st.sampled_from(["contract", "short", "consent"])
DAYS = st.none() | st.dictionaries(CLASSES, st.integers(1, 40_000), max_size=3)
RULES = st.builds(PolicyRules, retention_days=DAYS, retention_days_min=DAYS)
STORED = dt.date(2027, 1, 15)


def recording(**changes):
    kept = Recording(
        id=new_id(),
        partner=new_id(),
        department="",
        project="",
        state=RecordingState.PLAYABLE,
        sensitive=False,
        blobs={},
        slip=Slip("", b""),
        request_digest=b"",
        details=b"",
        stored_on=STORED.isoformat(),
        delete_on="2127-01-15",
        retention_class="contract",
        policy_version=1,
        assurance="uploaded",
    )
    return replace(kept, **changes)


def tenant(rules, department, project):
    return Tenant(
        name="t",
        login_domain="t.example",
        open=True,
        keys=KeyNamespace("t", (), (), ()),
        rules=rules,
        departments={"d": Department(department, {"p": project})},
    )


@given(RULES, RULES, RULES, RULES, CLASSES)
def test_a_child_is_never_kept_longer_than_its_parent(reseller, rules, department, project, name):
    policy_of = policies(tenant(rules, department, project), reseller)
    chain = [
        planned(each, policy_of(each)).due_on
        for each in (
            recording(retention_class=name),
            recording(retention_class=name, department="d"),
            recording(retention_class=name, department="d", project="p"),
        )
        if (policy_of(each).retention_days or {}).get(name) is not None
    ]
    assert chain == sorted(chain, reverse=True)


@given(RULES, RULES, RULES, RULES, CLASSES)
def test_nothing_goes_before_the_law_allows(reseller, rules, department, project, name):
    policy_of = policies(tenant(rules, department, project), reseller)
    stated = [(each.retention_days_min or {}).get(name, 0) for each in (reseller, rules)]
    kept = recording(retention_class=name, department="d", project="p", delete_on="2027-01-16")
    due = dt.date.fromisoformat(planned(kept, policy_of(kept)).due_on)
    assert due >= STORED + dt.timedelta(days=min(max(stated), 36_525))


@given(st.lists(RULES, min_size=1, max_size=5))
def test_a_date_is_put_off_by_the_law_alone(changes):
    kept = recording()
    for rules in changes:
        policy_of = policies(tenant(rules, PolicyRules(), PolicyRules()), PolicyRules())
        after = planned(kept, policy_of(kept))
        assert after.delete_on <= kept.delete_on
        assert planned(after, policy_of(after)) == after
        if after.due_on > kept.delete_on:
            assert "law" in after.kept_by
        kept = after


@given(RULES, st.booleans(), st.booleans())
def test_a_hold_always_wins(rules, hold, objected):
    policy_of = policies(tenant(rules, PolicyRules(), PolicyRules()), PolicyRules())
    held = recording(hold=Hold("legal", b"", "2027-01-15") if hold else None, objected=objected)
    after = planned(held, policy_of(held))
    assert after.held == (hold or objected)
    assert set(after.kept_by) - {"law"} == {
        code for code, it_is in (("hold", hold), ("objection", objected)) if it_is
    }


@pytest.fixture
async def vault(tmp_path):
    async with an_auth(tmp_path) as world:
        yield world


def admin(tenant_id):
    return Principal(new_id(), tenant_id, Role.TENANT_ADMIN)


async def rule(vault, tenant_id, **rules):
    changed = PolicyRules(default_retention_class="contract", **rules)
    await set_rules(changed, by=admin(tenant_id), request_id="", ports=vault.ports)


async def applied(vault):
    """Both times: at once, and when nothing older is on its way any more."""
    first = await apply_retention(vault.ports)
    vault.clock.s += WRITE_S_MAX + 1
    return first + await apply_retention(vault.ports)


async def dates(vault, tenant_id):
    found = {}
    async for stored in vault.ports.access.of(tenant_id).all():
        found |= {each.id: each.due_on for each in stored.record.recordings}
    return found


async def test_a_shorter_policy_brings_dates_forward_and_a_longer_one_none_back(vault):
    partner = await vault.partner(await vault.tenant())
    said = await vault.issued(partner)
    await rule(vault, partner.tenant, retention_days={"contract": 100})
    assert await applied(vault) == 1
    assert await dates(vault, partner.tenant) == {said["recording_id"]: "2027-04-25"}
    await rule(vault, partner.tenant, retention_days={"contract": 2_000})
    assert await applied(vault) == 0
    assert await dates(vault, partner.tenant) == {said["recording_id"]: "2027-04-25"}
    assert len(await vault.deeds("RETENTION_APPLIED")) == 2


async def test_what_a_reseller_rules_reaches_what_is_kept_already(vault):
    reseller = await open_reseller("r", PolicyRules(), by=Actor.service(), ports=vault.ports)
    partner = await vault.partner(await vault.tenant(reseller=reseller))
    said = await vault.issued(partner)
    await applied(vault)
    changed = PolicyRules(retention_days={"contract": 10}, retention_days_min={"contract": 20})
    await change_reseller(reseller, changed, by=Actor.service(), ports=vault.ports)
    assert await applied(vault) == 1
    assert await dates(vault, partner.tenant) == {said["recording_id"]: "2027-02-04"}


async def test_a_new_tenants_recordings_are_not_gone_through(vault):
    partner = await vault.partner(await vault.tenant())
    await vault.issued(partner)
    opened = await tenant_of(partner.tenant, ports=vault.ports)
    assert await applied(vault) == 0
    assert await tenant_of(partner.tenant, ports=vault.ports) == opened
    assert not await vault.deeds("RETENTION_APPLIED")


async def test_rules_changed_back_before_anybody_looked_reach_what_was_filed_between(vault):
    partner = await vault.partner(await vault.tenant())
    await rule(vault, partner.tenant, retention_days={"contract": 100})
    await applied(vault)
    await rule(vault, partner.tenant, retention_days={"contract": 2_000})
    said = await vault.issued(partner)
    await rule(vault, partner.tenant, retention_days={"contract": 100})
    assert await applied(vault) == 1
    assert await dates(vault, partner.tenant) == {said["recording_id"]: "2027-04-25"}


async def test_a_resellers_rules_changed_back_reach_what_was_filed_between(vault):
    short, long = (PolicyRules(retention_days={"contract": days}) for days in (10, 20))
    reseller = await open_reseller("r", short, by=Actor.service(), ports=vault.ports)
    partner = await vault.partner(await vault.tenant(reseller=reseller))
    await change_reseller(reseller, long, by=Actor.service(), ports=vault.ports)
    said = await vault.issued(partner)
    await change_reseller(reseller, short, by=Actor.service(), ports=vault.ports)
    assert await applied(vault) == 1
    assert await dates(vault, partner.tenant) == {said["recording_id"]: "2027-01-25"}


async def test_a_resellers_other_rules_have_nothing_gone_through(vault):
    reseller = await open_reseller("r", PolicyRules(), by=Actor.service(), ports=vault.ports)
    partner = await vault.partner(await vault.tenant(reseller=reseller))
    await vault.issued(partner)
    changed = PolicyRules(pin_digits=9)
    await change_reseller(reseller, changed, by=Actor.service(), ports=vault.ports)
    assert await applied(vault) == 0
    assert not await vault.deeds("RETENTION_APPLIED")


async def test_what_was_filed_meanwhile_under_the_older_rules_is_reached_as_well(vault):
    partner = await vault.partner(await vault.tenant())
    early = await vault.issued(partner)
    await rule(vault, partner.tenant, retention_days={"contract": 100})
    assert await apply_retention(vault.ports) == 1
    late = await vault.issued(partner)
    # As an upload would be that was admitted before the rules changed and is written after.
    stored = await vault.credential(partner, late["recording_id"])
    older = tuple(replace(each, delete_on="2037-01-12") for each in stored.record.recordings)
    await vault.ports.access.of(partner.tenant).replace(
        stored, replace(stored.record, recordings=older)
    )
    assert await apply_retention(vault.ports) == 0
    vault.clock.s += WRITE_S_MAX + 1
    assert await apply_retention(vault.ports) == 1
    assert set((await dates(vault, partner.tenant)).values()) == {"2027-04-25"}
    assert set(await dates(vault, partner.tenant)) == {
        early["recording_id"],
        late["recording_id"],
    }


async def test_the_law_is_seen_where_a_recording_is_filed(vault):
    rules = PolicyRules(
        retention_days={"contract": 30},
        default_retention_class="contract",
        retention_days_min={"contract": 60},
    )
    partner = await vault.partner(await vault.tenant(rules=rules))
    said = await vault.issued(partner)
    status = await vault.call(
        "GET",
        f"/internal/v1/recordings/{said['recording_id']}",
        peer="ingest",
        params={"tenant": partner.tenant, "partner": partner.id},
    )
    assert (status.json()["delete_on"], status.json()["kept_by"]) == ("2027-03-16", ["law"])


DAY_SETS = st.dictionaries(st.sampled_from(["contract", "short"]), st.integers(1, 60), max_size=2)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    filed=st.lists(
        st.tuples(st.sampled_from(["contract", "short"]), st.sampled_from(["", "sales"])),
        min_size=1,
        max_size=5,
    ),
    days=DAY_SETS,
    least=DAY_SETS,
    in_scope=st.booleans(),
)
async def test_a_preview_shows_what_then_happens(tmp_path_factory, filed, days, least, in_scope):
    async with an_auth(tmp_path_factory.mktemp("vault")) as vault:
        rules = PolicyRules(
            retention_days={"contract": 50, "short": 5}, default_retention_class="contract"
        )
        tenant_id = await vault.tenant(rules=rules)
        partner, by = await vault.partner(tenant_id), admin(tenant_id)
        sales = Scope("sales")
        await set_scope(sales, PolicyRules(), by=by, request_id="", ports=vault.ports)
        for name, department in filed:
            scope = {"scope": {"department": department}} if department else {}
            await vault.issued(partner, retention_class=name, **scope)
        await applied(vault)
        before = await dates(vault, tenant_id)
        scope = sales if in_scope else Scope()
        wanted = PolicyRules(
            retention_days=days or None,
            retention_days_min=least or None,
            default_retention_class="contract",
        )
        shown = {
            each.recording: each.after
            async for each in preview(tenant_id, wanted, scope, ports=vault.ports)
        }
        assert await dates(vault, tenant_id) == before  # looking changes nothing
        if in_scope:
            await set_scope(scope, wanted, by=by, request_id="", ports=vault.ports)
        else:
            await set_rules(wanted, by=by, request_id="", ports=vault.ports)
        await applied(vault)
        assert await gone_on(vault, tenant_id) == before | shown


async def gone_on(vault, tenant_id):
    """Day after day, until all is erased: on which day each of them went."""
    await expire(vault.ports)
    for _ in range(70):
        vault.clock.s += DAY_S
        await expire(vault.ports)
    found = {}
    async for stored in vault.ports.access.of(tenant_id).all():
        found |= {each.id: each.erased_on for each in stored.record.recordings}
    return found


async def test_an_admin_tries_rules_out(vault):
    partner = await vault.partner(await vault.tenant())
    for _ in range(3):
        await vault.issued(partner)
    token = await vault.token(partner.tenant, Role.TENANT_ADMIN)
    body = {"rules": {"retention_days": {"contract": 100}}}
    shown = await vault.call("POST", "/v1/retention-previews", token=token, json=body)
    assert shown.json() == {
        "recordings": 3,
        "due_at_once": 0,
        "days": [{"delete_on": "2027-04-25", "recordings": 3, "held": 0}],
    }
    vault.clock.s += 200 * DAY_S
    token = await vault.token(partner.tenant, Role.TENANT_ADMIN)
    shown = await vault.call("POST", "/v1/retention-previews", token=token, json=body)
    assert shown.json()["due_at_once"] == 3
    body["department"] = "nowhere"
    body["project"] = "none"
    shown = await vault.call("POST", "/v1/retention-previews", token=token, json=body)
    assert slug(shown) == "unknown-scope"
