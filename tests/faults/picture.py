"""What a folder holds after a restore, but for what is drawn anew each time."""

from collections import Counter
from hashlib import sha256

from voicefile.cli.embedded import STORES
from voicefile.deeds.series import DEEDS
from voicefile.docstore.migrations import MIGRATIONS
from voicefile.docstore.sqlite import SqliteDocStore
from voicefile.dumps.dump import pages

ANEW = frozenset({"slip", "key", "mac", "epochs", "periods"})
"""Keys under this restore's own epoch and root version, and what is sealed with them."""


async def picture(place):
    """To be compared: each document, each blob, each other file."""
    found = {
        f"{service} {each}": left for service in STORES for each, left in await _of(place, service)
    }
    for path in sorted(place.data.rglob("*")):
        name = path.relative_to(place.data)
        if path.is_file() and name.parts[0] == "blobs":
            found[name.as_posix()] = sha256(path.read_bytes()).hexdigest()
        elif path.is_file() and name.parts[0] != "root":
            found[name.as_posix()] = "there"
    keys = Counter(path.parent.name for path in place.data.glob("root/*/*"))
    return found | {f"root of {service}": count for service, count in keys.items()}


async def _of(place, service):
    collections = (*STORES[service].collections, MIGRATIONS)
    store = await SqliteDocStore.open(place.documents(service), collections)
    try:
        return [
            # A deed of this restore is another each time: that there is one is what counts.
            (f"{collection.name} {'' if collection == DEEDS else document.id}", left)
            for collection in collections
            async for document in pages(store, collection)
            for left in [None if collection == DEEDS else _kept(document)]
        ]
    finally:
        await store.close()


def _kept(document):
    return (document.tenant, _without(document.body), len(document.pending))


def _without(value):
    if isinstance(value, dict):
        return {name: _without(each) for name, each in value.items() if name not in ANEW}
    if isinstance(value, list | tuple):
        return [_without(each) for each in value]
    return value
