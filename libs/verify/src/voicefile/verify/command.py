"""The command lines: `voicefile-verify` for evidence, `voicefile-fsck` for a whole log.

Exit codes: 0 proven · 1 something is wrong · 2 could not be read, or asked wrongly ·
3 consistent in itself, but the log's key came along with it: anybody can forge that.
"""

import argparse
import datetime as dt
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from voicefile.translog.cosignature import WitnessKey
from voicefile.translog.errors import NoteInvalid
from voicefile.translog.note import VerifierKey
from voicefile.verify.bundle import (
    PIECE_BYTES,
    AudioDiffers,
    BundleWriter,
    Papers,
    evidence_of,
    read_bundle,
    text_of,
)
from voicefile.verify.certificate import judge_certificate
from voicefile.verify.deed_list import deeds_text
from voicefile.verify.evidence import Evidence, Trusted
from voicefile.verify.fsck import Counted, LogCheck
from voicefile.verify.guide import GUIDE_TEXT
from voicefile.verify.judge import Judgement, judge
from voicefile.verify.names import AUDIO, RECEIPT, RECEIPT_KEY, TEXTS, audio_name
from voicefile.verify.page import page_html
from voicefile.verify.receipt import ReceiptKey, parse_receipt
from voicefile.verify.refuted import Refuted
from voicefile.verify.source import SourceAway, folder, web

PROVEN, WRONG, UNREADABLE, UNCONFIRMED = 0, 1, 2, 3
_UNCONFIRMED: Final = (
    "The log's key came along with this. Get it from somebody you trust, and say --log-key:"
)


def verify() -> None:
    """The console script."""
    sys.exit(run_verify(sys.argv[1:]))


def fsck() -> None:
    """The console script."""
    sys.exit(run_fsck(sys.argv[1:]))


def run_verify(words: Sequence[str], program: str = "voicefile-verify") -> int:
    """Judges a bundle, or a receipt with its audio and proof. Answers the exit code."""
    asked = _verify_words(program).parse_args(words)
    if asked.page:
        sys.stdout.write(page_html())
        return PROVEN
    if asked.certificate:
        return _run_certificate(asked, program)
    try:
        witnesses = tuple(WitnessKey.parse(_line(each)) for each in asked.witness)
        trusted = Trusted(_key(asked.log_key), witnesses)
        evidence = _evidence(asked)
    except Refuted as refuted:
        return _say(Judgement((refuted,), None, confirmed=False))
    except (OSError, NoteInvalid, KeyError, TypeError, ValueError) as error:
        sys.stderr.write(f"{program}: {_unreadable(error)}\n")
        return UNREADABLE
    judgement = judge(evidence, trusted)
    if asked.pack and not judgement.wrong:
        try:
            _pack(evidence, asked.audio, asked.pack)
        except (OSError, AudioDiffers) as error:
            sys.stderr.write(f"{program}: {_unreadable(error)}\n")
            return UNREADABLE
    return _say(judgement)


def _run_certificate(asked: argparse.Namespace, program: str) -> int:
    if asked.receipt_keys is None or asked.bundle is not None:
        sys.stderr.write(f"{program}: a certificate goes with --receipt-keys, and nothing else\n")
        return UNREADABLE
    try:
        found = judge_certificate(asked.certificate, asked.receipt_keys)
    except Refuted as refuted:
        return _say(Judgement((refuted,), None, confirmed=False))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{program}: {_unreadable(error)}\n")
        return UNREADABLE
    told = found.claims
    said = {
        "erased": found.recording or "the whole tenant",
        "of tenant": told["tenant"],
        "what": told["what"],
        "when": told["erased_at"],
        "why": told["why"],
        "keys end": f"by {told['keys_end_by']}, of copies elsewhere",
        "signed": f"by key {found.kid}",
        "deed": f"{told['deed_id']} in {told['log']}",
        "commits to": found.commitment.hex(),
    }
    sys.stdout.write("SIGNED\n" + "".join(f"  {name:<12}{what}\n" for name, what in said.items()))
    return PROVEN


