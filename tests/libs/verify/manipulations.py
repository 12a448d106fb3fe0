"""What forgers do to evidence and to logs, each with what a verifier has to name.

Some only edit what lies there; some repack it so that every checksum is right; some have stolen a
key; and some are the vault itself, which signs and logs what is not true.
"""

import base64
import dataclasses
import hashlib
import zlib

from tests.libs.verify.log_world import (
    AUDIO,
    Filing,
    Keys,
    Log,
    bundle,
    claims_of,
    filed,
    signed_receipt,
)

from voicefile.contracts.deed.v1 import Action, Deed
from voicefile.verify.deed_list import ProvenDeed, deeds_text
from voicefile.verify.names import (
    BUNDLE,
    DEEDS,
    GUIDE,
    KEY_PROOF,
    LOG_KEY,
    PROOF,
    RECEIPT,
    RECEIPT_KEY,
    TEXTS,
)
from voicefile.verify.zip_plan import Packed, directory

WAV = "audio.wav"
YEAR_MS = 365 * 86_400_000


def flipped(chance, raw):
    """One bit is another."""
    at = chance.randrange(len(raw))
    return raw[:at] + bytes([raw[at] ^ 1 << chance.randrange(8)]) + raw[at + 1 :]


def cut(chance, raw):
    return raw[: chance.randrange(len(raw))]


def dropped(chance, raw):
    at = chance.randrange(len(raw))
    return raw[:at] + raw[at + chance.randint(1, 40) :]


def inserted(chance, raw):
    at = chance.randrange(len(raw) + 1)
    return raw[:at] + chance.randbytes(chance.randint(1, 40)) + raw[at:]


def doubled(chance, raw):
    at = chance.randrange(len(raw))
    return raw[:at] + raw[at : at + chance.randint(1, 100)] + raw[at:]


def swapped(chance, raw):
    """Two pieces changed places."""
    one, two, three = sorted(chance.randrange(len(raw) + 1) for _ in range(3))
    return raw[:one] + raw[two:three] + raw[one:two] + raw[three:]


def lines_changed(chance, raw):
    """A line dropped, doubled, or in another's place."""
    lines = raw.split(b"\n")
    at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    what = chance.randrange(3)
    if what == 0:
        del lines[at]
    elif what == 1:
        lines.insert(other, lines[at])
    else:
        lines[at], lines[other] = lines[other], lines[at]
    return b"\n".join(lines)


EDITS = (flipped, cut, dropped, inserted, doubled, swapped, lines_changed)


def repacked(files):
    """Any contents as a ZIP in which every length and checksum is right."""
    parts, entries, offset = [], [], 0
    for name, content in files.items():
        streamed = name == WAV
        entry = Packed(name, zlib.crc32(content), len(content), offset, streamed)
        parts += [entry.local_header(), content, entry.descriptor()]
        entries.append(entry)
        offset = entry.end
    return b"".join([*parts, directory(entries)])


