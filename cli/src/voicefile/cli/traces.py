"""Where a process sends its traces, by its settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from voicefile.chassis.telemetry import ExporterMissing, TelemetrySettings, exporting
from voicefile.cli.engine_settings import SettingsRefused, read


@asynccontextmanager
async def sending_traces(process: str) -> AsyncIterator[None]:
    """Sends the process's traces while entered, if it is told where to. Raises SettingsRefused."""
    told = read(TelemetrySettings)
    sending = exporting(
        process,
        endpoint=told.otlp_endpoint,
        ca=told.otlp_ca,
        certificate=told.otlp_certificate,
        share=told.otlp_share,
    )
    try:
        await sending.__aenter__()
    except ExporterMissing as missing:
        raise SettingsRefused(f"{missing}.") from None
    except OSError:
        raise SettingsRefused(
            "VOICEFILE_OTLP_CA or VOICEFILE_OTLP_CERTIFICATE names no file with what is needed."
        ) from None
    try:
        yield
    finally:
        await sending.__aexit__(None, None, None)
