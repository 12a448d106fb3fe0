"""Requests a partner's program may get wrong, each with the answer it must get.

Every request carries `CANARY` wherever its fault leaves room for it, and nothing of it comes back.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.corpus.bad import bad_audio_cases
from tests.corpus.spoken_files import spoken
from tests.stand import metadata

from voicefile.ingest.problem_table import problem_table
from voicefile.ingest.settings import IngestSettings

CANARY = "Zilpzalp0815"
SPOKEN = "alaw-8k.wav"
BOUNDARY = "b0undary"
UPLOAD_BYTES_MAX = 1_000_000
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
CUSTOMER = {"name": f"Erika {CANARY}", "phone": "+49 30 1234567"}
SAID = metadata(contract_reference=f"V-{CANARY}", customer=CUSTOMER)
Headers = dict[str, str | None]


@dataclass(frozen=True)
class Bad:
    """One refused upload."""

    name: str
    status: int
    slug: str
    body: bytes = b""
    headers: Headers = field(default_factory=dict)
    who: str = "partner"
    """Whose token comes with it."""
    key: str | None = ""
    """The Idempotency-Key if it is what is wrong; None: none at all."""
    takes: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    """Changes to the metadata that only the running vault can tell."""

    def __repr__(self) -> str:
        return f"Bad({self.name})"


def part(name: str, content: bytes, kind: str | None, *, file: str = "") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'
    head += f'; filename="{file}"' if file else ""
    head += f"\r\nContent-Type: {kind}\r\n" if kind else "\r\n"
    return head.encode() + b"\r\n" + content + b"\r\n"


def body_of(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def said(metadata: object) -> bytes:
    raw = metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()
    return part("metadata", raw, "application/json")


def sound(audio: bytes | None = None) -> bytes:
    return part(
        "audio", spoken(SPOKEN) if audio is None else audio, "audio/wav", file=f"{CANARY}.wav"
    )


def upload(changes: dict[str, Any], audio: bytes | None = None) -> bytes:
    whole = {name: value for name, value in (SAID | changes).items() if value is not None}
    return body_of(said(whole), sound(audio))


def all_bad_uploads() -> list[Bad]:
    return [*_envelopes(), *_keys(), *_metadata(), *_policies(), *_callers(), *_audio()]


def _envelopes() -> list[Bad]:
    good, odd = (said(SAID), sound()), part(CANARY, b"x", None)
    whole = body_of(*good)
    twice = good[1].replace(b"\r\n\r\n", f"\r\nContent-Type: audio/{CANARY}\r\n\r\n".encode(), 1)
    many = b"".join(f"X-{n}: {CANARY}\r\n".encode() for n in range(20))
    encoded = b"Content-Transfer-Encoding: base64\r\n"
    bodies = {
        "audio-first": (400, "part-out-of-order", body_of(good[1], good[0])),
        "audio-alone": (400, "part-out-of-order", body_of(good[1])),
        "no-audio": (400, "part-missing", body_of(good[0])),
        "no-parts": (400, "part-missing", body_of()),
        "metadata-twice": (400, "part-duplicate", body_of(good[0], *good)),
        "audio-twice": (400, "part-duplicate", body_of(*good, good[1])),
        "metadata-again-at-the-end": (400, "part-duplicate", body_of(*good, good[0])),
        "unknown-part-first": (400, "part-unknown", body_of(odd, *good)),
        "unknown-part-between": (400, "part-unknown", body_of(good[0], odd, good[1])),
        "unknown-part-last": (400, "part-unknown", body_of(*good, odd)),
        "part-in-capitals": (400, "part-unknown", body_of(part("METADATA", b"{}", None), good[1])),
        "cut-in-metadata": (400, "upload-truncated", whole[:200]),
        "cut-in-audio": (400, "upload-truncated", whole[:-9_000]),
        "cut-in-the-last-boundary": (400, "upload-truncated", whole[:-8]),
        "empty-body": (400, "upload-truncated", b""),
        "no-boundary-in-the-body": (400, "upload-malformed", CANARY.encode() * 10),
        "two-content-types": (400, "upload-malformed", body_of(good[0], twice)),
        "too-many-part-headers": (
            400,
            "upload-malformed",
            body_of(good[0], good[1].replace(b"\r\n\r\n", b"\r\n" + many + b"\r\n", 1)),
        ),
        "part-without-a-name": (
            400,
            "upload-malformed",
            body_of(good[0], good[1].replace(b'name="audio"; ', b"", 1)),
        ),
        "no-end-of-the-epilogue": (400, "upload-malformed", whole + CANARY.encode() * 5_000),
        "base64-audio": (
            415,
            "part-type-wrong",
            body_of(good[0], good[1].replace(b"\r\n\r\n", b"\r\n" + encoded + b"\r\n", 1)),
        ),
        "metadata-as-text": (
            415,
            "part-type-wrong",
            body_of(part("metadata", json.dumps(SAID).encode(), f"text/{CANARY}"), good[1]),
        ),
        "audio-as-html": (
            415,
            "part-type-wrong",
            body_of(good[0], part("audio", spoken(SPOKEN), f"text/{CANARY}")),
        ),
        "much-metadata": (
            413,
            "metadata-too-large",
            upload({"contract_parts": [CANARY * 20] * 400}),
        ),
        "much-audio": (413, "upload-too-large", upload({}, spoken(SPOKEN) * 40)),
    }
    types = {
        "no-content-type": (415, "not-multipart", None),
        "json": (415, "not-multipart", "application/json"),
        "urlencoded": (415, "not-multipart", "application/x-www-form-urlencoded"),
        "odd-type": (415, "not-multipart", f"application/{CANARY}"),
        "no-boundary": (400, "boundary-unfit", "multipart/form-data"),
        "long-boundary": (400, "boundary-unfit", f"multipart/form-data; boundary={CANARY * 20}"),
        "odd-boundary": (400, "boundary-unfit", f'multipart/form-data; boundary="{CANARY}<>"'),
        "two-boundaries": (400, "upload-malformed", f"{MULTIPART}; boundary={CANARY}"),
        "another-boundary": (400, "upload-malformed", f"multipart/form-data; boundary={CANARY}"),
    }
    return [
        *(Bad(name, status, slug, body) for name, (status, slug, body) in bodies.items()),
        *(
            Bad(f"type-{name}", status, slug, whole, headers={"Content-Type": kind})
            for name, (status, slug, kind) in types.items()
        ),
    ]


def _keys() -> list[Bad]:
    whole = body_of(said(SAID), sound())
    keys = {
        "missing": None,
        "an-order-number": f"{CANARY}-4711",
        "short": f"{CANARY}abcdefg",
        "few-different-signs": "ab" * 11,
        "a-counted-uuid": "00000000-0000-1000-8000-000000000001",
        "with-odd-signs": f"{CANARY}!{CANARY}!{CANARY}",
        "very-long": "Zx9" + CANARY * 40,
    }
    return [
        Bad(f"key-{name}", 400, "idempotency-key-invalid", whole, key=key)
        for name, key in keys.items()
    ]


def _metadata() -> list[Bad]:
    consent = dict(SAID["consent"])
    changes: dict[str, dict[str, Any]] = {
        "contract-reference-missing": {"contract_reference": None},
        "contract-reference-empty": {"contract_reference": " "},
        "contract-reference-long": {"contract_reference": CANARY * 40},
        "contract-reference-number": {"contract_reference": 815},
        "contract-kind-long": {"contract_kind": CANARY * 10},
        "contract-parts-text": {"contract_parts": CANARY},
        "contract-parts-many": {"contract_parts": [CANARY] * 51},
        "recorded-at-missing": {"recorded_at": None},
        "recorded-at-odd": {"recorded_at": CANARY},
        "recorded-at-without-offset": {"recorded_at": "2026-01-20T14:03:00"},
        "recorded-at-tomorrow": {"recorded_at": "2999-01-20T14:03:00+01:00"},
        "recorded-at-number": {"recorded_at": 1_768_914_180},
        "language-odd": {"language": CANARY},
        "consent-method-odd": {"consent": consent | {"method": f"{CANARY} {CANARY}"}},
        "consent-wording-odd": {"consent": consent | {"wording_sha256": CANARY}},
        "consent-time-odd": {"consent": consent | {"obtained_at": CANARY}},
        "consent-unknown-field": {"consent": consent | {CANARY: CANARY}},
        "customer-missing": {"customer": None},
        "customer-text": {"customer": CANARY},
        "customer-without-name": {"customer": {"phone": "+49 30 1234567"}},
        "customer-name-long": {"customer": {"name": CANARY * 20}},
        "customer-name-control": {"customer": {"name": f"{CANARY}\u0000"}},
        "customer-name-turned": {"customer": {"name": f"{CANARY}\u202e"}},
        "customer-phone-odd": {"customer": CUSTOMER | {"phone": CANARY}},
        "customer-email-odd": {"customer": CUSTOMER | {"email": CANARY}},
        "customer-number-long": {"customer": CUSTOMER | {"customer_number": CANARY * 9}},
        "customer-birth-date-odd": {"customer": CUSTOMER | {"birth_date": "31.12.1999"}},
        "customer-country-odd": {"customer": CUSTOMER | {"address": {"country": CANARY}}},
        "customer-unknown-field": {"customer": CUSTOMER | {CANARY: CANARY}},
        "sensitive-text": {"sensitive": CANARY},
        "sensitive-number": {"sensitive": 1},
        "question-kind-odd": {"question": {"kind": CANARY, "answer": "4711"}},
        "question-answer-words": {"question": {"kind": "digits", "answer": CANARY}},
        "question-answer-short": {"question": {"kind": "digits", "answer": "12"}},
        "retention-class-odd": {"retention_class": f"{CANARY} {CANARY}"},
        "scope-text": {"scope": CANARY},
        "agent-long": {"agent": CANARY * 9},
        "campaign-long": {"campaign": CANARY * 9},
        "pin-delivery-odd": {"pin_delivery": {"mode": CANARY}},
        "join-odd": {"join_access_id": CANARY},
        "unknown-field": {CANARY: CANARY},
    }
    raw = {
        "not-json": CANARY.encode(),
        "half-json": f'{{"customer": {{"name": "{CANARY}'.encode(),
        "empty": b"",
        "list": json.dumps([CANARY]).encode(),
        "deep": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        "latin-1": f'{{"customer": {{"name": "{CANARY}ß"}}}}'.encode("latin-1"),
        "nan": json.dumps(SAID | {"language": float("nan")}).encode(),
    }
    missing = {
        "consent-missing": {"consent": None},
        "consent-null": {"consent": ...},
        "consent-empty": {"consent": {}},
        "consent-text": {"consent": CANARY},
        "consent-no": {"consent": False},
    }
    return [
        *(Bad(name, 422, "metadata-invalid", upload(each)) for name, each in changes.items()),
        *(
            Bad(f"metadata-{name}", 422, "metadata-invalid", body_of(said(each), sound()))
            for name, each in raw.items()
        ),
        *(
            Bad(name, 422, "consent-missing", body_of(said(_with(each)), sound()))
            for name, each in missing.items()
        ),
        Bad("no-question", 422, "question-missing", upload({"sensitive": True})),
    ]


def _with(changes: dict[str, Any]) -> dict[str, Any]:
    """Changed metadata; None removes, `...` is JSON's null."""
    whole = {name: value for name, value in (SAID | changes).items() if value is not None}
    return {name: None if value is ... else value for name, value in whole.items()}


