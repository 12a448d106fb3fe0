"""What auth asks the log for a listener whom it has checked: who heard a recording, its papers.

Auth knows the session and the log knows the deeds; neither is told what the other knows.
"""

from collections.abc import Mapping
from typing import Any, Final

import httpx

from voicefile.auth.listening.access_errors import AuditUnavailable, ProofPending

ANSWER_WITHIN_S: Final = 5.0
_PATH: Final = "/audit/internal/v1/recordings"


async def ask_hearings(
    audit: httpx.AsyncClient, tenant: str, recording_id: str, *, cursor: str
) -> Mapping[str, Any]:
    """A page of who heard it. Raises AuditUnavailable."""
    query = {"tenant": tenant, "cursor": cursor}
    return _told(await _get(audit, f"{recording_id}/hearings", query))


async def ask_papers(audit: httpx.AsyncClient, tenant: str, recording_id: str) -> Mapping[str, Any]:
    """What the log has for its bundle. Raises AuditUnavailable; ProofPending: nothing yet."""
    answer = await _get(audit, f"{recording_id}/papers", {"tenant": tenant})
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise ProofPending
    return _told(answer)


async def _get(audit: httpx.AsyncClient, what: str, query: Mapping[str, str]) -> httpx.Response:
    try:
        return await audit.get(f"{_PATH}/{what}", params=query, timeout=ANSWER_WITHIN_S)
    except httpx.HTTPError as error:
        raise AuditUnavailable from error


def _told(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        told: Mapping[str, Any] = answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        raise AuditUnavailable from error
    return told
