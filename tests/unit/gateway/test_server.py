"""The gateway listens in a way that keeps no answer back, and says what is wrong with a place it cannot have."""

import asyncio
import socket

import pytest

from gateway.server import listen
from purser.errors import ConfigurationError


def test_an_answer_in_two_pieces_is_sent_without_waiting_for_anybody() -> None:
    async def nodelay() -> int:
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def met(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            told.set_result(
                writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY),
            )
            writer.close()

        listener = listen("127.0.0.1", 0)
        async with await asyncio.start_server(met, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            answer = await told
            writer.close()
            await writer.wait_closed()
            return answer

    assert asyncio.run(nodelay())


def test_a_place_that_somebody_has_is_named_with_the_settings_that_choose_another() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"127.0.0.1:{port}: .*PURSER_GATEWAY_PORT"):
            listen("127.0.0.1", port)
