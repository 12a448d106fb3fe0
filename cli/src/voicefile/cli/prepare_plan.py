"""Who speaks and hears where, and who keeps documents: what the engines have to know beforehand."""

from collections.abc import Mapping, Sequence
from typing import Final

from voicefile.audit.events import TOPIC as AUDIT_TOPIC
from voicefile.audit.settings import AuditSettings
from voicefile.auth.events import TOPIC as AUTH_TOPIC
from voicefile.backup.store import TOPIC as BACKUP_TOPIC
from voicefile.ingest.events import TOPIC as INGEST_TOPIC
from voicefile.playback.events import TOPIC as PLAYBACK_TOPIC

SPEAKS: Final[Mapping[str, str]] = {
    "auth": AUTH_TOPIC,
    "audit": AUDIT_TOPIC,
    "ingest": INGEST_TOPIC,
    "playback": PLAYBACK_TOPIC,
    "backup": BACKUP_TOPIC,
}
"""Each on one topic, its own. The portal speaks to services alone, and keeps nothing."""


def hears() -> Mapping[str, Sequence[str]]:
    """The topics each group gets; a group is called like its service."""
    return {
        "audit": (*AuditSettings().topics, BACKUP_TOPIC, AUDIT_TOPIC),
        "ingest": (AUTH_TOPIC,),
        "backup": (INGEST_TOPIC, AUTH_TOPIC),
    }


def dead_letters(service: str) -> str:
    """Where a consumer leaves the ids of what it can't work off."""
    return f"voicefile.{service}.dead.v1"
