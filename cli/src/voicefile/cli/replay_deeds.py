"""The deeds of bringing events again: on audit's topic before any event is on its own.

Whoever replays has the brokers and no document store, so the deeds go straight to the topic that
audit hears, as one gapless series. A broker that has acknowledged them keeps them for audit.
"""

import re
import time
from collections.abc import Callable, Sequence
from typing import Final

from voicefile.audit.events import TOPIC, wrap
from voicefile.contracts.deed.v1 import Action, Deed, Outcome, Role
from voicefile.eventbus.dead_letter import DeadLetter
from voicefile.eventbus.kafka_client import Connection
from voicefile.eventbus.kafka_publisher import Away, Publisher
from voicefile.eventbus.kafka_record import outgoing
from voicefile.eventbus.port import Event
from voicefile.identity.ids import new_id

SENDS_MAX: Final = 3
_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


async def record_replays(connection: Connection, letters: Sequence[DeadLetter]) -> None:
    """Durable when it returns. Raises Away: then nothing is to be brought again."""
    publisher = Publisher(connection, idempotent=True)
    left = [outgoing(event) for event in replay_deeds(letters)]
    try:
        for _ in range(SENDS_MAX):
            # What was not acknowledged goes once more: a number that is missing is an alarm.
            sent = await publisher.send(left)
            left = [record for record in left if record.id not in sent.acknowledged]
            if not left:
                return
        raise Away
    finally:
        await publisher.close()


def replay_deeds(
    letters: Sequence[DeadLetter], *, now_s: Callable[[], float] = time.time
) -> list[Event]:
    """For each event that an operator orders to be brought again, that it was ordered."""
    boot = new_id()
    return [_event(letter, boot=boot, n=n, now_s=now_s()) for n, letter in enumerate(letters, 1)]


def _event(letter: DeadLetter, *, boot: str, n: int, now_s: float) -> Event:
    event_id = new_id()
    deed = Deed(
        deed_id=new_id(),
        role=Role.ROLE_OPERATOR,
        action=Action.ACTION_EVENT_REPLAYED,
        # Of what is no event, nobody knows an id.
        object_id=letter.event_id if _ID.fullmatch(letter.event_id) else "",
        outcome=Outcome.OUTCOME_DONE,
        at_ms=int(now_s * 1000),
        boot_id=boot,
        n=n,
    )
    return Event(event_id, TOPIC, boot, wrap(event_id, deed, None))
