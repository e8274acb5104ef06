"""One signed POST: what it carries, where it goes, and what becomes of every kind of answer."""

import datetime as dt
import http.server
import json
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.policy.subscriptions import Subscription
from events.signature import read_secret
from purser.errors import Transient, UnknownOutcome
from store import CallResult, DeliveryResult
from tests.receivers import OLD_SECRET, SECRET, Receiver, answer, receiving
from workers.outbound.deliver import classify_response
from workers.outbound.http import ReceiverResponse, body_of, post, retry_after

NOW = dt.datetime(2026, 11, 16, 8, 0, tzinfo=dt.UTC)
EVENT = {
    "specversion": "1.0",
    "id": "e-1",
    "type": "invoice.posted.v1",
    "source": "/test",
    "data": {"name": "Zürich"},
}
KEYS = (read_secret(SECRET),)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def to(url: str, *, allow_private: bool = True) -> Subscription:
    return Subscription(name="n8n", to=url, events=("*",), secret="n8n", allow_private=allow_private)


def send(url: str, *, allow_private: bool = True, **given: Any) -> ReceiverResponse:
    now = given.pop("now", None) or dt.datetime.now(dt.UTC)
    return post(to(url, allow_private=allow_private), "m-1", EVENT, given.pop("keys", KEYS), now=now, **given)


# ------------------------------------------------------------------------- what it carries --


def test_an_event_arrives_whole_and_the_official_package_verifies_it(receiver: Receiver) -> None:
    assert send(receiver.url).status == 204
    (heard,) = receiver.heard
    assert heard.event() == EVENT
    assert heard.path == "/hook?key=token"
    assert heard.id == "m-1"
    assert heard.headers["content-type"] == "application/cloudevents+json"
    assert heard.headers["user-agent"].startswith("purser/")
    assert heard.headers["host"] == f"127.0.0.1:{receiver.port}"


def test_while_a_secret_is_replaced_both_verify(receiver: Receiver) -> None:
    send(receiver.url, keys=(read_secret(SECRET), read_secret(OLD_SECRET)))
    (heard,) = receiver.heard
    assert heard.event(SECRET) == heard.event(OLD_SECRET) == EVENT


def test_what_is_no_text_is_sent_as_its_escape() -> None:
    assert json.loads(body_of({"data": "Zürich"})) == {"data": "Zürich"}
    assert body_of({"data": "\udc00"})


# ------------------------------------------------------------------------------- answers --

SOON = "Mon, 16 Nov 2026 08:01:30 GMT"
ANSWERS: list[tuple[Callable[..., None], DeliveryResult, int, float | None]] = [
    (answer(200, b"ok"), DeliveryResult.DELIVERED, 200, None),
    (answer(204), DeliveryResult.DELIVERED, 204, None),
    (answer(301, location="http://127.0.0.1:1/elsewhere"), DeliveryResult.FAILED, 301, None),
    (answer(307, location="http://169.254.169.254/"), DeliveryResult.FAILED, 307, None),
    (answer(400, b"no"), DeliveryResult.FAILED, 400, None),
    (answer(404), DeliveryResult.FAILED, 404, None),
    (answer(410), DeliveryResult.GONE, 410, None),
    (answer(429, retry_after="90"), DeliveryResult.THROTTLED, 429, 90.0),
    (answer(429), DeliveryResult.THROTTLED, 429, 30.0),
    (answer(500), DeliveryResult.FAILED, 500, None),
    (answer(503, retry_after="7"), DeliveryResult.THROTTLED, 503, 7.0),
    (answer(503), DeliveryResult.FAILED, 503, None),
    (answer(200, b"x" * 5_000_000), DeliveryResult.DELIVERED, 200, None),
]


@pytest.mark.parametrize(("given", "sent", "status", "patience"), ANSWERS)
def test_an_answer_counts_by_its_status(
    receiver: Receiver, given: Callable[..., None], sent: DeliveryResult, status: int, patience: float | None
) -> None:
    receiver.give = given
    found = classify_response(send(receiver.url))
    assert (found.sent, found.status, found.retry_after) == (sent, status, patience)
    assert len(receiver.heard) == 1, "nobody is followed and nothing is repeated"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        (" 5 ", 5.0),
        ("0", 0.0),
        (SOON, 90.0),
        ("Mon, 16 Nov 2026 07:00:00 GMT", 0.0),
        ("Mon, 16 Nov 2037 07:00:00 GMT", 3600.0),
        ("86400", 3600.0),
        ("9" * 400, 3600.0),
        ("-1", 30.0),
        ("soon", 30.0),
        ("", 30.0),
        ("Mon, 99 Nov 2026 08:01:30 GMT", 30.0),
    ],
)
def test_patience_is_read_in_seconds_and_as_a_date_and_has_an_end(text: str, seconds: float) -> None:
    assert retry_after(text, now=NOW) == seconds


def never(handler: http.server.BaseHTTPRequestHandler, receiver: Receiver) -> None:
    receiver.over.wait(30)


