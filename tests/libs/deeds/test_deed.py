"""A deed takes ids, enums and times, and nothing that could ever have to be erased."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicefile.deeds.deed import Action, Actor, Deed, Outcome, Purpose, Role, UnfitForTheLog
from voicefile.identity.ids import PrincipalId, TenantId, new_id
from voicefile.identity.principal import Principal
from voicefile.identity.principal import Role as PrincipalRole

FIT = Deed(
    actor=Actor(new_id(), Role.ROLE_CARE),
    action=Action.ACTION_RECORDING_READ,
    tenant=new_id(),
    object_id=new_id(),
    purpose=Purpose.PURPOSE_COMPLAINT,
    outcome=Outcome.OUTCOME_REFUSED,
    request_id="4f0f0c5e-64c1-4f60-8a3a-0d5f1f6f7b11",
    commitment=bytes(32),
    at_ms=1_700_000_000_000,
)

PERSONAL = [
    "Erika Mustermann",
    "erika@example.org",
    "+49 30 901820",
    "4930901820",
    "49-30-901820",
    "1234-5678-9012",
    "12345678",
    "1980-01-31",
    "DE02120300000000202051",
    "192.0.2.7",
    "contract 7",
    "ünal",
    "A" * 32,
    "a" * 33,
    "deadbeef\n",
    "0123456789abcdef" * 2 + "\n",
    "٣" * 32,
]


@pytest.mark.parametrize("text", PERSONAL)
@pytest.mark.parametrize("field", ["tenant", "object_id", "request_id", "related_id"])
def test_nothing_personal_enters_a_deed(field: str, text: str) -> None:
    with pytest.raises(UnfitForTheLog) as refusal:
        replace(FIT, **{field: text})
    assert str(refusal.value) == field


@pytest.mark.parametrize("text", [*PERSONAL, "care-desk"])
def test_nothing_personal_stands_for_an_actor(text: str) -> None:
    with pytest.raises(UnfitForTheLog):
        Actor(text, Role.ROLE_CARE)


@given(st.text())
def test_an_object_is_an_id_or_a_short_code(text: str) -> None:
    fit = bool(re.fullmatch(r"|[0-9a-f]{32}|[a-z][-a-z0-9]{0,31}", text))
    try:
        replace(FIT, object_id=text)
    except UnfitForTheLog:
        assert not fit
    else:
        assert fit


@pytest.mark.parametrize("code", ["", "keys", "voicefile-auth-v1", "0123456789abcdef" * 2])
def test_ids_and_codes_name_objects(code: str) -> None:
    assert replace(FIT, object_id=code).object_id == code


@pytest.mark.parametrize(
    "change",
    [
        {"action": Action.ACTION_UNSPECIFIED},
        {"action": 9999},
        {"outcome": Outcome.OUTCOME_UNSPECIFIED},
        {"purpose": 77},
        {"commitment": b"short"},
        {"at_ms": -1},
        {"bytes_sent": -1},
        {"bytes_sent": 2**63},
    ],
)
def test_every_field_says_something_known(change: dict[str, object]) -> None:
    with pytest.raises(UnfitForTheLog):
        replace(FIT, **change)


def test_a_role_is_never_left_open() -> None:
    for role in (Role.ROLE_UNSPECIFIED, 99):
        with pytest.raises(UnfitForTheLog):
            Actor(new_id(), role)


@pytest.mark.parametrize("role", PrincipalRole)
def test_every_principal_can_act(role: PrincipalRole) -> None:
    principal = Principal(PrincipalId(new_id()), TenantId(new_id()), role)
    actor = Actor.of(principal)
    assert actor.pseudonym == principal.id
    assert Role.Name(actor.role) == f"ROLE_{role.name}"


def test_services_and_strangers_act_without_a_pseudonym() -> None:
    assert Actor.service() == Actor("", Role.ROLE_SERVICE)
    assert Actor.unknown() == Actor("", Role.ROLE_UNKNOWN)
