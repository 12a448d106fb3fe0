"""When tests over a cluster run: it takes two cores and a minute only to start."""

import os

import pytest
from tests.stand import APART

asked_for = pytest.mark.skipif(
    not APART and not os.environ.get("VOICEFILE_FAULTS"),
    reason="services apart: make cluster (or make faults) runs it",
)
