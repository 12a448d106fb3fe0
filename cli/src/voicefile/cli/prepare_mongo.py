"""Makes the services' users of the document store, and keeps each one's address for it."""

import secrets
from pathlib import Path
from typing import Final

from voicefile.chassis.private_file import write_private
from voicefile.cli.prepare_plan import SPEAKS
from voicefile.cli.prepare_settings import NotPrepared, PrepareSettings, shown, told
from voicefile.docstore.mongo_users import (
    AWAY,
    Account,
    NoMongoUri,
    make_accounts,
    password_in,
    uri_of,
)

FILE: Final = "voicefile_mongo_uri"
PASSWORD_BYTES: Final = 32


async def prepare_mongo(settings: PrepareSettings, folder: Path) -> str:
    """Says what was made. Raises NotPrepared."""
    admin = shown(settings.admin_mongo_uri)
    try:
        accounts = [_account(service, folder / service / FILE) for service in SPEAKS]
        # Kept before it is valid: a password that only the store knew would lock a service out.
        for account in accounts:
            _keep(folder / account.user / FILE, uri_of(admin, account))
        made = await make_accounts(
            admin,
            accounts,
            tls_ca=settings.mongo_ca,
            tls_certificate=settings.admin_mongo_certificate,
        )
    except NoMongoUri as error:
        raise NotPrepared(f"This is no mongodb:// address: {error}.") from None
    except AWAY as error:
        # Its text may quote the address, and with it the password.
        why = type(error).__name__
        raise NotPrepared(f"The document store can't be reached, or refuses: {why}.") from None
    except OSError as error:
        raise NotPrepared(f"The folder can't be used: {error.strerror}.") from None
    return told((f"{each.user} in {each.database}", each.user in made) for each in accounts)


def _account(service: str, kept: Path) -> Account:
    """With the password it has, or else a new one."""
    known = password_in(kept.read_text()) if kept.exists() else None
    password = known or secrets.token_urlsafe(PASSWORD_BYTES)
    return Account(service, f"voicefile_{service}", password)


def _keep(path: Path, secret: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, secret.encode())
