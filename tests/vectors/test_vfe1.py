"""The frozen vectors, and a reader written from the document alone: both agree with the vault's."""

import ast
import collections
import hashlib
import json
import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.vectors import independent_reader as independent
from tests.vectors import make_vfe1

from voicefile.crypto.envelope import Context, Kind, Suite, open_field, unwrap
from voicefile.crypto.errors import Reason, Tampered
from voicefile.crypto.secret import SecretKey
from voicefile.crypto.stream import CHUNK, Opener, Sealer, open_whole

FILE = Path(make_vfe1.FILE)


@pytest.fixture(scope="module")
def vectors():
    return json.loads(FILE.read_text())


def context_of(row) -> Context:
    wrapping = row["wrapping_key"]
    return Context(
        deployment=bytes.fromhex(row["deployment"]),
        tenant=row["tenant"],
        object_id=bytes.fromhex(row["object_id"]),
        kind=Kind(row["kind"]),
        wrapping_key=None if wrapping is None else bytes.fromhex(wrapping),
    )


def by_the_vault(key, context, content):
    """The plaintext, or the reason of the refusal, by every door that takes this kind."""
    doors = [lambda: open_whole(key, context, content)]
    if context.kind is Kind.WRAPPED_KEY:
        doors.append(lambda: unwrap(content, under=key, context=context).expose())
    if context.kind in {Kind.FIELD, Kind.DEED_DETAIL}:
        doors.append(lambda: open_field(key, context, content))
    answers = {answer(door) for door in doors}
    assert len(answers) == 1, answers
    return answers.pop()


def answer(door):
    try:
        return door()
    except Tampered as refused:
        return str(refused)


def by_the_stranger(key, context, content):
    try:
        return independent.opened(key.expose(), make_vfe1.as_json(context), content)
    except independent.Refused as refused:
        return str(refused)


def test_the_file_is_what_its_maker_makes():
    assert FILE.read_text() == make_vfe1.document()


def test_there_are_enough_cases_of_every_sort(vectors):
    cases = vectors["cases"]
    assert len(cases) >= 200
    assert len({case["id"] for case in cases}) == len(cases)
    found = collections.Counter((case["object"][:2], case.get("refused")) for case in cases)
    streamed = set(Reason) - {Reason.BOX, Reason.CONTEXT, Reason.SIGNATURE}
    for suite in ("s1", "s2"):
        assert found[suite, None] >= 15
        assert {reason for s, reason in found if s == suite and reason} == streamed


def test_the_vault_answers_every_case(vectors):
    for case in vectors["cases"]:
        content = independent.sealed_bytes(case, vectors["objects"])
        key = SecretKey(bytes.fromhex(case["key"]))
        found = by_the_vault(key, context_of(case["context"]), content)
        if "refused" in case:
            assert found == case["refused"], case["id"]
        else:
            digest = hashlib.sha256(found).hexdigest()
            assert {"bytes": len(found), "sha256": digest} == case["plaintext"], case["id"]


def test_the_independent_reader_answers_every_case(vectors):
    wrong = [c["id"] for c in vectors["cases"] if not independent.agrees(c, vectors["objects"])]
    assert wrong == []


def test_a_wrong_expectation_would_be_noticed(vectors):
    """The control of the comparison itself."""
    objects, cases = vectors["objects"], vectors["cases"]
    opens = next(case for case in cases if "plaintext" in case)
    refused = next(case for case in cases if "refused" in case)
    assert not independent.agrees({**opens, "plaintext": {"bytes": 1, "sha256": ""}}, objects)
    assert not independent.agrees({**refused, "refused": "another"}, objects)


def test_the_independent_writer_seals_every_object_to_the_same_bytes(vectors):
    for name, row in vectors["objects"].items():
        plain = make_vfe1.counter(row["bytes"]).ljust(row["padded_to"], b"\0")
        key, salt = bytes.fromhex(row["key"]), bytes.fromhex(row["salt"])
        sealed = independent.seal(key, row["context"], plain, row["suite"], salt)
        case = {"object": name, "edits": []}
        assert sealed == independent.sealed_bytes(case, vectors["objects"]), name


