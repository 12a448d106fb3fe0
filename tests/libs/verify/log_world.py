"""A log with its keys, made by hand: what a vault hands out, and what forgers would.

Deeds are serialised by protobuf and receipts signed by PyJWT: not by the code under test.
"""

import base64
import dataclasses
import hashlib
import io
import json
import random
from dataclasses import dataclass, field

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from voicefile.contracts.deed.v1 import Action, Deed, Outcome, Role
from voicefile.crypto.primitives import SigningKey
from voicefile.crypto.secret import SecretKey
from voicefile.translog.checkpoint import Checkpoint, sign_checkpoint
from voicefile.translog.cosignature import WitnessKey
from voicefile.translog.merkle import Frontier, leaf_hash
from voicefile.translog.note import VerifierKey, key_id
from voicefile.translog.proof_text import TlogProof
from voicefile.translog.proofs import inclusion_proof
from voicefile.translog.tiles import TilePath, entry_bundle, grown_tiles, hash_reader, tile_width
from voicefile.verify.bundle import BundleWriter, Papers
from voicefile.verify.deed_list import ProvenDeed, deeds_text
from voicefile.verify.deed_wire import read_deed
from voicefile.verify.entry_json import ShownEntry, canonical
from voicefile.verify.receipt import ReceiptKey

DEPLOYMENT = "test"
NOW_MS = 1_800_000_000_000
STORED_AT = "2027-01-15T08:00:00.000Z"
AUDIO = b"RIFF" + bytes(range(256)) * 8
WITNESS_NAME = "witness.example/w1"


def base64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signing_key(seed):
    return SigningKey.from_seed(SecretKey(seed))


@dataclass
class Keys:
    """The three secrets that could be stolen."""

    log: bytes = b"log key " * 4
    receipts: bytes = b"receipts" * 4
    witness: bytes = b"witness " * 4

    @property
    def receipt_key(self):
        return ReceiptKey("kid-1", signing_key(self.receipts).public)