class Forger:
    """Has an honest filing, another of the same log, and one of a foreign log."""

    def __init__(self, chance):
        self.chance = chance
        self.filing = filed(chance.random())
        self.papers = self.filing.papers()
        self.files = {**dict(self.papers.files()), WAV: AUDIO}
        self.raw = bundle(self.papers)
        assert self.raw == repacked(self.files)

    def packed(self, **papers):
        return repacked({**dict(self.filing.papers(**papers).files()), WAV: AUDIO})

    # Each manipulation answers the forged bundle, and the files of which one must be named.

    def edits_the_zip(self):
        """A bit anywhere."""
        raw = flipped(self.chance, self.raw)
        at = next(i for i in range(len(raw)) if raw[i] != self.raw[i])
        return raw, self._files_at(at)

    def _files_at(self, at):
        offset = 0
        for name, content in self.files.items():
            entry = Packed(name, 0, len(content), offset, name == WAV)
            if entry.content_at <= at < entry.content_at + entry.size:
                return {name}
            if offset <= at < entry.end:
                return {BUNDLE, name}
            offset = entry.end
        return {BUNDLE, *self.files}  # a line of the directory: its file, or the container

    def damages_the_zip(self):
        edit = self.chance.choice((cut, dropped, inserted, doubled, swapped))
        return edit(self.chance, self.raw), {BUNDLE, *self.files}

    def adds_a_file(self):
        files = {"note.txt": b"trust me"} | self.files
        return repacked(files), {BUNDLE}

    def drops_a_file(self):
        name = self.chance.choice(TEXTS)
        files = {each: content for each, content in self.files.items() if each != name}
        return repacked(files), {name}

    def reorders_files(self):
        one, other = self.chance.sample(TEXTS, 2)
        names = [{one: other, other: one}.get(name, name) for name in self.files]
        return repacked({name: self.files[name] for name in names}), {BUNDLE}

    def edits_a_file(self):
        """And packs everything anew."""
        name = self.chance.choice((*self.files, RECEIPT, PROOF, DEEDS))
        content = self.chance.choice(EDITS)(self.chance, self.files[name])
        named = {PROOF, KEY_PROOF} if name in {PROOF, KEY_PROOF} else {name}
        return repacked(self.files | {name: content}), named

    def takes_a_file_from_elsewhere(self):
        other = filed(self.chance.random())
        if self.chance.random() < 0.5:
            other.log.keys = Keys(b"another " * 4, b"stranger" * 4, b"somebody" * 4)
        files = dict(other.papers().files())
        name = self.chance.choice([each for each in TEXTS if files[each] != self.files[each]])
        named = {PROOF, KEY_PROOF} if name in {PROOF, KEY_PROOF} else {name}
        if name == RECEIPT:
            named = {RECEIPT, PROOF}  # about another recording than the proof's
        return repacked(self.files | {name: files[name]}), named

    def exchanges_the_audio(self):
        other = self.chance.randbytes(self.chance.randrange(1, 3000))
        return repacked(self.files | {WAV: other}), {WAV}

    def backdates_with_the_receipt_key(self):
        log = self.filing.log
        year = 2000 + self.chance.randrange(26)
        claims = claims_of(log, self.filing.recording, stored_at=f"{year}-01-15T08:00:00.000Z")
        return self.packed(receipt=signed_receipt(log.keys, **claims)), {RECEIPT}

    def exchanges_audio_and_receipt_with_the_receipt_key(self):
        other = self.chance.randbytes(100)
        claims = claims_of(
            self.filing.log, self.filing.recording, audio_sha256=hashlib.sha256(other).hexdigest()
        )
        receipt = signed_receipt(self.filing.log.keys, **claims).encode()
        return repacked(self.files | {RECEIPT: receipt, WAV: other}), {RECEIPT}

    def signs_all_with_keys_of_its_own(self):
        """And puts its own key beside it."""
        self.filing.log.keys = Keys(self.chance.randbytes(32), b"receipts" * 4, b"witness " * 4)
        raw = self.packed()
        self.filing.log.keys = Keys()
        return raw, {PROOF}

    def exchanges_the_log_key_line(self):
        other = dataclasses.replace(self.filing.log, keys=Keys(log=self.chance.randbytes(32)))
        return self.packed(log_key=f"{other.key}\n"), {LOG_KEY}

    def exchanges_a_step_of_a_proof(self):
        file, index = self.chance.choice(
            [("proof", self.filing.filed_at), ("key_proof", self.filing.opened_at)]
        )
        log = self.filing.log
        checkpoint = log.checkpoint(cosigned=True)
        proof = log.proof(index, checkpoint)
        step = self.chance.choice(log.way(index))
        forged = proof.replace(
            base64.b64encode(step).decode(), base64.b64encode(self.chance.randbytes(32)).decode()
        )
        return self.packed(**{file: forged}), {PROOF if file == "proof" else KEY_PROOF}

    def cuts_the_log_back(self):
        """An older head, truly signed and cosigned, under which the receipt is not."""
        log = self.filing.log.copy()
        size = self.chance.randrange(1, self.filing.filed_at + 1)
        old = dataclasses.replace(log, entries=log.entries[:size]).checkpoint(cosigned=True)
        return self.packed(
            proof=log.proof(self.filing.filed_at, old), key_proof=log.proof(0, old)
        ), {PROOF}

    def forks_with_the_log_key(self):
        """Another receipt in the old one's place, signed by the true log; no witness agrees."""
        log = self.filing.log.copy()
        claims = claims_of(log, self.filing.recording)
        receipt = signed_receipt(log.keys, **claims)
        salt, entry = log.entries[self.filing.filed_at]
        deed = Deed.FromString(entry)
        deed.commitment = hashlib.sha256(receipt.encode()).digest()
        log.entries[self.filing.filed_at] = salt, deed.SerializeToString(deterministic=True)
        forked = dataclasses.replace(self.filing, log=log, receipt=receipt)
        checkpoint = log.checkpoint()
        if self.chance.random() < 0.5:  # with the witness's line from the true checkpoint
            checkpoint += self.filing.log.checkpoint(cosigned=True).splitlines(keepends=True)[-1]
        papers = forked.papers(
            proof=log.proof(forked.filed_at, checkpoint), key_proof=log.proof(0, checkpoint)
        )
        return repacked({**dict(papers.files()), WAV: AUDIO}), {PROOF}

    def leaves_the_witness_out(self):
        log = self.filing.log
        bare = log.checkpoint()
        return self.packed(
            proof=log.proof(self.filing.filed_at, bare), key_proof=log.proof(0, bare)
        ), {PROOF}

    def doubles_a_signature(self):
        log = self.filing.log
        noted = log.checkpoint(cosigned=True)
        line = self.chance.choice(noted.rpartition("\n\n")[2].splitlines(keepends=True))
        return self.packed(
            proof=log.proof(self.filing.filed_at, noted + line),
            key_proof=log.proof(0, noted + line),
        ), {PROOF}

    def reorders_or_doubles_deeds(self):
        log, about = self.filing.log, list(self.filing.about)
        listed = [ProvenDeed(log.shown(at), log.way(at)) for at in about]
        if self.chance.random() < 0.5:
            listed.insert(self.chance.randrange(4), self.chance.choice(listed))
        else:
            one, other = self.chance.sample(range(3), 2)
            listed[one], listed[other] = listed[other], listed[one]
        return self.packed(deeds=deeds_text(listed)), {DEEDS}

    def lists_a_deed_that_never_was(self):
        log = self.filing.log
        index = self.chance.choice(self.filing.about)
        shown = log.shown(index)
        deed = Deed.FromString(shown.entry)
        deed.at_ms -= self.chance.randrange(1, YEAR_MS)
        forged = log.copy()
        forged.entries[index] = shown.salt, deed.SerializeToString(deterministic=True)
        return self.packed(deeds=deeds_text([ProvenDeed(forged.shown(index), log.way(index))])), {
            DEEDS
        }

    def lists_somebody_elses_deed(self):
        log = self.filing.log
        index = self.chance.choice([at for at in range(1, 15) if at not in self.filing.about])
        return self.packed(deeds=deeds_text([ProvenDeed(log.shown(index), log.way(index))])), {
            DEEDS
        }

    def writes_another_guide(self):
        content = flipped(self.chance, self.files[GUIDE])
        return repacked(self.files | {GUIDE: content}), {GUIDE}

    # From here on the vault itself lies: it logs and cosigns what is not true.

    def is_a_vault_that_backdates(self):
        years = self.chance.randrange(1, 20)
        stored_at = f"{2027 - years}-01-15T08:00:00.000Z"
        return self._lie(lambda log, each: claims_of(log, each, stored_at=stored_at)), {RECEIPT}

    def is_a_vault_that_names_another_log(self):
        other = self.chance.choice(["tenant", "iss", "log"])
        value = {
            "tenant": "cc" * 16,
            "iss": "elsewhere",
            "log": f"voicefile/test/{'cc' * 16}",
        }[other]
        return self._lie(lambda log, each: claims_of(log, each) | {other: value}), {RECEIPT}

    def is_a_vault_that_logs_unsigned_receipts(self):
        stranger = Keys(receipts=self.chance.randbytes(32))
        return self._lie(claims_of, sign=stranger), {RECEIPT}

    def is_a_vault_with_a_receipt_key_nobody_knows(self):
        stranger = Keys(receipts=self.chance.randbytes(32))
        return self._lie(claims_of, sign=stranger, key=stranger), {RECEIPT_KEY}

    def _lie(self, claims, sign=None, key=None):
        log = Log(self.chance)
        log.open()
        recording = log.id()
        receipt = signed_receipt(sign or log.keys, **claims(log, recording))
        commitment = hashlib.sha256(receipt.encode()).digest()
        at = log.add(Action.ACTION_ACCESS_ISSUED, recording, commitment=commitment)
        filing = Filing(log, recording, receipt, 0, at, ())
        papers = filing.papers(receipt_key=str((key or log.keys).receipt_key))
        return repacked({**dict(papers.files()), WAV: AUDIO})