ids = st.binary(min_size=16, max_size=16)
lengths = st.one_of(
    st.integers(0, 300), st.sampled_from([CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7])
)


@st.composite
def contexts(draw):
    return Context(
        deployment=draw(st.binary(max_size=12)),
        tenant=draw(st.one_of(st.just(b""), ids)).hex(),
        object_id=draw(ids) + draw(st.sampled_from([b"", b"original", b"peaks"])),
        kind=draw(st.sampled_from([Kind.AUDIO, Kind.BACKUP_SEGMENT])),
    )


@settings(deadline=None, max_examples=120)
@given(contexts(), st.sampled_from(Suite), lengths, st.randoms(use_true_random=False))
def test_what_one_seals_the_other_opens(context, suite, length, rng):
    plain, key = rng.randbytes(length), SecretKey(rng.randbytes(32))
    sealer = Sealer(key, context, suite=suite)
    ours = sealer.header + sealer.update(plain) + sealer.finish()
    theirs = independent.seal(key.expose(), make_vfe1.as_json(context), plain, suite.value)
    for content in (ours, theirs):
        assert by_the_stranger(key, context, content) == plain
        assert by_the_vault(key, context, content) == plain


@pytest.mark.parametrize("suite", Suite)
def test_both_refuse_the_same_for_the_same_reason(suite):
    rng = random.Random(suite.value)
    context = Context(b"house", "a1" * 16, b"object", Kind.AUDIO)
    key = SecretKey(rng.randbytes(32))
    sealer = Sealer(key, context, suite=suite)
    content = sealer.header + sealer.update(rng.randbytes(CHUNK + 20)) + sealer.finish()
    for _ in range(1000):
        changed = bytearray(content)
        at = rng.choice([rng.randrange(len(changed)), rng.randrange(80)])
        match rng.randrange(3):
            case 0:
                changed[at] ^= rng.randrange(1, 256)
            case 1:
                del changed[at:]
            case 2:
                changed += rng.randbytes(rng.randrange(1, 20))
        stranger = by_the_stranger(key, context, bytes(changed))
        assert isinstance(stranger, str)
        assert by_the_vault(key, context, bytes(changed)) == stranger


def test_hchacha_gives_the_drafts_example():
    """draft-irtf-cfrg-xchacha-03, 2.2.1."""
    subkey = independent.hchacha20(
        bytes(range(32)), bytes.fromhex("000000090000004a0000000031415927")
    )
    assert subkey.hex() == "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc"


def test_the_independent_reader_is_independent_and_short():
    source = Path(independent.__file__).read_text()
    assert len(source.splitlines()) <= 200
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported - sys.stdlib_module_names == {"cryptography", "nacl"}


def test_a_fixed_salt_is_out_of_reach_for_the_projects_own_code():
    """Only the vectors fix a salt: in the packages nobody passes one but the format itself."""
    root = Path(__file__).parents[2]
    sources = [*root.glob("libs/*/src/**/*.py"), *root.glob("services/*/src/**/*.py")]
    named = {
        path.name for path in (*sources, *root.glob("cli/src/**/*.py")) if "_salt" in calls(path)
    }
    assert named == {"stream.py"}


def calls(path: Path) -> set[str]:
    """The keyword arguments passed anywhere in a file."""
    tree = ast.parse(path.read_text())
    return {
        keyword.arg or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
    }


def test_an_opener_finds_the_reason_at_the_first_step_that_can(vectors):
    """What the header can tell is told before a chunk is fetched."""
    early = {"magic", "suite", "kind", "header-length", "chunk-size", "commitment"}
    for case in vectors["cases"]:
        if case.get("refused") in early:
            content = independent.sealed_bytes(case, vectors["objects"])
            key = SecretKey(bytes.fromhex(case["key"]))
            with pytest.raises(Tampered, match=case["refused"]):
                Opener(key, context_of(case["context"]), content[:76], len(content))
