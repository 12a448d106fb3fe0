"""Takes OTLP over HTTPS and keeps each request as it came, headers and bytes."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from voicefile.chassis.tls import service_certificate

Onward = Callable[[bytes], int]
"""Takes a request's body somewhere else; answers with the status it got there."""


@dataclass
class Receiver:
    """Everything that came over the wire, once decrypted."""

    port: int
    onward: Onward | None = None
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answers: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def bodies(self) -> bytes:
        return b"\n\n".join(body for _, _, body in self.asked)

    def spans(self) -> Iterator[tuple[ResourceSpans, ScopeSpans, Span]]:
        for _, _, body in self.asked:
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    yield from ((resource, scope, span) for span in scope.spans)


@contextmanager
def receiving(
    certificates: Path, *, wants_certificate: bool = False, onward: Onward | None = None
) -> Iterator[Receiver]:
    """A receiver that proves to be the `collector` of the authority in `certificates`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.asked.append((self.path, dict(self.headers.items()), body))
            self.send_response(receiver.answers if onward is None else onward(body))
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def get_request(self):
            raw, address = self.socket.accept()
            try:
                return context.wrap_socket(raw, server_side=True), address
            except OSError:
                raw.close()
                raise

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(service_certificate(certificates, "collector"))
    if wants_certificate:
        context.load_verify_locations(certificates / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
    with Server(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(server.server_address[1], onward)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
