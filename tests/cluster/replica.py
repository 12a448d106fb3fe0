"""One replica of one service: a `voicefile serve <service>` process with three TLS ports."""

import contextlib
import functools
import json
import os
import ssl
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import httpx
from tests.engines.process import Engine

PROBE_S_MAX = 5.0


class Replica(Engine):
    """Started, killed, paused and started again where it was. `settings` are read at each start."""

    port_names = ("public", "internal", "health")

    def __init__(
        self,
        folder: Path,
        certificates: Path,
        *,
        service: str,
        number: int,
        settings: Callable[["Replica"], Mapping[str, str]],
    ) -> None:
        super().__init__(folder, certificates)
        self.service = service
        self.name = f"{service}-{number}"
        self.one_hand = threading.RLock()
        """Its supervisor and its test don't start or stop it at the same moment."""
        self.wanted = False
        """Whether the supervisor has to start it again when it has ended."""
        self.restarts = 0
        """How often it ended by itself, or by somebody's hand, and was started again."""
        self.exit_code: int | None = None
        """How it ended last; minus the signal where one ended it."""
        self.started_s: list[float] = []
        """How long each start took until it said it was ready."""
        self._settings = settings

    def command(self) -> Sequence[str]:
        return [str(Path(sys.executable).with_name("voicefile")), "serve", self.service]

    def environment(self) -> Mapping[str, str]:
        ports = self._known_ports
        return {
            "VOICEFILE_HOST": "127.0.0.1",
            "VOICEFILE_PORT": str(ports["public"]),
            "VOICEFILE_INTERNAL_HOST": "127.0.0.1",
            "VOICEFILE_INTERNAL_PORT": str(ports["internal"]),
            "VOICEFILE_HEALTH_HOST": "127.0.0.1",
            "VOICEFILE_HEALTH_PORT": str(ports["health"]),
            "VOICEFILE_DATA_DIR": str(self.folder / "var"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **self._settings(self),
        }

    @functools.cached_property
    def _known_ports(self) -> dict[str, int]:
        return self.ports

    @property
    def public(self) -> int:
        return self._known_ports["public"]

    @property
    def internal(self) -> int:
        return self._known_ports["internal"]

    @property
    def health(self) -> int:
        return self._known_ports["health"]

    def start(self) -> None:
        """Ready when it returns; from now on the supervisor keeps it running."""
        began_s = time.monotonic()
        self.launch()
        self.await_ready(self.ready)
        self.started_s.append(time.monotonic() - began_s)

    def launch(self) -> None:
        """Starts it and doesn't wait: it may have to wait for engines itself."""
        with self.one_hand:
            self.wanted = True
            if self.pid is None:
                self.spawn(self.command())

    def ended(self) -> bool:
        """Gone; its exit code is known then."""
        return self._ended()

    def _reap(self) -> None:
        with contextlib.suppress(FileNotFoundError, ChildProcessError):
            noted = json.loads((self.folder / "pid.json").read_text())["pid"]
            found, status = os.waitpid(noted, os.WNOHANG)
            if found:
                self.exit_code = os.waitstatus_to_exitcode(status)

    def stop(self) -> None:
        with self.one_hand:
            self.wanted = False
            super().stop()

    def kill(self) -> None:
        with self.one_hand:
            super().kill()

    def end(self) -> None:
        """SIGKILL, for good."""
        with self.one_hand:
            self.wanted = False
            super().kill()

    def ready(self) -> bool:
        return self.asked("readyz") == httpx.codes.OK

    def alive(self) -> bool:
        return self.asked("livez") == httpx.codes.OK

    def asked(self, path: str) -> int | None:
        """What its health port answers; None: nobody there."""
        try:
            return self._health(path).status_code
        except httpx.HTTPError:
            return None

    def metrics(self) -> str:
        return self._health("metrics").raise_for_status().text

    def _health(self, path: str) -> httpx.Response:
        trusted = ssl.create_default_context(cafile=str(self.authority))
        with httpx.Client(verify=trusted, timeout=PROBE_S_MAX, trust_env=False) as client:
            return client.get(f"https://127.0.0.1:{self.health}/{path}")
