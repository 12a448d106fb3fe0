"""Bringing events again leaves deeds that audit takes in like anybody's."""

from tests.services.audit.conftest import NOW_S, Keeper, docs, keeper_of  # noqa: F401 - fixtures

from voicefile.audit.events import deed_of
from voicefile.audit.prove import read_entries
from voicefile.cli.replay_deeds import replay_deeds
from voicefile.contracts.deed.v1 import Action, Outcome, Role
from voicefile.eventbus.dead_letter import DeadLetter

LETTERS = [
    DeadLetter("voicefile.auth.v1", "ingest", "ab" * 16, "", 0, 7, "ValueError"),
    DeadLetter("voicefile.auth.v1", "ingest", "", "", 1, 9, "Unreadable"),
    DeadLetter("voicefile.auth.v1", "ingest", "not an id of ours", "", 1, 10, "KeyError"),
]


async def test_every_replay_stands_in_the_platforms_log(docs, keeper_of) -> None:  # noqa: F811
    keeper: Keeper = keeper_of(docs)
    events = replay_deeds(LETTERS, now_s=lambda: NOW_S)
    await keeper.append(events)
    await keeper.append(events)  # a broker may keep them twice
    await keeper.publish("")
    _, entries = await read_entries(docs, "", start=0, limit=10)
    deeds = [deed_of(entry.entry) for entry in entries]
    assert [deed.object_id for deed in deeds] == ["ab" * 16, "", ""]
    assert {(d.action, d.role, d.outcome, d.at_ms) for d in deeds} == {
        (Action.ACTION_EVENT_REPLAYED, Role.ROLE_OPERATOR, Outcome.OUTCOME_DONE, NOW_S * 1000)
    }
    (numbers,) = keeper.sequencer.boots.known().values()
    assert (numbers.contiguous, numbers.missing) == (3, 0)
