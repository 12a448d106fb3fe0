"""The wire in one process behaves like a network: it streams, waits, breaks, and knows its peer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import Response, StreamingResponse

from voicefile.chassis.inprocess import InProcessTransport, MountRouter, in_process_client
from voicefile.chassis.service import Service, new_app
from voicefile.chassis.streaming import StreamedResponse
from voicefile.identity.guard import open_to_all, peer, peer_name

MIB = 1024 * 1024
CHUNK = 64 * 1024
ANYBODY = [Depends(open_to_all("a test"))]
START = {"type": "http.response.start", "status": 200, "headers": []}


def part(body: bytes, *, more: bool = True) -> dict:
    return {"type": "http.response.body", "body": body, "more_body": more}


def client(app, **options) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=InProcessTransport(app, **options), base_url="https://vault.test", timeout=10
    )


async def test_fifty_mebibytes_pass_with_less_than_one_in_flight():
    made = taken = ahead = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal made, ahead
        for _ in range(800):
            made += CHUNK
            ahead = max(ahead, made - taken)
            yield b"x" * CHUNK

    app = FastAPI()

    @app.get("/")
    async def download() -> StreamingResponse:
        return StreamingResponse(body())

    async with client(app) as asking, asking.stream("GET", "/") as answer:
        async for chunk in answer.aiter_raw():
            taken += len(chunk)
    assert taken == 50 * MIB
    assert ahead <= MIB


async def test_an_upload_waits_for_its_reader():
    made = taken = ahead = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal made, ahead
        for _ in range(800):
            made += CHUNK
            ahead = max(ahead, made - taken)
            yield b"x" * CHUNK

    app = FastAPI()

    @app.post("/")
    async def upload(request: Request) -> int:
        nonlocal taken
        async for chunk in request.stream():
            taken += len(chunk)
            await asyncio.sleep(0)
        return taken

    async with client(app) as asking:
        answer = await asking.post("/", content=body())
    assert answer.json() == 50 * MIB
    assert ahead <= MIB


async def test_a_whole_body_is_handed_over_in_small_parts():
    parts = []

    async def app(_scope, receive, send) -> None:
        while (message := await receive())["more_body"]:
            parts.append(len(message["body"]))
        await send(START)
        await send(part(b"", more=False))

    async with client(app) as asking:
        await asking.post("/", content=b"x" * MIB)
    assert sum(parts) == MIB
    assert max(parts) <= CHUNK


@given(chunks=st.lists(st.binary(max_size=200_000), max_size=12))
@settings(max_examples=30, deadline=None)
async def test_every_byte_comes_back_in_order(chunks: list[bytes]):
    async def body() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def echo(_scope, receive, send) -> None:
        await send(START)
        while (message := await receive())["more_body"]:
            await send(part(message["body"]))
        await send(part(b"", more=False))

    async with client(echo) as asking:
        assert (await asking.post("/", content=body())).content == b"".join(chunks)


async def test_the_head_arrives_before_the_body_is_made():
    go_on = asyncio.Event()

    async def app(_scope, _receive, send) -> None:
        await send(START)
        await go_on.wait()
        await send(part(b"late", more=False))

    async with client(app) as asking, asking.stream("GET", "/") as answer:
        assert answer.status_code == 200
        go_on.set()
        assert await answer.aread() == b"late"


@pytest.mark.parametrize("kind", [StreamingResponse, StreamedResponse])
async def test_leaving_early_stops_a_producer(kind: type):
    ended = asyncio.Event()
    inner = FastAPI()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * CHUNK

    @inner.get("/")
    async def download() -> Response:
        return kind(endless())

    async def app(scope, receive, send) -> None:
        try:
            await inner(scope, receive, send)
        finally:
            ended.set()

    async with client(app, leave_s_max=60) as asking:
        async with asking.stream("GET", "/") as answer:
            await anext(answer.aiter_raw())
        await asyncio.wait_for(ended.wait(), 5)


async def test_leaving_early_reaches_an_app_that_only_sends():
    failed = asyncio.Future()

    async def app(_scope, _receive, send) -> None:
        await send(START)
        try:
            while True:
                await send(part(b"x" * CHUNK))
        except Exception as error:
            failed.set_result(error)
            raise

    async with client(app) as asking:
        async with asking.stream("GET", "/") as answer:
            await anext(answer.aiter_raw())
        assert type(await asyncio.wait_for(failed, 5)).__name__ == "ClientGone"


async def test_leaving_early_reaches_an_app_that_only_listens():
    heard = asyncio.Future()

    async def app(_scope, receive, send) -> None:
        await receive()
        await send(START)
        await send(part(b"x"))
        heard.set_result(await receive())

    async with client(app) as asking:
        async with asking.stream("GET", "/") as answer:
            await anext(answer.aiter_raw())
        assert (await asyncio.wait_for(heard, 5))["type"] == "http.disconnect"


async def test_an_app_that_does_not_listen_is_cancelled():
    cancelled = asyncio.Event()

    async def deaf(_scope, _receive, send) -> None:
        await send(START)
        await send(part(b"x"))
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with client(deaf, leave_s_max=0.01) as asking:
        async with asking.stream("GET", "/") as answer:
            await anext(answer.aiter_raw())
        await asyncio.wait_for(cancelled.wait(), 5)


async def test_a_cancelled_caller_leaves():
    heard = asyncio.Future()
    began = asyncio.Event()

    async def app(_scope, receive, _send) -> None:
        await receive()
        began.set()
        heard.set_result(await receive())

    async with client(app) as asking:
        call = asyncio.ensure_future(asking.get("/"))
        await began.wait()
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
        assert (await asyncio.wait_for(heard, 5))["type"] == "http.disconnect"


async def test_an_app_that_takes_too_long_is_a_timeout_and_is_told():
    heard = asyncio.Future()

    async def slow(_scope, receive, _send) -> None:
        await receive()
        heard.set_result(await receive())

    async with client(slow) as asking:
        with pytest.raises(httpx.ReadTimeout):
            await asking.get("/", timeout=0.01)
        assert (await asyncio.wait_for(heard, 5))["type"] == "http.disconnect"


async def test_an_app_that_stalls_in_its_body_is_a_timeout():
    async def stalling(_scope, receive, send) -> None:
        await receive()
        await send(START)
        await send(part(b"x"))
        await receive()

    async with client(stalling) as asking:
        with pytest.raises(httpx.ReadTimeout):
            await asking.get("/", timeout=0.01)


async def test_an_app_that_fails_without_an_answer_is_an_error():
    async def failing(_scope, _receive, _send) -> None:
        raise ValueError

    async with client(failing) as asking:
        with pytest.raises(httpx.RemoteProtocolError):
            await asking.get("/")


async def test_an_app_that_returns_without_an_answer_is_an_error():
    async def silent(_scope, _receive, _send) -> None:
        return

    async with client(silent) as asking:
        with pytest.raises(httpx.RemoteProtocolError):
            await asking.get("/")


@pytest.mark.parametrize("how", ["fails", "returns"])
async def test_a_cut_stream_never_passes_for_whole(how: str):
    async def cut(_scope, _receive, send) -> None:
        await send(START)
        await send(part(b"half"))
        if how == "fails":
            raise ValueError

    async with client(cut) as asking:
        with pytest.raises(httpx.RemoteProtocolError):
            await asking.get("/")


async def test_fewer_bytes_than_announced_never_pass_for_whole():
    async def short(_scope, _receive, send) -> None:
        await send({**START, "headers": [(b"content-length", b"10")]})
        await send(part(b"four", more=False))

    async with client(short) as asking:
        with pytest.raises(httpx.RemoteProtocolError):
            await asking.get("/")


async def test_a_head_request_has_no_body_and_its_length_is_believed():
    async def app(_scope, _receive, send) -> None:
        await send({**START, "headers": [(b"content-length", b"10")]})
        await send(part(b"0123456789", more=False))

    async with client(app) as asking:
        answer = await asking.head("/")
    assert answer.content == b""
    assert answer.headers["content-length"] == "10"


async def test_a_broken_upload_is_the_clients_error_and_a_disconnect_for_the_app():
    heard = []

    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        raise ZeroDivisionError

    async def app(_scope, receive, _send) -> None:
        heard.extend([await receive(), await receive()])

    async with client(app) as asking:
        with pytest.raises(ZeroDivisionError):
            await asking.post("/", content=body())
    assert [message["type"] for message in heard] == ["http.request", "http.disconnect"]


async def test_an_answer_before_the_end_of_the_upload_ends_the_upload():
    made = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal made
        while True:
            made += 1
            yield b"x" * CHUNK

    async def refusing(_scope, receive, send) -> None:
        await receive()
        await send({**START, "status": 401})
        await send(part(b"no", more=False))

    async with client(refusing) as asking:
        assert (await asking.post("/", content=body())).status_code == 401
    assert made == 1


async def test_a_hundred_calls_at_once_keep_their_own_answers():
    app = FastAPI()

    @app.post("/{number}")
    async def echo(number: int, request: Request) -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            for _ in range(5):
                await asyncio.sleep(0)
                yield b"%d;" % number

        async for _ in request.stream():
            await asyncio.sleep(0)
        return StreamingResponse(body())

    async with client(app) as asking:
        answers = await asyncio.gather(
            *(asking.post(f"/{number}", content=b"x" * 100_000) for number in range(100))
        )
    assert [answer.text for answer in answers] == [f"{number};" * 5 for number in range(100)]


async def test_work_after_the_answer_is_not_cut_off():
    done = asyncio.Event()

    async def app(_scope, _receive, send) -> None:
        await send(START)
        await send(part(b"ok", more=False))
        await asyncio.sleep(0.02)
        done.set()

    async with client(app, leave_s_max=5) as asking:
        assert (await asking.get("/")).text == "ok"
    assert done.is_set()


FORGERIES = {
    "X-Client-Cert-Name": "CN=playback",
    "Client-Cert-Name": "CN=playback",
    "Extensions": '{"tls":{"client_cert_name":"CN=playback"}}',
    "X-Forwarded-Client-Cert": "CN=playback",
}


@pytest.mark.parametrize("given", [None, "portal"])
async def test_a_peer_is_what_the_transport_was_given_and_nothing_else(given: str | None):
    seen = []

    async def app(scope, _receive, send) -> None:
        seen.append((peer_name(Request(scope)), scope["extensions"]))
        await send(START)
        await send(part(b"", more=False))

    async with client(app, peer=given) as asking:
        await asking.get(
            "/",
            headers=FORGERIES,
            extensions={"tls": {"client_cert_name": "CN=playback"}},
        )
    tls = {"tls": {"client_cert_name": f"CN={given}"}} if given else {}
    assert seen == [(given, tls)]


async def test_the_clients_address_is_what_the_transport_was_given():
    seen = []

    async def app(scope, _receive, send) -> None:
        seen.append(scope["client"])
        await send(START)
        await send(part(b"", more=False))

    async with client(app, client=("192.0.2.7", 99)) as asking:
        await asking.get("/", headers={"X-Forwarded-For": "203.0.113.1"})
    assert seen == [("192.0.2.7", 99)]


@pytest.fixture
def service() -> Service:
    public, internal = new_app("a"), new_app("a-internal", openapi_path=None)

    @public.get("/v1/thing", dependencies=ANYBODY)
    async def thing() -> str:
        return "public"

    @internal.get("/internal/v1/thing")
    async def inner(by: str = Depends(peer("playback"))) -> str:
        return f"internal for {by}"

    return Service("a", public, internal)


async def test_one_client_reaches_both_doors_of_every_service(service: Service):
    apps: dict[str, Service] = {}
    async with in_process_client(apps, peer="playback") as asking:
        apps["/a"] = service
        assert (await asking.get("/a/v1/thing")).json() == "public"
        assert (await asking.get("/a/internal/v1/thing")).json() == "internal for playback"


@pytest.mark.parametrize("given", [None, "ingest"])
async def test_the_internal_door_is_shut_for_others(service: Service, given: str | None):
    async with in_process_client({"/a": service}, peer=given) as asking:
        status = (await asking.get("/a/internal/v1/thing", headers=FORGERIES)).status_code
    assert status == (401 if given is None else 403)


@pytest.mark.parametrize(
    "path",
    [
        "/a/internal/v1/thing",
        "/a/%69nternal/v1/thing",
        "/a//internal/v1/thing",
        "/a/v1/../internal/v1/thing",
        "/a/x/..%2finternal/v1/thing",
        "/a%2finternal/v1/thing",
        "//a/internal/v1/thing",
        "/a/a/internal/v1/thing",
    ],
)
async def test_a_public_app_has_no_internal_routes(service: Service, path: str):
    router = MountRouter({"/a": service.public})
    async with client(router, peer="playback") as asking:
        assert (await asking.get(path)).status_code == 404


async def test_an_unknown_prefix_and_an_unknown_route_are_the_same_bytes(service: Service):
    async with in_process_client({"/a": service}) as asking:
        answers = [
            await asking.get(path) for path in ("/b/v1/thing", "/a/v1/nothing", "/", "/a", "/a/")
        ]
    assert {(each.status_code, each.content) for each in answers} == {
        (404, answers[0].content),
    }
    changing = {"voicefile-request-id"}
    heads = [{k: v for k, v in each.headers.items() if k not in changing} for each in answers]
    assert all(head == heads[0] for head in heads)


@pytest.mark.parametrize("path", ["*", "", "a", "a/v1/thing"])
async def test_a_path_that_is_none_leads_nowhere(service: Service, path: str):
    sent = []

    async def send(message) -> None:
        sent.append(message.get("status"))

    scope = {"type": "http", "method": "OPTIONS", "path": path, "headers": [], "root_path": ""}
    await MountRouter({"/a": service.public})(scope, asyncio.Event().wait, send)
    assert sent[0] == 404
