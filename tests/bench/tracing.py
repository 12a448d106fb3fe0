"""What traces cost: CPU of the same requests at a vault that sends them and at one that doesn't."""

import asyncio
from contextlib import ExitStack

import uvloop
from tests.bench.figures import Row, median
from tests.bench.vault import VaultProcess, folder, vault_process
from tests.bench.wire import Connection
from tests.corpus.make_long import make_long
from tests.otlp_receiver import receiving

ROUNDS = 8
REQUESTS = 500
KINDS = {
    "a request that one service answers (1 span)": "/auth/v1/keys",
    "one for which ingest asks auth (3 spans)": "/ingest/v1/recordings/{recording_id}",
}


def measure() -> list[Row]:
    with folder() as scratch, ExitStack() as running:
        collector = running.enter_context(receiving(scratch / "certificates"))
        settings = {
            "VOICEFILE_OTLP_ENDPOINT": collector.endpoint,
            "VOICEFILE_OTLP_CA": str(scratch / "certificates" / "ca.pem"),
        }
        audio = scratch / "short.wav"
        audio.write_bytes(make_long("alaw", 5))
        silent = running.enter_context(vault_process(scratch / "silent"))
        traced = running.enter_context(vault_process(scratch / "traced", **settings))
        rows = [row for what in KINDS for row in _compared(what, silent, traced, audio)]
        sent = sum(1 for _ in collector.spans())
    return [*rows, Row("spans that arrived meanwhile", [sent], "")]


def _compared(what, silent, traced, audio) -> list[Row]:
    ways = {}
    for vault in (silent, traced):
        filed = vault.uploaded(audio)["filed"][0]
        ways[vault.port] = KINDS[what].format(recording_id=filed["recording_id"])
    took: dict[int, list[float]] = {silent.port: [], traced.port: []}
    # In turn, so that whatever else the machine does is shared out.
    for _ in range(ROUNDS):
        for vault in (silent, traced):
            took[vault.port].append(uvloop.run(_cpu_ms(vault, ways[vault.port])))
    plain = median(took[silent.port])
    return [
        Row(what, took[silent.port], "CPU-ms"),
        Row("  with traces", took[traced.port], "CPU-ms", plain, "without"),
    ]


async def _cpu_ms(vault: VaultProcess, path: str) -> float:
    """Of one request, the sending of its spans included."""
    connection = Connection(vault.port, vault.authority)
    headers = {"Authorization": f"Bearer {vault.tenants[0]['partner_token']}"}
    await connection.ask("GET", path, headers=headers)
    begun_s = vault.usage.cpu_s
    for _ in range(REQUESTS):
        answer = await connection.ask("GET", path, headers=headers)
        assert answer.status == 200
    # What waits to be sent belongs to these requests.
    await asyncio.sleep(2.1)
    used_s = vault.usage.cpu_s - begun_s
    connection.close()
    return used_s * 1000 / REQUESTS
