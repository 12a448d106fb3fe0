"""Makes vfe1.json: sealed objects with fixed keys and salts, and cases that must open or fail.

Run `python -m tests.vectors.make_vfe1` from the repository's root; it writes the same bytes every
time, and a test compares. Every expected refusal is stated here by hand, never taken from a reader.
The file changes only together with the format's name: old recordings stay readable.
"""

import base64
import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from voicefile.crypto.envelope import CHUNK, Context, Kind, Suite, object_id
from voicefile.crypto.secret import SecretKey
from voicefile.crypto.stream import SEALED_CHUNK, Sealer

FILE = Path(__file__).with_name("vfe1.json")
SEED = b"voicefile/vectors/vfe1/2"
HEADER, TAG = 76, 16
ABOUT = (
    "Sealed objects of the format VFE1 and what a reader must make of them. Each object has its "
    "key, context (byte strings in hex), salt and plaintext: the first bytes of u32be(0), "
    "u32be(1), ... then zeros up to `padded_to`, so writers can be checked too. Each case is an "
    "object, edited in order (xor one byte; cut from..to; insert zeros, or from..to of an object), "
    "with the key and context to open it with, and either the plaintext's length and SHA-256 or "
    "the refusal's reason. Normative text: docs/sealed-format.md."
)

TENANT, OTHER_TENANT = "11" * 16, "22" * 16
RECORDING, OTHER_RECORDING = "33" * 16, "44" * 16
DEPLOYMENT = b"vectors"
EPOCH = b"55" * 16


def drawn(label: str, length: int = 32) -> bytes:
    return hashlib.shake_256(SEED + b"/" + label.encode()).digest(length)


