"""What is left of a cluster after its faults were healed, compared with what its clients know."""

import asyncio
import hashlib
from dataclasses import dataclass, field

from tests.cluster.truth import WAITED_S_MAX
from tests.faults.crowd import sound_of
from tests.faults.history import Found, complaints, guesses, of_uploads
from tests.faults.post_mortem import all_of
from tests.faults.second_look import heard_whole, retried

from voicefile.audit.check import check_log
from voicefile.audit.errors import LogDamaged
from voicefile.audit.numbering import Numbers
from voicefile.audit.store import HEADS, SEGMENTS, Segment, record_of
from voicefile.auth.store import ACCESS
from voicefile.contracts.deed.v1 import Action, Deed
from voicefile.translog.note import VerifierKey
from voicefile.translog.origin import log_of

AT_ONCE = 4
THROTTLED_S_MAX = 160.0
"""A sign-in whose tries were cut off waits as long as the third pause of the throttles."""
UPLOADING = {Action.ACTION_ACCESS_ISSUED, Action.ACTION_RECORDING_STORED}


@dataclass
class Logs:
    """All deeds of all logs, and what their numbers say."""

    deeds: list = field(default_factory=list)
    holes: dict = field(default_factory=dict)
    """By instance: numbers that were given and have not come, stored or not."""
    numbers: dict = field(default_factory=dict)
    """By instance: those that came."""

    @property
    def lost(self):
        """Complaints about deeds that were stored, as later deeds of their instance say."""
        return self.lacks(self.numbers)

    def lacks(self, told):
        """Complaints about deeds that are not here and were stored, as was told elsewhere."""
        found = []
        for boot, numbers in told.items():
            here = self.numbers.get(boot, Numbers()).runs
            lost = Numbers(here, stored_through=numbers.stored_through).lost
            found += [f"deeds lost of {boot}: {lost.count}"] if lost.count else []
        return found


async def read_logs(inside, client):
    """Every log recounted from its leaves, against its own published key. Raises LogDamaged."""
    docs, found = inside.stores["audit"], Logs()
    for head in await all_of(docs, HEADS):
        answer = await client.get(f"/audit/v1/logs/{log_of(head.tenant)}/key")
        key = VerifierKey.parse(answer.raise_for_status().text.strip())
        await check_log(docs, head.tenant, key)
    for document in await all_of(docs, SEGMENTS):
        for entry in record_of(document, Segment).entries:
            deed = Deed.FromString(entry)
            assert deed.tenant == document.tenant, "a deed in another tenant's log"
            found.deeds.append(deed)
            numbers = found.numbers.setdefault(deed.boot_id, Numbers())
            numbers.heard(deed.n, stored_through=deed.stored_through)
    ids = [deed.deed_id for deed in found.deeds]
    assert len(ids) == len(set(ids)), "deeds told twice"
    found.holes = {
        boot: numbers.missing for boot, numbers in found.numbers.items() if numbers.missing
    }
    return found


async def complete_logs(inside, client):
    """Complaints, and all logs when every deed so far stands in them."""
    late = await _settled(inside.truth)
    logs = await read_logs(inside, client)
    if logs.lost:
        # Listenings run out meanwhile: a log read early lacks what one read late speaks of.
        # What was lost then is missing still.
        late += await _settled(inside.truth)
        again = await read_logs(inside, client)
        return late + again.lacks(logs.numbers), again
    return late, logs


async def _settled(truth):
    try:
        await truth.settled()
    except TimeoutError:
        return [f"deeds still on their way after {WAITED_S_MAX:.0f} s of rest"]
    return []


@dataclass
class Verdict:
    """What a nemesis run comes to."""

    wrong: list
    logs: Logs
    recordings: int
    guessed: int