def run_fsck(words: Sequence[str], program: str = "voicefile-fsck") -> int:
    """Recounts a whole log. Answers the exit code."""
    asked = _fsck_words(program).parse_args(words)
    try:
        web_place = "://" in asked.place
        read = web(asked.place, asked.ca) if web_place else folder(Path(asked.place))
        confirmed = _key(asked.log_key)
        came_along = read("key") if confirmed is None else None
        key = confirmed or VerifierKey.parse((came_along or b"").decode().strip())
        known = [path.read_text() for path in asked.known]
        counted = LogCheck(read, key, known).run()
    except Refuted as refuted:
        sys.stdout.write(f"WRONG\n  {refuted}\n")
        return WRONG
    except (OSError, NoteInvalid, SourceAway, ValueError) as error:
        sys.stderr.write(f"{program}: {_unreadable(error)}\n")
        return UNREADABLE
    return _say_counted(counted, key, confirmed=confirmed is not None)


def _verify_words(program: str) -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(
        prog=program,
        description="Checks, offline, that a recording is the one that was filed.",
        epilog="exit: 0 proven, 1 wrong, 2 unreadable, 3 the log's key is not confirmed",
    )
    words.add_argument("bundle", nargs="?", type=Path, help="a bundle, or a folder with its files")
    words.add_argument(
        "--page", action="store_true", help="write the page that does the same in a browser"
    )
    words.add_argument("--receipt", type=Path, help="apart: the receipt's text")
    words.add_argument("--audio", type=Path, help="apart: the audio file")
    words.add_argument("--proof", type=Path, help="apart: audit's answer for the recording, JSON")
    words.add_argument("--receipt-keys", type=Path, help="apart: auth's answer, JSON")
    words.add_argument(
        "--certificate", type=Path, help="instead: a shred certificate, with --receipt-keys"
    )
    words.add_argument("--pack", type=Path, help="apart: write a bundle of it, if nothing is wrong")
    words.add_argument("--log-key", help="the log's key, name+id+key, or a file with it")
    words.add_argument(
        "--witness", action="append", default=[], help="who must have cosigned: name+id+key"
    )
    return words


def _fsck_words(program: str) -> argparse.ArgumentParser:
    words = argparse.ArgumentParser(
        prog=program,
        description="Recounts a whole log: every entry, every tile, the signed root.",
        epilog="exit: 0 holds, 1 wrong, 2 unreadable, 3 the log's key is not confirmed",
    )
    words.add_argument("place", help="a folder, or https://…/audit/v1/logs/<log>")
    words.add_argument("--log-key", help="the log's key, name+id+key, or a file with it")
    words.add_argument(
        "--known", action="append", default=[], type=Path, help="a checkpoint kept from before"
    )
    words.add_argument("--ca", type=Path, help="the address's certificate authority, if private")
    return words


def _evidence(asked: argparse.Namespace) -> Evidence:
    apart = (asked.receipt, asked.audio, asked.proof, asked.receipt_keys)
    if asked.bundle is None:
        if None in apart:
            raise ValueError("a bundle, or --receipt, --audio, --proof and --receipt-keys")
        if asked.pack and audio_name(asked.audio.name) is None:
            raise ValueError("the audio's name ends in none of the known ways")
        return _apart(*apart)
    if any((*apart, asked.pack)):
        raise ValueError("a bundle, or its parts, not both")
    if asked.bundle.is_dir():
        return _unpacked(asked.bundle)
    with asked.bundle.open("rb") as file:
        return read_bundle(file)


def _unpacked(place: Path) -> Evidence:
    audio = [name for name in AUDIO if (place / name).exists()]
    for name in TEXTS:
        if not (place / name).exists():
            raise Refuted(name, "whole", "missing")
    if len(audio) != 1:
        raise Refuted("audio", "whole", "missing, or there twice")
    texts = {name: text_of(name, (place / name).read_bytes()) for name in TEXTS}
    return evidence_of(texts, audio[0], _sha256(place / audio[0]))


