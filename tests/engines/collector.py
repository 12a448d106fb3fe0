"""An OTLP collector (rotel) over HTTPS and gRPC; what arrived can be read as text."""

import ssl
from collections.abc import Sequence
from pathlib import Path

import httpx
from tests.engines.environment import binary, version_in_lock
from tests.engines.process import Engine


class Collector(Engine):
    """Takes traces, metrics and logs, and writes them down. TLS is its front's."""

    name = "collector"
    port_names = ("http", "http_inside", "grpc", "grpc_inside")
    start_s_max = 20.0
    lacks = ("an alpha: what it does with what it takes says nothing about other collectors",)

    @property
    def kind(self) -> str:
        return f"rotel {version_in_lock('rotel')}"

    @property
    def endpoint(self) -> str:
        """For OTLP over HTTP; `/v1/traces` and its like are under it."""
        return f"https://127.0.0.1:{self.ports['http']}"

    @property
    def endpoint_grpc(self) -> str:
        return f"https://127.0.0.1:{self.ports['grpc']}"

    @property
    def received(self) -> Path:
        """All that arrived, each attribute of it, as text."""
        return self.log

    def command(self) -> Sequence[str]:
        ports = self.ports
        agent = [
            *(str(binary("rotel-agent")), "start", "--exporter", "blackhole"),
            *("--otlp-http-endpoint", f"127.0.0.1:{ports['http_inside']}"),
            *("--otlp-grpc-endpoint", f"127.0.0.1:{ports['grpc_inside']}"),
            *("--debug-log", "traces", "--debug-log", "metrics", "--debug-log", "logs"),
            *("--debug-log-verbosity", "detailed"),
            *("--pid-file", str(self.folder / "agent.pid")),
            *("--log-file", str(self.folder / "agent.txt")),
        ]
        return self.fronted(agent, {"http": "http/1.1", "grpc": "h2"})

    def ready(self) -> bool:
        """An export of nothing is taken."""
        kind = {"content-type": "application/x-protobuf"}
        try:
            with httpx.Client(
                verify=ssl.create_default_context(cafile=str(self.authority)), trust_env=False
            ) as client:
                answer = client.post(f"{self.endpoint}/v1/traces", content=b"", headers=kind)
                return answer.status_code == httpx.codes.OK
        except httpx.TransportError:
            return False
