"""Ports for engines: free now, and still free when an engine comes back after a kill."""

import random
import socket
from collections.abc import Sequence
from pathlib import Path

LOWEST = 15_000


def choose_ports(names: Sequence[str]) -> dict[str, int]:
    """A free port for each name.

    Below the range from which the system takes the near ends of connections: a port from there
    could be taken by any connection while its engine is down, and then it can't come back.
    """
    ephemeral = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]
    candidates = range(LOWEST, max(LOWEST + 5_000, int(ephemeral)))
    chosen: dict[str, int] = {}
    while len(chosen) < len(names):
        port = random.choice(candidates)
        if port not in chosen.values() and free(port):
            chosen[names[len(chosen)]] = port
    return chosen


def free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
