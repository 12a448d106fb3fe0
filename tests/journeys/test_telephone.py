"""A customer calls: through an edge that does what FreeSWITCH does, into the whole vault."""

import struct

import pytest
from tests.stand import APART, stand
from tests.telephony.call import Call, End

from voicefile.playback.telephone.prompt_wav import wav_of

pytestmark = pytest.mark.skipif(APART, reason="calls to a cluster come by its own edges")
EDGE = "http://127.0.0.1:8470"
RATE = 8_000
SECONDS = 25


def coded(seconds=SECONDS):
    """A recording that tells its own position: each sample is its number within 20 s, halved."""
    samples = [(n // 80) * 12 - 16_000 for n in range(seconds * RATE)]
    return wav_of(struct.pack(f"<{len(samples)}h", *samples))


AUDIO = coded()


@pytest.fixture
async def vault(tmp_path):
    async with stand(tmp_path) as running:
        yield running


async def edge_of(vault):
    client = vault.vault.client(peer="edge-1")
    send = client.send

    async def forwarded(request, **options):
        path = request.url.raw_path.decode().replace(
            "/playback/v1/telephone", "/playback/internal/v1/telephone", 1
        )
        request.url = request.url.copy_with(raw_path=path.encode())
        return await send(request, **options)

    client.send = forwarded
    return client


async def test_a_customer_dials_keys_id_and_pin_and_hears_the_contract(vault):
    company = vault.companies[0]
    filed = (await company.upload(AUDIO)).json()
    client = await edge_of(vault)
    async with Call(client, f"{EDGE}/playback/v1/telephone") as call:
        await call.until(lambda: call.asks == "id")
        await call.press(f"{filed['access_id']}#")
        await call.until(lambda: call.asks == "pin")
        await call.press(f"{filed['pin']}#")
        await call.until(lambda: call.asks == "key")
        await call.wait(SECONDS + 40)
        await call.press("#")
        await call.until(lambda: call.ended is not None)
    assert call.apology is None
    assert call.ended is End.SERVICE
    assert AUDIO[44:] in call.pcm
    await client.aclose()
