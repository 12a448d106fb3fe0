"""Policies: whatever a child says, it never allows more than its parent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicefile.auth.errors import RetentionRequired, UnknownRetentionClass, UnknownScope
from voicefile.auth.store import Department, PolicyRules, Principal
from voicefile.auth.tenants import policy, scopes
from voicefile.auth.tenants.policy import QUESTION_KINDS, WIDEST, is_within, narrowed
from voicefile.auth.tenants.scopes import Scope

NAMES = st.sampled_from(["contract", "short", "consent", "x"])
RULES = st.builds(
    PolicyRules,
    recording_allowed=st.booleans(),
    retention_days=st.none() | st.dictionaries(NAMES, st.integers(1, 50_000), max_size=4),
    default_retention_class=st.none() | NAMES,
    pin_digits=st.none() | st.integers(6, 10),
    question_kinds=st.none() | st.lists(st.sampled_from(QUESTION_KINDS)).map(tuple),
    sealed_pin_only=st.booleans(),
)


class Tenant:
    """As much of a tenant as scopes look at."""

    def __init__(self, rules, departments):
        self.rules, self.departments = rules, departments


@given(st.lists(RULES, max_size=5), RULES)
def test_a_child_is_never_wider_than_its_parent(above, rules):
    parent = WIDEST
    for each in above:
        parent = narrowed(parent, each)
    child = narrowed(parent, rules)
    assert is_within(child, parent)
    assert is_within(child, WIDEST)


@given(RULES, RULES, RULES, RULES)
def test_every_scope_lies_within_every_scope_above_it(reseller, tenant, department, project):
    found = Tenant(tenant, {"d": Department(department, {"p": project})})
    chain = [
        scopes.effective(found, reseller, scope) for scope in (Scope(), Scope("d"), Scope("d", "p"))
    ]
    assert is_within(chain[1], chain[0])
    assert is_within(chain[2], chain[1])


@given(RULES, RULES)
def test_the_default_class_is_always_one_of_the_classes(parent, rules):
    child = narrowed(narrowed(WIDEST, parent), rules)
    if child.default_retention_class is not None and child.retention_days is not None:
        assert child.default_retention_class in child.retention_days


@given(RULES)
def test_saying_nothing_inherits_everything(rules):
    parent = narrowed(WIDEST, rules)
    assert narrowed(parent, PolicyRules()) == parent


def test_who_says_nothing_about_pins_gets_eight_digits():
    assert policy.of_tenant(PolicyRules(), PolicyRules()).pin_digits == 8
    assert policy.of_tenant(PolicyRules(), PolicyRules(pin_digits=6)).pin_digits == 6
    assert policy.of_tenant(PolicyRules(pin_digits=9), PolicyRules(pin_digits=6)).pin_digits == 9


def test_a_class_that_was_not_asked_for_comes_from_the_policy():
    found = narrowed(WIDEST, PolicyRules(retention_days={"a": 7}, default_retention_class="a"))
    assert policy.retention(found, None) == ("a", 7)
    with pytest.raises(UnknownRetentionClass):
        policy.retention(found, "b")
    with pytest.raises(RetentionRequired):
        policy.retention(narrowed(WIDEST, PolicyRules(retention_days={"a": 7})), None)


def test_who_is_bound_to_a_department_acts_there_alone():
    bound = Principal("partner", department="north", project="")
    assert scopes.acting_in(bound, Scope()) == Scope("north")
    assert scopes.acting_in(bound, Scope("north", "p")) == Scope("north", "p")
    with pytest.raises(UnknownScope):
        scopes.acting_in(bound, Scope("south"))


def test_a_project_without_its_department_is_unknown():
    found = Tenant(PolicyRules(), {"d": Department(PolicyRules(), {"p": PolicyRules()})})
    for scope in (Scope("", "p"), Scope("x"), Scope("d", "x")):
        with pytest.raises(UnknownScope):
            scopes.effective(found, PolicyRules(), scope)
