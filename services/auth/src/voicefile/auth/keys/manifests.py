"""Manifests: auth's signed word on what a partner's change feed held when a day was over.

A manifest is a compact JWS, `typ` "voicefile-manifest+jwt", signed by the tenant's receipt key
like a receipt. Claims:

    v                        1
    iss                      the deployment
    tenant, partner          random ids
    day                      YYYY-MM-DD, UTC
    first, last, count       sequence numbers of the feed; last is first - 1 on a quiet day
    entries_sha256           hex, over the entries in order, each as canonical JSON and a newline
    previous_sha256          hex, of the manifest of the day before as text; empty for the first

The same claims always give the same text, so asking twice makes no second manifest. No reference
of a contract is in it, not even a salted one: which of its orders a recording belongs to, the
partner knows from the answer that named the recording.
"""

from dataclasses import asdict, dataclass

from voicefile.auth.keys.compact_jws import signed
from voicefile.auth.keys.custody import Signer

TYP = "voicefile-manifest+jwt"
VERSION = 1


@dataclass(frozen=True)
class DayFiled:
    """What a manifest vouches for."""

    tenant: str
    partner: str
    day: str
    first: int
    last: int
    entries_sha256: str
    previous_sha256: str


def manifest(filed: DayFiled, *, issuer: str, signer: Signer) -> str:
    """The manifest, complete and final."""
    claims = {
        "v": VERSION,
        "iss": issuer,
        **asdict(filed),
        "count": filed.last - filed.first + 1,
    }
    return signed(claims, typ=TYP, signer=signer)
