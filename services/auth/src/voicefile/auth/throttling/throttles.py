"""Throttles: who may try a secret now; every try is charged, durably, before the secret is checked.

Unknown access IDs have buckets like all others: how often an ID may be tried says nothing about
whether it exists. What a try costs depends on who tries: a known caller draws from a bucket of
their own, so that a flood of strangers locks nobody out but strangers.
"""

import asyncio
from dataclasses import dataclass, field

from msgspec import Struct

from voicefile.auth.listening.access_errors import Locked
from voicefile.auth.listening.access_metrics import throttled
from voicefile.auth.throttling import throttle_policy as policy
from voicefile.auth.throttling.buckets import Bucket, Buckets, Kind
from voicefile.auth.throttling.throttle_policy import (
    Channel,
    HourCount,
    Limits,
    Strangers,
    Tries,
    Wait,
)
from voicefile.chassis.problems import RateLimited

HOUR_S = policy.HOUR_MS // policy.SECOND_MS
DAY_S = policy.DAY_MS // policy.SECOND_MS
ROW_DAYS_PER_FAILURE = 4
"""A row of failures is remembered the longer, the longer it is: guessing slowly gains nothing."""
ROW_DAYS_MIN = 2
ROW_DAYS_MAX = 400


@dataclass(frozen=True)
class Visitor:
    """Whoever tries, as far as a telephone line or a browser shows it."""

    channel: Channel
    origin: str = field(default="", repr=False)
    """Network (/24, /56) or calling number; empty if withheld."""
    mark: str = field(default="", repr=False)
    """Device cookie or calling number: recognises who succeeded before; never a proof."""
    call: str = ""
    """Which telephone call it is, by the hash of its id; empty on other ways in."""


@dataclass(frozen=True)
class Charge:
    """A try that counts as failed until `succeeded` takes it back."""

    locator: str
    visitor: Visitor
    at_ms: int
    known: bool
    in_a_row: int = 0
    """Strangers' failures in a row on this ID, this one included."""


class Known(Struct, frozen=True):
    """A caller who succeeded before."""

    tries: Tries = Tries()
    until_ms: int = 0


class Answers(Struct, frozen=True):
    """Answers given to one credential's question."""

    tries: Tries = Tries()
    in_a_row: int = 0


