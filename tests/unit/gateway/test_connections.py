"""Sockets that send slowly or nothing keep nobody out: those who send at once are let in, and the others end."""

import contextlib
import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator

import pytest

from gateway.connections import ConnectionLimits, Connections
from gateway.server import listen, server_of
from tests.unit.gateway.desk import Desk, event, signed
from tests.waiting import wait_until

HEAD = b"POST /events HTTP/1.1\r\nhost: x\r\ncontent-type: application/cloudevents+json\r\ncontent-length: 9\r\n"
SIGNED = b"webhook-id: m\r\nwebhook-timestamp: 1\r\nwebhook-signature: v1,AAAA\r\n"
SLOW = HEAD + SIGNED + b"\r\n{"
SLOW_HOOK = HEAD.replace(b"/events", b"/hooks/odoo/x") + b"\r\n{"
HALF_A_HEAD = b"GET / HTTP/1.1\r\nx: "


class Served:
    """A gateway on a port of this machine."""

    def __init__(self, port: int, desk: Desk, connections: Connections) -> None:
        self.port, self.desk, self.connections = port, desk, connections
        self._held: list[socket.socket] = []

    def hold(self, count: int, data: bytes) -> list[socket.socket]:
        """Open sockets that send some bytes and no more."""
        held = [socket.create_connection(("127.0.0.1", self.port), timeout=10) for _ in range(count)]
        for one in held:
            if data:
                one.sendall(data)
        self._held += held
        return held

    def send(self, path: str = "/events", *, sign: bool = True) -> int:
        """Send an event at once; give the status."""
        body = json.dumps(event()).encode()
        headers = signed(body) if sign else {"content-type": "application/cloudevents+json"}
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as client:
            client.request("POST", path, body, headers)
            return client.getresponse().status

    def get(self, path: str = "/health/live") -> int:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as client:
            client.request("GET", path)
            return client.getresponse().status

    def close(self) -> None:
        for one in self._held:
            one.close()


@contextlib.contextmanager
def serving(limits: ConnectionLimits = ConnectionLimits()) -> Iterator[Served]:  # noqa: B008
    """Serve with limits until the block ends."""
    desk, connections = Desk(), Connections(limits)
    listener = listen("127.0.0.1", 0)
    server = server_of(desk.app, connections)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    served = Served(listener.getsockname()[1], desk, connections)
    try:
        wait_until(lambda: server.started, within=20, what="the gateway to listen")
        yield served
    finally:
        served.close()
        server.should_exit = True
        thread.join(timeout=20)
        listener.close()


def is_closed(one: socket.socket) -> bool:
    """Return whether the other side has closed a socket. Waits for it, as long as its time-out says."""
    try:
        while one.recv(65536):
            pass
    except ConnectionError:
        return True
    return True


# --------------------------------------------------------------------------- bodies that come slowly --


@pytest.mark.parametrize("data", [HEAD + b"\r\n{", SLOW, SLOW_HOOK], ids=["unsigned", "signed wrongly", "hooks"])
def test_slow_bodies_keep_nobody_out(data: bytes) -> None:
    with serving() as gateway:
        gateway.hold(150, data)

        assert gateway.send() == 202
        assert gateway.send(sign=False) == 401
        assert gateway.send("/hooks/odoo/nobody", sign=False) == 404
        assert gateway.get("/health/ready") == 200


def test_the_slowest_of_too_many_bodies_is_answered_that_it_was_too_slow() -> None:
    with serving() as gateway:
        first, *_ = gateway.hold(100, SLOW)
        gateway.hold(5, SLOW)

        assert gateway.send() == 202
        assert first.recv(20).startswith(b"HTTP/1.1 408")


def test_an_unsigned_request_is_answered_before_its_body_is_there() -> None:
    with serving(ConnectionLimits(rest_seconds=0.1)) as gateway:
        (one,) = gateway.hold(1, HEAD + b"\r\n{")

        assert one.recv(20).startswith(b"HTTP/1.1 401")
        assert is_closed(one), "the rest of its body is not waited for"


# ---------------------------------------------------------------------------- heads that do not come --


