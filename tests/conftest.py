"""For all tests: at the end it is said aloud which real engines served, and which were missing."""

from tests.engines.running import summary


def pytest_terminal_summary(terminalreporter, config):
    if hasattr(config, "workerinput"):
        return  # one of many: the one that gathers says it once
    terminalreporter.section("engines")
    for line in summary():
        terminalreporter.write_line(line)
