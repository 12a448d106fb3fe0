"""When real calls are made: it takes a switch, and minutes."""

import os

import pytest

WANTED = "VOICEFILE_TELEPHONY"
asked_for = [
    pytest.mark.skipif(
        not os.environ.get(WANTED), reason="real telephone calls: make telephony makes them"
    ),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(900),
]
