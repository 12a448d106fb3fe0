"""When tests over a cluster run: it takes two cores and a minute only to start."""

import os

import pytest
from tests.stand import EMBEDDED, FORM

asked_for = pytest.mark.skipif(
    os.environ.get(FORM, EMBEDDED) == EMBEDDED and not os.environ.get("VOICEFILE_FAULTS"),
    reason="services apart: make cluster (or make faults) runs it",
)
