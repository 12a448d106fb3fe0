"""What an edge's httapi profile lets documents do, read from the configuration that we ship."""

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

CONFIGURATION: Final = Path(__file__).parents[2] / "deploy" / "freeswitch" / "conf"


@dataclass(frozen=True)
class Profile:
    """None means that everything goes, as with FreeSWITCH's own defaults for what is posted."""

    name: str = "default"
    fields: frozenset[str] | None = None
    """Which fields are posted."""
    applications: frozenset[str] | None = None
    """What `<execute>` may run; anything else hangs up."""
    variables: frozenset[str] | None = None
    """What `<getVariable>` may ask for; anything else ends httapi."""
    dials: bool = True
    """Whether `<dial>` may hand the call on."""
    timeout_s: int = 60

    @classmethod
    def shipped(cls, configuration: Path = CONFIGURATION) -> Self:
        """The first profile of the edge that deploy/freeswitch describes."""
        text = (configuration / "autoload_configs" / "httapi.conf.xml").read_text()
        profile = ET.fromstring(text).find("profiles/profile")
        assert profile is not None
        told = [
            (each.get("name"), each.get("value", "")) for each in profile.findall("params/param")
        ]
        permissions = {each.get("name"): each for each in profile.findall("permissions/permission")}

        def listed(permission: str, kind: str) -> frozenset[str]:
            named = permissions[permission].findall(f"{kind}-list/{kind}")
            return frozenset(each.get("name", "") for each in named)

        return cls(
            name=profile.get("name", ""),
            fields=frozenset(value for name, value in told if name == "enable-post-var"),
            applications=listed("execute-apps", "application"),
            variables=listed("get-vars", "variable"),
            dials=permissions["dial"].get("value") == "true",
            timeout_s=int(dict(told)["timeout"]),
        )
