"""Lists of what goes next, what is held and what went: in order, whole, and the tenant's own."""

import pytest
import pytest_asyncio
from tests.services.auth.erasing.test_hold import DAY_S, REFERENCE, hold, lift
from tests.services.auth.issuing_world import an_auth

from voicefile.auth.erasing.expire import expire
from voicefile.auth.store import ACCESS, PolicyRules
from voicefile.identity.principal import Role

RULES = PolicyRules(
    retention_days={"contract": 3650, "short": 30, "shorter": 7},
    default_retention_class="contract",
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vault(tmp_path_factory):
    async with an_auth(tmp_path_factory.mktemp("auth")) as world:
        yield world


@pytest_asyncio.fixture(loop_scope="module")
async def partner(vault, request):
    domain = f"{request.node.name.replace('_', '-')[:40]}.example"
    return await vault.partner(await vault.tenant(domain, rules=RULES))


async def pages(vault, tenant, listing, *, role=Role.TENANT_ADMIN, limit=50, **scope):
    """All pages of a list, one after the other."""
    token, cursor, found = await vault.token(tenant, role, **scope), "", []
    while cursor is not None:
        answer = await vault.call(
            "GET",
            f"/v1/retention/{listing}",
            token=token,
            params={"cursor": cursor, "limit": limit},
        )
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["recordings"])
        cursor = answer.json()["cursor"]
    return found


async def listed(vault, tenant, listing, **how):
    return [each for page in await pages(vault, tenant, listing, **how) for each in page]


async def filed(vault, partner, *classes):
    return [(await vault.issued(partner, retention_class=each))["recording_id"] for each in classes]


def ids(found):
    return [each["recording_id"] for each in found]


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_what_goes_next_comes_first_and_says_when_and_why(vault, partner):
    late, soon, sooner = await filed(vault, partner, "contract", "short", "shorter")
    found = await listed(vault, partner.tenant, "planned")
    assert ids(found) == [sooner, soon, late]
    days = {each["retention_class"]: each["delete_on"] for each in found}
    assert days["shorter"] < days["short"] < days["contract"]


async def test_page_by_page_each_is_shown_once(vault, partner):
    wanted = await filed(vault, partner, *["short", "shorter"] * 4)
    found = await pages(vault, partner.tenant, "planned", limit=3)
    assert [len(page) for page in found] == [3, 3, 2]
    shown = [each for page in found for each in page]
    assert sorted(ids(shown)) == sorted(wanted)
    assert [each["delete_on"] for each in shown] == sorted(each["delete_on"] for each in shown)


async def test_what_is_held_says_by_whom_since_when_and_under_which_reference(vault, partner):
    free, recording = await filed(vault, partner, "short", "short")
    await hold(vault, partner, recording)
    (found,) = await listed(vault, partner.tenant, "held")
    assert (found["recording_id"], found["kept_by"]) == (recording, ["hold"])
    assert found["hold"]["reference"] == REFERENCE
    assert (found["hold"]["purpose"], found["hold"]["placed_on"]) == ("legal", "2027-01-15")
    assert found["hold"]["placed_by"]
    assert ids(await listed(vault, partner.tenant, "planned")) == [free]
    await lift(vault, partner, recording)
    assert await listed(vault, partner.tenant, "held") == []
    assert sorted(ids(await listed(vault, partner.tenant, "planned"))) == sorted([free, recording])


async def test_what_went_is_listed_the_last_first_however_long_ago(vault, partner):
    first, second, _ = await filed(vault, partner, "shorter", "short", "contract")
    start_s = vault.clock.s
    try:
        vault.clock.s += 8 * DAY_S
        await expire(vault.ports)
        vault.clock.s += 40 * DAY_S
        await expire(vault.ports)
        vault.clock.s += 200 * DAY_S
        found = await listed(vault, partner.tenant, "erased")
    finally:
        vault.clock.s = start_s
    assert ids(found) == [second, first]
    assert all(each["state"] == "erased" and each["erased_on"] for each in found)


async def test_another_tenants_are_nobodys_here_and_a_scope_sees_its_own(vault, partner):
    other = await vault.partner(await vault.tenant("elsewhere.example", rules=RULES))
    (theirs,) = await filed(vault, other, "short")
    await hold(vault, other, theirs)
    for listing in ("planned", "held", "erased"):
        assert await listed(vault, partner.tenant, listing) == []
    # The control: whose it is sees it, an auditor too; somebody of another department does not.
    assert ids(await listed(vault, other.tenant, "held", role=Role.AUDITOR)) == [theirs]
    assert await listed(vault, other.tenant, "held", department="sales") == []


async def test_a_forged_record_hides_nothing_else(vault, partner):
    recording, forged = await filed(vault, partner, "short", "short")
    document = (await vault.credential(partner, forged)).document
    body = dict(document.body) | {"partner": "0" * 32}
    changed = type(document)(document.id, document.tenant, body, document.version, document.pending)
    await vault.docs.replace(ACCESS, changed)
    assert ids(await listed(vault, partner.tenant, "planned")) == [recording]


@pytest.mark.parametrize("role", [Role.CARE, Role.PARTNER])
async def test_others_are_shown_no_list(vault, partner, role):
    token = await vault.token(partner.tenant, role)
    assert (await vault.call("GET", "/v1/retention/planned", token=token)).status_code == 403


async def test_a_strange_cursor_or_list_is_refused(vault, partner):
    token = await vault.token(partner.tenant, Role.TENANT_ADMIN)
    for path in ("planned?cursor=x", "planned?cursor=1.z", "all", "planned?cursor=99999999."):
        answer = await vault.call("GET", f"/v1/retention/{path}", token=token)
        assert answer.status_code == 422, path
