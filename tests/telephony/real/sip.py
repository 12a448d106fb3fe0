"""SIP over TLS, as much of it as one call takes: INVITE, ACK, INFO, BYE, and answers to them."""

import asyncio
import itertools
import secrets
import ssl
from dataclasses import dataclass, field
from typing import Final, Self

ENDING: Final = b"\r\n\r\n"
_CALLS: Final = itertools.count(1)
ANSWERS_S_MAX: Final = 20.0


@dataclass(frozen=True)
class Message:
    """One request or answer."""

    start: str
    headers: dict[str, str]
    body: str = ""

    @property
    def status(self) -> int | None:
        """Of an answer."""
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else None

    @property
    def method(self) -> str:
        """Of a request, or of what is answered."""
        return self.headers["cseq"].split()[1]


@dataclass
class Dialogue:
    """A call's signalling, from the caller's end. `secure` false: over TCP, in the clear."""

    host: str
    port: int
    context: ssl.SSLContext | None
    caller: str
    dialled: str
    near: str = "127.0.0.1"
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    """The other end has hung up, or the connection is lost."""
    cause: str = ""
    _reader: asyncio.StreamReader = field(init=False, repr=False)
    _writer: asyncio.StreamWriter = field(init=False, repr=False)
    _answers: asyncio.Queue[Message] = field(default_factory=asyncio.Queue, repr=False)
    _number: int = 0
    _to: str = ""
    _target: str = ""
    _reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(
            self.host,
            self.port,
            ssl=self.context,
            server_hostname="localhost" if self.context else None,
            local_addr=(self.near, 0),
        )
        self._call = f"{next(_CALLS)}-{secrets.token_hex(8)}"
        self._tag = secrets.token_hex(6)
        near = self._writer.get_extra_info("sockname")[1]
        self._transport = "TLS" if self.context else "TCP"
        self._near = f"{self.near}:{near}"
        self._to = f"<sip:{self.dialled}@{self.host}>"
        self._target = f"sip:{self.dialled}@{self.host}:{self.port};transport={self._transport}"
        # owned: `__aexit__` cancels it.
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        self._writer.close()

    async def invite(self, offer: str) -> Message:
        """The final answer; it has been acknowledged."""
        await self._ask("INVITE", offer, "application/sdp")
        answer = await self._final("INVITE")
        self._to = answer.headers.get("to", self._to)
        if answer.status == 200:
            self._target = answer.headers["contact"].strip("<>").split(">")[0]
        self._send(f"ACK {self._target} SIP/2.0", self._usual("ACK"))
        return answer

    async def info(self, key: str, milliseconds: int) -> None:
        """One digit by SIP INFO."""
        body = f"Signal={key}\r\nDuration={milliseconds}\r\n"
        await self._ask("INFO", body, "application/dtmf-relay")
        answer = await self._final("INFO")
        assert answer.status == 200, answer.start

    async def bye(self) -> None:
        """Hangs up, if the other end hasn't."""
        if not self.gone.is_set():
            await self._ask("BYE")
            await self._final("BYE")
            self.gone.set()

    async def _ask(self, method: str, body: str = "", kind: str = "") -> None:
        self._number += 1
        headers = self._usual(method)
        if body:
            headers += [f"Content-Type: {kind}"]
        self._send(f"{method} {self._target} SIP/2.0", headers, body)

    async def _final(self, method: str) -> Message:
        async with asyncio.timeout(ANSWERS_S_MAX):
            while True:
                answer = await self._answers.get()
                assert answer.status is not None, "the connection is lost"
                if answer.method == method and answer.status >= 200:
                    return answer

    def _usual(self, method: str) -> list[str]:
        branch = f"z9hG4bK{secrets.token_hex(8)}"
        return [
            f"Via: SIP/2.0/{self._transport} {self._near};branch={branch};rport",
            "Max-Forwards: 70",
            f'From: "{self.caller}" <sip:{self.caller}@{self.host}>;tag={self._tag}',
            f"To: {self._to}",
            f"Call-ID: {self._call}",
            f"CSeq: {self._number} {method}",
            f"Contact: <sip:caller@{self._near};transport={self._transport.lower()}>",
            "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE",
        ]

    def _send(self, start: str, headers: list[str], body: str = "") -> None:
        lines = [start, *headers, f"Content-Length: {len(body)}"]
        self._writer.write("\r\n".join(lines).encode() + ENDING + body.encode())

    async def _read(self) -> None:
        try:
            while True:
                head = (await self._reader.readuntil(ENDING)).decode().strip("\r\n")
                start, *lines = head.split("\r\n")
                headers: dict[str, str] = {}
                for line in lines:
                    name, _, value = line.partition(":")
                    headers.setdefault(name.strip().lower(), value.strip())
                length = int(headers.get("content-length", "0"))
                body = (await self._reader.readexactly(length)).decode()
                self._received(Message(start, headers, body), lines)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            self.gone.set()
            self._answers.put_nowait(Message("", {}))

    def _received(self, message: Message, lines: list[str]) -> None:
        if message.status is not None:
            self._answers.put_nowait(message)
            return
        if message.method == "ACK":
            return
        if message.method == "BYE":
            self.cause = message.headers.get("reason", "")
            self.gone.set()
        kept = ("via:", "from:", "to:", "call-id:", "cseq:", "record-route:")
        repeated = [line for line in lines if line.lower().startswith(kept)]
        self._send("SIP/2.0 200 OK", repeated)
