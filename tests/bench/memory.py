"""Memory of an upload: what the vault's process and its decoder grow by, whatever is uploaded."""

import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.bench.figures import Row, children, usage
from tests.bench.vault import VaultProcess, folder, vault_process
from tests.corpus.containers import chunk, fmt, riff
from tests.corpus.spoken_files import spoken

MIB = 1 << 20
RATE_HZ = 48_000
SIZES_MIB = (1, 20, 200)
AT_ONCE = 4
GROWTH_MIB_MAX = 16
DECODER_MIB_MAX = 256
RUNS = {1: 5, 20: 3, 200: 1}
EVERY_S = 0.01


def measure() -> list[Row]:
    rows = []
    with folder() as scratch, vault_process(scratch / "var") as vault:
        audio = scratch / "audio.wav"
        _write(audio, MIB)
        # The code an upload needs is loaded before; pools and buffers are its own.
        filed = vault.uploaded(audio, uploads=1)["filed"][0]
        pin = [_grown(vault, audio, 1)[0] for _ in range(RUNS[1])]
        rows.append(Row("with a new PIN, 1 MiB", pin, "MiB", of="auth's argon2id: 19 MiB in turns"))
        join = filed["access_id"]
        for size in SIZES_MIB:
            _write(audio, size * MIB)
            grown = [_grown(vault, audio, 1, join) for _ in range(RUNS[size])]
            rows += _rows(f"{size} MiB", grown)
        _write(audio, 20 * MIB)
        grown = [_grown(vault, audio, AT_ONCE, join) for _ in range(RUNS[20])]
        each = [(vault_mib / AT_ONCE, decoder_mib) for vault_mib, decoder_mib in grown]
        rows += _rows(f"each of {AT_ONCE} at once of 20 MiB", each)
    return rows


def _rows(called: str, grown: list[tuple[float, float]]) -> list[Row]:
    ours, decoders = [own for own, _ in grown], [decoder for _, decoder in grown]
    return [
        Row(
            f"vault's growth, {called}",
            ours,
            "MiB",
            promise=f"<= {GROWTH_MIB_MAX} MiB",
            kept=max(ours) <= GROWTH_MIB_MAX,
        ),
        Row(
            "  its decoder's most",
            decoders,
            "MiB",
            promise=f"<= {DECODER_MIB_MAX} MiB",
            kept=max(decoders) <= DECODER_MIB_MAX,
        ),
    ]


def _write(path: Path, size: int) -> None:
    speech = spoken("pcm16-8k.wav")[44:]
    sound = (speech * (size // len(speech) + 1))[: size - 44]
    path.write_bytes(riff(fmt(rate=RATE_HZ), chunk(b"data", sound)))


def _grown(
    vault: VaultProcess, audio: Path, partners: int, join: str | None = None
) -> tuple[float, float]:
    """The peak over what was resident before, and the largest of the decoder's processes.

    An upload that joins an access ID needs no PIN, so that nothing is seen but ingest's part.
    """
    before = vault.usage.resident_mib
    Path(f"/proc/{vault.process.pid}/clear_refs").write_text("5")  # the peak begins anew
    with _Watch(vault.zygote) as watch:
        vault.uploaded(audio, uploads=partners, partners=partners, join=join)
    return max(0.0, vault.usage.peak_mib - before), watch.most_mib


class _Watch:
    """Looks at a process's children until it ends; each keeps its own peak, so few looks do."""

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.most_mib = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(EVERY_S):
            for child in children(self._parent):
                with suppress(OSError, KeyError):
                    self.most_mib = max(self.most_mib, usage(child).peak_mib)
