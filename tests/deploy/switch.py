"""FreeSWITCH's configuration as it is put together from its files, read without FreeSWITCH."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from tests.engines.environment import ROOT

EDGE = ROOT / "deploy" / "freeswitch"
CONF = EDGE / "conf"
INSTRUCTION = re.compile(r'<X-PRE-PROCESS cmd="(\w+)" data="([^"]*)"/>')
VARIABLE = re.compile(r"\$\$\{(\w+)\}")
GIVEN = {"certs_dir": "/certs", "log_dir": "/log", "sounds_dir": "/sounds"}
"""What the switch knows of itself."""


class Configuration:
    """The whole of it as one tree; `variables` are those that are set before it is read."""

    def __init__(self, conf: Path = CONF) -> None:
        self.variables = dict(GIVEN)
        self.root = ET.fromstring(self._text(conf / "freeswitch.xml"))

    def _text(self, path: Path) -> str:
        lines = []
        for line in path.read_text().splitlines():
            if "<include>" in line or "</include>" in line:
                continue
            found = INSTRUCTION.search(line)
            lines.append(self._carried_out(path, *found.groups()) if found else self._filled(line))
        return "\n".join(lines)

    def _carried_out(self, path: Path, command: str, data: str) -> str:
        if command == "set":
            name, _, value = data.partition("=")
            self.variables[name] = self._filled(value)
            return ""
        assert command == "include", command
        found = sorted((path.parent / data).parent.resolve().glob(Path(data).name))
        assert found, f"{path}: {data}"
        return "\n".join(self._text(each) for each in found)

    def _filled(self, line: str) -> str:
        return VARIABLE.sub(lambda found: self.variables[found[1]], line)

    def configuration(self, name: str) -> ET.Element:
        found = self.root.findall(f"section/configuration[@name='{name}.conf']")
        assert len(found) == 1, name
        return found[0]

    def modules(self) -> set[str]:
        return {each.get("module", "") for each in self.configuration("modules").iter("load")}

    def context(self, name: str) -> ET.Element:
        found = self.root.findall(f"section[@name='dialplan']/context[@name='{name}']")
        assert len(found) == 1, name
        return found[0]


def told(element: ET.Element, kind: str = "param") -> dict[str, str]:
    """Names and values below an element; one that is said twice fails the test."""
    pairs = [(each.get("name", ""), each.get("value", "")) for each in element.iter(kind)]
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


def actions(element: ET.Element, kind: str = "action") -> list[tuple[str, str]]:
    """Applications and their data, in order."""
    return [(each.get("application", ""), each.get("data", "")) for each in element.iter(kind)]
