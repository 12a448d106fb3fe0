"""`voicefile events`: the dead letters of a service, listed, and their events brought again.

By somebody who may read and write the topics concerned, which no service may for others' topics:
the operator of `voicefile prepare kafka`. Nothing is printed but ids, places and reasons. Bringing
an event again is a deed of the platform; listing shows nobody's content and changes nothing.
"""

# ruff: noqa: PLC0415 - each command loads the engine's client when it needs it.

import datetime as dt
import sys
from collections import Counter
from typing import Annotated, Final

import typer

from voicefile.chassis import event_loop
from voicefile.cli.engine_settings import SettingsRefused, read, variable
from voicefile.cli.prepare_settings import PrepareSettings

app = typer.Typer(no_args_is_help=True, help="List dead letters, and bring their events again.")

_CLIENT: Final = "voicefile-events"
_AWAY: Final = "The brokers can't be reached, refuse us, or know no dead letters of this service."
_SERVICE_HELP: Final = "The service that could not handle them."

Service = Annotated[str, typer.Option(help=_SERVICE_HELP)]


@app.command()
def dead(service: Service) -> None:
    """List the events that a service buried: when, where each lies, its id, why."""
    sys.exit(event_loop.run(_dead(_told(), service)))


@app.command()
def replay(
    service: Service,
    event_id: Annotated[
        list[str] | None, typer.Option(help="Only these; may be given several times.")
    ] = None,
) -> None:
    """Publish buried events to their own topics once more, and strike them off the list."""
    sys.exit(event_loop.run(_replay(_told(), service, frozenset(event_id or ()))))


async def _dead(settings: PrepareSettings, service: str) -> int:
    from voicefile.cli.prepare_kafka import operators_connection
    from voicefile.eventbus.kafka_dead import DeadLetters
    from voicefile.eventbus.kafka_publisher import Away

    try:
        found = await DeadLetters(operators_connection(settings, _CLIENT), service).buried()
    except Away:
        sys.stderr.write(f"{_AWAY}\n")
        return 1
    for each in found:
        letter = each.letter
        at = dt.datetime.fromtimestamp(each.at_ms / 1000, tz=dt.UTC).isoformat(timespec="seconds")
        place = f"{letter.topic}/{letter.partition}/{letter.offset}"
        sys.stdout.write(f"{at}  {place}  {letter.event_id or '-'}  {letter.reason}\n")
    sys.stdout.write(f"{len(found)} dead letters\n")
    return 0


async def _replay(settings: PrepareSettings, service: str, only: frozenset[str]) -> int:
    from voicefile.cli.prepare_kafka import operators_connection
    from voicefile.cli.replay_deeds import record_replays
    from voicefile.eventbus.dead_letter import DeadLetter
    from voicefile.eventbus.kafka_dead import DeadLetters, Fate
    from voicefile.eventbus.kafka_publisher import Away

    fates: Counter[Fate] = Counter()

    def told(letter: DeadLetter, fate: Fate) -> None:
        fates[fate] += 1
        sys.stdout.write(f"{letter.event_id or '-'}  {fate.value}\n")

    connection = operators_connection(settings, _CLIENT)
    letters = DeadLetters(connection, service)
    try:
        wanted = [
            each.letter
            for each in await letters.buried()
            if not only or each.letter.event_id in only
        ]
        if wanted:
            # Recorded before it is done: an event that comes twice has somebody who ordered it.
            await record_replays(connection, wanted)
        await letters.bring_again(wanted, told=told)
    except Away:
        sys.stderr.write(f"{_AWAY}\n")
        return 1
    sys.stdout.write(f"{fates[Fate.AGAIN]} of {len(wanted)} published again\n")
    return 0 if fates[Fate.AGAIN] == len(wanted) else 1


def _told() -> PrepareSettings:
    try:
        settings = read(PrepareSettings)
    except SettingsRefused as refused:
        sys.exit(str(refused))
    if settings.kafka_bootstrap is None:
        sys.exit(f"This can't be done without {variable('kafka_bootstrap')}.")
    return settings
