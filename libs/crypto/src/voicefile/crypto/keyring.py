"""A tenant's keys and the rules of their lives; keeping them is auth's business.

A key namespace holds an identity key (long-lived, in versions: blind indexes, peppers,
pseudonyms), epochs (at most seven days: they wrap the slips and subject keys, and take in what
ingest seals) and receipt keys. All stand here wrapped under versions of the root: epochs under a
version that dies with them, everything else under a lasting one. Every wrapping names deployment,
tenant, purpose and id, so a wrapped key put in another's place does not open.

Functions answer a new namespace and never change the old one: write it durably before using it.
"""

import secrets
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum

from voicefile.crypto.envelope import ID_BYTES, Context, Kind, object_id, unwrap, wrap
from voicefile.crypto.errors import (
    EpochGone,
    EpochInUse,
    Reason,
    Tampered,
    WrongRoot,
)
from voicefile.crypto.namespace import (
    EPOCH_LIFE_MAX_S,
    EPOCH_OPEN_MAX_S,
    Epoch,
    EpochState,
    IdentityVersion,
    KeyNamespace,
    KeyRole,
    ReceiptVersion,
    WrappedKey,
)
from voicefile.crypto.primitives import SealingKeyPair, SigningKey, hkdf_expand_sha512, open_sealed
from voicefile.crypto.rootkey import RootKey
from voicefile.crypto.secret import KEY_BYTES, Secret, SecretKey

__all__ = [
    "EPOCH_LIFE_MAX_S",
    "EPOCH_OPEN_MAX_S",
    "Epoch",
    "EpochKey",
    "EpochState",
    "IdentityKey",
    "IdentityVersion",
    "KeyNamespace",
    "KeyRole",
    "Purpose",
    "ReceiptVersion",
    "WrappedKey",
    "create_namespace",
    "destroy_epoch",
    "open_epoch",
    "renew_identity_key",
    "renew_receipt_key",
    "rewrap_lasting",
    "rewrap_slip",
    "sealing_key_statement",
    "slip_context",
    "unlock_epoch",
    "unlock_identity_key",
    "unlock_receipt_key",
]

_IDENTITY_LABEL = b"voicefile/identity\x00"
_SEALING_LABEL = b"voicefile/sealing-key\x00"


class Purpose(StrEnum):
    """What a key derived from an identity key is for; each is good for that alone."""

    IDX_CONTRACT_REFERENCE = "idx/contract_reference"
    IDX_PHONE = "idx/phone"
    IDX_EMAIL = "idx/email"
    IDX_CUSTOMER_NUMBER = "idx/customer_number"
    PIN_PEPPER = "pin-pepper"
    QUESTION_PEPPER = "question-pepper"
    PSEUDONYM = "pseudonym"
    RECORD_MAC = "record-mac"
    REQUEST_DIGEST = "request-digest"
    ANSWERS = "answers"
    STAFF_PEPPER = "staff-pepper"
    STAFF_FIELDS = "staff-fields"
    THROTTLES = "throttles"
    """Names the buckets in which tries are counted; of the directory, like the next."""
    LOCATOR = "locator"
    """Of the deployment's directory alone, whose namespace has no tenant."""


class IdentityKey(Secret):
    """A tenant's identity key, unlocked: the root of what recognises a person within a tenant."""

    __slots__ = ("_derived", "_key", "id")

    def __init__(self, version_id: str, key: SecretKey) -> None:
        self.id = version_id
        self._key = key
        self._derived: dict[Purpose, SecretKey] = {}

    def derive(self, label: Purpose) -> SecretKey:
        """The key for this purpose; tells nothing about the others. Lives as long as this does."""
        if label not in self._derived:
            info = _IDENTITY_LABEL + label.value.encode("ascii")
            self._derived[label] = SecretKey(hkdf_expand_sha512(self._key, info, KEY_BYTES))
        return self._derived[label]


class EpochKey(Secret):
    """An epoch, unlocked: wraps and unwraps slips and subject keys, opens what ingest sealed."""

    __slots__ = ("_deployment", "_key", "_pair", "_tenant", "id", "sealing_public")

    def __init__(
        self, epoch_id: str, *, key: SecretKey, pair: SealingKeyPair, deployment: bytes, tenant: str
    ) -> None:
        self.id = epoch_id
        self._key = key
        self._pair = pair
        self.sealing_public = pair.public
        self._deployment = deployment
        self._tenant = tenant

    def wrap(self, key: SecretKey, name: bytes) -> bytes:
        """The slip of an object (`object_id(…, "slip")`, `object_id(…, "key")`): kind 2."""
        return wrap(key, under=self._key, context=self._context(name))

    def unwrap(self, slip: bytes, name: bytes) -> SecretKey:
        """The key in the slip. Raises Tampered."""
        return unwrap(slip, under=self._key, context=self._context(name))

    def receive(self, box: bytes, name: bytes) -> SecretKey:
        """The data key ingest sealed to this epoch for that object. Raises Tampered."""
        return open_sealed(self._pair, box, self._context(name).encode())

    def _context(self, name: bytes) -> Context:
        return slip_context(self._deployment, self._tenant, name, self.id)


