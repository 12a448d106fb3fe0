import pytest
import pytest_asyncio
from tests.cluster import plugin
from tests.cluster.cluster import Cluster, end_the_cluster, the_cluster
from tests.cluster.stand_apart import stand_apart


@pytest.fixture(scope="session")
def cluster(tmp_path_factory) -> Cluster:
    """The one of this process; engines that this machine can't run skip with their reason."""
    return the_cluster(lambda: tmp_path_factory.mktemp("cluster"))


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def vault(cluster):
    """The cluster as a stand with two companies of its own."""
    async with stand_apart("test") as made:
        await made.furnished(companies=2)
        yield made


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Nobody starts services again while Python ends. The plugin, if there, does more."""
    if not session.config.pluginmanager.is_registered(plugin):
        for line in end_the_cluster():
            print(f"cluster: {line}")
