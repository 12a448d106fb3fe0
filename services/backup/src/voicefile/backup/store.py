"""What backup keeps of its own: which blobs it has copied, what waits, and where its lists end.

Everything is by target: each is a repository of its own, and one that is away holds up no other.
Nothing here is secret, and all of it can be made again from the targets themselves.
"""

from typing import Final

from voicefile.deeds.series import DEEDS
from voicefile.docstore.lease import LEASES
from voicefile.docstore.port import Collection, Index

TOPIC: Final = "voicefile.backup.v1"
"""Its own: deeds and nothing else."""
COPIED: Final = Collection("copied", indexes=(Index("run", "run"),), silent=True)
"""Document id: target ‖ blob. Body: {sha256, bytes, run}; `run` says which manifest lists it."""
WANTED: Final = Collection("wanted", indexes=(Index("target", "target"),), silent=True)
"""Document id: target ‖ blob. Blobs that ingest told of and that were not copied yet."""
GRAVES: Final = Collection("graves", indexes=(Index("waiting", "waiting"),), silent=True)
"""Document id: target ‖ what ‖ id. Body: {what, id, at_s, blobs, left, waiting}; kept, so that
the list names each once however often it is told. What is `left` goes when it is at the target."""
CHAINS: Final = Collection("chains", silent=True)
"""Document id: target ‖ list. The last note of a list, and the one that is about to be put."""
ORDERS: Final = Collection("orders", indexes=(Index("waiting", "waiting"),), silent=True)
"""Document id: target ‖ random. Body: {waiting, outcome, good}; backups that an operator wants now,
and what became of them."""
COLLECTIONS: Final = (COPIED, WANTED, GRAVES, CHAINS, ORDERS, DEEDS, LEASES)
"""What backup's store has to declare."""


def at(target: str, name: str) -> str:
    """A document's id: what it is of which target."""
    return f"{target}:{name}"