def slip_context(deployment: bytes, tenant: str, name: bytes, epoch_id: str) -> Context:
    """What binds a slip, and the box it arrived in, to object, tenant and epoch."""
    return Context(deployment, tenant, name, Kind.WRAPPED_KEY, epoch_id.encode("ascii"))


def sealing_key_statement(deployment: bytes, tenant: str, epoch_id: str, public: bytes) -> bytes:
    """What auth signs, so that ingest seals to no key but the tenant's own."""
    context = Context(deployment, tenant, object_id(epoch_id, KeyRole.SEALING), Kind.FIELD)
    return _SEALING_LABEL + context.encode() + public


def rewrap_slip(slip: bytes, name: bytes, *, old: EpochKey, new: EpochKey) -> bytes:
    """The same key under the next epoch; the sealed object itself is not touched."""
    return new.wrap(old.unwrap(slip, name), name)


async def create_namespace(
    root: RootKey,
    tenant: str,
    *,
    deployment: bytes,
    lasting_version: str,
    epoch_version: str,
    now_s: float,
) -> KeyNamespace:
    """A tenant's first keys."""
    namespace = KeyNamespace(tenant, (), (), ())
    for renew in (renew_identity_key, renew_receipt_key):
        namespace = await renew(
            root, namespace, deployment=deployment, root_version=lasting_version, now_s=now_s
        )
    return await open_epoch(
        root, namespace, deployment=deployment, root_version=epoch_version, now_s=now_s
    )


async def renew_identity_key(
    root: RootKey, namespace: KeyNamespace, *, deployment: bytes, root_version: str, now_s: float
) -> KeyNamespace:
    """One more identity key; older ones stay, for what they have made cannot be made anew."""
    _require_lasting(namespace, root_version)
    version_id = _new_id()
    context = _root_context(deployment, namespace.tenant, KeyRole.IDENTITY, version_id)
    wrapped = await _wrapped(root, root_version, SecretKey.random(), context)
    version = IdentityVersion(version_id, int(now_s), wrapped)
    return replace(namespace, identity_versions=(*namespace.identity_versions, version))


async def renew_receipt_key(
    root: RootKey, namespace: KeyNamespace, *, deployment: bytes, root_version: str, now_s: float
) -> KeyNamespace:
    """One more receipt key; the public halves of older ones go on proving."""
    _require_lasting(namespace, root_version)
    version_id = _new_id()
    context = _root_context(deployment, namespace.tenant, KeyRole.RECEIPT, version_id)
    key = SigningKey.generate()
    wrapped = await _wrapped(root, root_version, key.seed, context)
    version = ReceiptVersion(version_id, int(now_s), key.public, wrapped)
    return replace(namespace, receipt_versions=(*namespace.receipt_versions, version))


async def rewrap_lasting(
    root: RootKey, namespace: KeyNamespace, *, deployment: bytes, root_version: str
) -> KeyNamespace:
    """Identity and receipt keys as they are, under another lasting root version.

    Each is opened again before it is answered: soon there will be no other copy.
    """
    _require_lasting(namespace, root_version)

    async def moved(wrapped: WrappedKey, role: KeyRole, key_id: str) -> WrappedKey:
        if wrapped.root_version == root_version:
            return wrapped
        context = _root_context(deployment, namespace.tenant, role, key_id)
        key = await _unwrapped(root, wrapped, context)
        new = await _wrapped(root, root_version, key, context)
        if await _unwrapped(root, new, context) != key:
            raise Tampered(Reason.BOX)
        return new

    identity = [
        replace(each, wrapped=await moved(each.wrapped, KeyRole.IDENTITY, each.id))
        for each in namespace.identity_versions
    ]
    receipts = [
        replace(each, wrapped=await moved(each.wrapped, KeyRole.RECEIPT, each.id))
        for each in namespace.receipt_versions
    ]
    return replace(namespace, identity_versions=tuple(identity), receipt_versions=tuple(receipts))


async def open_epoch(
    root: RootKey, namespace: KeyNamespace, *, deployment: bytes, root_version: str, now_s: float
) -> KeyNamespace:
    """The next epoch, and the open one retired. The root version is the epoch's period's own."""
    if root_version in namespace.lasting_roots():
        raise WrongRoot("an epoch under a lasting root version could never be destroyed")
    epoch_id = _new_id()
    pair = SealingKeyPair.generate()

    key_context, sealing_context = (
        _root_context(deployment, namespace.tenant, role, epoch_id)
        for role in (KeyRole.EPOCH, KeyRole.SEALING)
    )
    epoch = Epoch(
        id=epoch_id,
        opened_at_s=int(now_s),
        state=EpochState.OPEN,
        root_version=root_version,
        wrapped_key=await root.wrap(root_version, SecretKey.random(), context=key_context),
        wrapped_sealing_secret=await root.wrap(root_version, pair.secret, context=sealing_context),
        sealing_public=pair.public,
    )
    older = tuple(
        replace(old, state=EpochState.RETIRED) if old.state is EpochState.OPEN else old
        for old in namespace.epochs
    )
    return replace(namespace, epochs=(*older, epoch))