@pytest.mark.parametrize("data", [b"", HALF_A_HEAD, b"\r\n"], ids=["nothing", "half a head", "an empty line"])
def test_a_head_that_is_not_there_in_time_ends_its_socket(data: bytes) -> None:
    with serving(ConnectionLimits(head_seconds=0.2)) as gateway:
        held = gateway.hold(20, data)

        assert all(is_closed(one) for one in held)
        wait_until(lambda: len(gateway.connections) == 0, what="all sockets to be forgotten")
        assert gateway.send() == 202


def test_a_head_that_trickles_has_no_more_time_than_one_that_does_not() -> None:
    with serving(ConnectionLimits(head_seconds=0.3)) as gateway:
        (one,) = gateway.hold(1, HALF_A_HEAD)
        stop = threading.Event()

        def trickle() -> None:
            with contextlib.suppress(OSError):
                while not stop.wait(0.02):
                    one.sendall(b"a")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            assert is_closed(one)
        finally:
            stop.set()
            thread.join()


def test_a_further_request_on_a_socket_has_the_time_of_a_head_from_its_first_byte() -> None:
    with serving(ConnectionLimits(head_seconds=0.3)) as gateway:
        (one,) = gateway.hold(1, b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        assert one.recv(65536).startswith(b"HTTP/1.1 200")
        one.sendall(HALF_A_HEAD)
        assert is_closed(one)


def test_half_heads_of_one_peer_keep_nobody_out_even_before_their_time_is_up() -> None:
    with serving(ConnectionLimits(sockets=50)) as gateway:
        held = gateway.hold(60, HALF_A_HEAD)

        assert gateway.send() == 202
        assert gateway.get() == 200
        assert is_closed(held[0]), "the one that waited for the longest"


def test_a_peer_that_does_not_read_its_answers_is_not_waited_for() -> None:
    with serving(ConnectionLimits(write_seconds=0.3)) as gateway:
        ask = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"
        (one,) = gateway.hold(1, b"")
        one.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            for _ in range(2000):
                one.sendall(ask)
        wait_until(lambda: len(gateway.connections) == 0, within=20, what="the socket to be ended")
        assert gateway.send() == 202


# ------------------------------------------------------------------------------------- several peers --


class Socket:
    """Stands for a socket in the books of the gateway."""

    def __init__(self, *, is_idle: bool = True) -> None:
        self.is_idle, self.waits_since, self.ended = is_idle, 0, False

    def end(self) -> None:
        self.ended = True


def opened(connections: Connections, address: str, **given: bool) -> Socket:
    one = Socket(**given)
    connections.add(one, address)  # type: ignore[arg-type]
    return one


def test_the_socket_that_is_closed_is_one_of_the_peer_that_has_most() -> None:
    connections = Connections(ConnectionLimits(sockets=4))
    quiet = opened(connections, "192.0.2.1")
    busy = [opened(connections, address) for address in ("2001:db8::1", "2001:db8::2", "2001:db8::3")]

    opened(connections, "192.0.2.2")

    assert [one.ended for one in (quiet, *busy)] == [False, True, False, False]
    assert len(connections) == 4


def test_a_socket_with_a_request_is_never_closed_for_another() -> None:
    connections = Connections(ConnectionLimits(sockets=2))
    working = [opened(connections, "192.0.2.1", is_idle=False) for _ in range(2)]

    opened(connections, "192.0.2.2")

    assert not any(one.ended for one in working)


# ------------------------------------------------------------------------------------- odd requests --

BODY = json.dumps(event()).encode()
SIGNATURE = b"".join(f"{name}: {value}\r\n".encode() for name, value in signed(BODY).items())
CHUNKED = b"transfer-encoding: chunked\r\n"
LENGTH = f"content-length: {len(BODY)}\r\n".encode()


def asked(line: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    return line + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + b"".join(headers) + b"\r\n" + body


def sent(*headers: bytes, body: bytes = BODY) -> bytes:
    return asked(b"POST /events", SIGNATURE, *headers, body=body)


IN_CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)

ODD: dict[str, tuple[bytes, bytes]] = {
    "in order": (sent(LENGTH), b"202"),
    "a query": (asked(b"POST /events?a=%00&%ff;=[]&" + b"x" * 5000, SIGNATURE, LENGTH, body=BODY), b"202"),
    "a path in percents": (asked(b"POST /%65vents", SIGNATURE, LENGTH, body=BODY), b"202"),
    "chunks": (
        sent(CHUNKED, body=IN_CHUNKS),
        b"202",
    ),
    "chunks of no size": (
        sent(CHUNKED, body=b"zz\r\n"),
        b"400",
    ),
    "a negative chunk": (
        sent(CHUNKED, body=b"-1\r\n"),
        b"400",
    ),
    "two lengths": (sent(LENGTH, b"content-length: 3\r\n"), b"400"),
    "a length and chunks": (
        sent(LENGTH, CHUNKED, body=b"0\r\n\r\n"),
        b"401",  # chunks count where both are told (RFC 9112, section 6.3), and these hold nothing
    ),
    "another encoding": (sent(b"transfer-encoding: gzip\r\n"), b"400"),
    "two signatures": (
        sent(LENGTH, b"Webhook-Signature: v1,AAAA\r\n", body=BODY),
        b"400",
    ),
    "two ids": (asked(b"POST /events", b"webhook-id: other\r\n", SIGNATURE, LENGTH, body=BODY), b"400"),
    "two content types": (
        sent(LENGTH, b"content-type: text/xml\r\n", body=BODY),
        b"400",
    ),
    "many headers": (asked(b"GET /health/live", *(b"x-%d: 1\r\n" % n for n in range(1000))), b"200"),
    "too many headers": (asked(b"GET /health/live", *(b"x-%d: 1\r\n" % n for n in range(20_000))), b"400"),
    "bytes in a header": (asked(b"POST /events", b"webhook-id: \xff\xfe\r\n", LENGTH, body=BODY), b"415"),
    "a path upwards": (asked(b"GET /health/../events"), b"404"),
    "two slashes": (asked(b"GET //health/live"), b"404"),
    "half of a character in the path": (asked(b"POST /hooks/odoo/%ed%a0%80", LENGTH, body=BODY), b"404"),
    "a zero in the path": (asked(b"POST /hooks/odoo/%00", LENGTH, body=BODY), b"404"),
    "a whole address": (asked(b"GET http://elsewhere/health/live"), b"404"),
    "no path": (asked(b"OPTIONS *"), b"404"),
    "a tunnel": (asked(b"CONNECT elsewhere:443"), b"404"),
    "an unknown method": (asked(b"BREW /events"), b"405"),
    "an upgrade": (asked(b"GET /health/live", b"upgrade: websocket\r\nconnection: upgrade\r\n"), b"200"),
    "an expectation": (sent(LENGTH, b"expect: 100-continue\r\n"), b"202"),
    "no host": (b"GET /health/live HTTP/1.1\r\nconnection: close\r\n\r\n", b"400"),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"400"),
}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(ConnectionLimits(head_seconds=5)) as gateway:
        yield gateway


@pytest.mark.parametrize("name", ODD)
def test_an_odd_request_is_answered_and_never_with_a_fault(served: Served, name: str) -> None:
    data, status = ODD[name]
    (one,) = served.hold(1, data)
    answers = b""
    with contextlib.suppress(ConnectionError):
        while piece := one.recv(65536):
            answers += piece

    statuses = re.findall(rb"HTTP/1.1 (\d+) ", answers)
    assert statuses[-1:] == [status], answers
    assert served.send(sign=False) == 401


def test_requests_one_behind_the_other_are_answered_in_order(served: Served) -> None:
    asking = b"".join(b"GET /%b HTTP/1.1\r\nhost: x\r\n\r\n" % path for path in (b"health/live", b"a", b"docs"))
    (one,) = served.hold(1, asking + sent(LENGTH, body=BODY))
    answers = b""
    while piece := one.recv(65536):
        answers += piece
    lines = re.findall(rb"HTTP/1.1 (\d+) ", answers)
    assert lines == [b"200", b"404", b"200", b"202"]
