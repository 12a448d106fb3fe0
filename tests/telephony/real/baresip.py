"""A telephone that somebody else has written: baresip, told by console, heard by recorder."""

import asyncio
import shutil
import socket
import warnings
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.engines.ports import choose_ports

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

LET_GO = "\x04"
"""It holds a key down until it is told."""
CONFIGURATION = """
module_path /usr/lib/baresip/modules
module g711.so
module srtp.so
module aubridge.so
module sndfile.so
module_app account.so
module_app menu.so
module_app cons.so
cons_listen 127.0.0.1:{console}
sip_listen 127.0.0.1:{sip}
sip_cafile {authority}
sip_certificate {certificate}
audio_source aubridge,x
audio_player aubridge,x
audio_alert aubridge,y
audio_srate 8000-8000
audio_channels 1-1
snd_path {folder}
"""
ACCOUNT = (
    "<sip:+49309999999@127.0.0.1;transport=tls>;regint=0;mediaenc=srtp-mand;audio_codecs=PCMA\n"
)


class Baresip:
    """While it runs."""

    def __init__(self, folder: Path, console: int) -> None:
        self._folder, self._console = folder, ("127.0.0.1", console)
        self._wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def dial(self, number: str, port: int) -> None:
        self._say(f"/dial sip:{number}@127.0.0.1:{port};transport=tls\n")

    async def press(self, keys: str) -> None:
        for key in keys:
            self._say(key)
            await asyncio.sleep(0.12)
            self._say(LET_GO)
            await asyncio.sleep(0.1)

    def hang_up(self) -> None:
        self._say("/hangup\n")

    def close(self) -> None:
        """No more is told it."""
        self._wire.close()

    def heard(self) -> bytes:
        """As A-law, all of it."""
        [file] = self._folder.glob("*-dec.wav")
        with wave.open(str(file)) as recorded:
            samples = recorded.readframes(recorded.getnframes())
        return audioop.lin2alaw(samples, 2)

    def _say(self, text: str) -> None:
        self._wire.sendto(text.encode(), self._console)


def _configured(folder: Path, authority: Path, certificate: Path) -> int:
    """The port of its console."""
    ports = choose_ports(["console", "sip"])
    folder.mkdir()
    (folder / "config").write_text(
        CONFIGURATION.format(folder=folder, authority=authority, certificate=certificate, **ports)
    )
    (folder / "accounts").write_text(ACCOUNT)
    return ports["console"]


@asynccontextmanager
async def baresip(folder: Path, *, authority: Path, certificate: Path) -> AsyncIterator[Baresip]:
    console = _configured(folder, authority, certificate)
    program = shutil.which("baresip")
    assert program, "Debian: apt install baresip"
    with (folder / "said").open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            program,
            "-4",
            "-f",
            str(folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    try:
        await asyncio.sleep(1)
        phone = Baresip(folder, console)
        try:
            yield phone
        finally:
            phone.close()
    finally:
        process.terminate()
        await process.wait()