class Throttles:
    """Charges tries and takes back those that succeeded."""

    def __init__(self, buckets: Buckets, *, limits: Limits | None = None) -> None:
        self._buckets = buckets
        self.limits = limits or Limits()

    async def is_known(self, locator: str, visitor: Visitor) -> bool:
        """Whether this caller opened this access ID before."""
        known = await self._buckets.read(_known(locator, visitor))
        return bool(visitor.mark) and known.until_ms > self._buckets.now_ms()

    async def charge(self, locator: str, visitor: Visitor, *, known: bool) -> Charge:
        """One try on the access ID. Raises RateLimited (whatever the ID), Locked."""
        at_ms = self._buckets.now_ms()
        if known:
            await self._charge_known(locator, visitor, at_ms=at_ms)
            return Charge(locator, visitor, at_ms, known=True)
        await self._charge_origin(visitor, at_ms=at_ms)
        strangers = await self._buckets.change(
            _strangers(locator),
            lambda found: policy.charge_stranger(
                found, visitor.channel, now_ms=at_ms, limits=self.limits
            ),
        )
        _count(Kind.STRANGERS, strangers)
        if isinstance(strangers, Wait):
            raise Locked
        return Charge(locator, visitor, at_ms, known=False, in_a_row=strangers.in_a_row)

    async def charge_totals(self, charge: Charge, tenant: str) -> bool:
        """Counts a stranger's try for tenant and deployment; True if the tenant's budget is spent.

        Unknown access IDs count for the platform, which has a budget like a tenant.
        """
        if charge.known:
            return False
        async with asyncio.TaskGroup() as both:
            of_tenant = both.create_task(self._counted(_tenant(tenant), charge))
            both.create_task(self._counted(_deployment(), charge))
        recent = of_tenant.result().recent(charge.at_ms)
        spent = recent > self.limits.tenant_failures_per_hour
        if spent:
            throttled().labels(bucket=Kind.TENANT, decision="refused").inc()
        return spent

    async def under_attack(self) -> bool:
        """Whether strangers fail so often, all together, that they have to wait."""
        counted = await self._buckets.read(_deployment())
        return counted.recent(self._buckets.now_ms()) >= self.limits.failures_per_hour

    async def succeeded(self, charge: Charge, tenant: str) -> None:
        """The secret was right: the try counts nowhere any more."""
        async with asyncio.TaskGroup() as settling:
            settling.create_task(self._end_row(charge))
            if charge.known:
                settling.create_task(self._give_back_known(charge))
                return
            settling.create_task(self._give_back_origin(charge))
            for bucket in (_tenant(tenant), _deployment()):
                settling.create_task(self._discount(bucket, charge))

    async def remember(self, locator: str, visitor: Visitor) -> None:
        """Signed in completely: from now on a known caller of this access ID."""
        if not visitor.mark:
            return
        until_ms = self._buckets.now_ms() + policy.KNOWN_DAYS * policy.DAY_MS
        await self._buckets.change(
            _known(locator, visitor),
            # To the day: a write for each sign-in would say nothing more.
            lambda found: (
                found if found.until_ms > until_ms - policy.DAY_MS else Known(found.tries, until_ms)
            ),
        )

    async def row_ended(self, locator: str) -> None:
        """The credential is frozen, or there is none: the row of failures starts anew."""
        await self._buckets.change(_strangers(locator), policy.row_ended)

    async def charge_answer(self, credential: str) -> Answers:
        """One answer to the credential's question. Raises Locked."""
        now_ms = self._buckets.now_ms()

        def rule(found: Answers) -> Answers | Wait:
            tries = policy.charge(
                found.tries,
                now_ms=now_ms,
                most=self.limits.answer_failures_per_day,
                window_ms=policy.DAY_MS,
            )
            return tries if isinstance(tries, Wait) else Answers(tries, found.in_a_row + 1)

        charged = await self._buckets.change(_answers(credential), rule)
        _count(Kind.ANSWERS, charged)
        if isinstance(charged, Wait):
            raise Locked
        return charged

    async def answers_cleared(self, credential: str) -> None:
        """The answer was right, or the credential froze: the count starts anew."""
        await self._buckets.change(_answers(credential), lambda _: Answers())

    async def _charge_known(self, locator: str, visitor: Visitor, *, at_ms: int) -> None:
        def rule(found: Known) -> Known | Wait:
            tries = policy.charge(
                found.tries,
                now_ms=at_ms,
                most=self.limits.known_tries_per_day,
                window_ms=policy.DAY_MS,
            )
            return tries if isinstance(tries, Wait) else Known(tries, found.until_ms)

        charged = await self._buckets.change(_known(locator, visitor), rule)
        _count(Kind.KNOWN, charged)
        if isinstance(charged, Wait):
            raise Locked

    async def _charge_origin(self, visitor: Visitor, *, at_ms: int) -> None:
        if not visitor.origin:
            # A withheld number is everybody's: one bucket for all would lock them all out.
            return
        charged = await self._buckets.change(
            _origin(visitor),
            lambda found: policy.charge(
                found,
                now_ms=at_ms,
                most=self.limits.origin_failures_per_hour,
                window_ms=policy.HOUR_MS,
            ),
        )
        _count(Kind.ORIGIN, charged)
        if isinstance(charged, Wait):
            raise RateLimited(retry_after_s=(charged.until_ms - at_ms) / policy.SECOND_MS)

    async def _give_back_origin(self, charge: Charge) -> None:
        if charge.visitor.origin:
            await self._buckets.change(
                _origin(charge.visitor), lambda found: policy.take_back(found, charge.at_ms)
            )

    async def _give_back_known(self, charge: Charge) -> None:
        await self._buckets.change(
            _known(charge.locator, charge.visitor),
            lambda found: Known(policy.take_back(found.tries, charge.at_ms), found.until_ms),
        )

    async def _end_row(self, charge: Charge) -> None:
        def rule(found: Strangers) -> Strangers:
            if charge.known:
                # The customer is there: strangers' failures so far freeze nothing, but they stay
                # in the day's window and go on slowing strangers down.
                return policy.row_ended(found)
            return policy.stranger_succeeded(
                found, charge.visitor.channel, charged_ms=charge.at_ms, now_ms=charge.at_ms
            )

        await self._buckets.change(_strangers(charge.locator), rule)

    async def _counted(self, bucket: Bucket[HourCount], charge: Charge) -> HourCount:
        counted = await self._buckets.change(bucket, lambda found: found.more(charge.at_ms))
        assert isinstance(counted, HourCount), "counting never waits"
        return counted

    async def _discount(self, bucket: Bucket[HourCount], charge: Charge) -> None:
        now_ms = self._buckets.now_ms()
        await self._buckets.change(bucket, lambda found: found.less(charge.at_ms, now_ms=now_ms))


def _count(kind: Kind, charged: Struct) -> None:
    decision = "refused" if isinstance(charged, Wait) else "charged"
    throttled().labels(bucket=kind, decision=decision).inc()


def _strangers(locator: str) -> Bucket[Strangers]:
    return Bucket(Kind.STRANGERS, locator, empty=Strangers(), keep_s=_row_kept_s)


def _known(locator: str, visitor: Visitor) -> Bucket[Known]:
    return Bucket(
        Kind.KNOWN,
        *(locator, visitor.channel, visitor.mark),
        empty=Known(),
        keep_s=lambda state: DAY_S * (policy.KNOWN_DAYS if state.until_ms else 1),
    )


def _origin(visitor: Visitor) -> Bucket[Tries]:
    of = (visitor.channel, visitor.origin)
    return Bucket(Kind.ORIGIN, *of, empty=Tries(), keep_s=lambda _: HOUR_S)


def _tenant(tenant: str) -> Bucket[HourCount]:
    return Bucket(Kind.TENANT, tenant, empty=HourCount(), keep_s=lambda _: 2 * HOUR_S)


def _deployment() -> Bucket[HourCount]:
    return Bucket(Kind.DEPLOYMENT, empty=HourCount(), keep_s=lambda _: 2 * HOUR_S)


def _answers(credential: str) -> Bucket[Answers]:
    return Bucket(Kind.ANSWERS, credential, empty=Answers(), keep_s=_row_kept_s)


def _row_kept_s(state: Strangers | Answers) -> int:
    days = ROW_DAYS_PER_FAILURE * state.in_a_row
    return DAY_S * max(ROW_DAYS_MIN, min(ROW_DAYS_MAX, days))
