"""The same call by a telephone that is not ours."""

import asyncio
import shutil

import pytest
from tests.telephony.real.asked_for import asked_for
from tests.telephony.real.baresip import baresip
from tests.telephony.real.caller import SHARED
from tests.telephony.real.edge import SIPS
from tests.telephony.real.timecode import Recording

pytestmark = asked_for


@pytest.mark.skipif(shutil.which("baresip") is None, reason="NOT RUN: no baresip on this machine")
async def test_baresip_hears_the_recording(edge, vault, tmp_path):
    customer = vault.customer(Recording("baresip", 30))
    papers = {"authority": edge.papers / "cafile.pem", "certificate": edge.client}
    async with baresip(tmp_path / "baresip", **papers) as phone:
        phone.dial(SHARED, SIPS)
        await asyncio.sleep(4)
        await phone.press(f"{customer.access_id}#")
        await asyncio.sleep(3)
        await phone.press(f"{customer.pin}#")
        await asyncio.sleep(25)
        phone.hang_up()
        await asyncio.sleep(2)
        heard = phone.heard()
    alaw = customer.recording.alaw
    found = [second for second in range(30) if alaw[second * 8000 : second * 8000 + 160] in heard]
    assert len(found) >= 5
    assert found == list(range(found[-1] + 1))
