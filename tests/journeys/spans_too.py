"""Runs `voicefile` with its traces written to a file, one JSON object a span."""

import os
import sys
from pathlib import Path

from opentelemetry.sdk.trace.export import ConsoleSpanExporter

from voicefile.chassis.telemetry import install, tracer_provider
from voicefile.cli.main import app

SPANS = "TEST_SPANS_FILE"

if __name__ == "__main__":
    with Path(os.environ[SPANS]).open("w", encoding="utf-8") as file:
        install(tracer_provider("vault", exporter=ConsoleSpanExporter(out=file)))
        sys.argv[0] = "voicefile"
        app()