@dataclass
class Log:
    """A tenant's log, in the hands of whoever holds `keys`."""

    chance: random.Random
    keys: Keys = field(default_factory=Keys)
    tenant: str = "aa" * 16
    entries: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Salt and entry, in the log's order."""
    boot: str = "bb" * 16

    @property
    def origin(self):
        return f"voicefile/{DEPLOYMENT}/{self.tenant}"

    @property
    def key(self):
        return VerifierKey(self.origin, signing_key(self.keys.log).public)

    @property
    def witness(self):
        return WitnessKey(WITNESS_NAME, signing_key(self.keys.witness).public)

    def id(self):
        return self.chance.randbytes(16).hex()

    def copy(self):
        return dataclasses.replace(self, entries=list(self.entries))

    def add(self, action, object_id="", *, commitment=b"", at_ms=NOW_MS):
        """Appends a deed; answers its index."""
        deed = Deed(
            deed_id=self.id(),
            tenant=self.tenant,
            actor=self.id(),
            role=Role.ROLE_PARTNER,
            action=action,
            object_id=object_id or self.id(),
            outcome=Outcome.OUTCOME_DONE,
            at_ms=at_ms,
            request_id=self.id(),
            boot_id=self.boot,
            n=len(self.entries) + 1,
            commitment=commitment,
        )
        entry = deed.SerializeToString(deterministic=True)
        self.entries.append((self.chance.randbytes(32), entry))
        return len(self.entries) - 1

    def add_often(self, times):
        for _ in range(times):
            self.add(Action.ACTION_RECORDINGS_LISTED)

    def open(self):
        return self.add(Action.ACTION_TENANT_OPENED, self.tenant, commitment=self.named_key())

    def named_key(self):
        """What a deed commits to that names the receipt key."""
        key = self.keys.receipt_key
        told = b"voicefile/receipt-key\x00" + key.kid.encode() + key.public
        return hashlib.sha256(told).digest()

    def leaves(self):
        label = b"voicefile/deed\x00"
        return [hashlib.sha256(label + salt + entry).digest() for salt, entry in self.entries]

    def checkpoint(self, size=None, *, cosigned=False):
        """The signed note over the first `size` entries."""
        leaves = self.leaves()[:size]
        root = Frontier().extended(map(leaf_hash, leaves)).root()
        checkpoint = Checkpoint(self.origin, len(leaves), root)
        note = sign_checkpoint(checkpoint, signing_key(self.keys.log))
        return note + (self.cosignature(checkpoint.text()) if cosigned else "")

    def cosignature(self, text, at_s=NOW_MS // 1000):
        message = f"cosignature/v1\ntime {at_s}\n{text}".encode()
        signature = signing_key(self.keys.witness).sign(message)
        stated = key_id(WITNESS_NAME, self.witness.public, kind=b"\x04")
        raw = stated + at_s.to_bytes(8, "big") + signature
        return f"— {WITNESS_NAME} {base64.b64encode(raw).decode()}\n"

    def way(self, index):
        """The hashes from a leaf to the root."""
        read = hash_reader(grown_tiles(0, [leaf_hash(leaf) for leaf in self.leaves()], {}))
        return tuple(inclusion_proof(index, len(self.entries), read))

    def proof(self, index, checkpoint):
        salt, entry = self.entries[index]
        return str(TlogProof(index, self.way(index), checkpoint, salt + entry))

    def shown(self, index):
        salt, entry = self.entries[index]
        return ShownEntry(index, salt, entry, read_deed(entry))

    def files(self):
        """The log as it is published, and the deeds as an auditor exports them."""
        leaves, size = self.leaves(), len(self.entries)
        files = {"checkpoint": self.checkpoint().encode()}
        for tile, hashes in grown_tiles(0, [leaf_hash(leaf) for leaf in leaves], {}).items():
            path = TilePath(tile.level, tile.index, len(hashes) // 32)
            files[f"tile/{path}"] = hashes
        for bundle in range(-(-size // 256)):
            path = TilePath(None, bundle, tile_width(0, bundle, size))
            files[f"tile/{path}"] = entry_bundle(leaves[bundle * 256 : (bundle + 1) * 256])
        files["entries.jsonl"] = "".join(
            f"{canonical(self.shown(index).shown())}\n" for index in range(size)
        ).encode()
        return files


@dataclass
class Filing:
    """A recording filed in a log, and what has been done with it since."""

    log: Log
    recording: str
    receipt: str
    opened_at: int
    filed_at: int
    about: tuple[int, ...]

    def papers(self, **changed):
        """What a bundle of it holds, with a cosigned checkpoint."""
        log = self.log
        checkpoint = log.checkpoint(cosigned=True)
        papers = Papers(
            receipt=self.receipt,
            proof=log.proof(self.filed_at, checkpoint),
            receipt_key=str(log.keys.receipt_key),
            key_proof=log.proof(self.opened_at, checkpoint),
            log_key=f"{log.key}\n",
            deeds=deeds_text(ProvenDeed(log.shown(at), log.way(at)) for at in self.about),
        )
        return dataclasses.replace(papers, **changed)


def signed_receipt(keys, **claims):
    """A receipt by PyJWT."""
    key = Ed25519PrivateKey.from_private_bytes(keys.receipts)
    header = {"kid": keys.receipt_key.kid, "typ": "voicefile-receipt+jwt"}
    return jwt.encode(claims, key, algorithm="EdDSA", headers=header)


def claims_of(log, recording, **changed):
    return {
        "v": 1,
        "iss": DEPLOYMENT,
        "tenant": log.tenant,
        "recording_id": recording,
        "log": log.origin,
        "stored_at": STORED_AT,
        "audio_sha256": hashlib.sha256(AUDIO).hexdigest(),
        "contract_parts_sha256": hashlib.sha256(b"[]").hexdigest(),
        "consent_sha256": hashlib.sha256(b"{}").hexdigest(),
        "sensitive": False,
        "salt": base64url(log.chance.randbytes(32)),
    } | changed


def filed(seed=0, *, before=3, after=9):
    """A log with one filing among other deeds."""
    log = Log(random.Random(seed))
    opened_at = log.open()
    log.add_often(before)
    recording = log.id()
    receipt = signed_receipt(log.keys, **claims_of(log, recording))
    commitment = hashlib.sha256(receipt.encode()).digest()
    filed_at = log.add(Action.ACTION_ACCESS_ISSUED, recording, commitment=commitment)
    log.add_often(after // 2)
    heard_at = log.add(Action.ACTION_RELEASE_GRANTED, recording)
    log.add_often(after - after // 2)
    held_at = log.add(Action.ACTION_RECORDING_HELD, recording)
    return Filing(log, recording, receipt, opened_at, filed_at, (filed_at, heard_at, held_at))


def bundle(papers, audio=AUDIO, piece=1000):
    """The ZIP's bytes."""
    writer = BundleWriter(papers, "audio.wav")
    parts = [writer.begin()]
    parts += [writer.audio(audio[at : at + piece]) for at in range(0, len(audio), piece)]
    return b"".join([*parts, writer.end()])


def opened(raw):
    return io.BytesIO(raw)


def edited_claims(receipt, **changed):
    """The receipt with other claims under its old signature."""
    head, claims, signature = receipt.split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))) | changed
    return f"{head}.{base64url(json.dumps(said).encode())}.{signature}"
