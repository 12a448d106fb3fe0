"""All proxies of a cluster in one process: `python -m tests.cluster.wires_process FOLDER`.

It ends when nobody is left who could tell it anything.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import uvloop
from tests.cluster.callers import caller
from tests.faults.nemesis.proxy import Proxy, Rule


class Switchboard:
    """The proxies, and what may be told about them."""

    def __init__(self, services: Path) -> None:
        self._services = services
        self._proxies: dict[str, Proxy] = {}

    async def carry_out(self, told: dict[str, Any]) -> Any:
        verb = told.pop("verb")
        return await getattr(self, verb)(**told)

    async def add(self, name: str, target: int, port: int) -> int:
        proxy = Proxy(name, target, port=port, whose=self._whose)
        await proxy.start()
        self._proxies[name] = proxy
        return proxy.port

    async def rule(self, door: str, rule: dict[str, Any], who: str | None) -> None:
        for proxy in self._at(door):
            proxy.rule(Rule(**rule), who=who)

    async def reset(self, door: str, who: str | None) -> None:
        for proxy in self._at(door):
            proxy.reset(who=who)

    async def heal(self) -> None:
        for proxy in self._at(""):
            proxy.heal()

    async def carried(self) -> list[tuple[str, str, int]]:
        return [
            (name, who, count)
            for name, proxy in self._proxies.items()
            for who, count in proxy.carried.items()
        ]

    async def stop(self) -> None:
        for proxy in self._proxies.values():
            await proxy.stop()

    def _at(self, door: str) -> list[Proxy]:
        found = [proxy for name, proxy in self._proxies.items() if name.startswith(door)]
        assert found, f"there is no proxy before {door}"
        return found

    def _whose(self, near: int, door: int) -> str:
        return caller(near, door, dict(self._known()))

    def _known(self) -> Any:
        for path in self._services.glob("*/pid.json"):
            try:
                yield path.parent.name, json.loads(path.read_text())["pid"]
            except FileNotFoundError:
                continue


async def main(services: Path) -> None:
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    switchboard = Switchboard(services)
    while line := await lines.readline():
        try:
            answer = {"done": await switchboard.carry_out(json.loads(line))}
        except (OSError, AssertionError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)
    await switchboard.stop()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
