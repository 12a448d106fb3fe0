"""Scenes of a vault's life: one in which it is killed, and one in which it has to mend.

They run in a process of their own; what they find wrong they raise, with words, since nobody
there rewrites assertions.
"""

import asyncio
from collections import Counter

import httpx
from tests.faults import people
from tests.faults.post_mortem import examine, examine_swept, settled

from voicefile.auth.listening.access_store import THROTTLES
from voicefile.contracts.deed.v1 import Action, Outcome
from voicefile.identity.ids import new_id

PATIENCE_TRIES = 40


def same(found, wanted, what):
    assert found == wanted, (what, found, wanted)


async def prepare(stage):
    """Two companies, and a recording of each that was acknowledged long ago."""
    companies = await stage.open_companies("one", "two")
    await settled(stage.stores)
    filed = []
    async with stage.vault.client() as client:
        for at, company in enumerate(companies):
            order = {"company": at, "key": new_id(), "seed": f"old{at}"}
            filed.append(order | {"answer": (await _upload(client, company, order)).json()})
    await settled(stage.stores)
    stage.remember(companies=companies, filed=filed)


async def _upload(client, company, order, **changes):
    token = await company.partner_token(client)
    key, audio = order["key"], people.noise(order["seed"])
    said = people.told_about(key, **changes)
    answer = await people.upload(client, token=token, key=key, audio=audio, said=said)
    same(answer.status_code, 201, answer.text)
    return answer


async def start(stage):
    """Starts for the first time, and opens a tenant."""
    stage.remember(companies=await stage.open_companies("one"), filed=[])
    stage.kill()


async def started(stage):
    """Whatever became of the first start: this one works, and a tenant can be opened."""
    names = ["one-again", "two"]
    companies = await stage.open_companies(*names)
    await settled(stage.stores)
    order = {"company": 0, "key": new_id(), "seed": "first"}
    async with stage.vault.client() as client:
        answer = await _upload(client, companies[0], order)
        await _opens(client, order | {"answer": answer.json()})
    await examine(stage)
    await examine_swept(stage)


async def upload(stage, *, key, seed, join=None, onward=False):
    """A partner's upload; `onward`, until everybody has heard of it, else until the answer."""
    company = stage.remembered()["companies"][0]
    async with stage.vault.client() as client:
        token = await company.partner_token(client)
        said = people.told_about(key, join_access_id=join)
        audio = people.noise(seed)
        await settled(stage.stores)
        sending = people.upload(client, token=token, key=key, audio=audio, said=said)
        answer = await stage.act(_and_settled(stage, sending) if onward else sending)
        stage.tell("answered", status=answer.status_code, answer=answer.json())
        stage.kill()


async def _and_settled(stage, sending):
    answer = await sending
    await settled(stage.stores)
    return answer


async def uploaded(stage, *, key, seed, join=None, pin=None, told=None):
    """After a kill: the retry gets one recording, whole, and nothing else is left of it all."""
    known = stage.remembered()
    company, order = known["companies"][0], {"company": 0, "key": key, "seed": seed}
    async with stage.vault.client() as client:
        first = await _upload(client, company, order, join_access_id=join)
        again = await _upload(client, company, order, join_access_id=join)
        same(again.content, first.content, "a retry's answer")
        answer = first.json()
        if told is not None:
            same(answer, told, "the answer before the kill")
        opened = order | {"answer": {**answer, **({"pin": pin} if pin else {})}}
        await _opens(client, opened, beside=join is not None)
        await _survived(client, known, beside={join})
        log = await examine(stage)
        same(log.objects(Action.ACTION_ACCESS_ISSUED)[answer["recording_id"]], 1, "deeds")
    await examine_swept(stage)
    stage.tell("holes", holes=sum(log.holes.values()))


async def _opens(client, order, *, beside=False):
    """ID and PIN open exactly this recording (beside others of the same customer)."""
    answer = order["answer"]
    headers = people.session(await people.sign_in(client, answer["access_id"], answer["pin"]))
    names = [each["recording_id"] for each in await people.listed(client, headers)]
    assert answer["recording_id"] in names, "not listed"
    same(len(names), 2 if beside else 1, "listed recordings")
    audio = people.noise(order["seed"])
    for rendition in ("original", "telephone"):
        heard = await _heard(client, headers, answer["recording_id"], rendition=rendition)
        same(heard.status_code, 200, heard.text[:200])
        assert heard.content == audio, f"another sound as {rendition}"
    same((await people.logged_out(client, headers)).status_code, 204, "log out")


async def _heard(client, headers, recording, **query):
    """Heard in the end: right after a start auth may not know yet that the log takes deeds."""
    for _ in range(PATIENCE_TRIES):
        heard = await people.heard(client, headers, recording, **query)
        if heard.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
        await asyncio.sleep(0.1)
    return heard


async def _survived(client, known, *, beside=frozenset()):
    for order in known["filed"]:
        joined = order["answer"]["access_id"] in beside
        await _opens(client, order, beside=joined)


async def listen(stage):
    """A customer signs in, looks, listens and leaves."""
    order, other = stage.remembered()["filed"]
    async with stage.vault.client() as client:
        await _opens(client, other)
        await settled(stage.stores)
        await stage.act(_listen(stage, client, order["answer"]))
    stage.kill()


