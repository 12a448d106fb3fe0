"""Serves a witness over HTTPS until it is told to stop, or may not go on."""

from typing import Final

import structlog

from voicefile.chassis.harden import harden
from voicefile.chassis.logs import configure
from voicefile.chassis.stack import where_it_broke
from voicefile.chassis.tls import development_certificates
from voicefile.chassis.wire import listen, server_context, stop_on_signals
from voicefile.chassis.wire import serve as serve_https
from voicefile.witness.app import build
from voicefile.witness.cosign import Witness
from voicefile.witness.memory import FolderMemory, held, signer_of
from voicefile.witness.settings import WitnessSettings

FAILED: Final = 70
"""The exit code of a witness that may not go on (EX_SOFTWARE)."""
log = structlog.get_logger(__name__)


async def serve(settings: WitnessSettings) -> int:
    """Answers the exit code. Raises MemoryLost, FolderHeld, PortTaken, OSError."""
    configure("witness")
    harden()
    signer = signer_of(settings.folder)
    own = settings.tls_certificate or development_certificates(settings.folder / "tls").server
    with held(settings.folder):
        memory = FolderMemory(settings.folder, signer.public)
        # All of it at the start: a witness that has forgotten one log says so at once.
        known = memory.all_seen()
        stop = stop_on_signals()
        failures: list[Exception] = []

        def fail(error: Exception) -> None:
            failures.append(error)
            stop.set()
            log.critical("witness_failed", **where_it_broke(error))

        log.info("witness_started", count=len(known))
        await serve_https(
            build(settings, Witness(memory, signer), on_failure=fail),
            sockets=listen(settings.host, settings.port),
            context=server_context(own),
            stop=stop,
            connections_max=settings.connections_max,
        )
    return FAILED if failures else 0