async def judged(inside, outside, crowd, ops, *, guessed, slack_s):
    """Asks for everything once more and compares. `guessed`: (key, answer, credential)."""
    key, answer, credential = guessed
    keys = sorted({op.asked["key"] for op in ops if op.what == "upload"})
    async with outside.client() as client:
        late, before = await complete_logs(inside, client)
        answers, heard = await asked_again(outside, crowd, keys)
        later, after = await complete_logs(inside, client)
    access = await all_of(inside.stores["auth"], ACCESS)
    mine = [each for each in access if each.tenant == crowd.company.id]
    recordings = [each["id"] for document in mine for each in document.body["recordings"]]
    wrong = [f"stored twice: {each}" for each in set(recordings) if recordings.count(each) > 1]
    wrong += [*late, *later, *await lost_blobs(inside, mine)]
    # Of signing in and listening, what the crowd did; of uploads, how they ended at last.
    deeds = [deed for deed in before.deeds if deed.action not in UPLOADING]
    deeds += [deed for deed in after.deeds if deed.action in UPLOADING]
    deeds = [deed for deed in deeds if deed.tenant == crowd.company.id]
    seen = Found(answers, heard, set(recordings) - {answer["recording_id"]}, deeds)
    sounds = {each: hashlib.sha256(sound_of(each)).hexdigest() for each in [*keys, key]}
    wrong += complaints(ops, sounds, seen, guessed=credential, slack_s=slack_s)
    return Verdict(wrong, after, len(recordings), len(guesses(deeds, credential)))


async def asked_again(outside, crowd, keys):
    """By key: the answer, and what ID and newest PIN open."""
    at_once, answers, heard = asyncio.Semaphore(AT_ONCE), {}, {}
    pins = {each.key: each for each in crowd.filed}

    async def look(number, key):
        origin = f"127.{200 + number // 250}.{number % 250}.1"
        async with at_once, outside.client(origin=origin) as client:
            token = await crowd.company.partner_token(client)
            answers[key] = await retried(client, token, key, pins.get(key))
            heard[key] = await heard_whole(
                client, token, answers[key], pins.get(key), patience_s=THROTTLED_S_MAX
            )

    async with asyncio.TaskGroup() as group:
        for number, key in enumerate(keys):
            group.create_task(look(number, key))
    return answers, heard


async def lost_blobs(inside, access):
    """What a document names and the blob store does not have."""
    kept, after = set(), ""
    while page := await inside.blobs.entries(after=after, limit=1000):
        kept |= {entry.name for entry in page}
        after = page[-1].name
    named = {name for document in access for name in document.body["blob_names"]}
    return [f"blob lost: {each}" for each in sorted(named - kept)]


async def second_opinion(run):
    """The control: what is heard of a vault from which something was taken behind its back."""
    inside, heard = run.inside, {}
    key, document = await _chosen(run)
    heard["before"] = await _about(run, key)
    blob = document.body["blob_names"][0]
    await inside.blobs.delete(blob)
    heard["a blob"] = await lost_blobs(inside, [document])
    segments = await all_of(inside.stores["audit"], SEGMENTS)
    mine = [each for each in segments if each.tenant == document.tenant]
    await inside.stores["audit"].delete(SEGMENTS, mine[0])
    try:
        async with run.outside.client() as client:
            await read_logs(inside, client)
        heard["a deed"] = []
    except LogDamaged as damaged:
        heard["a deed"] = [str(damaged)]
    await inside.stores["auth"].delete(ACCESS, document)
    heard["a recording"] = await _about(run, key)
    return heard


async def _chosen(run):
    """A key that was answered and whose PIN is known, with its access document."""
    access = await all_of(run.inside.stores["auth"], ACCESS)
    for filed in run.crowd.filed:
        for document in access:
            ids = [each["id"] for each in document.body["recordings"]]
            if filed.sure and ids == [filed.answer["recording_id"]]:
                return filed.key, document
    raise AssertionError("nothing was filed")


async def _about(run, key):
    """Complaints about one upload, as it is answered now."""
    ops = [op for op in run.ops if op.what == "upload" and op.asked["key"] == key]
    try:
        answers, heard = await asked_again(run.outside, run.crowd, [key])
    except ExceptionGroup as refused:
        if refused.subgroup(AssertionError) is None:
            raise
        return [f"lost: {key}: {refused.exceptions}"]
    access = await all_of(run.inside.stores["auth"], ACCESS)
    recordings = {each["id"] for document in access for each in document.body["recordings"]}
    known = recordings & {each["recording_id"] for each in answers.values()}
    sounds = {key: hashlib.sha256(sound_of(key)).hexdigest()}
    return list(of_uploads(ops, sounds, Found(answers, heard, known, [])))