ON_BUNDLES = tuple(name for name in vars(Forger) if not name.startswith("_") and name != "packed")


class LogForger:
    """Has a published log with its exported deeds, and knows what somebody kept of it."""

    def __init__(self, chance, size):
        self.chance = chance
        self.log = Log(chance)
        self.log.open()
        self.log.add_often(size - 1)
        self.files = self.log.files()
        self.kept = [self.log.checkpoint(size // 2), self.log.checkpoint()]

    # Each manipulation answers the forged files, and of which texts one must be in the message.

    def edits_a_file(self):
        path = self.chance.choice([*self.files, "checkpoint", "entries.jsonl"])
        content = self.chance.choice(EDITS)(self.chance, self.files[path])
        return self.files | {path: content}, {path}

    def drops_a_file(self):
        path = self.chance.choice([each for each in self.files if each != "entries.jsonl"])
        return {each: held for each, held in self.files.items() if each != path}, {path}

    def _rebuilt(self, entries, *, signed):
        """Everything follows from other entries; only with the key the head does, too."""
        forged = dataclasses.replace(self.log, entries=entries)
        files = forged.files()
        if signed:
            return files, {"known"}
        return files | {"checkpoint": self.files["checkpoint"]}, {"checkpoint", "tile/", "line"}

    def _changed(self):
        entries = list(self.log.entries)
        at, other = self.chance.sample(range(len(entries)), 2)
        what = self.chance.randrange(5)
        if what == 0:
            del entries[at]
        elif what == 1:
            entries.insert(at, (self.chance.randbytes(32), entries[other][1]))
        elif what == 2:
            entries[at], entries[other] = entries[other], entries[at]
        elif what == 3:
            entries.insert(other, entries[at])
        else:
            deed = Deed.FromString(entries[at][1])
            deed.at_ms -= self.chance.randrange(1, YEAR_MS)
            entries[at] = entries[at][0], deed.SerializeToString(deterministic=True)
        return entries

    def rewrites_history_without_the_key(self):
        return self._rebuilt(self._changed(), signed=False)

    def rewrites_history_with_the_key(self):
        files, _ = self._rebuilt(self._changed(), signed=True)
        return files, {"known", "stands in the log before"}

    def cuts_back_with_the_key(self):
        size = self.chance.randrange(len(self.log.entries))
        return self._rebuilt(self.log.entries[:size], signed=True)

    def swaps_the_key(self):
        other = dataclasses.replace(self.log, keys=Keys(log=self.chance.randbytes(32)))
        return other.files(), {"checkpoint: signature"}

    def shows_other_deeds(self):
        """Only in what auditors are shown."""
        changed = dataclasses.replace(self.log, entries=self._changed())
        return self.files | {"entries.jsonl": changed.files()["entries.jsonl"]}, {"entries.jsonl"}

    def shows_other_leaves(self):
        entries = self._changed()
        while len(entries) != len(self.log.entries):  # another width is another file's name
            entries = self._changed()
        changed = dataclasses.replace(self.log, entries=entries)
        files = {
            path: held for path, held in changed.files().items() if path.startswith("tile/entries")
        }
        return self.files | files, {"tile/entries", "tile/0"}


ON_LOGS = tuple(name for name in vars(LogForger) if not name.startswith("_"))
