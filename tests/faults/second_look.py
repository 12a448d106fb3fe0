"""Everything asked once more at the end: what each key answers, what each ID and PIN open."""

import asyncio
import hashlib
import time

import httpx
from tests.faults import people
from tests.faults.crowd import sound_of

TRIES = 20
HEARD_S_MAX = 30.0
"""How long who wants to hear something may be asked to come again, as in a run itself."""
LATER = {httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.INSUFFICIENT_STORAGE}


async def retried(client, token, key, filed):
    """The answer as it is now; the one told before where a re-issue has closed it."""
    for _ in range(TRIES):
        answer = await people.upload(
            client, token=token, key=key, audio=sound_of(key), said=people.told_about(key)
        )
        if answer.status_code not in LATER:
            break
        await asyncio.sleep(0.5)
    if answer.status_code == httpx.codes.CONFLICT and filed is not None:
        assert answer.json()["type"].endswith(":answer-expired"), answer.text
        return filed.answer
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return answer.json()


async def heard_whole(client, token, answer, filed, *, patience_s=0.0):
    """What ID and PIN open; where nobody knows the PIN any more, a new one is made.

    `patience_s`: how long a pause of the throttles is waited out, which tries that were cut off
    have brought about.
    """
    pin = filed.pin if filed else answer["pin"]
    if filed and not filed.sure:
        status = await people.status_of(client, token=token, recording=answer["recording_id"])
        made = await people.reissued(client, token=token, credential=status.json()["credential_id"])
        pin = made.raise_for_status().json()["pin"]
    entered = await _entered(client, answer["access_id"], pin, patience_s)
    if entered.status_code != httpx.codes.CREATED:
        return None
    headers = people.session(entered)
    (only,) = await people.listed(client, headers)
    assert only["recording_id"] == answer["recording_id"]
    audio = await _heard(client, headers, answer["recording_id"])
    assert audio.status_code == httpx.codes.OK, audio.text
    await people.logged_out(client, headers)
    return hashlib.sha256(audio.content).hexdigest()


async def _heard(client, headers, recording):
    """What is played. A log with much to catch up is waited for: nobody listens unlogged."""
    until_s = time.monotonic() + HEARD_S_MAX
    while True:
        audio = await people.heard(client, headers, recording)
        if audio.status_code not in LATER or time.monotonic() > until_s:
            return audio
        await asyncio.sleep(0.2)


async def _entered(client, access_id, pin, patience_s):
    until_s = time.monotonic() + patience_s
    while True:
        entered = await people.sign_in(client, access_id, pin)
        if entered.status_code == httpx.codes.CREATED or time.monotonic() > until_s:
            return entered
        await asyncio.sleep(5)