def counter(length: int) -> bytes:
    return b"".join(i.to_bytes(4, "big") for i in range(length // 4 + 1))[:length]


@dataclass(frozen=True)
class Object:
    name: str
    key: bytes
    context: Context
    suite: Suite
    length: int
    padded_to: int
    salt: bytes
    sealed: bytes

    @property
    def plain(self) -> bytes:
        return counter(self.length).ljust(self.padded_to, b"\0")


def context_of(kind: Kind, role: str = "original") -> Context:
    wrapping = EPOCH if kind is Kind.WRAPPED_KEY else None
    return Context(DEPLOYMENT, TENANT, object_id(RECORDING, role), kind, wrapping)


def made(name: str, context: Context, suite: Suite, length: int, *, pad: bool = False) -> Object:
    name = f"s{suite.value}-{name}"
    # One key for all: what must not open elsewhere fails by its context, not by its key.
    key, salt = drawn("key"), drawn(f"salt/{name}")
    sealer = Sealer(SecretKey(key), context, suite=suite, pad=pad, _salt=salt)
    sealed = sealer.header + sealer.update(counter(length)) + sealer.finish()
    padded_to = -(-length // CHUNK) * CHUNK if pad else length
    return Object(name, key, context, suite, length, padded_to, salt, sealed)


def objects_of(suite: Suite) -> list[Object]:
    audio, segment = context_of(Kind.AUDIO), context_of(Kind.BACKUP_SEGMENT, "7")
    telephone = context_of(Kind.AUDIO, "telephone")
    field, detail = context_of(Kind.FIELD, "name"), context_of(Kind.DEED_DETAIL, "detail")
    slip = context_of(Kind.WRAPPED_KEY, "slip")
    nobody = Context(DEPLOYMENT, "", object_id(RECORDING, "phone"), Kind.FIELD)
    bare = Context(b"", "", b"", Kind.FIELD)
    return [
        *(made(f"audio-{n}", audio, suite, n) for n in (0, 1, 1000, CHUNK - 1, CHUNK)),
        made("audio-three", audio, suite, 2 * CHUNK + 5),
        made("padded", telephone, suite, 1000, pad=True),
        made("padded-nothing", telephone, suite, 0, pad=True),
        made("segment", segment, suite, 4097),
        *(made(f"field-{n}", field, suite, n) for n in (0, 1, 15, 16, 17, 255)),
        made("other-field", context_of(Kind.FIELD, "phone"), suite, 16),
        made("field-of-no-tenant", nobody, suite, 12),
        made("field-of-nothing", bare, suite, 3),
        made("detail", detail, suite, 64),
        made("slip", slip, suite, 32),
        made("short-slip", slip, suite, 31),
        made("long-slip", slip, suite, 33),
    ]


def xor(at: int, bits: int = 1) -> dict[str, object]:
    return {"op": "xor", "at": at, "with": bits}


def cut(start: int, stop: int) -> dict[str, object]:
    return {"op": "cut", "from": start, "to": stop}


def insert(at: int, zeros: int) -> dict[str, object]:
    return {"op": "insert", "at": at, "zeros": zeros}


def splice(at: int, source: str, start: int, stop: int) -> dict[str, object]:
    return {"op": "insert", "at": at, "object": source, "from": start, "to": stop}


class Cases:
    def __init__(self, objects: dict[str, Object]) -> None:
        self.objects = objects
        self.rows: list[dict[str, object]] = []

    def opens(self, name: str) -> None:
        target = self.objects[name]
        digest = hashlib.sha256(target.plain).hexdigest()
        self._add(f"{name} opens", target, (), target.context, target.key)
        self.rows[-1]["plaintext"] = {"bytes": len(target.plain), "sha256": digest}

    def refuses(
        self,
        reason: str,
        name: str,
        what: str,
        *edits: dict[str, object],
        context: Context | None = None,
        key: bytes | None = None,
    ) -> None:
        target = self.objects[name]
        self._add(f"{name} {what}", target, edits, context or target.context, key or target.key)
        self.rows[-1]["refused"] = reason

    def _add(self, case: str, target: Object, edits, context: Context, key: bytes) -> None:
        self.rows.append(
            {
                "id": case,
                "object": target.name,
                "edits": list(edits),
                "key": key.hex(),
                "context": as_json(context),
            }
        )


HEADER_BYTES = (
    *((at, bits, "magic") for at in range(4) for bits in (0x01, 0x80)),
    (4, 0x03, "commitment"),  # the other suite: a known one, but not the one committed to
    *((4, bits, "suite") for bits in (0x04, 0x07, 0x80)),
    *((5, bits, "kind") for bits in (0x08, 0x10, 0xFF)),
    *((at, bits, "header-length") for at in (6, 7) for bits in (0x01, 0xFF)),
    *((at, bits, "chunk-size") for at in range(8, 12) for bits in (0x01, 0x10)),
    *((at, 0x01, "commitment") for at in (12, 13, 28, 43, 44, 45, 60, 75)),
    *((at, 0x80, "commitment") for at in (12, 43, 44, 75)),
)


def header_cases(cases: Cases, name: str) -> None:
    for at, bits, reason in HEADER_BYTES:
        cases.refuses(reason, name, f"header byte {at} xor {bits:#x}", xor(at, bits))
    everything = len(cases.objects[name].sealed)
    for length, reason in ((0, "size"), (4, "size"), (75, "size"), (76, "size"), (91, "size")):
        cases.refuses(reason, name, f"cut to {length}", cut(length, everything))


def context_cases(cases: Cases, name: str) -> None:
    own = cases.objects[name].context
    for what, other in {
        "of another deployment": replace(own, deployment=b"vector"),
        "of another tenant": replace(own, tenant=OTHER_TENANT),
        "of no tenant": replace(own, tenant=""),
        "of another id": replace(own, object_id=object_id(OTHER_RECORDING, "original")),
        "of another role": replace(own, object_id=own.object_id + b"s"),
        "of no role": replace(own, object_id=own.object_id[:16]),
        "with the border of deployment and tenant moved": replace(
            own, deployment=DEPLOYMENT + bytes.fromhex(TENANT), tenant=""
        ),
    }.items():
        cases.refuses("commitment", name, what, context=other)
    for kind in Kind:
        if kind is not own.kind:
            wrapping = EPOCH if kind is Kind.WRAPPED_KEY else None
            other = replace(own, kind=kind, wrapping_key=wrapping)
            cases.refuses("kind", name, f"as kind {kind.value}", context=other)
    for what, key in {"a foreign key": drawn("other key"), "a key of zeros": bytes(32)}.items():
        cases.refuses("commitment", name, f"with {what}", key=key)


def stream_cases(cases: Cases, suite: Suite) -> None:
    name, two, one = (
        f"s{suite.value}-{n}" for n in ("audio-three", f"audio-{CHUNK}", "audio-1000")
    )
    end = len(cases.objects[name].sealed)
    first, second, third = (HEADER + i * SEALED_CHUNK for i in range(3))
    for at, reason in (
        (first, "chunk"),
        (first + 32_768, "chunk"),
        (second - 1, "chunk"),
        (second, "chunk"),
        (third - 1, "chunk"),
        (third, "last-chunk"),
        (end - 1, "last-chunk"),
    ):
        cases.refuses(reason, name, f"body byte {at} changed", xor(at, 0x40))
    for border in (second, third):
        for off in (-17, -16, -15, -1, 0, 1, 15, 16, 17):
            # Less than a tag over a border can't be a chunk; all else is one that does not open.
            reason = "size" if 0 <= off < TAG else "last-chunk"
            cases.refuses(reason, name, f"cut to {border + off}", cut(border + off, end))
    for length in (1, 16, 65_530, 65_531, SEALED_CHUNK):
        # Its last chunk is 21 bytes: with these it is full, and a full one can't be the last.
        reason = "size" if length == SEALED_CHUNK - 21 else "last-chunk"
        cases.refuses(reason, name, f"grown by {length} zeros", insert(end, length))
    pieces = {"1": (first, second), "2": (second, third), "3": (third, end)}
    for order, reason in (
        ("213", "chunk"),
        ("23", "last-chunk"),
        ("13", "last-chunk"),
        ("3", "last-chunk"),
        ("1123", "last-chunk"),
        ("1223", "last-chunk"),
        ("113", "chunk"),
        ("223", "chunk"),
    ):
        edits, at = [cut(HEADER, end)], HEADER
        for piece in order:
            start, stop = pieces[piece]
            edits.append(splice(at, name, start, stop))
            at += stop - start
        cases.refuses(reason, name, f"with its chunks as {order}", *edits)
    cases.refuses(
        "chunk",
        name,
        "with a chunk of another object",
        cut(first, second),
        splice(first, two, first, second),
    )
    cases.refuses(
        "commitment", name, "under the salt of another object", cut(12, 44), splice(12, two, 12, 44)
    )
    cases.refuses(
        "last-chunk",
        name,
        "under the header of another object",
        cut(0, HEADER),
        splice(0, two, 0, HEADER),
    )
    cases.refuses(
        "last-chunk",
        one,
        "with the last chunk of another object",
        cut(HEADER, HEADER + 1016),
        splice(HEADER, name, third, end),
    )
    cases.refuses("size", two, "without its empty last chunk", cut(second, second + TAG))
    cases.refuses(
        "last-chunk", two, "with its first chunk as the last", cut(second - 1, second + TAG)
    )
    cases.refuses(
        "last-chunk",
        f"s{suite.value}-padded",
        "with padding cut off",
        cut(HEADER + 1000, HEADER + SEALED_CHUNK),
    )


def small_cases(cases: Cases, suite: Suite) -> None:
    prefix = f"s{suite.value}"
    for name in ("field-16", "slip", "detail"):
        end = len(cases.objects[f"{prefix}-{name}"].sealed)
        for at in (HEADER, HEADER + 5, end - TAG - 1, end - TAG, end - 1):
            cases.refuses("last-chunk", f"{prefix}-{name}", f"body byte {at} changed", xor(at))
    for name, grown, shrunk in (("field-16", "last-chunk", "last-chunk"), ("slip", "size", "size")):
        end = len(cases.objects[f"{prefix}-{name}"].sealed)
        cases.refuses(grown, f"{prefix}-{name}", "one byte longer", insert(end, 1))
        cases.refuses(shrunk, f"{prefix}-{name}", "one byte shorter", cut(end - 1, end))
    cases.refuses(
        "size",
        f"{prefix}-field-16",
        "grown to two chunks",
        insert(HEADER + 32, SEALED_CHUNK),
    )
    cases.refuses(
        "last-chunk",
        f"{prefix}-field-16",
        "grown to the longest field",
        insert(HEADER + 32, SEALED_CHUNK - 33),
    )
    cases.refuses("size", f"{prefix}-short-slip", "is no key")
    cases.refuses("size", f"{prefix}-long-slip", "is no key")
    other = cases.objects[f"{prefix}-other-field"]
    cases.refuses("commitment", f"{prefix}-field-16", "as another field", context=other.context)
    slip = cases.objects[f"{prefix}-slip"].context
    for what, wrapping in {
        "another epoch": b"66" * 16,
        "no epoch": b"",
        "a longer": EPOCH + b"5",
    }.items():
        cases.refuses(
            "commitment",
            f"{prefix}-slip",
            f"of {what}",
            context=replace(slip, wrapping_key=wrapping),
        )


def as_json(context: Context) -> dict[str, object]:
    return {
        "deployment": context.deployment.hex(),
        "tenant": context.tenant,
        "object_id": context.object_id.hex(),
        "kind": context.kind.value,
        "wrapping_key": None if context.wrapping_key is None else context.wrapping_key.hex(),
    }


def object_json(made: Object) -> dict[str, object]:
    return {
        "suite": made.suite.value,
        "key": made.key.hex(),
        "context": as_json(made.context),
        "salt": made.salt.hex(),
        "bytes": made.length,
        "padded_to": made.padded_to,
        "sealed": base64.b64encode(made.sealed).decode(),
    }


def document() -> str:
    objects = {made.name: made for suite in Suite for made in objects_of(suite)}
    cases = Cases(objects)
    for name in objects:
        if not name.endswith(("short-slip", "long-slip")):
            cases.opens(name)
    for suite in Suite:
        for name in ("audio-1000", "slip"):
            header_cases(cases, f"s{suite.value}-{name}")
            context_cases(cases, f"s{suite.value}-{name}")
        context_cases(cases, f"s{suite.value}-field-17")
        stream_cases(cases, suite)
        small_cases(cases, suite)
    rows = {name: object_json(made) for name, made in objects.items()}
    # One line each: a changed vector shows as one changed line.
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())
    tests = ",\n".join(f"  {json.dumps(row)}" for row in cases.rows)
    return (
        f'{{\n "about": {json.dumps(ABOUT)},\n "objects": {{\n{lines}\n }},\n'
        f' "cases": [\n{tests}\n ]\n}}\n'
    )


if __name__ == "__main__":
    FILE.write_text(document())
