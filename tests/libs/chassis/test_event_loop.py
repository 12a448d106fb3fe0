"""A loop that is handed a connected socket closes it once, however soon the connection ends."""

import asyncio
import gc
import os
import socket

import pytest
import uvloop

from voicefile.chassis import event_loop
from voicefile.chassis.event_loop import Loop


class HangsUp(asyncio.Protocol):
    """Ends the connection while it is being made, as a peer that resets it does."""

    def connection_made(self, transport):
        transport.abort()


async def hand_over_and_forget(port):
    """As clients of S3 and of document stores connect. Answers the descriptor's number."""
    mine = socket.create_connection(("127.0.0.1", port))
    # A failure's traceback holds its frame as well: so the object stays until it is collected.
    circle = [mine]
    circle.append(circle)
    number = mine.fileno()
    await asyncio.get_running_loop().create_connection(HangsUp, sock=mine)
    for _ in range(5):
        await asyncio.sleep(0)
    return number


async def file_of_somebody_else_is_left_alone(port):
    gc.disable()
    try:
        number = await hand_over_and_forget(port)
        other = os.open(os.devnull, os.O_RDONLY)
        assert other == number, "the number is not given out again"
    finally:
        gc.enable()
    gc.collect()
    try:
        os.close(other)
    except OSError:
        return False
    return True


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_connection_that_ends_at_once_closes_nothing_of_others(port):
    assert event_loop.run(file_of_somebody_else_is_left_alone(port))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_uvloop_alone_closes_what_belongs_to_others(port):
    """The control. Once it fails, this loop of ours can go."""
    assert not uvloop.run(file_of_somebody_else_is_left_alone(port))


def test_who_hands_a_socket_in_has_none_any_more(port):
    async def main():
        mine = socket.create_connection(("127.0.0.1", port))
        transport, _ = await asyncio.get_running_loop().create_connection(
            asyncio.Protocol, sock=mine
        )
        assert isinstance(asyncio.get_running_loop(), Loop)
        assert mine.fileno() == -1
        assert transport.get_extra_info("peername") == ("127.0.0.1", port)
        transport.close()

    event_loop.run(main())


def test_sockets_of_its_own_are_connected_as_before(port):
    async def main():
        transport, _ = await asyncio.get_running_loop().create_connection(
            asyncio.Protocol, "127.0.0.1", port
        )
        transport.close()

    event_loop.run(main())
