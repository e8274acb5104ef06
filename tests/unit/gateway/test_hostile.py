"""Each way of sending something that should not come in has its answer, and none of them reaches the broker."""

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.unit.gateway.desk import BATCH, ENVELOPE, NOW, PLAIN, Desk, event, secret, signed

KB = 1024
MINUTE = dt.timedelta(minutes=1)


@dataclass
class Attempt:
    """A request, and what is answered."""

    body: bytes
    status: int
    says: str
    headers: Mapping[str, str] = field(default_factory=dict)
    sign: Mapping[str, Any] = field(default_factory=dict)

    def request(self) -> tuple[bytes, dict[str, str]]:
        return self.body, {**signed(self.body, **self.sign), **self.headers}


def raw(**changed: Any) -> bytes:
    return json.dumps(event(**changed)).encode()


def of_data(data: str) -> bytes:
    return raw(data="@").replace(b'"@"', data.encode())


BINARY = {
    "content-type": PLAIN,
    "ce-specversion": "1.0",
    "ce-id": "msg-1",
    "ce-source": "/crm",
    "ce-type": "opportunity.won.v1",
}
FACT = b'{"opportunity_id": 42}'

ATTEMPTS = {
    # who
    "no signature": Attempt(raw(), 401, "webhook-signature is missing", {"webhook-signature": ""}),
    "bad signature": Attempt(raw(), 401, "fits none of the secrets", {"webhook-signature": "v1,AAAA"}),
    "no version": Attempt(raw(), 401, "fits none of the secrets", {"webhook-signature": "AAAA"}),
    "wrong key": Attempt(raw(), 401, "fits none of the secrets", sign={"by": secret("x")}),
    "another body": Attempt(raw(), 401, "fits none", signed(b"{}")),
    "another id": Attempt(raw(), 401, "fits none", {"webhook-id": "msg-2"}),
    "old": Attempt(raw(), 401, "of 360 s ago or ahead", sign={"moment": NOW - 6 * MINUTE}),
    "of the future": Attempt(raw(), 401, "of 360 s ago or ahead", sign={"moment": NOW + 6 * MINUTE}),
    "no number": Attempt(raw(), 401, "no whole number of seconds", {"webhook-timestamp": "now"}),
    "a far number": Attempt(raw(), 401, "no whole number of seconds", {"webhook-timestamp": "9" * 40}),
    # how much
    "10 MB": Attempt(b"[" * (10 * KB * KB), 413, "larger than 262144 bytes"),
    "a batch of 10 MB": Attempt(b" " * (10 * KB * KB), 413, "larger than 1048576", {"content-type": BATCH}),
    "a length that is none": Attempt(b"x", 413, "larger than", {"content-length": "9" * 30}),
    "too many events": Attempt(b"[" + b"1," * 1000 + b"1]", 413, "may have 1000", {"content-type": BATCH}),
    # in which form
    "form data": Attempt(raw(), 415, "content type is none of", {"content-type": "multipart/form-data"}),
    "no content type": Attempt(raw(), 415, "content type is none of", {"content-type": ""}),
    "XML": Attempt(b"<a/>", 415, "content type is none of", {"content-type": "application/cloudevents+xml"}),
    "latin-1": Attempt(raw(), 415, "in UTF-8", {"content-type": f"{ENVELOPE}; charset=latin-1"}),
    "a charset in another parameter": Attempt(
        raw(), 415, "in UTF-8", {"content-type": f"{ENVELOPE}; x=charset=utf-8; charset=utf-16"}
    ),
    "UTF-16": Attempt(json.dumps(event()).encode("utf-16"), 422, "not JSON"),
    "compressed": Attempt(raw(), 415, "compressed", {"content-encoding": "gzip"}),
    # what
    "nothing": Attempt(b"", 422, "not JSON"),
    "half an event": Attempt(raw()[:-1], 422, "not JSON"),
    "not UTF-8": Attempt(b'"\xff"', 422, "not JSON"),
    "deep nesting": Attempt(b"[" * 100_000, 422, "not JSON"),
    "deep data": Attempt(of_data('{"x":' * 5000 + "1" + "}" * 5000), 422, "not JSON"),
    "NaN": Attempt(of_data('{"opportunity_id": NaN}'), 422, "not JSON"),
    "Infinity": Attempt(of_data('{"opportunity_id": -Infinity}'), 422, "not JSON"),
    "a float beyond all": Attempt(of_data('{"opportunity_id": 1e999}'), 422, "a number is too large"),
    "a name twice": Attempt(raw()[:-1] + b', "id": "two"}', 422, "says `id` twice"),
    "a name twice in data": Attempt(of_data('{"opportunity_id": 42, "opportunity_id": 43}'), 422, "twice"),
    "a name twice in a batch": Attempt(b"[" + raw()[:-1] + b', "id": "two"}]', 422, "twice", {"content-type": BATCH}),
    "data twice": Attempt(raw(data_base64="e30="), 422, "both data and data_base64"),
    "data that is no base64": Attempt(raw(data=None, data_base64="{}"), 422, "data_base64: it is not base64"),
    "half a character": Attempt(of_data(r'{"opportunity_id": 42, "x": "\ud800"}'), 422, "not JSON"),
    "half a character as id": Attempt(raw(id="@").replace(b'"@"', rb'"\udfff"'), 422, "not JSON"),
    "a list": Attempt(b"[]", 422, "an event is an object"),
    "a batch in the wrong form": Attempt(json.dumps([event()]).encode(), 422, "an event is an object"),
    "an event in the form of a batch": Attempt(raw(), 422, "a batch is a list", {"content-type": BATCH}),
    "no id": Attempt(raw(id=None), 422, "id: Field required"),
    "a long id": Attempt(raw(id="x" * 201), 422, "id: String should have at most 200"),
    "no data": Attempt(raw(data=None), 422, "data: Field required"),
    "another version": Attempt(raw(specversion="0.3"), 422, "specversion"),
    "an unknown fact": Attempt(raw(type="opportunity.wom.v1"), 422, "Did you mean `opportunity.won.v1`"),
    "one field too many": Attempt(raw(data={"opportunity_id": 42, "x": 1}), 422, "x: Extra inputs"),
    "a moment without zone": Attempt(raw(time="2026-11-22T09:30:00"), 422, "time"),
    "a line break in the id": Attempt(raw(id="a\r\nset-cookie: b"), 422, "holds a control character"),
    "a line break in the source": Attempt(raw(source="/crm/\n"), 422, "holds a control character"),
    "an extension that is a list": Attempt(raw(more=[1]), 422, "an extension"),
    "an extension with a name of its own": Attempt(raw(**{"a b\n": 1}), 422, "attribute"),
    # with the envelope in headers
    "a line break in a header": Attempt(
        FACT, 422, "holds a control character", {**BINARY, "ce-id": "a%0D%0Ab"}, {"id": "a%0D%0Ab"}
    ),
    "a header that is no UTF-8": Attempt(FACT, 422, "percent-encoded UTF-8", {**BINARY, "ce-subject": "%FF"}),
    "headers without a source": Attempt(
        FACT, 422, "source: Field required", {k: v for k, v in BINARY.items() if k != "ce-source"}
    ),
    "a foreign source in headers": Attempt(FACT, 403, "signs for the source /crm", {**BINARY, "ce-source": "/shop"}),
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_it_is_turned_away(desk: Desk, name: str) -> None:
    attempt = ATTEMPTS[name]

    answer = desk.post("/events", *attempt.request())

    assert (answer.status_code, answer.headers["content-type"]) == (attempt.status, "application/problem+json")
    assert attempt.says in answer.json()["detail"]
    assert answer.json()["status"] == attempt.status
    assert desk.sent == []


def test_a_body_without_an_end_is_not_read_to_its_end(desk: Desk) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 16 * KB
            yield b" " * 16 * KB

    answer = desk.post("/events", endless(), signed(b""))

    assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    assert read <= 257 * KB + 16 * KB


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    desk = Desk(PURSER_GATEWAY_READ_TIMEOUT="0.05")

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    answer = desk.post("/events", slow(), signed(b"{"))

    assert (answer.status_code, answer.headers["connection"]) == (408, "close")
    assert "not there as a whole after 0.05 s" in answer.json()["detail"]


@pytest.mark.parametrize("id_", ["ünïcode 😀", "\u202egnihtemos", "a'--", "${jndi}", "../../x", "deal\u00a042"])
def test_an_id_may_be_any_text_and_is_told_as_it_is(desk: Desk, id_: str) -> None:
    answer = desk.send(event(id=id_), id="msg-ü")

    assert (answer.status_code, answer.json()["id"]) == (202, id_)
    assert [told["id"] for told in desk.told] == [id_]


def test_the_same_id_twice_in_a_batch_is_one_event(desk: Desk) -> None:
    answer = desk.send([event(), event(data={"opportunity_id": 43})], content_type=BATCH)

    assert [one["known"] for one in answer.json()["events"]] == [False, True]
    assert [told["data"]["opportunity_id"] for told in desk.told] == [42]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/events", 405), ("POST", "/events/", 404)])
def test_another_way_leads_nowhere(desk: Desk, method: str, path: str, status: int) -> None:
    answer = desk.ask(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
