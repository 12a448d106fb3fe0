"""The edge's side of a call: dialplan and mod_httapi, one request and one document at a time."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Final
from uuid import UUID

import httpx
from tests.telephony.digits import DigitParser
from tests.telephony.httapi import ENDING, UNMODELLED, LeavesHttapi, NotModelled, Tag, read
from tests.telephony.line import Line
from tests.telephony.profile import Profile
from tests.telephony.prompt import Prompt, Result
from tests.telephony.sounds import Sounds

APOLOGY_MS: Final = 5000
ANSWERS_BYTES_MAX: Final = 1024 * 1024
"""Of all of a call: they are added up, and from there on each post is written to the log."""
REQUESTS_AT_ONCE_MAX: Final = 50
"""Requests in one and the same moment, after which the two are found to go round in circles."""
_CALLS: Final = count(1)
OUT_OF_ORDER: Final = "DESTINATION_OUT_OF_ORDER"


class End(StrEnum):
    """Who ended a call."""

    CALLER = "caller"
    SERVICE = "service"
    APOLOGY = "apology"
    FORBIDDEN = "forbidden"
    OPERATOR = "operator"
    VANISHED = "vanished"


@dataclass(frozen=True)
class Operator:
    """Who takes calls that are handed on: talks for so long, for ever if None."""

    talks_s: float | None = None


@dataclass
class Edge:
    """One call at the edge; its public face is `Call`."""

    client: httpx.AsyncClient
    url: str
    line: Line
    profile: Profile
    sounds: Sounds
    operator: Operator
    request_ms: int
    drops_at_match: bool = False
    session_id: str = ""
    posts: list[dict[str, str]] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    logged: list[dict[str, str]] = field(default_factory=list)
    """Forms that were written to the edge's log as well."""
    transferred: str | None = None
    apology: str | None = None
    ended: End | None = None
    cause: str | None = None
    asks: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    """Of the channel."""
    _params: dict[str, str] = field(default_factory=dict)
    _once: dict[str, str] = field(default_factory=dict)
    _parser: DigitParser | None = None
    _handed_on: bool = False
    _asked_at: tuple[int, int] = (-1, 0)
    _answered_bytes: int = 0

    def announce(self, caller: str, dialled: str, params: Mapping[str, str]) -> None:
        """Sets what every request says of the call."""
        number = next(_CALLS)
        digest = hashlib.sha256(f"call {number}".encode()).digest()
        self.session_id = str(UUID(bytes=digest[:16], version=4))
        self._params = {
            "session_id": self.session_id,
            **params,
            "url": self.url,
            "httapi_profile": self.profile.name,
            "hostname": "edge",
            **_caller_fields(self.session_id, caller, dialled),
        }

    async def run(self) -> None:
        """The whole call, as the dialplan has it: httapi, then the apology, then the end."""
        try:
            await self._httapi()
            if self._handed_on:
                await self._with_operator()
            elif self.apology is not None and self.line.up:
                await self.line.idle(APOLOGY_MS)
                self._hang_up(End.APOLOGY, "NORMAL_TEMPORARY_FAILURE")
            self._hang_up(End.CALLER, "NORMAL_CLEARING")
            # The channel reports when it is gone: once in each call, whatever became of it.
            self._once["exiting"] = "true"
            await self._post()
        finally:
            self.line.over()

    def _hang_up(self, end: End, cause: str) -> None:
        if not self.line.up:
            end, cause = End.CALLER, "NORMAL_CLEARING"
        if self.ended is None:
            self.ended, self.cause = end, cause
        self.line.up = False

    # ---- requests ----

    async def _httapi(self) -> None:
        while self.line.up and not self._handed_on:
            self._count()
            try:
                document = await self._asked()
                self.documents.append(document)
                for tag in read(document):
                    await self._execute(tag)
            except LeavesHttapi as why:
                if self.line.up:
                    self.apology = str(why)
                return
            except _Ends:
                return

    def _count(self) -> None:
        at_ms, times = self._asked_at
        times = times + 1 if at_ms == self.line.now_ms else 1
        self._asked_at = self.line.now_ms, times
        assert times <= REQUESTS_AT_ONCE_MAX, "edge and service go round in circles"

    async def _asked(self) -> str:
        answer = await self._post()
        await self._pass(self.request_ms)
        if answer is None:
            raise LeavesHttapi("no answer")
        if self.logged:
            raise LeavesHttapi("too long an answer")
        if answer.status_code != httpx.codes.OK:
            raise LeavesHttapi(f"status {answer.status_code}")
        if "text/xml" not in answer.headers.get("content-type", "").lower():
            raise LeavesHttapi("content type")
        return answer.content.decode(errors="replace")

    async def _pass(self, milliseconds: int) -> None:
        ends_ms = self.line.now_ms + milliseconds
        while self.line.now_ms < ends_ms:
            await self.line.packet()

    async def _post(self) -> httpx.Response | None:
        form = self._params | self._once
        self._once, self._parser = {}, None
        if self.profile.fields is not None:
            form = {name: value for name, value in form.items() if name in self.profile.fields}
        self.posts.append(form)
        url = self.sounds.address(self._params["url"])
        try:
            answer = await self.client.post(
                url, data=form, headers={"User-Agent": "mod_httapi/1.0", "Cookie": ""}
            )
        except httpx.TimeoutException:
            await self._pass(self.profile.timeout_s * 1000)
            return None
        except httpx.TransportError:
            return None
        self._answered_bytes += len(answer.content)
        if self._answered_bytes >= ANSWERS_BYTES_MAX:
            self.logged.append(form)
        return answer

    # ---- instructions ----

    async def _execute(self, tag: Tag) -> None:
        if tag.get("action"):
            self._params["url"] = tag.get("action")
        if tag.get("temp-action"):
            raise NotModelled("temp-action")
        if tag.name in UNMODELLED:
            raise NotModelled(f"<{tag.name}>")
        if tag.name in {"playback", "pause"}:
            await self._prompt(tag)
        elif tag.name == "getvariable":
            self._get_variable(tag.get("name"))
        elif tag.name == "execute":
            await self._application(tag)
        elif tag.name == "dial":
            self._dial(tag)
        elif tag.name == "hangup":
            self._hang_up(End.SERVICE, tag.get("cause") or tag.text or "NORMAL_CLEARING")
            raise _Ends
        elif tag.name != "continue":
            raise LeavesHttapi(f"<{tag.name}> {'ends it' if tag.name in ENDING else 'unknown'}")

    async def _prompt(self, tag: Tag) -> None:
        if tag.name == "playback" and not tag.file:
            self._hang_up(End.FORBIDDEN, OUT_OF_ORDER)
            raise _Ends
        prompt = Prompt(tag, self.line, self.sounds, self.variables)
        self.asks = tag.entry if tag.binds else None
        try:
            result = await prompt.run()
        finally:
            self.asks = None
        if prompt.invalid:
            self._once |= {tag.entry: "invalid", "input_type": "invalid"}
        # What an earlier prompt of the same document matched is said again by a prompt without
        # binds, which has no match of its own: in its own field.
        if prompt.parser is not None and prompt.parser.found is not None:
            self._parser = prompt.parser
        if prompt.submits and self._parser is not None and self._parser.found is not None:
            bind, digits = self._parser.found
            self._once |= {tag.entry: bind.stripped(digits), "input_type": "dtmf"}
            if bind.action:
                self._params["url"] = bind.action
        if prompt.submits and tag.binds and self.drops_at_match:
            self.line.up = False
        if result is not Result.SUCCESS:
            raise LeavesHttapi(f"{tag.file or tag.name}: {result.name.lower()}")

    def _get_variable(self, name: str) -> None:
        if not name:
            return
        if self.profile.variables is not None and name not in self.profile.variables:
            raise LeavesHttapi(f"variable {name} denied")
        if name in self.variables:
            self._once[name] = self.variables[name]

    async def _application(self, tag: Tag) -> None:
        name, data = tag.get("application"), tag.get("data") or tag.text
        allowed = self.profile.applications
        if not name or "$" in data or (allowed is not None and name not in allowed):
            self._hang_up(End.FORBIDDEN, OUT_OF_ORDER)
            raise _Ends
        if name not in {"transfer", "bridge"}:
            raise NotModelled(f"application {name}")
        if not self.line.up:
            return
        self.transferred = data
        if name == "transfer":
            # Another part of the dialplan has the call now; httapi hears of it at its end only.
            self._handed_on = True
            raise _Ends
        await self._talk()

    def _dial(self, tag: Tag) -> None:
        """Back into the dialplan with another number; context and caller are not to be chosen."""
        if not self.profile.dials:
            self._hang_up(End.FORBIDDEN, OUT_OF_ORDER)
            raise _Ends
        if "/" in tag.text:
            raise NotModelled("<dial> of an address")
        self.transferred, self._handed_on = tag.text, True
        raise _Ends

    async def _with_operator(self) -> None:
        await self._talk()
        if self.line.up:
            self._hang_up(End.OPERATOR, "NORMAL_CLEARING")

    async def _talk(self) -> None:
        if self.operator.talks_s is None:
            await self.line.idle()
        else:
            await self.line.idle(round(self.operator.talks_s * 1000))


