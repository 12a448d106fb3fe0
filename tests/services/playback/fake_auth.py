"""Auth's internal door as playback sees it, over one recording: faithful, and easy to upset."""

import base64
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.crypto.primitives import seal_to
from voicefile.crypto.secret import DataKey
from voicefile.identity.guard import peer_name

DEPLOYMENT = "test"
TENANT = "ee" * 16
SESSION = "vs_customer"


@dataclass
class FakeAuth:
    """Knows one session and one recording."""

    recording: str
    key: DataKey
    blobs: dict[str, dict[str, Any]]
    media: dict[str, Any]
    can_record: bool = True
    signed_in: bool = True
    objected: bool = False
    papers: dict[str, Any] | None = None
    """None as long as the log proves nothing."""
    releases: list[dict[str, Any]] = field(default_factory=list)
    ended: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> FastAPI:
        app = FastAPI(openapi_url=None)
        app.add_api_route("/internal/v1/hearable", self.hearable, methods=["POST"])
        app.add_api_route("/internal/v1/papers", self.told_papers, methods=["POST"])
        app.add_api_route("/internal/v1/releases", self.release, methods=["POST"])
        app.add_api_route("/internal/v1/releases/{release}/renewals", self.renew, methods=["POST"])
        app.add_api_route("/internal/v1/releases/{release}/end", self.end, methods=["POST"])
        return app

    def _known(self, request: Request) -> bool:
        assert peer_name(request) == "playback"
        return self.signed_in and request.headers.get("authorization") != "Bearer vs_nobody"

    def _refused(self, request: Request, asked: dict[str, Any]) -> Response | None:
        """What whoever may not hear this recording now is answered."""
        if not self._known(request):
            return JSONResponse({}, 401)
        if not self.can_record:
            return JSONResponse({}, 503)
        return None if asked["recording_id"] == self.recording else JSONResponse({}, 404)

    async def hearable(self, request: Request) -> Response:
        if not self._known(request):
            return JSONResponse({}, 401)
        state = "held" if self.objected else "playable"
        one = {"recording_id": self.recording, "state": state, "sensitive": False}
        seen = {"heard": True, "objected": self.objected, "blobs": "never shown"}
        return JSONResponse({"recordings": [one | seen]})

    async def told_papers(self, request: Request) -> Response:
        asked = await request.json()
        if (refused := self._refused(request, asked)) is not None:
            return refused
        return JSONResponse({}, 409) if self.papers is None else JSONResponse(self.papers)

    async def release(self, request: Request) -> Response:
        asked = await request.json()
        if (refused := self._refused(request, asked)) is not None:
            return refused
        self.releases.append(asked)
        release = f"{len(self.releases):032x}"
        context = Context(
            deployment=DEPLOYMENT.encode(),
            tenant=TENANT,
            object_id=object_id(self.recording, "slip"),
            kind=Kind.WRAPPED_KEY,
            wrapping_key=release.encode(),
        )
        box = seal_to(base64.b64decode(asked["instance_key"]), context.encode(), self.key)
        answer = {
            "release_id": release,
            "lease_s": 45,
            "tenant": TENANT,
            "blobs": self.blobs,
            "media": self.media,
            "sealed_key": base64.b64encode(box).decode(),
        }
        return JSONResponse(answer, 201)

    async def renew(self, request: Request) -> Response:
        asked = await request.json()
        assert asked["instance_key"] in {each["instance_key"] for each in self.releases}
        return JSONResponse({"lease_s": 45}) if self._known(request) else JSONResponse({}, 410)

    async def end(self, request: Request) -> Response:
        assert "authorization" not in request.headers
        self.ended.append(await request.json())
        return Response(status_code=204)
