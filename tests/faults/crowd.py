"""Partners and customers of a vault that is killed all the time, and what each writes down.

Everybody goes on whatever happens: asks, notes the answer or its absence, asks again. All chance
comes from one seed.
"""

import asyncio
import hashlib
import json
import random
import secrets
from dataclasses import dataclass, field

import httpx
from tests.faults import people

DUPLICATES = (1, 1, 1, 2, 3)
"""How many at once send the same upload."""
PIECE_BYTES = 16 * 1024
PAUSE_S_MAX = 0.25
WRONG_REFUSAL = "key-reused"
"""Nobody here sends anything else under the same key."""


def sound_of(key):
    """Its own for each key; some have many chunks, so that a kill meets one on its way."""
    return people.noise(key, seconds=random.Random(key).choice((1, 2, 5, 30)))


@dataclass
class Filed:
    """A recording whose ID and PIN somebody knows."""

    key: str
    answer: dict
    pin: str
    sure: bool = True
    """False while nobody knows whether a re-issue has replaced the PIN."""
    busy: bool = False


@dataclass
class Crowd:
    """Everybody, and what they know together."""

    vault: object
    history: object
    company: people.Company
    chance: random.Random
    guessed: dict
    """The answer of the upload whose PIN strangers guess."""
    filed: list = field(default_factory=list)
    open_keys: list = field(default_factory=list)
    """Uploads of which nobody knows how they ended."""
    left: list = field(default_factory=list)
    """Sessions that were logged out."""
    over: bool = False

    async def run(self):
        async with asyncio.TaskGroup() as group:
            for work in (self._file, self._file, self._hear, self._hear, self._renew, self._guess):
                group.create_task(self._again_and_again(work))

    async def _again_and_again(self, work):
        while not self.over:
            await work()
            await asyncio.sleep(self.chance.uniform(0, PAUSE_S_MAX))

    def _origin(self):
        """Somewhere else each time, as people are."""
        return f"127.{self.chance.randrange(1, 255)}.{self.chance.randrange(1, 255)}.1"

    async def _asked(self, what, ask, *, expected, **value):
        """One operation: noted before, asked, noted after. Answers the response or None."""
        op = self.history.invoke(what, **value)
        try:
            answer = await ask()
        except httpx.ConnectError:
            self.history.tell(op, "fail", why="nobody there")
            return op, None
        except httpx.HTTPError as error:
            self.history.tell(op, "info", why=type(error).__name__)
            return op, None
        if answer.is_success:
            return op, answer
        # A refusal says that nothing was done; that the vault can't say now does not.
        kind = "info" if answer.is_server_error else "fail"
        strange = answer.status_code not in expected or WRONG_REFUSAL in answer.text
        told = {"status": answer.status_code, "unexpected": strange, "text": answer.text[:300]}
        if people.REQUEST_ID in answer.headers:
            told["request"] = answer.headers[people.REQUEST_ID]
        self.history.tell(op, kind, **told)
        return op, None

    # Partners.

    async def _file(self):
        kinds = ["new", "new"]
        if self.open_keys:
            kinds += ["open", "open"]
        if self.filed:
            kinds += ["old"]
        kind = self.chance.choice(kinds)
        key = secrets.token_hex(16)
        if kind == "open":
            key = self.open_keys.pop(self.chance.randrange(len(self.open_keys)))
        elif kind == "old":
            key = self.chance.choice(self.filed).key
        async with self.vault.client() as client:
            token = await self._token(client)
            if token is None:
                if kind == "open":
                    self.open_keys.append(key)
                return
            copies = self.chance.choice(DUPLICATES)
            done = await asyncio.gather(*(self._upload(client, token, key) for _ in range(copies)))
        self._note(key, [each for each in done if each])

    def _note(self, key, answers):
        known = any(each.key == key for each in self.filed)
        if answers and not known:
            self.filed.append(Filed(key, answers[0], answers[0]["pin"]))
        if not answers and not known and key not in self.open_keys:
            self.open_keys.append(key)

    async def _token(self, client):
        try:
            return await self.company.partner_token(client)
        except httpx.HTTPError:
            return None

    async def _upload(self, client, token, key):
        async def ask():
            return await client.post(
                "/ingest/v1/recordings",
                headers={
                    "Authorization": f"Bearer {token}",
                    "Idempotency-Key": key,
                    "Content-Type": "multipart/form-data; boundary=parts",
                },
                content=self._slowly(_body(key)),
            )

        # 409: its PIN was replaced since, so there is no answer any more to be repeated.
        # 507: there is no room for it just now.
        op, answer = await self._asked("upload", ask, key=key, expected={409, 503, 507})
        if answer is None:
            return None
        self.history.tell(op, "ok", answer=answer.json())
        return answer.json()

    async def _slowly(self, body):
        for start in range(0, len(body), PIECE_BYTES):
            yield body[start : start + PIECE_BYTES]
            await asyncio.sleep(self.chance.choice((0, 0, 0.01, 0.03)))

    async def _renew(self):
        """A partner has a new PIN made; who knows the old one has no use for it."""
        await asyncio.sleep(self.chance.uniform(0, 1))
        chosen = self._taken(sure=None)
        if chosen is None:
            return
        try:
            async with self.vault.client() as client:
                await self._reissue(client, chosen)
        finally:
            chosen.busy = False

    async def _reissue(self, client, chosen):
        token = await self._token(client)
        if token is None:
            return
        try:
            status = await people.status_of(
                client, token=token, recording=chosen.answer["recording_id"]
            )
            credential = status.raise_for_status().json()["credential_id"]
        except httpx.HTTPError:
            return
        old = f"{chosen.answer['access_id']}/{chosen.pin}"
        op, answer = await self._asked(
            "reissue",
            lambda: people.reissued(client, token=token, credential=credential),
            key=chosen.key,
            old=old,
            expected={503},
        )
        if answer is None:
            chosen.sure = False
            return
        chosen.pin, chosen.sure = answer.json()["pin"], True
        self.history.tell(op, "ok", pin=chosen.pin, request=answer.headers[people.REQUEST_ID])

    def _taken(self, *, sure):
        """Somebody's recording, for one person at a time."""
        free = [each for each in self.filed if not each.busy and sure in {None, each.sure}]
        if not free:
            return None
        chosen = self.chance.choice(free)
        chosen.busy = True
        return chosen

    # Customers.

    async def _hear(self):
        chosen = self._taken(sure=True)
        if chosen is None:
            return
        try:
            async with self.vault.client(origin=self._origin()) as client:
                await self._visit(client, chosen)
        finally:
            chosen.busy = False

    async def _visit(self, client, chosen):
        access_id = chosen.answer["access_id"]
        op, entered = await self._asked(
            "sign_in",
            lambda: people.sign_in(client, access_id, chosen.pin),
            access_id=access_id,
            pin=chosen.pin,
            # 401 also says: too many tries of which nobody knows how they ended.
            expected={401, 429, 503},
        )
        if entered is None:
            return
        self.history.tell(op, "ok", request=entered.headers[people.REQUEST_ID])
        headers, session = people.session(entered), secrets.token_hex(8)
        for _ in range(self.chance.randrange(1, 4)):
            await self._listen(client, headers, session, chosen)
        if self.chance.random() < 0.5:
            await self._leave(client, headers, session)
            self.left.append((headers, session, chosen))
        if self.left and self.chance.random() < 0.3:
            # Somebody has kept a session that was left: perhaps in an earlier life of the vault.
            await self._listen(client, *self.chance.choice(self.left))

    async def _listen(self, client, headers, session, chosen):
        op, answer = await self._asked(
            "listen",
            lambda: people.heard(client, headers, chosen.answer["recording_id"]),
            key=chosen.key,
            session=session,
            expected={401, 503},
        )
        if answer is not None:
            digest = hashlib.sha256(answer.content).hexdigest()
            request = answer.headers[people.REQUEST_ID]
            self.history.tell(op, "ok", sha256=digest, request=request)
        return answer is not None

    async def _leave(self, client, headers, session):
        op, answer = await self._asked(
            "log_out",
            lambda: people.logged_out(client, headers),
            session=session,
            expected={401, 503},
        )
        if answer is not None:
            self.history.tell(op, "ok", request=answer.headers[people.REQUEST_ID])

    async def _guess(self):
        pin = f"{self.chance.randrange(10**8):08d}"
        if pin == self.guessed["pin"]:
            return
        async with self.vault.client(origin=self._origin()) as client:
            op, answer = await self._asked(
                "guess",
                lambda: people.sign_in(client, self.guessed["access_id"], pin),
                access_id=self.guessed["access_id"],
                pin=pin,
                expected={401, 429, 503},
            )
        if answer is not None:
            self.history.tell(op, "ok")


def _body(key):
    metadata = json.dumps(people.told_about(key)).encode()
    return b"".join(
        (
            b'--parts\r\nContent-Disposition: form-data; name="metadata"\r\n',
            b"Content-Type: application/json\r\n\r\n" + metadata + b"\r\n",
            b'--parts\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n',
            b"Content-Type: audio/wav\r\n\r\n" + sound_of(key) + b"\r\n--parts--\r\n",
        )
    )
