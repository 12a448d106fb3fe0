"""The demo: two tenants, and one spoken contract, stored by a partner and heard by its customer."""

import hashlib
import json
import sys
from typing import Any

import httpx

from voicefile.auth.errors import NameTaken
from voicefile.auth.issuing.access_id import spaced
from voicefile.auth.ports import Ports
from voicefile.auth.store import PolicyRules
from voicefile.auth.tenants.open_tenant import NewTenant, open_tenant
from voicefile.auth.tenants.principals import Added, NewPrincipal, add_principal
from voicefile.chassis.logs import configure
from voicefile.chassis.private_file import write_private
from voicefile.chassis.settings import DeploymentSettings
from voicefile.cli.partner import Filed, PartnerLogin, file_recording, hear, https_client, sample
from voicefile.cli.place import Place
from voicefile.cli.serve import WARNING, serving
from voicefile.crypto.secret import SecretText
from voicefile.deeds.deed import Actor
from voicefile.deeds.deed import Role as DeedRole
from voicefile.identity.principal import Role

TENANTS = (("Nordlicht Energie", "nordlicht.demo"), ("Blauwal Mobilfunk", "blauwal.demo"))
RULES = PolicyRules(
    retention_days={"contract": 1_095, "consent": 1_826}, default_retention_class="contract"
)
STAFF = (("care", Role.CARE), ("auditor", Role.AUDITOR), ("admin", Role.TENANT_ADMIN))
STARTS_MAX = 100
"""First starts that may be stopped half way before somebody has to clear the folder."""
OPERATOR = Actor("", DeedRole.ROLE_OPERATOR)


async def demo(settings: DeploymentSettings) -> int:
    """Serves until a stop signal; the first time it fills the vault, later it finds it filled."""
    place = Place(settings.data_dir)
    # The terminal is for people here; what the vault logs is beside its data.
    with place.opened_log() as log:
        configure("vault", stream=log, console=False)
        _say(WARNING)
        async with serving(settings) as (vault, ended):
            url = f"https://localhost:{settings.port}"
            ports: Ports = vault.services["/auth"].public.state.ports
            here: dict[str, Any] = {"url": url, "ca": str(place.tls / "ca.pem")}
            known = _read(place) or here | {"tenants": []}
            # Saved one by one: whoever stops the first start loses one tenant's words at most.
            for each in TENANTS[len(known["tenants"]) :]:
                known["tenants"].append(await _tenant(*each, ports=ports))
                _write(place, known)
            if not here.items() <= known.items():
                # Another port or place than last time: who reads the file wants this vault.
                known |= here
                _write(place, known)
            if "recording" not in known:
                async with https_client(url, place.tls / "ca.pem") as client:
                    known["recording"] = await _first_recording(client, known)
                _write(place, known)
            _tell(place, url, known)
            code = await ended()
    _say("stopped; everything is kept")
    return code


async def _tenant(name: str, domain: str, *, ports: Ports) -> dict[str, Any]:
    tenant = await _opened(name, domain, ports=ports)
    partner = await add_principal(
        tenant, NewPrincipal(Role.PARTNER, "Demo CRM"), by=OPERATOR, ports=ports
    )
    made: dict[str, Any] = {
        "id": tenant,
        "name": name,
        "partner": {"client_id": partner.id, "client_secret": _shown(partner.client_secret)},
    }
    for handle, role in STAFF:
        new = NewPrincipal(role, f"Demo {handle}", handle=handle)
        made[handle] = _staff(await add_principal(tenant, new, by=OPERATOR, ports=ports))
    return made


async def _opened(name: str, domain: str, *, ports: Ports) -> str:
    """The tenant, under the next domain if a first start that was stopped took this one."""
    for number in range(1, STARTS_MAX):
        free = domain if number == 1 else f"{number}.{domain}"
        try:
            new = NewTenant(name, free, RULES, demo=True)
            return await open_tenant(new, by=OPERATOR, ports=ports)
        except NameTaken:
            continue
    raise NameTaken


def _staff(added: Added) -> dict[str, str]:
    return {
        "username": added.username or "",
        "password": _shown(added.password),
        "totp_secret": _shown(added.totp_secret),
    }


def _shown(secret: SecretText | None) -> str:
    """The one place where a demo's secret becomes text: on its way into demo.json."""
    return secret.expose() if secret else ""


async def _first_recording(client: httpx.AsyncClient, known: dict[str, Any]) -> dict[str, str]:
    audio = sample()
    partner = known["tenants"][0]["partner"]
    login = PartnerLogin(partner["client_id"], partner["client_secret"])
    filed: Filed = await file_recording(client, login, audio)
    heard = await hear(client, filed)
    same = hashlib.sha256(heard).digest() == hashlib.sha256(audio).digest()
    _say(f"stored one spoken contract, {len(audio):,} bytes, through the partner interface")
    _say(f"heard it back as its customer: {'bit-exact' if same else 'DIFFERENT'}")
    return {"recording_id": filed.recording_id, "access_id": filed.access_id, "pin": filed.pin}


def _read(place: Place) -> dict[str, Any] | None:
    try:
        return dict(json.loads(place.demo.read_text("utf-8")))
    except FileNotFoundError:
        return None


def _write(place: Place, known: dict[str, Any]) -> None:
    told = json.dumps(known, indent=2, ensure_ascii=False)
    write_private(place.demo, told.encode())


def _tell(place: Place, url: str, known: dict[str, Any]) -> None:
    recording, care = known["recording"], known["tenants"][0]["care"]
    _say(
        f"""
  Hear it as the customer     {url}/portal/
                access ID     {spaced(recording["access_id"])}
                      PIN     {recording["pin"]}

  Find it as customer care    {url}/portal/care
                     user     {care["username"]}   (password and one-time code: {place.demo})

  Store your own              docs/partner-guide.md
  Your browser will warn: trust {place.tls / "ca.pem"} (good for localhost only), or go on.
  Ctrl-C stops; everything in {place.data}/ is kept.
"""
    )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
