"""A wire without a network: httpx speaks to an ASGI app in the same process, streaming both ways.

The reader's pace is the app's pace (`send` waits until the last chunk was taken), leaving early
reaches the app as `http.disconnect`, and an answer that breaks off is an error for its reader:
just as over TLS, so what works in one process works in many.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from typing import Final

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voicefile.chassis.edge import ClientGone, Edge
from voicefile.chassis.problems import NOT_FOUND, problem_response
from voicefile.chassis.service import Service
from voicefile.chassis.traceparent import Traced

BASE_URL: Final = "https://vault.internal"
UPLOAD_CHUNK_BYTES: Final = 64 * 1024
LEAVE_S_MAX: Final = 5.0
"""How long an app may go on after its client left (to write down how it ended)."""
_DISCONNECT: Final[Message] = {"type": "http.disconnect"}
_Head = tuple[int, list[tuple[bytes, bytes]]]


class InProcessTransport(httpx.AsyncBaseTransport):
    """Carries requests to one app. `peer` is the only thing that can say which service calls."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        peer: str | None = None,
        client: tuple[str, int] = ("127.0.0.1", 0),
        leave_s_max: float = LEAVE_S_MAX,
    ) -> None:
        self._app = app
        self._leave_s_max = leave_s_max
        self._peer = peer
        self._client = client
        self._running: set[asyncio.Task[None]] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        exchange = _Exchange(request, leave_s_max=self._leave_s_max)
        # owned: it ends with its response (`_Exchange.leave`), and `aclose` waits for the rest.
        task = asyncio.create_task(exchange.run(self._app, self._scope(request)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        exchange.cancel_late = task.cancel
        try:
            status, headers = await exchange.head()
        except BaseException:
            exchange.leave()
            raise
        return httpx.Response(status, headers=headers, stream=exchange)

    def _scope(self, request: httpx.Request) -> Scope:
        # Built from what the transport was given; a header is only ever a header.
        extensions = {"tls": {"client_cert_name": f"CN={self._peer}"}} if self._peer else {}
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.split(b"?")[0],
            "query_string": request.url.query,
            "server": (request.url.host, request.url.port or 443),
            "client": self._client,
            "root_path": "",
            "extensions": extensions,
            "state": {},
        }

    async def aclose(self) -> None:
        """Waits for apps that are still at work; cancels those that take too long."""
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=self._leave_s_max)
            for task in late:
                task.cancel()


