"""Lines: the numbers customers dial, and what is said on each before anybody is known.

    [shared]                      what holds where nothing else is said
    operator = "+49301234560"     who takes over; none: nobody does
    incident = true               an announcement of trouble, before everything else

    [[line]]
    number = "+49301234567"       as the provider delivers it
    languages = ["de", "en"]      the first is spoken first; a key leads to the second
    tenant = "…"                  a tenant's own number: its id. Left out: a shared one

    [[tenant]]
    id = "…"
    operator = "+49301234561"
    hours = { zone = "Europe/Berlin", days = "mon-fri", from = "08:00", until = "18:00" }
    incident = false

What a tenant has is theirs on their own number from the start, on a shared one once the caller is
let in: before that nothing may tell whose customer somebody is.
"""

import datetime as dt
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from voicefile.playback.telephone.catalogue import LANGUAGES

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FILE_BYTES_MAX: Final = 4 * 1024 * 1024
PhoneNumber = Annotated[str, Field(pattern=r"^\+?[0-9]{2,20}$")]
TenantId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


class LinesInvalid(Exception):
    """The file of lines can't be used; the text says where, and no value."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Hours(_Part):
    """When people are there to take a call over."""

    zone: str
    days: str = "mon-sun"
    opens: dt.time = Field(alias="from")
    closes: dt.time = Field(alias="until")

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ValueError("no such time zone") from None
        return zone

    @field_validator("days")
    @classmethod
    def _known_days(cls, days: str) -> str:
        if not all(day in DAYS for day in days.split("-")) or days.count("-") > 1:
            raise ValueError("days are like mon-fri")
        return days

    def holds(self, at: dt.datetime) -> bool:
        """Whether it is within them."""
        there = at.astimezone(ZoneInfo(self.zone))
        first, _, last = self.days.partition("-")
        start, stop = DAYS.index(first), DAYS.index(last or first)
        # Round the week's end, as fri-mon is.
        within = (there.weekday() - start) % len(DAYS) <= (stop - start) % len(DAYS)
        return within and self.opens <= there.time() < self.closes


class Announced(_Part):
    """Who takes over, when, and whether there is trouble."""

    operator: PhoneNumber | None = None
    hours: Hours | None = None
    incident: bool = False


class TenantAnnounced(Announced):
    """The same, of one tenant."""

    id: TenantId


class Line(_Part):
    """One number."""

    number: PhoneNumber
    languages: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)] = LANGUAGES
    tenant: TenantId | None = None

    @field_validator("languages")
    @classmethod
    def _known_languages(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        if not set(languages) <= set(LANGUAGES) or len(set(languages)) != len(languages):
            raise ValueError("languages are de and en")
        return languages


class _File(_Part):
    shared: Announced = Announced()
    line: tuple[Line, ...] = ()
    tenant: tuple[TenantAnnounced, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        numbers = [_bare(line.number) for line in self.line]
        tenants = [tenant.id for tenant in self.tenant]
        if len(set(numbers)) != len(numbers) or len(set(tenants)) != len(tenants):
            raise ValueError("a number or a tenant stands there twice")
        return self


NOTHING: Final = Announced()


@dataclass(frozen=True)
class Lines:
    """All numbers of a deployment. A number nobody entered is a shared one in all languages."""

    shared: Announced = NOTHING
    by_number: Mapping[str, Line] = field(default_factory=dict)
    by_tenant: Mapping[str, Announced] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises LinesInvalid."""
        try:
            if path.stat().st_size > FILE_BYTES_MAX:
                raise LinesInvalid("larger than any list of numbers")
            told = _File.model_validate(tomllib.loads(path.read_text("utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            raise LinesInvalid(f"not to be read: {type(error).__name__}") from None
        except tomllib.TOMLDecodeError:
            raise LinesInvalid("not TOML") from None
        except ValidationError as error:
            where = "; ".join(
                f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
            )
            raise LinesInvalid(where) from None
        return cls(
            told.shared,
            {_bare(line.number): line for line in told.line},
            {tenant.id: tenant for tenant in told.tenant},
        )

    def line(self, dialled: str) -> Line:
        """The line of a number as it was dialled, with or without its plus."""
        return self.by_number.get(_bare(dialled)) or Line(number=dialled or "00")

    def announced(self, tenant: str) -> Announced:
        """What holds for a tenant; for nobody in particular, what holds for all."""
        return self.by_tenant.get(tenant, self.shared)


def _bare(number: str) -> str:
    return number.removeprefix("+")
