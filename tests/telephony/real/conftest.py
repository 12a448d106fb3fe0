from collections.abc import Iterator

import pytest
from tests.telephony.real.edge import Edge, NotHere, running, switch
from tests.telephony.real.vault import Vault, vault_in


@pytest.fixture(scope="session")
def able() -> None:
    """Skips, and says so aloud, where no edge can run."""
    try:
        switch()
    except NotHere as why:
        pytest.skip(f"NOT RUN: no real calls on this machine, as {why}")


@pytest.fixture(scope="module")
def vault(able, tmp_path_factory) -> Iterator[Vault]:
    """With two tenants."""
    vault = vault_in(tmp_path_factory.mktemp("vault") / "var")
    with vault.up(companies=2):
        yield vault


@pytest.fixture(scope="module")
def edge(vault, tmp_path_factory) -> Iterator[Edge]:
    """That asks this vault."""
    folder = tmp_path_factory.mktemp("edge")
    with running(folder, vault=vault.edges, service=vault.telephone) as edge:
        yield edge
