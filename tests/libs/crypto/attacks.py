"""What somebody with the store in hand could try on a sealed object, as lists of attempts.

An attempt is what a reader is given: key, context and bytes, of which at least one is not what was
sealed together. A reader that answers any of them with a plaintext has lost.
"""

import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from voicefile.crypto.envelope import HEADER, Context, Kind
from voicefile.crypto.errors import Tampered
from voicefile.crypto.primitives import TAG
from voicefile.crypto.secret import SecretKey
from voicefile.crypto.stream import SEALED_CHUNK

Reader = Callable[[SecretKey, Context, bytes], bytes]


@dataclass(frozen=True, slots=True)
class Sealed:
    key: SecretKey
    context: Context
    content: bytes

    def changed(self, what: str, content: bytes) -> "Attempt | None":
        if content == self.content:
            return None
        return Attempt(what, self.key, self.context, content)

    @property
    def chunks(self) -> list[bytes]:
        body = self.content[HEADER:]
        return [body[at : at + SEALED_CHUNK] for at in range(0, len(body), SEALED_CHUNK)]


@dataclass(frozen=True, slots=True)
class Attempt:
    what: str
    key: SecretKey
    context: Context
    content: bytes


def survivors(read: Reader, attempts: Iterable[Attempt | None]) -> tuple[int, list[str]]:
    """How many were tried, and which were answered with a plaintext."""
    tried, answered = 0, []
    for attempt in attempts:
        if attempt is None:
            continue
        tried += 1
        try:
            read(attempt.key, attempt.context, attempt.content)
        except Tampered:
            continue
        answered.append(attempt.what)
    return tried, answered


def every_value_of(sealed: Sealed, positions: Iterable[int]) -> Iterator[Attempt | None]:
    for at in positions:
        for bits in range(1, 256):
            content = bytearray(sealed.content)
            content[at] ^= bits
            yield sealed.changed(f"byte {at} xor {bits:#x}", bytes(content))


def random_changes(sealed: Sealed, count: int, rng: random.Random) -> Iterator[Attempt | None]:
    length = len(sealed.content)
    for _ in range(count):
        content = bytearray(sealed.content)
        at = rng.randrange(length)
        match rng.randrange(4):
            case 0:
                content[at] ^= 1 << rng.randrange(8)
            case 1:
                del content[at : at + rng.randint(1, 40)]
            case 2:
                content[at:at] = rng.randbytes(rng.randint(1, 40))
            case 3:
                other = rng.randrange(length)
                size = rng.randint(1, 40)
                piece = content[other : other + size]
                content[at : at + len(piece)] = piece
        yield sealed.changed("a random change", bytes(content))


def lengths(sealed: Sealed) -> Iterator[Attempt | None]:
    """Cut and grown at every border of header, chunks and tags, and around them."""
    content, total = sealed.content, len(sealed.content)
    borders = [0, HEADER, total, *range(HEADER, total, SEALED_CHUNK)]
    for border, off in itertools.product(borders, range(-17, 18)):
        stop = border + off
        if 0 <= stop < total:
            yield sealed.changed(f"cut to {stop}", content[:stop])
            yield sealed.changed(f"from {stop} on", content[stop:])
            yield sealed.changed(f"grown at {stop}", content[:stop] + b"\0" + content[stop:])
    for more in (*range(1, 40), SEALED_CHUNK - 1, SEALED_CHUNK, SEALED_CHUNK + 1):
        yield sealed.changed(f"grown by {more} zeros", content + bytes(more))
        yield sealed.changed(f"grown by {more} of its own", content + content[-more:])


def rearranged(sealed: Sealed) -> Iterator[Attempt | None]:
    """Its chunks swapped, doubled, left out: every sequence of up to one more than it has."""
    header, chunks = sealed.content[:HEADER], sealed.chunks
    for count in range(len(chunks) + 2):
        for order in itertools.product(range(len(chunks)), repeat=count):
            body = b"".join(chunks[index] for index in order)
            yield sealed.changed(f"chunks {order}", header + body)