def _policies() -> list[Bad]:
    asked = {
        "sensitive": True,
        "question": {"kind": "digits", "answer": "471108"},
        "retention_class": "contract",
    }
    sealed = {"pin_delivery": {"mode": "sealed"}}

    def join(kind: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        return lambda known: {"join_access_id": known[kind]}

    return [
        Bad("unknown-department", 422, "unknown-scope", upload({"scope": {"department": CANARY}})),
        Bad(
            "unknown-project",
            422,
            "unknown-scope",
            upload({"scope": {"department": "sales", "project": CANARY}}),
        ),
        Bad("unknown-class", 422, "unknown-retention-class", upload({"retention_class": CANARY})),
        Bad(
            "department-without-recording",
            403,
            "recording-not-allowed",
            upload({"scope": {"department": "silent"}}),
        ),
        Bad("kind-not-asked-here", 422, "question-kind-not-allowed", upload(asked), who="strict"),
        Bad("no-class-at-all", 422, "retention-required", upload({}), who="strict"),
        Bad("no-letter-shop", 409, "letter-shop-missing", upload(sealed)),
        Bad("recording-switched-off", 403, "recording-not-allowed", upload({}), who="switched off"),
        Bad("tenant-closed", 403, "tenant-closed", upload({}), who="closed"),
        Bad("join-mistyped", 404, "unknown-access-id", takes=join("mistyped")),
        Bad("join-unknown", 404, "unknown-access-id", takes=join("unknown")),
        Bad("join-other-tenant", 404, "unknown-access-id", takes=join("of another tenant")),
        Bad("join-other-partner", 404, "unknown-access-id", takes=join("of another partner")),
        Bad("join-revoked", 404, "unknown-access-id", takes=join("revoked")),
        Bad(
            "sensitive-join-without-a-question",
            422,
            "question-missing",
            takes=lambda known: {"join_access_id": known["own"], "sensitive": True},
        ),
    ]


def _callers() -> list[Bad]:
    whole = body_of(said(SAID), sound())
    return [
        Bad("nobody", 401, "not-identified", whole, who="nobody"),
        Bad("nonsense", 401, "not-identified", whole, who="nonsense"),
        Bad("expired", 401, "not-identified", whole, who="expired"),
        Bad("of-another-vault", 401, "not-identified", whole, who="of another vault"),
        Bad("unsigned", 401, "not-identified", whole, who="unsigned"),
        Bad("customer", 401, "not-identified", whole, who="customer"),
        Bad("basic", 401, "not-identified", whole, headers={"Authorization": f"Basic {CANARY}"}),
        Bad("care", 403, "not-permitted", whole, who="care"),
        Bad("auditor", 403, "not-permitted", whole, who="auditor"),
        Bad("admin", 403, "not-permitted", whole, who="admin"),
    ]


def _audio() -> list[Bad]:
    """Some of the media's own cases, of each error at least one; the decoder is tested with all."""
    answers = {
        kind: (problem.status, problem.type_slug)
        for kind, problem in problem_table(IngestSettings()).items()
    }
    cases = [case for case in bad_audio_cases() if len(case.body) < UPLOAD_BYTES_MAX]
    chosen = {each.error: each for each in cases} | {each.name: each for each in cases[::5]}
    return [
        Bad(f"audio-{case.name}", *answers[case.error], upload({}, case.body))
        for case in dict.fromkeys(chosen.values())
    ]
