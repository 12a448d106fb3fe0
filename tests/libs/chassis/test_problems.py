"""No answer repeats a request, no answer explains our insides, equal failures are equal bytes."""

import asyncio
import json

import httpx
import pytest
import structlog
from fastapi import Depends, FastAPI, Header, Query
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from voicefile.blobstore.port import BlobStoreUnavailable
from voicefile.chassis.inprocess import InProcessTransport
from voicefile.chassis.problems import (
    NOT_FOUND,
    InvalidRequest,
    Problem,
    RateLimited,
    problem_response,
)
from voicefile.chassis.service import new_app
from voicefile.crypto.rootkey import RootUnavailable
from voicefile.docstore.port import StoreBroken, StoreUnavailable
from voicefile.identity.guard import NotIdentified, NotPermitted, open_to_all, rules_of
from voicefile.identity.tokens import KeysUnavailable

CANARY = "DE89370400440532013000"
ANYBODY = [Depends(open_to_all("a test"))]


class RecordingNotFound(Exception):
    pass


class RecordingErased(RecordingNotFound):
    pass


class EpochRetired(Exception):
    def __init__(self) -> None:
        super().__init__(CANARY)
        self.epoch = "e2"
        self.sealing_key = "AAAA"
        self.internal_note = CANARY


class Customer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    birth_date: str = Field(default="", max_length=10, alias="birthDate")


class Upload(BaseModel):
    model_config = ConfigDict(extra="forbid")
    customer: Customer
    parts: list[int] = []
    labels: dict[str, int] = {}
    pin: SecretStr = Field(default=SecretStr(""), max_length=8)
    either: Customer | int = 0


TABLE = {
    RecordingNotFound: NOT_FOUND,
    EpochRetired: Problem(
        "epoch-retired", 409, "The epoch is retired", extensions=("epoch", "sealing_key")
    ),
}
RAISED = {
    "not-found": RecordingNotFound(CANARY),
    "erased": RecordingErased(CANARY),
    "epoch": EpochRetired(),
    "limited": RateLimited(retry_after_s=2.1),
    "identified": NotIdentified(CANARY),
    "permitted": NotPermitted(CANARY),
    "keys": KeysUnavailable(CANARY),
    "store": StoreUnavailable(CANARY),
    "store-many": ExceptionGroup(CANARY, [StoreUnavailable(CANARY), StoreUnavailable(CANARY)]),
    "blobs": BlobStoreUnavailable(CANARY),
    "root": RootUnavailable(CANARY),
    "broken": StoreBroken(CANARY),
    "group": ExceptionGroup(CANARY, [ExceptionGroup("", [RecordingNotFound(CANARY)])]),
    "many": ExceptionGroup(CANARY, [RecordingNotFound(CANARY), ValueError(CANARY)]),
    "value": ValueError(CANARY),
    "key": KeyError(CANARY),
    "recursion": RecursionError(CANARY),
    "connection": ConnectionRefusedError(CANARY),
    "timeout": TimeoutError(CANARY),
    "unicode": UnicodeDecodeError("utf-8", CANARY.encode(), 0, 1, CANARY),
    "http-404": HTTPException(404, detail=CANARY, headers={"X-Note": CANARY}),
    "http-405": HTTPException(405, detail=CANARY, headers={"Allow": "GET"}),
    "http-418": HTTPException(418, detail=CANARY),
    "http-599": HTTPException(599, detail=CANARY),
}


@pytest.fixture
def app() -> FastAPI:
    app = new_app("test", problems=TABLE)

    @app.get("/raise/{which}", dependencies=ANYBODY)
    async def raise_it(which: str) -> None:
        raise RAISED[which]

    @app.post("/uploads/{number}", dependencies=ANYBODY)
    async def upload(
        number: int, body: Upload, after: int = Query(0), purpose: str = Header("x", max_length=20)
    ) -> None: ...

    @app.post("/parts", dependencies=ANYBODY)
    async def parts(request: Request) -> None:
        try:
            Upload.model_validate_json(b"".join([part async for part in request.stream()]))
        except ValidationError as error:
            raise InvalidRequest.of(error, Upload) from None

    @app.get("/answers-nonsense", dependencies=ANYBODY)
    async def nonsense() -> Upload:
        return {"customer": CANARY}

    return app


@pytest.fixture
def asking(app: FastAPI) -> httpx.AsyncClient:
    return client(app)


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=InProcessTransport(app), base_url="https://vault.test")


