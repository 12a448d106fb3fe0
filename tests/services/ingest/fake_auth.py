"""Auth's internal door as ingest sees it: idempotent by recording id, and easy to upset.

With a path its state outlives the process, as auth's own does when ingest is killed.
"""

import asyncio
import base64
import json
import secrets
from pathlib import Path

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from voicefile.auth.keys.custody import Signer
from voicefile.auth.keys.manifests import DayFiled, manifest
from voicefile.chassis.problems import TYPE_PREFIX
from voicefile.crypto.envelope import Context, Kind, object_id
from voicefile.crypto.keyring import sealing_key_statement
from voicefile.crypto.primitives import SealingKeyPair, SigningKey, open_sealed
from voicefile.crypto.secret import DataKey, SecretKey
from voicefile.identity.guard import peer_name
from voicefile.ingest.store import ScopeFacts, SealingKey, TenantFacts

DEPLOYMENT = "test"
FIRST_EPOCH = "e1" * 16
NEXT_EPOCH = "e2" * 16


def problem(slug, status, **extensions):
    body = {"type": TYPE_PREFIX + slug, "title": slug, "status": status, **extensions}
    return JSONResponse(body, status, media_type="application/problem+json")


class FakeAuth:
    """Issues recordings; keeps who brought them, their blobs, keys and answers."""

    def __init__(self, path: Path | None = None):
        self.path = path
        self.issued = {}
        self.refuse = None
        """A problem (slug, status) that the next issues answer."""
        self.lose_answers = 0
        """So many answers to issues get lost after the write."""
        self.unreachable = 0
        """So many issues fail before the write, with a 5xx."""
        self.refused_partners = set()
        """Partners whose manifests it does not sign."""
        self.gate = None
        """An event that issues wait for, before they write."""
        self.expired = False
        self.asked = []
        self._seed = secrets.token_bytes(32)
        self._epochs = {FIRST_EPOCH: SealingKeyPair.generate()}
        self.epoch = FIRST_EPOCH
        if path is not None:
            self._epochs = {FIRST_EPOCH: SealingKeyPair.from_secret(SecretKey(b"e" * 32))}
            self._seed = b"s" * 32
            if path.exists():
                self.issued = json.loads(path.read_text())

    @property
    def signer(self):
        return SigningKey.from_seed(SecretKey(self._seed))

    def retire(self, epoch=NEXT_EPOCH):
        """The epoch ends and the next begins."""
        self._epochs[epoch] = SealingKeyPair.generate()
        self.epoch = epoch

    def sealing_key(self, tenant):
        public = self._epochs[self.epoch].public
        statement = sealing_key_statement(DEPLOYMENT.encode(), tenant, self.epoch, public)
        return SealingKey(self.epoch, public, self.signer.sign(statement))

    def published(self, tenant, *, version=1, **changes):
        facts = {
            "open": True,
            "recording_allowed": True,
            "retention_classes": ("contract",),
            "scopes": (ScopeFacts("sales", "", True), ScopeFacts("closed", "", False)),
            **changes,
        }
        key = self.sealing_key(tenant)
        return TenantFacts(tenant=tenant, published=version, sealing_key=key, **facts)

    def app(self):
        app = FastAPI(openapi_url=None)
        app.add_api_route("/internal/v1/issues", self.issue, methods=["POST"])
        app.add_api_route("/internal/v1/issues/{recording}/answer", self.answer, methods=["POST"])
        app.add_api_route("/internal/v1/blobs/known", self.known, methods=["POST"])
        app.add_api_route("/internal/v1/manifests", self.manifest, methods=["POST"])
        app.add_api_route("/internal/v1/recordings/{recording}", self.status, methods=["GET"])
        app.add_api_route("/v1/keys", self.keys, methods=["GET"])
        return app

    def data_key(self, recording):
        return DataKey(base64.b64decode(self.issued[recording]["key"]))

    def owned(self):
        return {blob["name"] for each in self.issued.values() for blob in each["blobs"].values()}

    async def issue(self, request: Request) -> Response:  # noqa: PLR0911 each is a case of its own
        assert peer_name(request) == "ingest"
        body = await request.json()
        self.asked.append("issue")
        if self.gate is not None:
            await self.gate.wait()
        if self.unreachable:
            self.unreachable -= 1
            return problem("unavailable", 503)
        found = self.issued.get(body["recording_id"])
        if found is not None:
            if found["digest"] != body["request_digest"]:
                return problem("key-reused", 409)
            return JSONResponse(found["answer"], 201)
        if self.refuse is not None:
            return problem(*self.refuse)
        if body["epoch"] != self.epoch:
            key = self.sealing_key(body["tenant"])
            return problem(
                "epoch-retired",
                409,
                epoch=key.epoch,
                sealing_key=base64.b64encode(key.public).decode(),
                signature=base64.b64encode(key.signature).decode(),
            )
        self._write(body)
        if self.lose_answers:
            self.lose_answers -= 1
            return Response("upstream went away", 502)
        return JSONResponse(self.issued[body["recording_id"]]["answer"], 201)

    def _write(self, body):
        recording = body["recording_id"]
        context = Context(
            deployment=DEPLOYMENT.encode(),
            tenant=body["tenant"],
            object_id=object_id(recording, "slip"),
            kind=Kind.WRAPPED_KEY,
            wrapping_key=body["epoch"].encode(),
        )
        sealed = base64.b64decode(body["sealed_key"])
        key = open_sealed(self._epochs[body["epoch"]], sealed, context.encode())
        answer = {
            "recording_id": recording,
            "state": body["state"],
            "access_id": f"{secrets.randbelow(10**12):012d}",
            "pin": f"{secrets.randbelow(10**8):08d}",
            "question_kind": (body["metadata"].get("question") or {}).get("kind"),
            "duration_ms": body["media"]["duration_ms"],
            "sha256": body["media"]["sha256"],
            "receipt": "receipt-" + recording,
        }
        if body["metadata"].get("join_access_id"):
            del answer["pin"]
        self.issued[recording] = {
            "tenant": body["tenant"],
            "partner": body["partner"],
            "key_header": body["idempotency_key"],
            "digest": body["request_digest"],
            "blobs": body["blobs"],
            "media": body["media"],
            "metadata": body["metadata"],
            "findings": body["findings"],
            "state": body["state"],
            "key": base64.b64encode(key.expose()).decode(),
            "answer": answer,
        }
        self.save()

    def save(self):
        if self.path is not None:
            aside = self.path.with_suffix(".new")
            aside.write_text(json.dumps(self.issued))
            aside.replace(self.path)

    def _of(self, recording, tenant, partner):
        found = self.issued.get(recording)
        mine = found is not None and (found["tenant"], found["partner"]) == (tenant, partner)
        return found if mine else None

    async def answer(self, recording: str, request: Request) -> Response:
        assert peer_name(request) == "ingest"
        body = await request.json()
        self.asked.append("answer")
        found = self._of(recording, body["tenant"], body["partner"])
        if found is None:
            return problem("not-issued", 404)
        if self.expired:
            return problem("answer-expired", 409)
        assert found["key_header"] == body["idempotency_key"]
        digest = body["request_digest"]
        matches = None if digest is None else digest == found["digest"]
        return JSONResponse({"request_digest_matches": matches, "answer": found["answer"]})

    async def known(self, request: Request) -> Response:
        assert peer_name(request) == "ingest"
        names = (await request.json())["names"]
        assert len(names) <= 1000
        self.asked.append("known")
        return JSONResponse({"known": sorted(self.owned() & set(names))})

    async def manifest(self, request: Request) -> Response:
        assert peer_name(request) == "ingest"
        filed = DayFiled(**await request.json())
        if filed.partner in self.refused_partners:
            return problem("not-found", 404)
        self.asked.append("manifest")
        signed = manifest(filed, issuer=DEPLOYMENT, signer=Signer("1", self.signer))
        return JSONResponse({"manifest": signed})

    async def status(self, recording: str, request: Request) -> Response:
        assert peer_name(request) == "ingest"
        query = request.query_params
        found = self._of(recording, query["tenant"], query["partner"])
        if found is None:
            return problem("not-found", 404)
        return JSONResponse(
            {
                "state": found["state"],
                "findings": found["findings"],
                "delete_on": "2031-01-01",
                "letter": "wanted",
                "receipt": found["answer"]["receipt"],
                "credential_id": "ab" * 16,
            }
        )

    async def keys(self) -> Response:
        public = base64.urlsafe_b64encode(self.signer.public).decode().rstrip("=")
        return JSONResponse({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": public}]})


async def until(true, *, tries=500):
    """Lets the loop turn until something holds."""
    for _ in range(tries):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to hold")
