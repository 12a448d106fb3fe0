"""A program: a PKCS#11 root in a process of its own, asked in lines of JSON.

Which token SoftHSM serves stands in the environment and is read once, so a token of a test's own
needs a process of its own. `TokenProcess` is the near end.

    token_process.py MODULE LABEL        the PIN is the first line of standard input
"""

import asyncio
import contextlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.engines.softhsm import SoftHsm

from voicefile.crypto import errors, rootkey
from voicefile.crypto.secret import SecretKey, SecretText

ROOT = Path(__file__).parents[3]
RAISED = {
    each.__name__: each for each in (errors.Tampered, rootkey.VersionGone, rootkey.RootUnavailable)
}


class TokenProcess:
    """A RootKey whose work is done over there."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self._numbers = itertools.count()
        self._asked: dict[int, asyncio.Future[Any]] = {}

    async def create_version(self) -> str:
        return str(await self._ask("create_version"))

    async def destroy_version(self, version: str) -> None:
        await self._ask("destroy_version", version)

    async def versions(self) -> list[str]:
        return list(await self._ask("versions"))

    async def wrap(self, version: str, key: SecretKey, *, context: bytes) -> bytes:
        return bytes.fromhex(await self._ask("wrap", version, key.expose().hex(), context.hex()))

    async def unwrap(self, version: str, wrapped: bytes, *, context: bytes) -> SecretKey:
        found = await self._ask("unwrap", version, wrapped.hex(), context.hex())
        return SecretKey(bytes.fromhex(found))

    async def ready(self) -> bool:
        return bool(await self._ask("ready"))

    async def fork(self) -> str:
        """What a child of that process is told by the same root."""
        return str(await self._ask("fork"))

    async def twin(self) -> bool:
        """A second root of the same process comes, does something and goes."""
        return bool(await self._ask("twin"))

    async def busy(self, seconds: float) -> None:
        """As if the module did not return from a call."""
        await self._ask("busy", str(seconds))

    async def _ask(self, what: str, *given: str) -> Any:
        number = next(self._numbers)
        self._asked[number] = asyncio.get_running_loop().create_future()
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([number, what, *given]).encode() + b"\n")
        return await self._asked[number]

    async def hear(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            number, raised, answer = json.loads(line)
            asked = self._asked.pop(number)
            if raised:
                asked.set_exception(RAISED.get(raised, AssertionError)(answer))
            else:
                asked.set_result(answer)


@contextlib.asynccontextmanager
async def token_process(
    token: SoftHsm, *, pin: str | None = None, module: str | None = None, label: str | None = None
) -> AsyncIterator[TokenProcess]:
    command = [sys.executable, __file__, module or str(token.module), label or token.label]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **token.environment, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdin is not None
    process.stdin.write((pin or token.pin).encode() + b"\n")
    near = TokenProcess(process)
    async with asyncio.TaskGroup() as group:
        hearing = group.create_task(near.hear())
        try:
            yield near
        finally:
            process.stdin.close()
            ended = await process.wait()
            await hearing
    assert ended == 0, "it did not end in order"


async def _serve(module: str, label: str) -> None:
    from voicefile.crypto.rootkey_pkcs11 import Pkcs11RootKey  # noqa: PLC0415 - this end only

    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    pin = (await lines.readline()).decode().strip()
    root = Pkcs11RootKey(Path(module), label, SecretText(pin))

    async def answer(number: int, what: str, *given: str) -> None:
        try:
            said = [number, "", await _done(root, what, *given)]
        except Exception as error:  # noqa: BLE001 - told to the near end, which raises it
            said = [number, type(error).__name__, str(error)]
        print(json.dumps(said), flush=True)

    async with asyncio.TaskGroup() as group:
        async for line in lines:
            group.create_task(answer(*json.loads(line)))
    with contextlib.suppress(rootkey.RootUnavailable):
        await root.close()


async def _done(root: Any, what: str, *given: str) -> Any:
    if what == "wrap":
        version, key, context = given
        wrapped = await root.wrap(
            version, SecretKey(bytes.fromhex(key)), context=bytes.fromhex(context)
        )
        return wrapped.hex()
    if what == "unwrap":
        version, wrapped, context = given
        found = await root.unwrap(version, bytes.fromhex(wrapped), context=bytes.fromhex(context))
        return found.expose().hex()
    if what == "busy":
        from voicefile.crypto.rootkey_pkcs11 import _thread_of  # noqa: PLC0415 - this end only

        _thread_of(root._module, os.getpid()).submit(time.sleep, float(given[0]))
        return None
    if what == "twin":
        token = root._token
        twin = type(root)(Path(root._module), token._label, token._pin)
        version, key = await twin.create_version(), SecretKey.random()
        wrapped = await twin.wrap(version, key, context=b"")
        await twin.close()
        return await root.unwrap(version, wrapped, context=b"") == key
    if what == "fork":
        return await asyncio.to_thread(_forked, root)
    return await getattr(root, what)(*given)


def _forked(root: Any) -> str:
    reading, writing = os.pipe()
    if not os.fork():
        try:
            asyncio.run(root.create_version())
        except BaseException as error:  # noqa: BLE001 - told to the parent
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.wait()
    return said


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
