"""Visitors: where a sign-in comes from, as far as it can be believed.

Only the portal's certificate may say whose address and device a request carries; from anybody
else those headers are words, and the socket's address counts. (Behind a front its door has put
the visitor's address there before anybody asks: `chassis.behind_front`.) For callers on the
telephone playback's certificate speaks, and the number it names is whatever the network said: the
name of a budget, never a proof.
"""

import ipaddress

from starlette.requests import Request

from voicefile.auth.keys.blind_index import normal_phone
from voicefile.auth.listening.customer_sessions import hashed_call
from voicefile.auth.throttling.throttle_policy import Channel
from voicefile.auth.throttling.throttles import Visitor
from voicefile.identity.guard import peer_name

PORTAL = "portal"
ADDRESS_HEADER = "voicefile-client-address"
DEVICE_HEADER = "voicefile-device"
DEVICE_CHARS_MIN = 22
"""128 random bits in base64url; what is shorter could be guessed and is no mark."""
DEVICE_CHARS_MAX = 128
IPV4_PREFIX = 24
IPV6_PREFIX = 56
UNREADABLE = "unreadable"
NUMBER_DIGITS_MAX = 15
"""E.164 has no longer ones."""


def web_visitor(request: Request) -> Visitor:
    """Whoever stands at the other end of the socket, or whom the portal speaks for."""
    socket = request.client.host if request.client else ""
    if peer_name(request) != PORTAL:
        return Visitor(Channel.WEB, network_of(socket))
    address = request.headers.get(ADDRESS_HEADER, socket)
    device = request.headers.get(DEVICE_HEADER, "")
    mark = device if DEVICE_CHARS_MIN <= len(device) <= DEVICE_CHARS_MAX else ""
    return Visitor(Channel.WEB, network_of(address), mark)


def telephone_visitor(caller: str, call_id: str) -> Visitor:
    """Whoever calls. A number that was withheld, or is none, marks nobody."""
    number = normal_phone(caller)
    if len(number) > NUMBER_DIGITS_MAX:
        number = ""
    return Visitor(Channel.PHONE, origin=number, mark=number, call=hashed_call(call_id))


def network_of(address: str) -> str:
    """The network an address belongs to: a home or a small office, not one machine.

    What is no address shares one bucket, so that nonsense is no way around it.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return UNREADABLE
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    prefix = IPV4_PREFIX if isinstance(found, ipaddress.IPv4Address) else IPV6_PREFIX
    return str(ipaddress.ip_network((found.packed, prefix), strict=False))
