"""The wires between processes, each through a proxy: they run in a thread of their own.

A proxy in a test's event loop would be slow whenever the test is busy, and that would pass for a
fault.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

from tests.cluster.callers import caller
from tests.faults.nemesis.proxy import Proxy, Rule

STARTS_S_MAX = 10


class Wires:
    """Proxies by the name of the door they stand before: kafka, mongo, s3, auth-1, …"""

    def __init__(self, known: Callable[[], Mapping[str, int]]) -> None:
        """`known` tells the names and process ids of those who may call."""
        self.proxies: dict[str, Proxy] = {}
        self._known = known
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="wires", daemon=True)
        self._thread.start()

    def add(self, name: str, target: int, *, port: int = 0) -> int:
        """A proxy before this port; answers the port to call instead."""

        async def begin() -> int:
            # Made in the loop it runs in.
            proxy = Proxy(
                name, target, port=port, whose=lambda near, door: caller(near, door, self._known())
            )
            await proxy.start()
            self.proxies[name] = proxy
            return proxy.port

        return self._run(begin())

    def rule(self, door: str, rule: Rule, *, who: str | None = None) -> None:
        """At every door whose name begins so: `auth` is each replica of auth."""
        self._at(door, lambda proxy: proxy.rule(rule, who=who))

    def reset(self, door: str, *, who: str | None = None) -> None:
        self._at(door, lambda proxy: proxy.reset(who=who))

    def heal(self) -> None:
        self._at("", Proxy.heal)

    def carried(self) -> dict[tuple[str, str], int]:
        """Bytes by door and caller."""
        return {
            (name, who): count
            for name, proxy in self.proxies.items()
            for who, count in list(proxy.carried.items())
        }

    def stop(self) -> None:
        async def end() -> None:
            for proxy in self.proxies.values():
                await proxy.stop()

        self._run(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _at(self, door: str, change: Callable[[Proxy], object]) -> None:
        async def turn() -> None:
            found = [proxy for name, proxy in self.proxies.items() if name.startswith(door)]
            assert found, f"there is no proxy before {door}"
            for proxy in found:
                change(proxy)

        self._run(turn())

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(STARTS_S_MAX)
