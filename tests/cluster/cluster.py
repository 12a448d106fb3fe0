"""The vault as it runs in earnest: every service apart, several of each, over real engines.

All of it on this machine: engines and services are processes, each with ports, certificate and
database of its own; a supervisor starts again what ends. With `wired=True` a proxy stands before
every engine and every internal port, so that any pair can be cut apart.
"""

import functools
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.cluster import front
from tests.cluster.front import Doors
from tests.cluster.furniture import Engines, Furniture
from tests.cluster.replica import Replica
from tests.cluster.supervisor import Supervisor
from tests.cluster.wires import Wires
from tests.engines.certificates import certificate
from tests.engines.environment import NotToBeHad
from tests.engines.openbao import OpenBao
from tests.engines.ports import choose_ports
from tests.engines.process import Engine, write_private
from tests.services.playback.telephone.pretended import prompts_folder

from voicefile.chassis.tls import DevelopmentCertificates, development_certificates
from voicefile.crypto.primitives import SealingKeyPair
from voicefile.dumps.recipient import Recipient

DEPLOYMENT = "test"
SERVICES = ("auth", "audit", "ingest", "playback", "portal", "backup")
ONE = {"backup": 1}
"""Of whom another would only wait: the work is one instance's, and can wait itself."""
CALLS = {
    "auth": ("audit",),
    "audit": ("auth",),
    "ingest": ("auth",),
    "playback": ("auth",),
    "portal": ("auth", "playback"),
    "backup": ("auth", "audit", "ingest", "playback"),
}
"""Who calls whom inside."""
STOPPED_IN_TURN = ("backup", "portal", "playback", "ingest", "auth", "audit")
"""Who calls others ends first: what they give back at the end somebody has to take."""
EVERYBODYS = ("VOICEFILE_BACKUP_RECIPIENTS", "VOICEFILE_BACKUP_DRILL_KEY")
"""Settings that begin as backup's do, and are each service's own."""
READY_S_MAX = 90.0
STARTED_AT_ONCE = 4
"""More would only make all of them slower on a machine of two cores."""


class ClusterDidNotStart(Exception):
    """Why stands in its cause."""