class _Exchange(httpx.AsyncByteStream):
    """One request and its answer: `run` is the app's side, the iteration is the reader's."""

    def __init__(self, request: httpx.Request, *, leave_s_max: float) -> None:
        self._request = request
        self._leave_s_max = leave_s_max
        timeouts: Mapping[str, float | None] = request.extensions.get("timeout", {})
        self._read_s_max = timeouts.get("read")
        self._upload = _upload(request)
        self._uploading = asyncio.Lock()
        self._uploaded = False
        self._upload_error: Exception | None = None
        self._head: _Head | None = None
        self._chunk = b""
        self._whole = False
        self._ended = False
        self._gone = False
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._over = asyncio.Event()
        self.cancel_late: Callable[[], object] = lambda: None

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception:  # noqa: BLE001, S110 the wire's end: apps log for themselves, the reader sees a cut stream
            pass
        finally:
            self._ended = True
            self._readable.set()
            await self._upload.aclose()

    # The app's side.

    async def _receive(self) -> Message:
        async with self._uploading:
            if not self._uploaded and not self._gone:
                return await self._next_upload()
        await self._over.wait()
        return _DISCONNECT

    async def _next_upload(self) -> Message:
        try:
            body = await anext(self._upload, b"")
        except Exception as error:  # noqa: BLE001 the client's own stream broke: its app sees it leave, it sees why
            self._upload_error = error
            self._uploaded = True
            self.leave()
            return _DISCONNECT
        self._uploaded = not body
        return {"type": "http.request", "body": body, "more_body": bool(body)}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head = message["status"], list(message.get("headers", []))
            self._readable.set()
            return
        await self._writable.wait()
        if self._gone:
            # A producer that waits for nothing else could not be cancelled without this.
            await asyncio.sleep(0)
            raise ClientGone
        body = bytes(message.get("body", b""))
        if body and self._request.method != "HEAD":
            self._chunk = body
            self._writable.clear()
        if not message.get("more_body", False):
            self._whole = True
            self._over.set()
        self._readable.set()

    # The reader's side.

    async def head(self) -> _Head:
        """The status and headers, as soon as the app has said them."""
        await self._until_readable()
        if self._upload_error is not None:
            raise self._upload_error
        if self._head is None:
            raise self._broken("the app ended without an answer")
        return self._head

    async def __aiter__(self) -> AsyncIterator[bytes]:
        missing = self._announced()
        while True:
            if self._chunk:
                chunk, self._chunk = self._chunk, b""
                missing -= len(chunk)
                self._writable.set()
                yield chunk
            elif self._whole:
                break
            elif self._ended or self._gone:
                raise self._upload_error or self._broken("the answer broke off")
            else:
                self._readable.clear()
                await self._until_readable()
        if missing > 0:
            raise self._broken("the answer is shorter than announced")

    async def aclose(self) -> None:
        self.leave()

    def leave(self) -> None:
        """The client hangs up. The app is told at once, and cancelled if it goes on too long."""
        if self._gone:
            return
        self._gone = True
        self._over.set()
        self._writable.set()
        self._readable.set()
        if not self._ended and not self._whole:
            asyncio.get_running_loop().call_later(self._leave_s_max, self.cancel_late)

    async def _until_readable(self) -> None:
        try:
            async with asyncio.timeout(self._read_s_max):
                await self._readable.wait()
        except TimeoutError:
            raise httpx.ReadTimeout("no answer in time", request=self._request) from None

    def _announced(self) -> int:
        status, headers = self._head or (0, [])
        if self._request.method == "HEAD" or status in {204, 304}:
            return 0
        return sum(int(value) for name, value in headers if name.lower() == b"content-length")

    def _broken(self, why: str) -> httpx.RemoteProtocolError:
        return httpx.RemoteProtocolError(why, request=self._request)


async def _upload(request: httpx.Request) -> AsyncGenerator[bytes, None]:
    assert isinstance(request.stream, httpx.AsyncByteStream)
    async for part in request.stream:
        for start in range(0, len(part), UPLOAD_CHUNK_BYTES):
            yield part[start : start + UPLOAD_CHUNK_BYTES]


class MountRouter:
    """Chooses an app by the first part of the path, the way the cluster's ingress does.

    `apps` is read at every request: services that call each other are built one after another.
    """

    def __init__(self, apps: Mapping[str, ASGIApp]) -> None:
        self._apps = apps
        self._nowhere = Edge(problem_response(NOT_FOUND), name="router")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        first, _, rest = scope["path"].partition("/")
        prefix = "" if first else "/" + rest.partition("/")[0]
        app = self._apps.get(prefix, self._nowhere)
        await app({**scope, "root_path": scope.get("root_path", "") + prefix}, receive, send)


class _Inside(Mapping[str, ASGIApp]):
    """Services by prefix, each as the one app with both its doors."""

    def __init__(self, apps: Mapping[str, ASGIApp | Service]) -> None:
        self._apps = apps

    def __getitem__(self, prefix: str) -> ASGIApp:
        app = self._apps[prefix]
        return app.inside if isinstance(app, Service) else app

    def __iter__(self) -> Iterator[str]:
        return iter(self._apps)

    def __len__(self) -> int:
        return len(self._apps)


def in_process_client(
    apps: Mapping[str, ASGIApp | Service],
    *,
    peer: str | None = None,
    client: tuple[str, int] = ("127.0.0.1", 0),
    timeout_s: float = 30.0,
    around: Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport] = lambda wire: wire,
) -> httpx.AsyncClient:
    """One client that reaches every app by its prefix (`/auth/…`), as the service `peer`.

    Of a `Service` it reaches both doors; of an app, that app. `apps` may be filled later.
    `around` may put something around the wire.
    """
    wire = around(InProcessTransport(MountRouter(_Inside(apps)), peer=peer, client=client))
    return httpx.AsyncClient(
        transport=Traced(wire) if peer else wire,
        base_url=BASE_URL,
        timeout=timeout_s,
        # Neither a proxy nor a .netrc of the environment has a say in here.
        trust_env=False,
    )
