"""pytest over a cluster: which tests are not for it and why, and how it ended.

VOICEFILE_FORM=cluster pytest -p tests.cluster.plugin tests/journeys tests/isolation
"""

import pytest
from tests.cluster.cluster import end_the_cluster

NOT_FOR_A_CLUSTER = {
    "tests/journeys/test_canaries.py": "the embedded process and its folder; tests/cluster has "
    "the day and the search over engines' files",
    "tests/journeys/test_partner_guide.py": "the guide's commands for `voicefile demo`, the "
    "embedded vault's second start, and var/demo.json",
}
"""Everything else of the suites runs. Each line tells why not."""

_ended: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        reason = NOT_FOR_A_CLUSTER.get(item.nodeid.split("::", maxsplit=1)[0])
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=f"NOT FOR A CLUSTER: {reason}"))
        elif item.get_closest_marker("timeout") is None:
            # Over a network, with two cores for a dozen processes.
            item.add_marker(pytest.mark.timeout(600))


def pytest_sessionfinish(session: pytest.Session) -> None:
    _ended.extend(end_the_cluster())
    if _ended and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _ended:
        terminalreporter.write_line(f"cluster: {line}", red=True)
