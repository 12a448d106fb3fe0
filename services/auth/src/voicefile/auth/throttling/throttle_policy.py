"""Throttle policy: how often a secret may be tried, and by whom; rules over small states, no I/O.

A try is charged before the secret is looked at, as if it had failed already; only a success
takes the charge back. So a crash between the two leaves one try fewer, never one more.

Strangers and known callers (those who succeeded on this access ID before) draw from different
buckets: whoever hammers an ID empties the strangers' one and nobody else's.
"""

from enum import StrEnum

from msgspec import Struct

SECOND_MS = 1_000
HOUR_MS = 3_600 * SECOND_MS
DAY_MS = 24 * HOUR_MS
KNOWN_DAYS = 180
"""How long a success makes its caller known."""


class Channel(StrEnum):
    """The way in; strangers have a budget for each."""

    WEB = "web"
    PHONE = "phone"


class Limits(Struct, frozen=True):
    """The figures of the policy."""

    stranger_tries_per_day: int = 15
    """Per access ID and channel: with two channels at most 30 checks of one ID in any 24 hours."""
    stranger_waits_s: tuple[int, ...] = (0, 0, 0, 30, 120, 600, 3_600)
    """The pause before the next try, by failures since the last success; the last one repeats."""
    stranger_failures_in_a_row: int = 100
    """After as many the credential freezes: NIST SP 800-63B allows no more."""
    known_tries_per_day: int = 10
    """Per access ID and known caller."""
    origin_failures_per_hour: int = 10
    """Per network or calling number, whatever it asks for."""
    tenant_failures_per_hour: int = 600
    """Per tenant; beyond it strangers are refused, with the same work and the same bytes."""
    failures_per_hour: int = 1_000
    """In the whole deployment; beyond it strangers are slowed down and few at a time."""
    answer_failures_per_day: int = 3
    """Per access ID: wrong answers to its question, over all challenges."""
    answer_failures_in_a_row: int = 9
    """After as many the credential freezes: whoever answers holds the PIN already."""


class Tries(Struct, frozen=True):
    """Charged tries within a sliding window, oldest first."""

    at_ms: tuple[int, ...] = ()
    forgiven_ms: int = -1
    """Tries up to here slow the next one no longer; they still count against the window."""


class Wait(Struct, frozen=True):
    """No try now; the earliest moment that could allow one."""

    until_ms: int


def charge(
    tries: Tries, *, now_ms: int, most: int, window_ms: int, waits_s: tuple[int, ...] = (0,)
) -> Tries | Wait:
    """One try more, unless the window is full or the pause after the last one still runs."""
    # A clock set back leaves tries in the future: they go on counting until it caught up.
    live = tuple(at for at in tries.at_ms if at > now_ms - window_ms)
    if len(live) >= most:
        return Wait(live[len(live) - most] + window_ms)
    failures = sum(at > tries.forgiven_ms for at in live)
    pause_ms = waits_s[min(failures, len(waits_s) - 1)] * SECOND_MS
    if live and pause_ms and now_ms < live[-1] + pause_ms:
        return Wait(live[-1] + pause_ms)
    return Tries(tuple(sorted((*live, now_ms))), tries.forgiven_ms)


def take_back(tries: Tries, charged_ms: int) -> Tries:
    """The try charged then was a success, or never happened: it does not count."""
    left = list(tries.at_ms)
    if charged_ms in left:
        left.remove(charged_ms)
    return Tries(tuple(left), tries.forgiven_ms)


def forgive(tries: Tries, *, now_ms: int) -> Tries:
    """Somebody knew the secret: earlier failures slow nobody down, the window stays."""
    return Tries(tries.at_ms, max(tries.forgiven_ms, now_ms))


class Strangers(Struct, frozen=True):
    """What strangers tried on one access ID."""

    web: Tries = Tries()
    phone: Tries = Tries()
    in_a_row: int = 0
    """Failures since anybody last succeeded, over both channels."""

    def on(self, channel: Channel) -> Tries:
        return self.web if channel is Channel.WEB else self.phone

    def replaced(self, channel: Channel, tries: Tries, *, in_a_row: int) -> "Strangers":
        if channel is Channel.WEB:
            return Strangers(tries, self.phone, in_a_row)
        return Strangers(self.web, tries, in_a_row)


def charge_stranger(
    strangers: Strangers, channel: Channel, *, now_ms: int, limits: Limits
) -> Strangers | Wait:
    tries = charge(
        strangers.on(channel),
        now_ms=now_ms,
        most=limits.stranger_tries_per_day,
        window_ms=DAY_MS,
        waits_s=limits.stranger_waits_s,
    )
    if isinstance(tries, Wait):
        return tries
    return strangers.replaced(channel, tries, in_a_row=strangers.in_a_row + 1)


def stranger_succeeded(
    strangers: Strangers, channel: Channel, *, charged_ms: int, now_ms: int
) -> Strangers:
    tries = forgive(take_back(strangers.on(channel), charged_ms), now_ms=now_ms)
    return strangers.replaced(channel, tries, in_a_row=0)


def row_ended(strangers: Strangers) -> Strangers:
    """A known caller succeeded, or the credential froze: the row of failures starts anew."""
    return Strangers(strangers.web, strangers.phone, 0)


class HourCount(Struct, frozen=True):
    """Failures of this hour and the one before: a sliding hour in two numbers."""

    hour: int = 0
    count: int = 0
    before: int = 0

    def at(self, now_ms: int) -> "HourCount":
        """The same count seen from a later hour."""
        hour = max(now_ms // HOUR_MS, self.hour)
        if hour == self.hour:
            return self
        return HourCount(hour, 0, self.count if hour == self.hour + 1 else 0)

    def recent(self, now_ms: int) -> float:
        """Failures within the last hour, those of the hour before taken as evenly spread."""
        seen = self.at(now_ms)
        passed = max(0.0, now_ms / HOUR_MS - seen.hour)
        return seen.count + seen.before * max(0.0, 1 - passed)

    def more(self, now_ms: int) -> "HourCount":
        seen = self.at(now_ms)
        return HourCount(seen.hour, seen.count + 1, seen.before)

    def less(self, charged_ms: int, *, now_ms: int) -> "HourCount":
        """Takes back what was counted at `charged_ms`."""
        seen, hour = self.at(now_ms), charged_ms // HOUR_MS
        if hour == seen.hour:
            return HourCount(seen.hour, max(0, seen.count - 1), seen.before)
        if hour == seen.hour - 1:
            return HourCount(seen.hour, seen.count, max(0, seen.before - 1))
        return seen
