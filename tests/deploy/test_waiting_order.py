"""Who asks waits longer than whoever is asked may take: else an answer comes, and nobody hears it.

Under attack auth lets strangers wait for ten seconds. Between it and the caller stand playback, the
forwarder beside the edge and the switch; between it and the browser the portal and a front.
"""

import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from pydantic import ValidationError

from voicefile.auth.listening.access_settings import AccessSettings
from voicefile.playback.settings import PlaybackSettings
from voicefile.portal.settings import PortalSettings

DEPLOY = Path(__file__).parents[2] / "deploy"
HASHING_S = 3.0
"""What a full queue for hashing PINs may take on top, on a loaded machine."""


def of_nginx(conf: Path, *names: str) -> float:
    found = [re.findall(rf"proxy_{name}_timeout (\d+)s;", conf.read_text()) for name in names]
    assert all(len(each) == 1 for each in found), f"{conf.name} says it once"
    return sum(float(each[0]) for each in found)


def of_switch() -> float:
    conf = DEPLOY / "freeswitch" / "conf" / "autoload_configs" / "httapi.conf.xml"
    params = ET.fromstring(conf.read_text()).findall("profiles/profile/params/param")
    return float({each.get("name"): each.get("value", "") for each in params}["timeout"])


def waits_for_a_caller():
    """From auth outwards, in seconds."""
    forwarder = DEPLOY / "freeswitch" / "nginx.conf"
    return [
        AccessSettings().attack_answer_s + HASHING_S,
        PlaybackSettings().auth_pin_timeout_s,
        PlaybackSettings().call_answer_s,
        of_nginx(forwarder, "read"),
        of_switch(),
    ]


def in_order(waits):
    return all(inner < outer for inner, outer in pairwise(waits))


def test_a_caller_hears_what_auth_says_however_late_it_says_it():
    assert in_order(waits_for_a_caller()), waits_for_a_caller()


def test_the_switch_waits_for_all_that_the_forwarder_does():
    forwarder = DEPLOY / "freeswitch" / "nginx.conf"
    assert of_nginx(forwarder, "connect", "send", "read") < of_switch()


def test_a_browser_sees_what_auth_says_however_late_it_says_it():
    front = of_nginx(DEPLOY / "compose" / "front" / "nginx.conf", "read")
    waits = [AccessSettings().attack_answer_s, PortalSettings().answer_timeout_s, front]
    assert in_order(waits), waits


@pytest.mark.parametrize("place", range(4))
def test_the_control_a_wait_that_is_too_short_is_found(place):
    waits = waits_for_a_caller()
    waits[place + 1] = waits[place]
    assert not in_order(waits)


def test_what_is_set_cannot_turn_the_order_round():
    with pytest.raises(ValidationError):
        AccessSettings(attack_answer_s=AccessSettings().attack_answer_s + 1)
    with pytest.raises(ValidationError, match="call_answer_s"):
        PlaybackSettings(call_answer_s=PlaybackSettings().auth_pin_timeout_s)