async def _listen(stage, client, answer):
    def tell(what, response):
        stage.tell(what, status=response.status_code, request=response.headers[people.REQUEST_ID])

    entered = await people.sign_in(client, answer["access_id"], answer["pin"])
    tell("signed_in", entered)
    headers = people.session(entered)
    await people.listed(client, headers)
    tell("heard", await people.heard(client, headers, answer["recording_id"]))
    tell("left", await people.logged_out(client, headers))


async def listened(stage, *, told):
    """What anybody was told or given is in the log; nothing else was done; it can be heard."""
    known = stage.remembered()
    async with stage.vault.client() as client:
        log = await examine(stage)
        await _survived(client, known)
    deeds = {
        "signed_in": Action.ACTION_CUSTOMER_SIGNED_IN,
        "key_out": Action.ACTION_RELEASE_GRANTED,
        "heard": Action.ACTION_RELEASE_GRANTED,
        "left": Action.ACTION_CUSTOMER_SIGNED_OUT,
    }
    for each in told:
        if each["kind"] in deeds:
            recorded = log.requests(deeds[each["kind"]])[each["request"]]
            same(recorded, 1, f"deeds of what was told: {each}")
    for action in set(deeds.values()):
        # One for the other customer, who listened undisturbed before.
        assert log.requests(action).total() <= 2, f"more deeds than were done: {action}"
    before = log.holes
    log = await examine_swept(stage)
    begun = {each.request_id for each in log.of(Action.ACTION_RELEASE_GRANTED)}
    assert len(begun) >= len(log.objects(Action.ACTION_LISTENING_ENDED)), "ended, never begun"
    stage.tell("holes", holes=sum(before.values()))


async def guess(stage):
    """A stranger tries a wrong PIN."""
    answer = stage.remembered()["filed"][0]["answer"]
    async with stage.vault.client() as client:
        wrong = _wrong(answer["pin"])
        refused = await stage.act(people.sign_in(client, answer["access_id"], wrong))
        stage.tell("refused", status=refused.status_code)
    stage.kill()


def _wrong(pin):
    return f"{(int(pin) + 1) % 10 ** len(pin):0{len(pin)}d}"


async def guessed(stage, *, refused):
    """No try was free: whoever was told that a PIN is wrong has paid for it."""
    log = await examine(stage)
    deeds = log.of(Action.ACTION_CUSTOMER_SIGNED_IN, Outcome.OUTCOME_REFUSED)
    assert refused <= len(deeds) <= 1, f"{len(deeds)} deeds"
    charged = len(await stage.stores["auth"].scan(THROTTLES))
    # Its network, the access ID, its tenant and the deployment: all of them before the deed.
    same(charged, max(charged, 4 * len(deeds)), "buckets charged")
    async with stage.vault.client() as client:
        await _survived(client, stage.remembered())
    await examine_swept(stage)


async def reissue(stage):
    """A partner has a new PIN made."""
    known = stage.remembered()
    company, answer = known["companies"][0], known["filed"][0]["answer"]
    async with stage.vault.client() as client:
        token = await company.partner_token(client)
        status = await people.status_of(client, token=token, recording=answer["recording_id"])
        credential = status.raise_for_status().json()["credential_id"]
        stage.tell("credential", credential=credential)
        await settled(stage.stores)
        done = await stage.act(people.reissued(client, token=token, credential=credential))
        stage.tell("reissued", status=done.status_code, pin=done.json()["pin"])
    stage.kill()


async def reissued(stage, *, credential, pin=None):
    """The PIN that was told opens; an untold one is replaced by the next; the old one is dead."""
    known = stage.remembered()
    company, order = known["companies"][0], known["filed"][0]
    answer = order["answer"]
    async with stage.vault.client() as client:
        log = await examine(stage)
        times = log.objects(Action.ACTION_CREDENTIAL_REISSUED)[credential]
        old = await people.sign_in(client, answer["access_id"], answer["pin"])
        same(old.status_code == 201, times == 0, "the old PIN lives just as long as no deed")
        if pin is not None:
            same(times, 1, "deeds of a re-issue that was answered")
            await _opens(client, order | {"answer": answer | {"pin": pin}})
        token = await company.partner_token(client)
        done = await people.reissued(client, token=token, credential=credential)
        newest = done.raise_for_status().json()["pin"]
        await _opens(client, order | {"answer": answer | {"pin": newest}})
        log = await examine(stage)
        counted = Counter({credential: times + 1})
        same(log.objects(Action.ACTION_CREDENTIAL_REISSUED), counted, "re-issues in the log")
    await examine_swept(stage)


async def sweep(stage):
    """A day later the sweepers look after what an upload left that nobody tried again."""
    await settled(stage.stores)
    await stage.act(examine_swept(stage))
    stage.kill()


async def swept(stage):
    """However often they are killed, the next round ends with nothing left."""
    known = stage.remembered()
    async with stage.vault.client() as client:
        await examine(stage)
        await examine_swept(stage)
        await _survived(client, known)
        await examine(stage)


SCENES = {
    scene.__name__: scene
    for scene in (
        *(prepare, start, started, upload, uploaded, listen, listened, guess, guessed),
        *(reissue, reissued, sweep, swept),
    )
}
