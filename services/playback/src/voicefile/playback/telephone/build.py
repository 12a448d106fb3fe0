"""The telephone half of playback, built over what playback has."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from fastapi import APIRouter

from voicefile.contracts.playback.v1 import ListeningEnded
from voicefile.deeds.series import DeedSeries
from voicefile.docstore.port import DocStore
from voicefile.playback.ask_auth import Auth
from voicefile.playback.play import Playback
from voicefile.playback.settings import PlaybackSettings
from voicefile.playback.telephone.answer import Answering, Edge
from voicefile.playback.telephone.calls import Calls
from voicefile.playback.telephone.lines import Lines
from voicefile.playback.telephone.logins import Logins
from voicefile.playback.telephone.prompts import Prompts
from voicefile.playback.telephone.routes import telephone_router
from voicefile.playback.telephone.sounds import Sounds
from voicefile.playback.telephone.watching import FirstSound

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Telephone:
    """What `app` needs of it."""

    router: APIRouter
    calls: Calls
    missing: int
    """Sentences it has no sound of."""


def build_telephone(
    settings: PlaybackSettings,
    prompts: Prompts | None,
    *,
    docs: DocStore,
    deeds: DeedSeries[ListeningEnded],
    auth: Auth,
    playback: Playback,
    now_s: Callable[[], float] = time.time,
) -> Telephone | None:
    """None where nothing can be said. Raises LinesInvalid."""
    if prompts is None:
        return None
    lines = Lines.read(settings.telephone_lines) if settings.telephone_lines else Lines()
    calls = Calls(docs, deeds, idle_s=settings.call_idle_s, now_s=now_s)
    first_sound = FirstSound()
    answering = Answering(
        calls=calls,
        lines=lines,
        logins=Logins(auth, pin_timeout_s=settings.auth_pin_timeout_s),
        listenings=playback.listenings,
        edge=Edge(settings.telephone_edge),
        calls_max=settings.calls_max,
        answer_s=settings.call_answer_s,
        first_sound=first_sound,
        now_s=now_s,
    )
    sounds = Sounds(calls=calls, prompts=prompts, playback=playback, first_sound=first_sound)
    return Telephone(telephone_router(answering, sounds), calls, missing=len(prompts.missing()))