def is_problem(answer: httpx.Response) -> bool:
    body = answer.json()
    return (
        answer.headers["content-type"] == "application/problem+json"
        and body["status"] == answer.status_code
        and body["type"].startswith("urn:voicefile:problem:")
        and bool(body["title"])
    )


@pytest.mark.parametrize("which", RAISED)
async def test_no_exception_says_a_word(asking: httpx.AsyncClient, which: str):
    with structlog.testing.capture_logs() as logs:
        answer = await asking.get(f"/raise/{which}")
    assert is_problem(answer)
    told = answer.text + str(answer.headers) + json.dumps(logs)
    assert CANARY not in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("which", "status", "slug"),
    [
        ("not-found", 404, "not-found"),
        ("erased", 404, "not-found"),
        ("epoch", 409, "epoch-retired"),
        ("limited", 429, "rate-limited"),
        ("identified", 401, "not-identified"),
        ("permitted", 403, "not-permitted"),
        ("keys", 503, "unavailable"),
        ("store", 503, "unavailable"),
        ("store-many", 503, "unavailable"),
        ("blobs", 503, "unavailable"),
        ("root", 503, "unavailable"),
        ("broken", 500, "internal"),
        ("group", 404, "not-found"),
        ("many", 500, "internal"),
        ("value", 500, "internal"),
        ("connection", 500, "internal"),
        ("timeout", 500, "internal"),
        ("http-405", 405, "method-not-allowed"),
        ("http-418", 418, "http"),
    ],
)
async def test_what_happened_has_one_answer(asking, which: str, status: int, slug: str):
    answer = await asking.get(f"/raise/{which}")
    assert (answer.status_code, answer.json()["type"]) == (
        status,
        f"urn:voicefile:problem:{slug}",
    )


async def test_only_declared_extensions_are_told(asking: httpx.AsyncClient):
    assert (await asking.get("/raise/epoch")).json() == {
        "type": "urn:voicefile:problem:epoch-retired",
        "title": "The epoch is retired",
        "status": 409,
        "epoch": "e2",
        "sealing_key": "AAAA",
    }


async def test_a_limit_says_when_to_come_again_in_whole_seconds_rounded_up(asking):
    assert (await asking.get("/raise/limited")).headers["retry-after"] == "3"


@pytest.mark.parametrize("which", ["store", "store-many", "blobs", "root", "keys"])
async def test_what_is_away_says_when_to_come_again_and_no_more(asking, which: str):
    answer = await asking.get(f"/raise/{which}")
    assert answer.headers["retry-after"] == "1"
    assert set(answer.json()) == {"type", "title", "status"}


async def test_who_is_not_identified_is_told_how(asking: httpx.AsyncClient):
    assert (await asking.get("/raise/identified")).headers["www-authenticate"] == "Bearer"


async def test_an_unforeseen_failure_has_an_id_that_the_log_knows(asking: httpx.AsyncClient):
    with structlog.testing.capture_logs() as logs:
        answer = await asking.get("/raise/value")
    failed = next(line for line in logs if line["event"] == "request_failed")
    assert failed["error"] == answer.json()["error_id"]
    assert failed["error_type"] == "ValueError"
    assert "test_problems.py:" in failed["frames"]


async def test_every_404_is_the_same_bytes(asking: httpx.AsyncClient):
    answers = [
        await asking.get(path)
        for path in ("/nothing", "/raise/not-found", "/raise/erased", "/raise/http-404", "/raise")
    ]
    answers.append(await asking.get("/raise/not-found/"))
    expected = bytes(problem_response(NOT_FOUND).body)
    assert {(each.status_code, each.content) for each in answers} == {(404, expected)}
    changing = {"voicefile-request-id"}
    heads = {
        tuple((name, value) for name, value in each.headers.items() if name not in changing)
        for each in answers
    }
    assert len(heads) == 1


async def test_a_wrong_method_names_the_right_ones_and_not_the_path(asking: httpx.AsyncClient):
    answer = await asking.delete(f"/raise/{CANARY}")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert CANARY not in answer.text


