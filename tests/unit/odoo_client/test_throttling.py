"""Each call asks the gate first and tells it afterwards how it went; what may not go now comes back later."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odoo_client import OdooClient, OdooConnection
from odoo_client.throttling import ThrottledSender, kind_of, verdict_of, verdict_on
from odoo_client.transport.error_mapping import AccessDenied, SerializationConflict
from odoo_client.transport.request import Request, Version
from purser.changes import Ensure, PostNote, Update
from purser.engine.call_result import CallResult, RetryIn
from purser.errors import (
    Conflict,
    Misconfigured,
    Permanent,
    Refusal,
    Snooze,
    Throttled,
    Transient,
    UnknownOutcome,
)
from purser.findings import Ref
from tests.unit.odoo_client.canned import Canned, Silence

FULL = RetryIn(0.0, "full", full=True)


@dataclass
class Book:
    """A gate that answers as told, then lets everybody in, and writes down what it hears."""

    answers: list[RetryIn] = field(default_factory=list)
    always: RetryIn | None = None
    entered: list[str] = field(default_factory=list)
    left: list[tuple[CallResult, float, float | None]] = field(default_factory=list)

    def enter(self, kind: str) -> Any:
        self.entered.append(kind)
        if self.always is not None:
            return self.always
        return self.answers.pop(0) if self.answers else self

    def leave(self, verdict: CallResult, seconds: float, retry_after: float | None) -> None:
        self.left.append((verdict, seconds, retry_after))


class Time:
    """A clock that moves when somebody sleeps, or a call takes its time."""

    def __init__(self) -> None:
        self.now = 50.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def doorman(gate: Book, time: Time, seed: int = 1) -> ThrottledSender:
    return ThrottledSender(gate, timeout=60, monotonic=time, sleep=time.sleep, rng=random.Random(seed))


def test_a_call_enters_once_and_leaves_with_its_time() -> None:
    gate, time = Book(), Time()

    def act() -> str:
        time.now += 3
        return "done"

    assert doorman(gate, time).send("a kind", act) == "done"
    assert gate.entered == ["a kind"]
    assert gate.left == [(CallResult.ANSWERED, 3.0, None)]


def test_a_shut_gate_sends_the_work_back_at_once() -> None:
    gate, time = Book(always=RetryIn(17.0, "breaker open")), Time()
    with pytest.raises(Snooze, match="breaker open") as caught:
        doorman(gate, time).send("", lambda: pytest.fail("it must not be called"))
    assert caught.value.after == 17.0
    assert (time.slept, gate.left, len(gate.entered)) == ([], [], 1)


def test_who_finds_it_full_waits_for_a_slot() -> None:
    gate, time = Book([FULL, FULL, FULL]), Time()
    assert doorman(gate, time).send("", lambda: 1) == 1
    assert len(time.slept) == 3
    assert gate.left == [(CallResult.ANSWERED, 0.0, None)]


@given(seed=st.integers())
def test_nobody_waits_much_longer_than_two_seconds_or_asks_without_a_pause(seed: int) -> None:
    gate, time = Book(always=FULL), Time()
    with pytest.raises(Snooze) as caught:
        doorman(gate, time, seed).send("", lambda: 1)
    assert 2.0 <= sum(time.slept) <= 2.2
    assert min(time.slept) >= 0.005
    assert len(gate.entered) <= 35
    assert caught.value.after > 0


def test_a_gate_that_shuts_while_one_waits_sends_one_back() -> None:
    gate, time = Book([FULL, RetryIn(9.0, "breaker open")]), Time()
    with pytest.raises(Snooze) as caught:
        doorman(gate, time).send("", lambda: 1)
    assert caught.value.after == 9.0


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (Transient("x"), CallResult.FAILED),
        (UnknownOutcome("x"), CallResult.FAILED),
        (Misconfigured("x"), CallResult.REFUSED),
        (SerializationConflict("x"), CallResult.CONTENDED),
        (Throttled("x", retry_after=4), CallResult.THROTTLED),
        (Refusal("x"), CallResult.ANSWERED),
        (AccessDenied("x"), CallResult.ANSWERED),
        (Permanent("x"), CallResult.ANSWERED),
        (Conflict("x"), CallResult.ANSWERED),
        (TypeError("x"), CallResult.ABANDONED),
        (KeyboardInterrupt(), CallResult.ABANDONED),
        (SystemExit(), CallResult.ABANDONED),
    ],
)
def test_each_error_tells_something_of_odoo_and_rises(error: BaseException, verdict: CallResult) -> None:
    gate = Book()

    def act() -> None:
        raise error

    with pytest.raises(type(error)):
        doorman(gate, Time()).send("", act)
    assert gate.left == [(verdict, 0.0, 4 if isinstance(error, Throttled) else None)]


def test_a_failure_that_took_as_long_as_the_timeout_is_one() -> None:
    assert verdict_of(UnknownOutcome("x"), 60.0, 60.0) is CallResult.TIMED_OUT
    assert verdict_of(Transient("x"), 59.9, 60.0) is CallResult.FAILED
    assert verdict_of(Refusal("x"), 99.0, 60.0) is CallResult.ANSWERED


def test_an_import_that_lost_a_race_says_so_among_its_messages() -> None:
    race = {"ids": False, "messages": [{"type": "error", "message": "could not serialize access due to x"}]}
    bad = {"ids": False, "messages": [{"type": "error", "message": "No matching record"}]}
    assert verdict_on(race) is CallResult.CONTENDED
    assert verdict_on(bad) is CallResult.ANSWERED


@pytest.mark.parametrize("answer", [None, True, 3, "text", [{"id": 1}], {}, {"messages": 3}, {"messages": "a"}])
def test_any_other_answer_is_one(answer: Any) -> None:
    assert verdict_on(answer) is CallResult.ANSWERED


def test_calls_are_compared_with_calls_of_about_their_size() -> None:
    def write(records: int) -> str:
        return kind_of(Request(model="a.b", method="write", ids=tuple(range(records))))

    def load(rows: int) -> str:
        return kind_of(Request(model="a.b", method="load", arguments={"fields": ["id"], "data": [["x"]] * rows}))

    assert [write(n) for n in (0, 1, 2, 10, 11, 100)] == [f"a.b.write/{size}" for size in (1, 1, 10, 10, 100, 100)]
    assert [load(n) for n in (1, 100, 101)] == ["a.b.load/1", "a.b.load/100", "a.b.load/1000"]
    assert kind_of(Request(model="a.b", method="search_read", reads=True)) == ""


# ---------------------------------------------------------------------------------- the client --


class Wire:
    """A transport that imports whatever it is given and remembers each call."""

    name = "wire"

    def __init__(self) -> None:
        self.sent: list[Request] = []
        self.asked_version = 0

    def send(self, request: Request) -> Any:
        self.sent.append(request)
        if request.method == "load":
            return {
                "ids": [len(self.sent) * 1000 + n for n, _ in enumerate(request.arguments["data"])],
                "messages": [],
            }
        if request.method in {"search_read", "read"}:
            return [{"id": n, "name": "old", "active": True} for n in range(1, 400)]
        return True

    def version(self) -> Version:
        self.asked_version += 1
        return (19, 0)

    def close(self) -> None:
        """Nothing is open."""


DOOR = OdooConnection(url="http://127.0.0.1:9", db="db", login="bot", api_key="key", api="json2")


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_every_call_of_a_client_goes_through_its_gate(wire: Wire) -> None:
    gate = Book()
    client = OdooClient(DOOR, wire, gate=gate)

    client.search_count("a.b", [])
    client.ensure(Ensure(model="a.b", key="a/1", values={"name": "x"}))
    client.version()
    client.version()

    assert gate.entered == ["", "a.b.load/1", ""]
    assert [verdict for verdict, *_ in gate.left] == [CallResult.ANSWERED] * 3
    assert (client.calls, wire.asked_version) == (2, 1)


def test_a_call_that_may_not_go_is_not_sent_and_not_counted(wire: Wire) -> None:
    client = OdooClient(DOOR, wire, gate=Book(always=RetryIn(5.0, "breaker open")))
    with pytest.raises(Snooze):
        client.search_count("a.b", [])
    with pytest.raises(Snooze):
        client.version()
    assert (wire.sent, client.calls, wire.asked_version) == ([], 0, 0)


def test_a_client_without_a_gate_calls_when_it_is_asked_to(wire: Wire) -> None:
    OdooClient(DOOR, wire).search_count("a.b", [])
    assert len(wire.sent) == 1


@pytest.fixture
def silent() -> Iterator[Canned]:
    with Canned(lambda _: Silence.DROP) as server:
        yield server


@pytest.mark.parametrize("api", ["json2", "odoorpc", "auto"])
def test_an_odoo_that_drops_the_line_is_told_to_the_gate_by_every_transport(silent: Canned, api: Any) -> None:
    gate = Book()
    door = OdooConnection(url=silent.url, db="db", login="bot", api_key="key", api=api)
    with OdooClient(door, gate=gate) as client, pytest.raises(Transient):
        client.search_count("a.b", [])
    assert [verdict for verdict, *_ in gate.left] == [CallResult.FAILED]


# ---------------------------------------------------------------------------- smaller batches --


def sizes(wire: Wire, method: str) -> list[int]:
    return [len(one.arguments.get("data") or one.ids or ()) for one in wire.sent if one.method == method]


def test_a_smaller_batch_makes_smaller_calls_of_every_sort(wire: Wire) -> None:
    ensures = [Ensure(model="a.b", key=f"a/{n}", values={"name": "x"}) for n in range(5)]
    notes = [PostNote(on=Ref("a.b", n), key=f"n/{n}", body="hello") for n in range(1, 4)]
    updates = [Update(ref=Ref("a.b", n), expect={"name": "old"}, values={"name": "new"}) for n in range(1, 6)]

    outcomes = OdooClient(DOOR, wire).apply([*ensures, *notes, *updates], batch=2)

    assert [one.change for one in outcomes] == [*ensures, *notes, *updates]
    assert sizes(wire, "load") == [2, 2, 1, 2, 1]
    assert sizes(wire, "write") == [2, 2, 1]


def test_a_batch_of_less_than_one_is_turned_away(wire: Wire) -> None:
    with pytest.raises(ValueError, match="at least one"):
        OdooClient(DOOR, wire).apply([], batch=0)


@given(count=st.integers(0, 250), batch=st.integers(1, 300))
def test_whatever_the_batch_each_change_is_carried_once_and_in_order(count: int, batch: int) -> None:
    wire = Wire()
    changes = [Ensure(model="a.b", key=f"a/{n}", values={"name": "x"}) for n in range(count)]

    outcomes = OdooClient(DOOR, wire).apply(changes, batch=batch)

    carried = [row[0] for one in wire.sent for row in one.arguments["data"]]
    assert [one.change for one in outcomes] == changes
    assert len(carried) == len(set(carried)) == count
    assert max(sizes(wire, "load"), default=0) <= min(batch, 100)
