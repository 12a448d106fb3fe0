"""What auth's verbs reach the outside through: keys, records, the deed series, a clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from voicefile.auth.erasing.erasing_store import ErasureAsked, Shredded
from voicefile.auth.events import Fact
from voicefile.auth.issuing.directory import Directory
from voicefile.auth.issuing.pins import PinHasher
from voicefile.auth.keys.custody import Custody
from voicefile.auth.records import (
    Records,
    Stored,
    access_documents,
    deployments,
    erasures,
    principals,
    resellers,
    shredded_tenants,
    tenants,
)
from voicefile.auth.settings import AuthSettings
from voicefile.auth.store import Access, Deployment, PolicyRules, Principal, Reseller, Tenant
from voicefile.deeds.series import DeedSeries
from voicefile.docstore.port import DocStore
from voicefile.identity.ids import PLATFORM


@dataclass(frozen=True)
class Ports:
    """Everything outside, built once by `app.build` and handed to each verb."""

    store: DocStore
    custody: Custody
    directory: Directory
    access: Records[Access]
    tenants: Records[Tenant]
    principals: Records[Principal]
    resellers: Records[Reseller]
    deployments: Records[Deployment]
    erasures: Records[ErasureAsked]
    shredded: Records[Shredded]
    deeds: DeedSeries[Fact]
    pins: PinHasher
    settings: AuthSettings
    now_s: Callable[[], float] = time.time

    @property
    def deployment(self) -> str:
        """The deployment's name."""
        return self.custody.deployment.decode()

    async def rules_of_reseller(self, tenant: Stored[Tenant]) -> PolicyRules:
        """What the tenant's reseller rules; nothing if it has none."""
        if not tenant.record.reseller:
            return PolicyRules()
        found = await self.resellers.of(PLATFORM).get(tenant.record.reseller)
        # A reseller is never deleted; if its record is gone, somebody wrote past us.
        assert found is not None, "the tenant's reseller is missing"
        return found.record.rules


def ports_of(
    store: DocStore,
    custody: Custody,
    *,
    deeds: DeedSeries[Fact],
    pins: PinHasher,
    settings: AuthSettings,
    now_s: Callable[[], float] = time.time,
) -> Ports:
    """The ports over one store."""
    return Ports(
        store=store,
        custody=custody,
        directory=Directory(store),
        access=access_documents(store, custody),
        tenants=tenants(store, custody),
        principals=principals(store, custody),
        resellers=resellers(store, custody),
        deployments=deployments(store, custody),
        erasures=erasures(store, custody),
        shredded=shredded_tenants(store, custody),
        deeds=deeds,
        pins=pins,
        settings=settings,
        now_s=now_s,
    )
