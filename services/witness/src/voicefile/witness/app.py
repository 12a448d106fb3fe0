"""The witness as an app. Builds; nothing else does."""

from collections.abc import Callable, Mapping
from typing import Final

from fastapi import FastAPI

from voicefile.chassis.limits import BodyLimit
from voicefile.chassis.problems import MALFORMED, NOT_FOUND, NOT_PERMITTED, Problem
from voicefile.chassis.service import new_app, serve_routes
from voicefile.witness import errors, routes
from voicefile.witness.cosign import Witness
from voicefile.witness.settings import WitnessSettings

PROBLEMS: Final[Mapping[type[Exception], Problem]] = {
    errors.RequestInvalid: MALFORMED,
    errors.LogUnknown: NOT_FOUND,
    errors.NotSigned: NOT_PERMITTED,
    errors.NotConsistent: Problem("not-consistent", 422, "The log's tree did not only grow"),
}
"""409 is not among them: its body is a number (C2SP tlog-witness)."""


def build(
    settings: WitnessSettings, witness: Witness, *, on_failure: Callable[[Exception], None]
) -> FastAPI:
    """`on_failure` ends the process: it may have forgotten what it cosigned."""
    app = new_app(
        "voiceFileServer witness",
        problems=PROBLEMS,
        body=BodyLimit(bytes_max=settings.request_bytes_max),
        openapi_path=None,
    )
    app.state.witness = witness
    app.state.on_failure = on_failure
    serve_routes(app, routes.public)
    return app