def spliced(sealed: Sealed, other: Sealed) -> Iterator[Attempt | None]:
    """Parts of another object, in whole chunks and in header fields."""
    header, body = sealed.content[:HEADER], sealed.content[HEADER:]
    if other.context != sealed.context:
        yield sealed.changed("the other whole", other.content)
    yield sealed.changed("the other's header", other.content[:HEADER] + body)
    yield sealed.changed("the other's body", header + other.content[HEADER:])
    for start, stop in ((0, 12), (12, 44), (44, 76)):
        field = header[:start] + other.content[start:stop] + header[stop:]
        yield sealed.changed(f"the other's header {start}:{stop}", field + body)
    for mine, theirs in itertools.product(range(len(sealed.chunks)), range(len(other.chunks))):
        chunks = sealed.chunks
        chunks[mine] = other.chunks[theirs]
        yield sealed.changed(f"chunk {mine} of the other's {theirs}", header + b"".join(chunks))
        tagged = sealed.chunks
        tagged[mine] = tagged[mine][:-TAG] + other.chunks[theirs][-TAG:]
        yield sealed.changed(f"tag {mine} of the other's {theirs}", header + b"".join(tagged))


def elsewhere(sealed: Sealed, count: int, rng: random.Random) -> Iterator[Attempt]:
    """The same bytes for another deployment, tenant, object, kind, wrapping key or data key."""
    for what, context in foreign(sealed.context, count, rng):
        yield Attempt(what, sealed.key, context, sealed.content)
        # A forger also writes the kind he wants into the header.
        content = bytearray(sealed.content)
        content[5] = context.kind
        yield Attempt(f"{what}, header adapted", sealed.key, context, bytes(content))
    for _ in range(count):
        yield Attempt("a foreign key", SecretKey(rng.randbytes(32)), sealed.context, sealed.content)


def foreign(own: Context, count: int, rng: random.Random) -> Iterator[tuple[str, Context]]:
    for _ in range(count):
        yield "a foreign tenant", replace(own, tenant=rng.randbytes(16).hex())
        name = rng.randbytes(16) + own.object_id[16:]
        yield "a foreign recording", replace(own, object_id=name)
        yield "a foreign role", replace(own, object_id=own.object_id[:16] + rng.randbytes(4))
        yield "a foreign deployment", replace(own, deployment=rng.randbytes(7))
        if own.wrapping_key is not None:
            yield "a foreign wrapping key", replace(own, wrapping_key=rng.randbytes(32))
    yield "no tenant", replace(own, tenant="")
    for kind in Kind:
        if kind is not own.kind:
            wrapping = b"e" if kind is Kind.WRAPPED_KEY else None
            yield f"kind {kind}", replace(own, kind=kind, wrapping_key=wrapping)
    yield from shifted(own)


def shifted(own: Context) -> Iterator[tuple[str, Context]]:
    """The same bytes in a row with the fields' borders moved, as if lengths were not encoded."""
    deployment, tenant, name = own.deployment, bytes.fromhex(own.tenant), own.object_id
    row = deployment + tenant + name
    for cut in range(len(row) + 1):
        tenants = [b"", row[cut : cut + 16]] if cut + 16 <= len(row) else [b""]
        for moved in tenants:
            context = replace(
                own,
                deployment=row[:cut],
                tenant=moved.hex(),
                object_id=row[cut + len(moved) :],
            )
            if context != own:
                yield f"borders moved to {cut}", context
    if own.wrapping_key is not None:
        yield (
            "a byte moved",
            replace(own, object_id=name + own.wrapping_key[:1], wrapping_key=own.wrapping_key[1:]),
        )
    # A value that itself looks like the next field.
    yield "an embedded field", replace(own, deployment=deployment + own.encode()[5:])