BODIES = {
    "extra key": ({"customer": {"name": "x"}, CANARY: 1}, "body.unknown-field"),
    "deep extra key": ({"customer": {"name": "x", CANARY: 1}}, "body.customer.unknown-field"),
    "wrong type": ({"customer": {"name": {CANARY: CANARY}}}, "body.customer.name"),
    "missing": ({"customer": {}}, "body.customer.name"),
    "alias": (
        {"customer": {"name": "x", "birthDate": CANARY}},
        "body.customer.birthDate",
    ),
    "list element": ({"customer": {"name": "x"}, "parts": [1, CANARY]}, "body.parts.1"),
    "map key": (
        {"customer": {"name": "x"}, "labels": {CANARY: "x"}},
        "body.labels.unknown-field",
    ),
    "digits as key": (
        {"customer": {"name": "x"}, "labels": {"12345678": "x"}},
        "body.labels.unknown-field",
    ),
    "secret": ({"customer": {"name": "x"}, "pin": CANARY}, "body.pin"),
    "not an object": (CANARY, "body"),
    "null": (None, "body"),
}


@pytest.mark.parametrize(("body", "field"), BODIES.values(), ids=BODIES)
async def test_a_wrong_body_is_told_by_declared_names_only(asking, body: object, field: str):
    answer = await asking.post("/uploads/1", json=body)
    assert answer.status_code == 422
    assert is_problem(answer)
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert set().union(*answer.json()["errors"]) == {"field", "code"}
    assert CANARY not in answer.text
    assert "12345678" not in answer.text


async def test_a_body_that_a_verb_parses_is_told_the_same_way(asking: httpx.AsyncClient):
    answer = await asking.post("/parts", content=json.dumps({"customer": {CANARY: 1}}))
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [
        "customer.name",
        "customer.unknown-field",
    ]


@pytest.mark.parametrize(
    ("path", "headers", "field"),
    [
        (f"/uploads/{CANARY}", {}, "path.number"),
        (f"/uploads/1?after={CANARY}", {}, "query.after"),
        ("/uploads/1", {"Purpose": CANARY + "x" * 20}, "header.purpose"),
    ],
)
async def test_a_wrong_parameter_is_told_by_its_name(asking, path, headers, field):
    answer = await asking.post(path, json={"customer": {"name": "x"}}, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert CANARY not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        b'{"pin": "DE89370400440532013000',
        b'{"DE89370400440532013000" 1}',
        b"DE89370400440532013000",
        b'\xff\xfe{"DE89370400440532013000": 1}',
        b"[" * 100_000,
        b'{"parts": [' + b"9" * 5000 + b"]}",
        b'{"a": NaN',
        b"",
    ],
    ids=["cut", "no colon", "no JSON", "no UTF-8", "deep", "long number", "NaN", "empty"],
)
async def test_a_malformed_body_is_not_quoted(asking: httpx.AsyncClient, body: bytes):
    headers = {"Content-Type": "application/json"}
    answer = await asking.post("/uploads/1", content=body, headers=headers)
    assert answer.status_code in {400, 413, 422}
    assert is_problem(answer)
    assert CANARY not in answer.text


@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.just(CANARY) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [CANARY, "customer", "name", "parts", "labels", "pin", "either", "birthDate"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
@settings(max_examples=150, deadline=None)
async def test_no_body_whatever_comes_back(body: object):
    app = new_app("test")

    @app.post("/", dependencies=ANYBODY)
    async def upload(body: Upload) -> None: ...

    async with client(app) as asking:
        answer = await asking.post("/", json=body)
    assert answer.status_code in {200, 422}
    assert CANARY not in answer.text


async def test_an_answer_that_breaks_our_own_promise_is_not_shown(asking: httpx.AsyncClient):
    with structlog.testing.capture_logs() as logs:
        answer = await asking.get("/answers-nonsense")
    assert (answer.status_code, is_problem(answer)) == (500, True)
    assert CANARY not in answer.text + json.dumps(logs)


async def test_many_errors_are_not_all_listed(asking: httpx.AsyncClient):
    body = {"customer": {"name": "x"}, "parts": ["x"] * 500}
    assert len((await asking.post("/uploads/1", json=body)).json()["errors"]) == 32


async def test_concurrent_failures_keep_their_own_ids(asking: httpx.AsyncClient):
    answers = await asyncio.gather(*(asking.get("/raise/value") for _ in range(20)))
    assert len({answer.json()["error_id"] for answer in answers}) == 20


async def test_the_interface_is_described_and_every_route_has_a_rule(app, asking):
    answer = await asking.get("/v1/openapi.json")
    assert "/uploads/{number}" in answer.json()["paths"]
    assert ("GET", "/v1/openapi.json") in rules_of(app)
    for path in ("/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect"):
        assert (await asking.get(path)).status_code == 404
