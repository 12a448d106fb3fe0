"""What the log knows about one recording, and what it tells whoever asks who listened."""

from typing import Any

import pytest
from tests.services.audit.conftest import NOW_S, Instance, new_id

from voicefile.contracts.deed.v1 import Action, Deed, Event, Outcome, Purpose, Role
from voicefile.eventbus.port import Event as BusEvent

RECORDING = new_id()
HEARD_BY = [Role.ROLE_CUSTOMER, Role.ROLE_CARE, Role.ROLE_CUSTOMER]


def deed(tenant: str, by: Instance, action: Action, object_id: str, **told: Any) -> BusEvent:
    by.n += 1
    event_id = new_id()
    made = Deed(
        **{
            "tenant": tenant,
            "actor": new_id(),
            "action": action,
            "object_id": object_id,
            "outcome": Outcome.OUTCOME_DONE,
            "at_ms": NOW_S * 1000 + by.n,
            "boot_id": by.boot,
            "n": by.n,
        }
        | told
    )
    payload = Event(event_id=event_id, deed=made).SerializeToString()
    return BusEvent(event_id, "voicefile.auth.v1", object_id, payload)


@pytest.fixture
def releases() -> list[str]:
    return [new_id() for _ in HEARD_BY]


@pytest.fixture
async def heard(house, tenant, instance, releases) -> Any:
    """A log with a recording that was filed, heard by three, and asked for in vain."""

    def did(action: Action, object_id: str = RECORDING, **told: Any) -> BusEvent:
        return deed(tenant, instance, action, object_id, **told)

    events = [did(Action.ACTION_ACCESS_ISSUED, commitment=bytes(32), role=Role.ROLE_PARTNER)]
    for role, release in zip(HEARD_BY, releases, strict=True):
        why = Purpose.PURPOSE_COMPLAINT if role == Role.ROLE_CARE else 0
        events.append(
            did(Action.ACTION_RELEASE_GRANTED, role=role, related_id=release, purpose=why)
        )
        events.append(did(Action.ACTION_LISTENING_ENDED, release, role=role, bytes_sent=7))
    events += [
        did(Action.ACTION_RECORDING_DOWNLOADED, role=Role.ROLE_CUSTOMER),
        did(Action.ACTION_RELEASE_GRANTED, role=Role.ROLE_CARE, outcome=Outcome.OUTCOME_REFUSED),
        *(did(Action.ACTION_RELEASE_GRANTED, new_id(), related_id=new_id()) for _ in range(20)),
        *(did(Action.ACTION_LISTENING_ENDED, new_id()) for _ in range(20)),
    ]
    await house.bus.publish(events)
    await house.published(tenant, len(events))
    return house


async def test_an_auditor_sees_all_of_a_recording_and_nothing_of_others(
    heard, tenant, token, releases
) -> None:
    answer = await heard.get(f"/v1/recordings/{RECORDING}/deeds", bearer=token("auditor", tenant))
    told = answer.json()
    assert told["cursor"] is None
    assert [(each["deed"]["action"], each["deed"]["outcome"]) for each in told["entries"]] == [
        ("access-issued", "done"),
        *[("release-granted", "done"), ("listening-ended", "done")] * 3,
        ("recording-downloaded", "done"),
        ("release-granted", "refused"),
    ]
    ends = [e["deed"] for e in told["entries"] if e["deed"]["action"] == "listening-ended"]
    assert [(end["object_id"], end["bytes_sent"]) for end in ends] == [(r, 7) for r in releases]
    indexes = [each["index"] for each in told["entries"]]
    assert indexes == sorted(indexes)


async def test_foreign_and_missing_recordings_are_not_found(
    heard, tenant, other_tenant, token
) -> None:
    own, foreign = token("auditor", tenant), token("auditor", other_tenant)
    answers = [
        await heard.get(f"/v1/recordings/{new_id()}/deeds", bearer=own),
        await heard.get(f"/v1/recordings/{RECORDING}/deeds", bearer=foreign),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1


async def test_a_customer_learns_when_and_as_what_and_never_who(heard, tenant) -> None:
    path = f"/audit/internal/v1/recordings/{RECORDING}/hearings?tenant={tenant}"
    async with heard.client(peer="auth") as auth:
        answer = await auth.get(path)
    told = answer.json()
    assert [(h["role"], h["purpose"], h["downloaded"]) for h in told["hearings"]] == [
        ("customer", "", False),
        ("care", "complaint", False),
        ("customer", "", False),
        ("customer", "", True),
    ]
    assert told["cursor"] is None
    assert {name for each in told["hearings"] for name in each} == {
        "at_ms",
        "role",
        "purpose",
        "downloaded",
    }


async def test_only_auth_asks_who_heard_a_recording(heard, tenant) -> None:
    path = f"/audit/internal/v1/recordings/{RECORDING}/hearings?tenant={tenant}"
    for peer, status in (("playback", 403), (None, 401)):
        async with heard.client(peer=peer) as client:
            assert (await client.get(path)).status_code == status
