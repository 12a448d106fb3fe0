"""Audit as a whole with a witness that is a process elsewhere, over HTTPS."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import suppress

import pytest
from prometheus_client import REGISTRY
from tests.services.audit.conftest import house_over
from tests.services.audit.test_service import RECORDING, issued
from tests.services.audit.witnesses import Served, Watcher

from voicefile.audit.app import COLLECTIONS
from voicefile.audit.entry import commitment
from voicefile.audit.store import KEYS
from voicefile.audit.witness import HttpWitness, WitnessAway
from voicefile.chassis.calls import engine_client
from voicefile.chassis.tls import development_certificates
from voicefile.docstore.port import Document
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.translog.checkpoint import open_checkpoint
from voicefile.translog.cosignature import cosigned_at
from voicefile.translog.note import VerifierKey
from voicefile.translog.proof_text import TlogProof


@pytest.fixture
def served(tmp_path) -> Iterator[Served]:
    made = Served(Watcher.begun(tmp_path / "witness")).start()
    yield made
    made.kill()


async def key_told(house, tenant) -> VerifierKey:
    return VerifierKey.parse((await house.get(f"/v1/logs/{tenant}/key")).text.strip())


async def cosigned(house, tenant, size: int) -> str:
    async with asyncio.timeout(60):
        while True:
            answer = await house.get(f"/v1/logs/{tenant}/checkpoint/cosigned")
            if answer.status_code == 200 and int(answer.text.split("\n")[1]) >= size:
                return answer.text
            await asyncio.sleep(0.05)


async def test_a_receipt_s_proof_carries_the_cosignature_of_a_witness_elsewhere(
    docs, tmp_path, tenant, instance, token, served
) -> None:
    async with house_over(docs, tmp_path / "root", witnesses=(served.place,)) as house:
        await house.bus.publish([issued(instance, tenant)])
        await house.published(tenant, 1)
        path = f"/v1/logs/{tenant}/checkpoint/cosigned"
        assert (await house.get(path)).status_code == 404  # the witness knows no such log yet
        key = await key_told(house, tenant)
        served.watcher.trusts(key)
        await house.bus.publish([instance.does(tenant)])
        note = await cosigned(house, tenant, 1)
        assert open_checkpoint(note, key).size >= 1
        assert cosigned_at(note, served.watcher.key)

        told = await house.get(f"/v1/recordings/{RECORDING}/proof", bearer=token("care", tenant))
        proof = TlogProof.parse(told.json()["tlog_proof"])
        assert proof.verify(commitment(proof.extra[:32], proof.extra[32:]), key)
        assert cosigned_at(proof.checkpoint, served.watcher.key)


async def test_a_witness_that_dies_holds_nothing_up_and_catches_up(
    docs, tmp_path, tenant, instance, served
) -> None:
    async with house_over(docs, tmp_path / "root", witnesses=(served.place,)) as house:
        await house.bus.publish([instance.does(tenant)])
        await house.published(tenant, 1)
        served.watcher.trusts(await key_told(house, tenant))
        await cosigned(house, tenant, 1)
        served.kill()
        await house.bus.publish(instance.does_often(tenant, 30))
        await house.published(tenant, 31)
        served.start()
        await house.bus.publish([instance.does(tenant)])
        await cosigned(house, tenant, 32)


async def test_a_store_brought_back_from_a_copy_is_told_on_by_the_witness(
    docs, tmp_path, tenant, instance, served
) -> None:
    async with house_over(docs, tmp_path / "root", witnesses=(served.place,)) as house:
        await house.bus.publish(instance.does_often(tenant, 9))
        await house.published(tenant, 9)
        served.watcher.trusts(await key_told(house, tenant))
        await house.bus.publish([instance.does(tenant)])
        await cosigned(house, tenant, 10)
    # The same key, another history: what an insider with store and root can do.
    other = await SqliteDocStore.open(tmp_path / "other.sqlite", COLLECTIONS)
    for document in await docs.scan(KEYS):
        await other.insert(KEYS, Document(document.id, "", document.body))
    async with house_over(other, tmp_path / "root", witnesses=(served.place,)) as house:
        await house.bus.publish(instance.does_often(tenant, 4))
        await house.published(tenant, 4)
        async with asyncio.timeout(60):
            while not REGISTRY.get_sample_value("voicefile_audit_logs_contradicted"):
                await asyncio.sleep(0.05)
        answer = await house.get(f"/v1/logs/{tenant}/checkpoint/cosigned")
        assert answer.status_code == 404
    await other.close()


async def test_a_witness_that_answers_byte_by_byte_is_as_good_as_away(tmp_path) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.close()

    made = development_certificates(tmp_path / "tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.server)
    server = await asyncio.start_server(drip, "localhost", 0, ssl=context)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
    async with (
        server,
        engine_client(url, authority=made.authority, headers={}) as client,
        asyncio.timeout(60),
    ):
        with pytest.raises(WitnessAway):
            await HttpWitness(client, s_max=1.0).add_checkpoint("old 0\n")
