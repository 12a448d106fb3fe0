"""A customer's telephone, as playback passes on what is keyed on it."""

from dataclasses import dataclass, field
from typing import Any

from voicefile.identity.guard import TELEPHONE_PREFIX
from voicefile.identity.ids import new_id

NUMBER = "+49 30 90210555"


@dataclass
class Phone:
    """One call, from one number; everything that is keyed goes to auth in it."""

    world: Any = field(repr=False)
    number: str = NUMBER
    dialled: str = ""
    call: str = field(default_factory=new_id)

    async def key_id(self, access_id, **more):
        return await self._keyed("", access_id=access_id, tenant=self.dialled, **more)

    async def key_pin(self, login, pin, **more):
        return await self._keyed(f"/{login}/pin", pin=pin, **more)

    async def key_answer(self, login, answer, **more):
        return await self._keyed(f"/{login}/answer", answer=answer, **more)

    async def login(self, access_id):
        """The id of a login for this access ID."""
        answer = await self.key_id(access_id)
        assert answer.status_code == 201, answer.text
        return answer.json()["login_id"]

    async def sign_in(self, letter, *, pin=None):
        """What is answered to the PIN."""
        return await self.key_pin(await self.login(letter.access_id), pin or letter.pin)

    async def asked(self, letter):
        """A login that waits for its answer."""
        login = await self.login(letter.access_id)
        assert "question" in (await self.key_pin(login, letter.pin)).json()
        return login

    async def session(self, letter):
        """What playback shows for a session, question answered."""
        login = await self.login(letter.access_id)
        answer = await self.key_pin(login, letter.pin)
        if "question" in answer.json():
            answer = await self.key_answer(login, letter.answer)
        return self.shown(answer.json()["session_id"])

    def shown(self, session_id):
        return f"{TELEPHONE_PREFIX}{session_id}.{self.call}"

    async def hang_up(self, shown, *, peer="playback"):
        async with self.world.client(self.world.internal, peer=peer) as client:
            return await client.delete(
                "/internal/v1/telephone-sessions/current",
                headers={"Authorization": f"Bearer {shown}"},
            )

    async def _keyed(self, step, *, peer="playback", **keyed):
        body = {"caller": self.number, "call_id": self.call, **keyed}
        async with self.world.client(self.world.internal, peer=peer) as client:
            return await client.post(f"/internal/v1/telephone-logins{step}", json=body)
