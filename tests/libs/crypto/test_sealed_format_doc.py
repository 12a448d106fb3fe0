"""docs/sealed-format.md says what the code does: its tables and its example are compared."""

import re
from pathlib import Path

import pytest

from voicefile.crypto import envelope, primitives, secret, stream
from voicefile.crypto.envelope import LABEL, STREAMED, Kind, Suite, sealed_sizes
from voicefile.crypto.errors import Reason

DOC = Path(__file__).parents[3] / "docs" / "sealed-format.md"
MODULES = (envelope, stream, primitives, secret)


@pytest.fixture(scope="module")
def doc():
    return DOC.read_text()


def table(doc, *columns):
    """The rows under a heading of exactly these columns, without their backticks."""
    head = "| " + " | ".join(columns) + " |\n"
    assert doc.count(head) == 1, columns
    rows = doc.split(head)[1].split("\n\n")[0].splitlines()[1:]
    return [[cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in rows]


def test_the_constants_are_the_codes(doc):
    rows = table(doc, "name", "value")
    assert len(rows) >= 14
    for name, value in rows:
        found = {getattr(module, name) for module in MODULES if hasattr(module, name)}
        expected = value.encode() if name == "MAGIC" else int(value)
        assert found == {expected}, name


def test_the_layout_is_the_codes(doc):
    rows = [(int(off), length) for off, length, _ in table(doc, "off", "len", "field")]
    ends = [off + int(length) for off, length in rows[:-1]]
    assert [off for off, _ in rows[1:]] == ends
    assert rows[-1] == (envelope.HEADER, "…")


def test_suites_and_kinds_are_the_codes(doc):
    suites = {name: int(number) for number, name, _ in table(doc, "suite", "name", "algorithms")}
    assert suites == {suite.name: suite.value for suite in Suite}
    kinds = table(doc, "kind", "name", "what", "chunks")
    assert {name: int(number) for number, name, *_ in kinds} == {k.name: k.value for k in Kind}
    for _, name, _, chunks in kinds:
        assert (chunks == "any number") == (Kind[name] in STREAMED)
    assert list(sealed_sizes(Kind.WRAPPED_KEY)) == [124]


def test_every_reason_is_explained(doc):
    reasons = [row[0] for row in table(doc, "reason", "raised when")]
    assert reasons == [reason.value for reason in Reason]


def test_the_example_is_true(doc):
    values = {name: bytes.fromhex(text) for name, text in example(doc).items()}
    key = secret.SecretKey(values["object's key"])
    info = LABEL + values["header[0:44]"] + values["ctx"]
    okm = primitives.hkdf_expand_sha512(key, info, 88)
    assert okm == values["okm"]
    context = envelope.Context(
        b"vectors", "11" * 16, envelope.object_id("33" * 16, "name"), Kind.FIELD
    )
    assert context.encode() == values["ctx"]
    content = values["header[0:44]"] + okm[56:] + values["chunk 0"]
    assert envelope.open_field(key, context, content) == values["plaintext"]


def example(doc):
    """The named hexadecimal values of the example; a line without a name goes on with the last."""
    values, name = {}, ""
    for line in doc.split("\nExample ")[1].split("\n\n")[1].splitlines():
        named, text = re.fullmatch(r"    (\S.*?)? {2,}([0-9a-f]+)", line).groups()
        name = named or name
        values[name] = values.get(name, "") + text
    return values


def test_the_label_stands_in_it(doc):
    assert f'"{LABEL[:-1].decode()}" ‖ 00' in doc
