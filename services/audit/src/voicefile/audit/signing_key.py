"""The key that signs checkpoints: Ed25519, wrapped under audit's own root, in audit's own store.

One key for all logs of a deployment; each log signs under its own name, and a name is part of
what a signature's key id covers. It opens nothing.
"""

import time
from collections.abc import Callable

from voicefile.audit.errors import LogDamaged
from voicefile.audit.store import KEYS, LogKey, body_of, record_of
from voicefile.crypto.primitives import SigningKey
from voicefile.crypto.rootkey import RootKey
from voicefile.docstore.port import DocStore, Document, DocumentExists

KEY_ID = "checkpoints"
_LABEL = b"voicefile/log-key\x00"


async def signing_key(
    docs: DocStore, root: RootKey, *, deployment: str, now_s: Callable[[], float] = time.time
) -> SigningKey:
    """The deployment's log key; made at the first start. Raises Tampered, VersionGone."""
    context = _LABEL + deployment.encode()
    stored = await docs.get(KEYS, KEY_ID)
    if stored is None:
        await _create(docs, root, context=context, now_s=int(now_s()))
        stored = await docs.get(KEYS, KEY_ID)
    if stored is None:
        raise LogDamaged("the log key was not stored")
    record = record_of(stored, LogKey)
    seed = await root.unwrap(record.root_version, record.wrapped, context=context)
    key = SigningKey.from_seed(seed)
    if key.public != record.public:
        raise LogDamaged("the log key is not the one that was made")
    return key


async def _create(docs: DocStore, root: RootKey, *, context: bytes, now_s: int) -> None:
    key = SigningKey.generate()
    version = await root.create_version()
    wrapped = await root.wrap(version, key.seed, context=context)
    record = LogKey(root_version=version, wrapped=wrapped, public=key.public, created_at_s=now_s)
    try:
        await docs.insert(KEYS, Document(KEY_ID, "", body_of(record)))
    except DocumentExists:
        # Another instance was quicker: its key counts, and nothing hangs on this version. Looked
        # at rather than concluded: what is destroyed is gone.
        stored = await docs.get(KEYS, KEY_ID)
        if stored is not None and record_of(stored, LogKey).root_version != version:
            await root.destroy_version(version)