async def destroy_epoch(
    root: RootKey, root_version: str, namespaces: Iterable[KeyNamespace]
) -> list[KeyNamespace]:
    """Ends all epochs under a root version, and the version itself: no copy of them opens again.

    `namespaces` are all that have an epoch under that version, since tenants share a period's;
    everything alive must have been re-wrapped before. Safe to repeat after a crash. Raises
    EpochInUse if one of the epochs is still open or a lasting key hangs on the version.
    """
    given = list(namespaces)
    for namespace in given:
        if root_version in namespace.lasting_roots():
            raise EpochInUse("a lasting key hangs on this root version")
        if any(e.state is EpochState.OPEN for e in namespace.epochs_under(root_version)):
            raise EpochInUse("an epoch under this root version is still open")
    # The root first: a namespace that calls an epoch destroyed must never be wrong.
    await root.destroy_version(root_version)
    return [_without_epochs_of(root_version, namespace) for namespace in given]


async def unlock_identity_key(
    root: RootKey, namespace: KeyNamespace, *, deployment: bytes, version_id: str | None = None
) -> IdentityKey:
    """The identity key of that id, or the newest, ready to derive from."""
    version = namespace.identity_version(version_id)
    context = _root_context(deployment, namespace.tenant, KeyRole.IDENTITY, version.id)
    return IdentityKey(version.id, await _unwrapped(root, version.wrapped, context))


async def unlock_receipt_key(
    root: RootKey, namespace: KeyNamespace, *, deployment: bytes, version_id: str | None = None
) -> SigningKey:
    """The receipt key of that id, or the newest, ready to sign."""
    version = namespace.receipt_version(version_id)
    context = _root_context(deployment, namespace.tenant, KeyRole.RECEIPT, version.id)
    return SigningKey.from_seed(await _unwrapped(root, version.wrapped, context))


async def unlock_epoch(
    root: RootKey, namespace: KeyNamespace, *, deployment: bytes, epoch_id: str | None = None
) -> EpochKey:
    """The epoch of that id, or the open one, ready to wrap and unwrap. Raises EpochGone."""
    epoch = namespace.current_epoch if epoch_id is None else namespace.epoch(epoch_id)
    if epoch.state is EpochState.DESTROYED:
        raise EpochGone("the epoch's keys were destroyed")

    key, secret = [
        await root.unwrap(
            epoch.root_version,
            sealed,
            context=_root_context(deployment, namespace.tenant, role, epoch.id),
        )
        for sealed, role in (
            (epoch.wrapped_key, KeyRole.EPOCH),
            (epoch.wrapped_sealing_secret, KeyRole.SEALING),
        )
    ]
    pair = SealingKeyPair.from_secret(secret)
    return EpochKey(epoch.id, key=key, pair=pair, deployment=deployment, tenant=namespace.tenant)


def _root_context(deployment: bytes, tenant: str, role: KeyRole, key_id: str) -> bytes:
    # Kind 2 without a wrapping key would not encode; the root adds its own version's id.
    return Context(deployment, tenant, object_id(key_id, role), Kind.WRAPPED_KEY, b"").encode()


async def _wrapped(root: RootKey, version: str, key: SecretKey, context: bytes) -> WrappedKey:
    return WrappedKey(version, await root.wrap(version, key, context=context))


async def _unwrapped(root: RootKey, wrapped: WrappedKey, context: bytes) -> SecretKey:
    return await root.unwrap(wrapped.root_version, wrapped.sealed, context=context)


def _require_lasting(namespace: KeyNamespace, root_version: str) -> None:
    if any(epoch.root_version == root_version for epoch in namespace.epochs):
        raise WrongRoot("a lasting key under an epoch's root version would be destroyed with it")


def _without_epochs_of(root_version: str, namespace: KeyNamespace) -> KeyNamespace:
    def destroyed(epoch: Epoch) -> Epoch:
        return replace(
            epoch, state=EpochState.DESTROYED, wrapped_key=b"", wrapped_sealing_secret=b""
        )

    doomed = namespace.epochs_under(root_version)
    epochs = tuple(destroyed(e) if e in doomed else e for e in namespace.epochs)
    return replace(namespace, epochs=epochs)


def _new_id() -> str:
    return secrets.token_hex(ID_BYTES)