class Cluster:
    """Started once; `settings` are more environment variables, for the services they name.

    Root keys are in files, or in `bao`, which others start and stop.
    """

    def __init__(
        self,
        folder: Path,
        *,
        replicas: Mapping[str, int] | int = 2,
        wired: bool = False,
        backed_up: bool = True,
        engines: Callable[[Path, Path], Engines] = Engines.private,
        bao: OpenBao | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.certificates = folder / "certificates"
        self.settings = dict(settings or {})
        counts = replicas if isinstance(replicas, Mapping) else dict.fromkeys(SERVICES, replicas)
        counts = {**counts, **ONE, **({} if backed_up else {"backup": 0})}
        self.recipients = [SealingKeyPair.generate(), SealingKeyPair.generate()]
        """Who can read its backups."""
        self.engines = engines(folder / "engines", self.certificates)
        self.replicas = {
            service: [self._replica(service, n) for n in range(1, counts[service] + 1)]
            for service in SERVICES
        }
        reserve_ports([*self.engines.all.values(), *self.everybody])
        self.wires = Wires(folder / "services") if wired else None
        self.furniture = Furniture(self.engines, bao)
        self.supervisor = Supervisor(self.everybody)
        self._doors_of: dict[str, int] = {}

    def _replica(self, service: str, number: int) -> Replica:
        return Replica(
            self.folder / "services" / f"{service}-{number}",
            self.certificates,
            service=service,
            number=number,
            settings=self._settings_of,
        )

    @property
    def everybody(self) -> list[Replica]:
        return [replica for replicas in self.replicas.values() for replica in replicas]

    @property
    def backup_key(self) -> Path:
        """The key that signs its backups."""
        return self.folder / "services" / "backup.key"

    @property
    def root(self) -> Path:
        """The folder of the root keys of auth and audit."""
        return self.furniture.root

    def named(self, name: str) -> Replica:
        """`auth-1`, or whatever else a replica is called."""
        return next(replica for replica in self.everybody if replica.name == name)

    @functools.cached_property
    def doors(self) -> Doors:
        return Doors(
            self.replicas,
            public_authority=self._public.authority,
            certificates=self.certificates,
        )

    @functools.cached_property
    def _public(self) -> DevelopmentCertificates:
        """What browsers and partners see: an authority apart from the services' own."""
        return development_certificates(self.folder / "tls")

    # ---- starting and ending ----

    def start(self) -> None:
        """Engines, what they have to know, services; all ready when it returns."""
        self.furnish()
        self.serve()

    def furnish(self) -> None:
        """All but the services."""
        certificate(self.certificates, "operator")
        for service in SERVICES:
            certificate(self.certificates, service)
        self._public  # noqa: B018 - made before many processes look for it
        self.engines.start()
        self._wire()
        self.furniture.arrange()

    def serve(self) -> None:
        self.supervisor.start()
        self.launch(self.everybody)
        self.await_ready()

    def launch(self, replicas: Iterable[Replica]) -> None:
        for replica in replicas:
            replica.launch()

    def await_ready(self, *, within_s: float = READY_S_MAX) -> float:
        """Until every replica that should run says it is ready; answers how long that took."""
        began_s = time.monotonic()
        wanted = [replica for replica in self.everybody if replica.wanted]
        while left := [replica for replica in wanted if not replica.ready()]:
            if time.monotonic() - began_s > within_s:
                words = "\n".join(f"{each.name}: {each.last_words()}" for each in left)
                raise AssertionError(f"not ready within {within_s} s:\n{words}")
            wanted = left
            time.sleep(0.1)
        return time.monotonic() - began_s

    def stop(self) -> list[str]:
        """Services first, then engines; answers whose exit was not a clean one."""
        self.supervisor.stop()
        for service in STOPPED_IN_TURN:
            self._at_once(Replica.stop, self.replicas[service])
        unclean = [each.name for each in self.everybody if each.exit_code not in {None, 0}]
        if self.wires is not None:
            self.wires.stop()
        self.engines.stop()
        return unclean

    def rolling_restart(self, service: str, *, began: Callable[[str], None] = print) -> None:
        """One replica after the other, each ready before the next is stopped."""
        for replica in self.replicas[service]:
            began(replica.name)
            replica.stop()
            replica.start()

    def with_settings(self, settings: Mapping[str, str]) -> None:
        """Restarts the services whose settings are others now."""
        changed = dict(self.settings.items() ^ dict(settings).items())
        services = [each for each in SERVICES if any(_concerns(name, each) for name in changed)]
        self.settings = dict(settings)
        affected = [replica for service in services for replica in self.replicas[service]]
        self._at_once(Replica.stop, affected)
        self.launch(affected)
        self.await_ready()

    @staticmethod
    def _at_once(work: Callable[[Replica], None], replicas: Iterable[Replica]) -> None:
        with ThreadPoolExecutor(STARTED_AT_ONCE) as hands:
            for each in list(hands.map(work, replicas)):
                assert each is None

    # ---- addresses ----

    def client(self, *, peer: str | None = None, address: str = front.LOCAL) -> httpx.AsyncClient:
        """Reaches every public door as nobody, or every internal one as the named service."""
        return front.client(self.doors, peer=peer, address=address)

    def _wire(self) -> None:
        targets = dict(self.engines.ports)
        targets |= {replica.name: replica.internal for replica in self.everybody}
        for name, port in targets.items():
            wanted = self.engines.proxied.get(name, 0)
            self._doors_of[name] = (
                port if self.wires is None else self.wires.add(name, port, port=wanted)
            )

    def _settings_of(self, replica: Replica) -> dict[str, str]:
        service = replica.service
        own = str(self.certificates / f"{service}.pem")
        urls = {
            f"VOICEFILE_{other.upper()}_URL": ",".join(
                f"https://127.0.0.1:{self._doors_of[each.name]}" for each in self.replicas[other]
            )
            for other in CALLS[service]
        }
        return {
            "VOICEFILE_DEPLOYMENT": DEPLOYMENT,
            "VOICEFILE_SERVICE_CERTIFICATE": own,
            "VOICEFILE_SERVICE_CA": str(self.certificates / "ca.pem"),
            "VOICEFILE_TLS_CERTIFICATE": str(self._public.server),
            "VOICEFILE_DRAIN_S": "0.5",
            "VOICEFILE_BACKUP_RECIPIENTS": ",".join(
                str(Recipient(f"archive{n}", pair.public)) for n, pair in enumerate(self.recipients)
            ),
            "VOICEFILE_BACKUP_KEY": str(self.backup_key),
            "VOICEFILE_PLAYBACK_TELEPHONE_PROMPTS": str(prompts_folder()),
            **urls,
            **self.furniture.settings(service, own, self._doors_of),
            **{name: value for name, value in self.settings.items() if _concerns(name, service)},
        }


def reserve_ports(processes: Iterable[Engine]) -> None:
    """Chosen for all at once: of so many, two would now and then choose the same."""
    waiting = [each for each in processes if not (each.folder / "ports.json").exists()]
    wanted = [f"{each.name} {name}" for each in waiting for name in each.port_names]
    chosen = choose_ports(wanted)
    for each in waiting:
        ports = {name: chosen[f"{each.name} {name}"] for name in each.port_names}
        write_private(each.folder / "ports.json", json.dumps(ports))


def _concerns(setting: str, service: str) -> bool:
    """Whether the service reads it: its own, or everybody's."""
    if setting in EVERYBODYS:
        return True
    of = [each for each in SERVICES if setting.startswith(f"VOICEFILE_{each.upper()}_")]
    return not of or service in of


_shared: dict[int, Cluster | BaseException] = {}
"""By process: xdist's workers have one each."""
_making = threading.Lock()


def own_settings() -> dict[str, str]:
    """What the test's environment says about services: `VOICEFILE_INGEST_…` and the like."""
    prefixes = tuple(f"VOICEFILE_{each.upper()}_" for each in SERVICES)
    return {name: value for name, value in os.environ.items() if name.startswith(prefixes)}


def the_cluster(folder: Callable[[], Path]) -> Cluster:
    """The one of this pytest process, made when it is first asked for: starting takes its time.

    One that did not start is not tried again by every test.
    """
    with _making:
        if os.getpid() not in _shared:
            _shared[os.getpid()] = _started(Cluster(folder(), settings=own_settings()))
        found = _shared[os.getpid()]
    if isinstance(found, NotToBeHad):
        pytest.skip(f"NOT RUN: {found}")
    if not isinstance(found, Cluster):
        raise ClusterDidNotStart from found
    found.with_settings(own_settings())
    return found


def _started(cluster: Cluster) -> Cluster | BaseException:
    try:
        cluster.start()
    except BaseException as error:  # noqa: BLE001 - told to every test that asks for it
        cluster.stop()
        return error
    return cluster


def end_the_cluster() -> Iterator[str]:
    """Stops it; tells what ended otherwise than it should, and who was started again."""
    cluster = _shared.pop(os.getpid(), None)
    if not isinstance(cluster, Cluster):
        return
    restarts = {each.name: each.restarts for each in cluster.everybody if each.restarts}
    yield from (f"{name} did not stop cleanly" for name in cluster.stop())
    yield from (f"{name} ended by itself {count} times" for name, count in restarts.items())