def drip(handler: http.server.BaseHTTPRequestHandler, receiver: Receiver) -> None:
    """Begin to answer, one byte at a time: each read succeeds, and all of them together never end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while not receiver.over.wait(0.02):
        handler.wfile.write(b"x")


def hang_up(handler: http.server.BaseHTTPRequestHandler, receiver: Receiver) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def garbage(handler: http.server.BaseHTTPRequestHandler, receiver: Receiver) -> None:
    handler.wfile.write(b"220 smtp.example.com ESMTP\r\n\r\n")


def endless_head(handler: http.server.BaseHTTPRequestHandler, receiver: Receiver) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"x-much: " + b"y" * 10_000_000)


@pytest.mark.parametrize(
    ("behaves", "why", "verdict"),
    [
        (never, "no answer within 0.3 s", CallResult.TIMED_OUT),
        (drip, "no answer within 0.3 s", CallResult.TIMED_OUT),
        (hang_up, "broke before an answer", CallResult.TIMED_OUT),
        (garbage, "broke before an answer", CallResult.TIMED_OUT),
        (endless_head, "broke before an answer", CallResult.TIMED_OUT),
    ],
)
def test_who_gives_no_answer_may_have_the_event(
    receiver: Receiver, behaves: Callable[..., None], why: str, verdict: CallResult
) -> None:
    receiver.give = lambda handler: behaves(handler, receiver)
    with pytest.raises(UnknownOutcome, match=why) as caught:
        send(receiver.url, deadline=0.3)
    assert classify_response(caught.value).verdict is verdict
    assert "token" not in str(caught.value)


def test_a_body_that_never_ends_is_not_waited_for(receiver: Receiver) -> None:
    def give(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not receiver.over.wait(0.01):
            handler.wfile.write(b"x" * 1000)

    receiver.give = give
    assert send(receiver.url).is_well
    assert send(receiver.url, reads=2048).text == "x" * 2048


def test_who_is_not_there_has_nothing() -> None:
    with receiving() as gone:
        url = gone.url
    with pytest.raises(Transient, match="it cannot be connected to: connection refused") as caught:
        send(url)
    assert not isinstance(caught.value, UnknownOutcome)


# ------------------------------------------------------------------------ where it goes to --


def test_a_private_address_is_not_even_knocked_at(receiver: Receiver) -> None:
    with pytest.raises(Transient, match=r"leads to 127\.0\.0\.1, which is this machine itself"):
        send(receiver.url, allow_private=False)
    assert receiver.heard == []


def test_a_name_is_looked_up_once_and_what_was_judged_is_what_is_connected_to(receiver: Receiver) -> None:
    """The second answer of a name server that changes its mind is never asked for."""
    asked = []

    def changes_its_mind(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    url = f"http://hooks.invalid:{receiver.port}/x"  # a name that no other lookup would find
    assert send(url, resolve=changes_its_mind).is_well
    assert asked == ["hooks.invalid"]
    assert receiver.heard[0].headers["host"] == f"hooks.invalid:{receiver.port}"


def test_a_name_that_was_good_is_judged_again_at_the_next_attempt(receiver: Receiver) -> None:
    numbers = iter(["127.0.0.1", "169.254.169.254"])
    url = f"http://hooks.invalid:{receiver.port}/x"
    assert send(url, resolve=lambda host, port: [next(numbers)]).is_well
    with pytest.raises(Transient, match="a metadata service of a cloud"):
        send(url, resolve=lambda host, port: [next(numbers)])
    assert len(receiver.heard) == 1


def test_the_next_number_is_tried_where_the_first_lets_nobody_in(receiver: Receiver) -> None:
    url = f"http://hooks.invalid:{receiver.port}/x"
    assert send(url, resolve=lambda host, port: ["127.0.0.2", "127.0.0.1"]).is_well


def test_a_proxy_of_the_environment_is_not_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert send(receiver.url).is_well


# ----------------------------------------------------------------------------------- TLS --


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for hooks.invalid, with its key."""
    made = tmp_path_factory.mktemp("tls") / "hooks.pem"
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-days", "2", "-subj", "/CN=hooks.invalid", "-addext", "subjectAltName=DNS:hooks.invalid"),
        *("-keyout", str(made), "-out", str(made.with_suffix(".crt"))),
    ]
    subprocess.run(command, check=True, capture_output=True)
    made.write_text(made.read_text() + made.with_suffix(".crt").read_text())
    return made


def test_tls_is_verified_against_the_name_and_not_the_number(certificate: Path) -> None:
    named: list[str | None] = []
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    tls.sni_callback = lambda _, name, __: named.append(name)
    trusted = ssl.create_default_context(cafile=str(certificate))
    with receiving(tls=tls) as receiver:

        def ask(host: str, trusting: ssl.SSLContext | None) -> ReceiverResponse:
            url = f"https://{host}:{receiver.port}/x"
            return send(url, resolve=lambda host, port: ["127.0.0.1"], trusted=trusting)

        assert ask("hooks.invalid", trusted).is_well
        assert named == ["hooks.invalid"]
        with pytest.raises(Transient, match=r"its certificate is not trusted.*Hostname mismatch"):
            ask("other.invalid", trusted)
        with pytest.raises(Transient, match="its certificate is not trusted"):
            ask("hooks.invalid", None)
        assert len(receiver.heard) == 1