class _Ends(Exception):
    """There are no more requests but the last one, and no apology either."""


def _caller_fields(session_id: str, caller: str, dialled: str) -> dict[str, str]:
    fields = {
        "Direction": "inbound",
        "Logical-Direction": "inbound",
        "Username": caller,
        "Dialplan": "XML",
        "Caller-ID-Name": caller,
        "Caller-ID-Number": caller,
        "Orig-Caller-ID-Name": caller,
        "Orig-Caller-ID-Number": caller,
        "Network-Addr": "192.0.2.1",
        "ANI": caller,
        "Destination-Number": dialled,
        "Unique-ID": session_id,
        "Source": "mod_sofia",
        "Context": "public",
        "Channel-Name": f"sofia/provider/{caller}",
        "Profile-Index": "1",
        "Screen-Bit": "true",
        "Privacy-Hide-Name": "false",
        "Privacy-Hide-Number": "false",
    }
    answered = {"Profile-Created", "Channel-Created", "Channel-Answered"}
    others = ["Progress", "Progress-Media", "Hangup", "Transfer", "Resurrect", "Bridged"]
    times = {f"{each}-Time": "1700000000000000" for each in sorted(answered)}
    times |= {f"Channel-{each}-Time": "0" for each in others}
    times |= {"Channel-Last-Hold": "0", "Channel-Hold-Accum": "0"}
    return {f"Caller-{name}": value for name, value in (fields | times).items()}
