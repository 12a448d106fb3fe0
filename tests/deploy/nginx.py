"""A real nginx on this machine, run from the configuration that deploy/compose ships."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pytest
from tests.engines.ports import choose_ports

SHIPPED = Path(__file__).parents[2] / "deploy" / "compose" / "front" / "nginx.conf"
LISTENS_S_MAX = 30.0


def binary() -> str:
    """Where nginx is. Skips the test, and says so aloud, where there is none."""
    # Where Debian puts it, which is on root's path alone.
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        pytest.skip("NOT RUN: no nginx on this machine (Debian: apt install nginx)")
    return found


class Nginx:
    """The front, in a folder of its own; `upstreams` are the ports of services on this machine."""

    def __init__(self, folder: Path, papers: Path, upstreams: Mapping[str, int]) -> None:
        self.folder = folder
        self.port = choose_ports(["front"])["front"]
        self._binary = binary()
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True)
        self.text = SHIPPED.read_text()
        for service, port in upstreams.items():
            # Names are looked up when it starts, and older ones can't look them up again.
            self.change(rf"server {service}-[12]:8443 resolve;", f"server 127.0.0.1:{port};")
        self.change(r"listen 8443 ssl;", f"listen 127.0.0.1:{self.port} ssl;")
        self.change(r"/tmp/", f"{folder}/")
        self.change(r"/run/voicefile", str(papers))

    def change(self, pattern: str, to: str) -> None:
        """Puts something else in the place of what must be there."""
        self.text, times = re.subn(pattern, to, self.text)
        assert times, pattern

    def run(self, *more: str) -> list[str]:
        """The command for what the text says now."""
        (self.folder / "nginx.conf").write_text(self.text)
        log = self.folder / "error.log"
        return [self._binary, "-c", str(self.folder / "nginx.conf"), "-e", str(log), *more]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self.run("-g", "daemon off;"), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self) -> None:
        assert self._process is not None
        ends_s = time.monotonic() + LISTENS_S_MAX
        while not self._listens():
            assert self._process.poll() is None, self._said()
            assert time.monotonic() < ends_s, "nginx does not listen"
            time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(30)
        if self._process.stderr is not None:
            self._process.stderr.close()

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _said(self) -> str:
        assert self._process is not None
        assert self._process.stderr is not None
        return self._process.stderr.read().decode()