def _apart(receipt: Path, audio: Path, proof: Path, receipt_keys: Path) -> Evidence:
    told: dict[str, Any] = json.loads(proof.read_bytes())
    text = text_of(RECEIPT, receipt.read_bytes()).removesuffix("\n")
    kid = parse_receipt(text).kid
    published = [ReceiptKey.of(each) for each in json.loads(receipt_keys.read_bytes())["keys"]]
    key = next((each for each in published if each.kid == kid), None)
    if key is None:
        raise Refuted(RECEIPT_KEY, "kid", "the key that the receipt names is not among these")
    if told["receipt_key_proof"] is None:
        raise ValueError("the proof does not hold the receipt key's")
    return Evidence(
        receipt=text,
        proof=told["tlog_proof"],
        receipt_key=str(key),
        key_proof=told["receipt_key_proof"],
        log_key=f"{told['verifier_key']}\n",
        audio_file=audio.name,
        audio_sha256=_sha256(audio),
        deeds=deeds_text([]),
        guide=GUIDE_TEXT,
    )


def _pack(evidence: Evidence, audio: Path, out: Path) -> None:
    papers = Papers(
        receipt=evidence.receipt,
        proof=evidence.proof,
        receipt_key=evidence.receipt_key,
        key_proof=evidence.key_proof,
        log_key=evidence.log_key,
        deeds=evidence.deeds,
    )
    writer = BundleWriter(papers, audio_name(audio.name) or "")
    with audio.open("rb") as sound, out.open("xb") as bundle:
        bundle.write(writer.begin())
        while piece := sound.read(PIECE_BYTES):
            bundle.write(writer.audio(piece))
        bundle.write(writer.end())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _key(said: str | None) -> VerifierKey | None:
    return VerifierKey.parse(_line(said)) if said is not None else None


def _line(said: str) -> str:
    """A key as it stands there, or in a file; a key has two plus signs, so no file is mistaken."""
    return said if said.count("+") > 1 else Path(said).read_text().strip()


def _unreadable(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else "can't be read"
    return str(error) or "can't be read"


def _say(judgement: Judgement) -> int:
    if judgement.wrong:
        sys.stdout.write("WRONG\n" + "".join(f"  {each}\n" for each in judgement.wrong))
        return WRONG
    case = judgement.case
    assert case is not None, "nothing is wrong with what could not be read"
    receipt, head = case.receipt, case.checkpoint
    at, key_at = case.receipt_entry.proof.index, case.key_entry.proof.index
    cosigned = [f"{each.name} at {_utc(each.at_s)}" for each in judgement.cosigned]
    strangers = [f"{name} (key not given: not checked)" for name in judgement.strangers]
    said = {
        "recording": f"{receipt.recording} of tenant {receipt.tenant}",
        "stored": receipt.stored_at,
        "audio": f"{case.evidence.audio_file} is what was filed, SHA-256 {receipt.audio_sha256}",
        "receipt": f"signed by key {receipt.kid}, which leaf {key_at} of the log names",
        "log": f"{head.origin}: leaf {at} of {head.size}",
        "log key": str(case.key),
        "cosigned": ", ".join(cosigned + strangers) or "by nobody",
        "digits": f"{judgement.digits[:3]} {judgement.digits[3:]}",
        "deeds": f"{len(case.deeds)} listed, each in the log; a list may leave some out",
    }
    deeds = "".join(f"    {each.entry.deed}\n" for each in case.deeds)
    return _verdict(said, deeds, confirmed=judgement.confirmed)


def _say_counted(counted: Counted, key: VerifierKey, *, confirmed: bool) -> int:
    head = counted.checkpoint
    said = {
        "log": f"{head.origin}: {head.size} leaves, {counted.tiles} tiles",
        "root": head.root.hex(),
        "log key": str(key),
        "deeds": f"{counted.deeds} shown, each the one its leaf commits to",
    }
    return _verdict(said, confirmed=confirmed)


def _verdict(said: dict[str, str], further: str = "", *, confirmed: bool) -> int:
    lines = "".join(f"  {name:<10}{what}\n" for name, what in said.items()) + further
    if confirmed:
        sys.stdout.write(f"PROVEN\n{lines}")
        return PROVEN
    sys.stdout.write(f"CONSISTENT IN ITSELF, NOT PROVEN\n{lines}\n{_UNCONFIRMED}\n")
    return UNCONFIRMED


def _utc(at_s: int) -> str:
    return dt.datetime.fromtimestamp(at_s, dt.UTC).isoformat(timespec="seconds")
