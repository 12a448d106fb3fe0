"""Users of a MongoDB: one for each service, which may read and write its own database alone.

What an operator prepares, and no service may. Everything may be asked for again.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import PyMongoError

AWAY: Final = (PyMongoError,)
"""What the client library raises when the store can't be reached, or refuses."""
_PATIENCE_MS: Final = 10_000
_URI: Final = re.compile(
    r"(?P<scheme>mongodb(?:\+srv)?://)(?:[^:@/]*:?(?P<password>[^@/]*)@)?(?P<hosts>[^/?@]+)/?[^?]*(?:\?(?P<options>.*))?"
)


class NoMongoUri(Exception):
    """Says whose address is no mongodb://…, and never the address: it holds a password."""


@dataclass(frozen=True)
class Account:
    """A service's user, who belongs to its database and is known there alone."""

    user: str
    database: str
    password: str = field(repr=False)

    @property
    def roles(self) -> list[dict[str, str]]:
        """Collections, indexes and documents of the one database; no users, no other database."""
        return [{"role": "readWrite", "db": self.database}]


async def make_accounts(
    uri: str,
    accounts: Sequence[Account],
    *,
    tls_ca: Path | None,
    tls_certificate: Path | None,
) -> list[str]:
    """Makes who is missing, and gives the others this password and these roles again.

    `uri` is an administrator's. Answers the users that were made. Raises PyMongoError.
    """
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
        uri,
        tls=True,
        tlsCAFile=None if tls_ca is None else str(tls_ca),
        tlsCertificateKeyFile=None if tls_certificate is None else str(tls_certificate),
        serverSelectionTimeoutMS=_PATIENCE_MS,
    )
    try:
        return [each.user for each in accounts if await _made(client, each)]
    finally:
        client.close()


async def _made(client: AsyncIOMotorClient[dict[str, Any]], account: Account) -> bool:
    database = client[account.database]
    known = await database.command("usersInfo", account.user)
    command = "updateUser" if known["users"] else "createUser"
    await database.command(command, account.user, pwd=account.password, roles=account.roles)
    return command == "createUser"


def uri_of(admin: str, account: Account) -> str:
    """The administrator's address, for the service instead. Raises NoMongoUri."""
    parts = _URI.fullmatch(admin)
    if parts is None:
        raise NoMongoUri("the administrator's")
    options = [
        each
        for each in (parts["options"] or "").split("&")
        if each and each.partition("=")[0].lower() not in {"authsource", "tls", "ssl"}
    ]
    said = "&".join([f"authSource={account.database}", "tls=true", *options])
    who = f"{quote(account.user, safe='')}:{quote(account.password, safe='')}"
    return f"{parts['scheme']}{who}@{parts['hosts']}/?{said}"


def password_in(uri: str) -> str:
    """The password in an address that `uri_of` made. Raises NoMongoUri."""
    parts = _URI.fullmatch(uri.strip())
    if parts is None or not parts["password"]:
        raise NoMongoUri("the one that was kept for a service")
    return unquote(parts["password"])
