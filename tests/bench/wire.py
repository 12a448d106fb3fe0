"""A client that costs little, so that the vault is what is measured: raw HTTP/1.1 over TLS."""

import asyncio
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUFFER_BYTES = 1 << 20


@dataclass
class Answer:
    """What came back, whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Connection:
    """Kept alive between requests."""

    def __init__(self, port: int, authority: Path) -> None:
        self._port = port
        self._context = ssl.create_default_context(cafile=str(authority))
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(
        self, method: str, path: str, *, headers: dict[str, str], body: bytes = b""
    ) -> Answer:
        """Sends a request and takes the whole answer."""
        await self.send(method, path, headers=headers, body=body)
        return await self.answer()

    async def send(
        self, method: str, path: str, *, headers: dict[str, str], body: bytes = b""
    ) -> None:
        if self._writer is None or self._writer.is_closing():
            self._reader, self._writer = await asyncio.open_connection(
                "localhost", self._port, ssl=self._context, limit=BUFFER_BYTES
            )
        head = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
        head += [f"{name}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join([*head, "", ""]).encode() + body)
        await self._writer.drain()

    async def answer(self) -> Answer:
        status, headers = await self.head()
        reader = self._reader
        assert reader
        if "content-length" in headers:
            body = await reader.readexactly(int(headers["content-length"]))
        else:
            body = b""
            while length := int(await reader.readline(), 16):
                body += await reader.readexactly(length)
                await reader.readexactly(2)
            await reader.readline()
        if headers.get("connection") == "close":
            self.close()
        return Answer(status, headers, body)

    async def head(self) -> tuple[int, dict[str, str]]:
        """The answer's head, as soon as it is there; the body is still to be read."""
        assert self._reader
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if line)
        named = {name.lower(): value for name, value in headers.items()}
        return int(lines[0].split()[1]), named

    async def first_byte(self) -> None:
        """Waits for the body to begin."""
        assert self._reader
        await self._reader.readexactly(1)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
