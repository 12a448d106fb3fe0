"""What a caller hears when the vault goes away in the middle of a call."""

import os
import signal

import pytest
from tests.telephony.real.asked_for import asked_for
from tests.telephony.real.caller import SHARED, signed_in, until_heard
from tests.telephony.real.edge import SHIPPED, running
from tests.telephony.real.phone import Phone
from tests.telephony.real.timecode import Recording, plays
from tests.telephony.real.vault import vault_in

pytestmark = asked_for
NOTICED_S_MAX = 25.0
"""The switch waits for ten seconds, and the forwarder for less."""
APOLOGY = (SHIPPED / "sounds" / "apology.wav").read_bytes()


@pytest.fixture
def place(able, tmp_path):
    return vault_in(tmp_path / "var")


async def test_a_restart_in_the_middle_is_apologised_for_and_the_next_call_is_fine(place, tmp_path):
    recording = Recording("restart", 60)
    with place.up(companies=1):
        customer = place.customer(recording)
        edge_folder = tmp_path / "edge"
        with running(edge_folder, vault=place.edges, service=place.telephone) as edge:
            async with Phone(edge, "+49303000001") as phone:
                await signed_in(phone, customer)
                await until_heard(phone, recording, 2)
                os.kill(place.process.process.pid, signal.SIGKILL)
                await apologised(phone)
            with place.up():
                async with Phone(edge, "+49303000001") as phone:
                    await signed_in(phone, customer)
                    assert (await until_heard(phone, recording, 2)).start == 0


async def test_a_vault_that_does_not_answer_is_apologised_for_and_the_next_call_is_fine(
    place, tmp_path
):
    recording = Recording("stopped", 60)
    with place.up(companies=1) as vault:
        customer = place.customer(recording)
        with running(tmp_path / "edge", vault=place.edges, service=place.telephone) as edge:
            async with Phone(edge, "+49303000002") as phone:
                await signed_in(phone, customer)
                await until_heard(phone, recording, 2)
                os.kill(vault.process.pid, signal.SIGSTOP)
                try:
                    await phone.press("6")
                    await apologised(phone)
                    async with Phone(edge, "+49303000003") as early:
                        assert await early.dial(SHARED) == 200
                        await apologised(early)
                finally:
                    os.kill(vault.process.pid, signal.SIGCONT)
            async with Phone(edge, "+49303000002") as phone:
                await signed_in(phone, customer)
                assert (await until_heard(phone, recording, 2)).start == 0


async def apologised(phone):
    """The edge's own words, and then the end of the call."""
    await phone.until_over(NOTICED_S_MAX + len(APOLOGY) / 16_000)
    assert plays(phone.heard[-1_000:], APOLOGY)
