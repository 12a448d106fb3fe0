"""OTLP's one door: sends spans to a collector over HTTPS, and takes nothing from the environment.

The exporter reads headers, certificates, session plug-ins and more from `OTEL_…` variables, and
its HTTP client reads proxies, authorities and passwords from others. What leaves here is decided
by our own settings alone.
"""

import logging
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import requests
import structlog
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from voicefile.chassis.stack import where_it_broke

log = structlog.get_logger(__name__)

EXPORT_S_MAX: Final = 5.0
"""How long one batch is tried; then it is lost."""
TELL_EVERY_S: Final = 60.0
"""A collector that is away is told of this often at most."""
PATH: Final = "/v1/traces"
_HEADERS: Final = {"Content-Type": "application/x-protobuf", "User-Agent": "voicefile"}
_TAKEN: Final = range(200, 300)
_WIRE_HEADERS: Final = ("Content-Length",)


class Collector(SpanExporter):
    """Sends batches to one collector; says in the log what went wrong, without any words of it."""

    def __init__(
        self,
        endpoint: str,
        *,
        ca: Path | None = None,
        certificate: Path | None = None,
        export_s_max: float = EXPORT_S_MAX,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ca`: who vouches for the collector; without it, the system's authorities.

        `certificate`: PEM file with the chain and key that we show. Raises OSError if a file
        can't be read: each batch would fail, and nobody would know why.
        """
        for file in (ca, certificate):
            if file is not None:
                file.read_bytes()
        # It speaks with every failed batch, and quotes addresses and answers.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)
        self._session = _Session(ca=ca, certificate=certificate)
        self._exporter = OTLPSpanExporter(
            endpoint.rstrip("/") + PATH,
            timeout=export_s_max,
            compression=Compression.NoCompression,
            session=self._session,
            meter_provider=NoOpMeterProvider(),
        )
        self._monotonic = monotonic
        self._told_s = float("-inf")
        self._untold = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        # The library takes a redirect, which nobody follows, for success.
        if result is SpanExportResult.SUCCESS and self._session.taken:
            return result
        self._untold += len(spans)
        self._tell()
        return SpanExportResult.FAILURE

    def _tell(self) -> None:
        if self._monotonic() - self._told_s < TELL_EVERY_S:
            return
        self._told_s = self._monotonic()
        log.warning("spans_not_sent", count=self._untold, **self._session.outcome)
        self._untold = 0

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call] # the library's own gap


class _Session(requests.Session):
    """Sends what it was made for, whatever was asked of it: no proxy, no cookie, no header more."""

    def __init__(self, *, ca: Path | None, certificate: Path | None) -> None:
        super().__init__()
        self.trust_env = False
        self._trust: dict[str, Any] = {
            "verify": _system_authorities() if ca is None else str(ca),
            "cert": None if certificate is None else str(certificate),
            "proxies": {},
            "allow_redirects": False,
        }
        self.outcome: Mapping[str, Any] = {}
        """How the last attempt ended, as fields of a log line."""
        self.taken = False
        """Whether it ended well."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        wire = {name: request.headers[name] for name in _WIRE_HEADERS if name in request.headers}
        request.headers.clear()
        request.headers.update(wire | _HEADERS)
        self.taken = False
        try:
            answer = super().send(request, **(kwargs | self._trust))
        except Exception as error:
            self.outcome = where_it_broke(error)
            raise
        self.outcome = {"status": answer.status_code}
        self.taken = answer.status_code in _TAKEN
        return answer


def _system_authorities() -> str | bool:
    """Where this system keeps them, whatever variables say; the HTTP client's own if nowhere."""
    known = ssl.get_default_verify_paths()
    for place in (known.openssl_cafile, known.openssl_capath):
        if Path(place).exists():
            return place
    return True
