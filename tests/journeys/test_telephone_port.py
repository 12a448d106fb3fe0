"""The embedded vault's own port for edges: with an edge's certificate a call goes through it."""

import ssl
from pathlib import Path

import httpx
import pytest
from tests.journeys.vault_process import free_port, vault_process
from tests.services.playback.telephone.pretended import prompts_folder
from tests.stand import APART
from tests.telephony.call import Call, End
from tests.telephony.exchange import URL, keyed, reached

from voicefile.chassis.tls import service_certificate
from voicefile.playback.telephone.prompt_wav import pcm_of, wav_of

pytestmark = pytest.mark.skipif(APART, reason="services apart have playback's own port")


class Forwarder(httpx.AsyncBaseTransport):
    """What stands beside an edge: the other path, the certificate, and nothing else."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._base = f"https://localhost:{port}/playback/internal/v1/telephone"
        self._wire = httpx.AsyncHTTPTransport(verify=context, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert str(request.url).startswith(URL)
        request.url = httpx.URL(self._base + str(request.url).removeprefix(URL))
        request.headers["Host"] = "localhost"
        return await self._wire.handle_async_request(request)

    async def aclose(self) -> None:
        await self._wire.aclose()


def voices(data: Path) -> None:
    """Prompts that somebody recorded, so that nothing has to be made."""
    for file in prompts_folder().rglob("*.wav"):
        place = data / "prompts" / file.relative_to(prompts_folder())
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(wav_of(pcm_of(file.read_bytes())))


def context(edges: Path, papers: Path | None) -> ssl.SSLContext:
    """Trusts the edges' authority; shows these papers, if any."""
    made = ssl.create_default_context(cafile=str(edges / "ca.pem"))
    if papers is not None:
        made.load_cert_chain(papers)
    return made


@pytest.fixture(scope="module")
def vault(tmp_path_factory):
    data, scratch = tmp_path_factory.mktemp("vault"), tmp_path_factory.mktemp("scratch")
    voices(data)
    port = free_port()
    with vault_process(data, scratch, VOICEFILE_TELEPHONE_PORT=str(port)) as running:
        yield running, port, data / "edges"


async def test_with_an_edges_certificate_a_customer_hears_the_demo_recording(vault):
    running, port, edges = vault
    told = running.known["recording"]
    wire = Forwarder(port, context(edges, edges / "edge-1.pem"))
    async with httpx.AsyncClient(transport=wire) as client, Call(client, URL) as call:
        await keyed(call, "id", told["access_id"])
        await keyed(call, "pin", told["pin"])
        await reached(call, lambda: call.asks == "key")
        await call.wait(3)
        assert call.asks == "key"
        await call.press("#")
        await reached(call, lambda: call.ended is not None)
    assert (call.ended, call.apology) == (End.SERVICE, None)


async def test_without_one_or_with_another_authoritys_there_is_no_connection(vault, tmp_path):
    _, port, edges = vault
    foreign = service_certificate(tmp_path / "elsewhere", "edge-1")
    for papers in (None, foreign):
        wire = Forwarder(port, context(edges, papers))
        async with httpx.AsyncClient(transport=wire) as client:
            with pytest.raises((httpx.TransportError, ssl.SSLError)):
                await client.post(URL, data={"session_id": "x"})


async def test_the_right_authoritys_certificate_of_no_edge_is_turned_away(vault):
    _, port, edges = vault
    # A service's, signed by the same authority: known, and not an edge.
    wire = Forwarder(port, context(edges, edges / "playback.pem"))
    async with httpx.AsyncClient(transport=wire) as client:
        answer = await client.post(URL, data={"session_id": "x"})
    assert answer.status_code == 403


async def test_what_is_public_is_not_at_that_port_and_the_telephone_not_at_the_public_one(vault):
    running, port, edges = vault
    papers = context(edges, edges / "edge-1.pem")
    async with httpx.AsyncClient(verify=papers, trust_env=False) as edge:
        for path in ("/auth/v1/keys", "/playback/v1/recordings", "/auth/internal/v1/hearable"):
            assert (await edge.get(f"https://localhost:{port}{path}")).status_code == 404
    with running.client() as anybody:
        answer = anybody.post("/playback/internal/v1/telephone", data={"session_id": "x"})
        assert answer.status_code == 404
