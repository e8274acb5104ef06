"""A subscription gets each event it wants, in the order of its subject; where it does not, it is seen why."""

import datetime as dt
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.message import Message

from events.billing import PaymentMissed
from events.cloudevent import CloudEvent
from purser.engine.predictions import PredictedOutcome
from purser.errors import ConfigurationError, Misconfigured, Permanent, Refusal, Snooze, Throttled, Transient
from store import CircuitState, DeadLetter, DeadLetterFilter, DelayKind, DeliveryResult
from tests.receivers import Receiver, answer, receiving
from tests.unit.workers.delivering import WANTS, Desk, posted, start
from workers.dead_letters.capture import cancel, mark_handled, schedule_retry, store_letter
from workers.dead_letters.replay_intent import IntentReader
from workers.dead_letters.resend import ResendableEvent, ResendSource, ResendStatus, find_kept, send_kept
from workers.events import react
from workers.messages import concerns
from workers.outbound import deliver
from workers.reaction import Reaction, of_subscription


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture
def desk(receiver: Receiver) -> Desk:
    return Desk(f"  n8n: {{to: '{receiver.url}', secret: n8n, {WANTS}}}\n")


# ----------------------------------------------------------------------------- accepting --


def test_an_event_goes_to_whoever_wants_it_on_a_message_of_its_own(receiver: Receiver) -> None:
    filtered = "allow_private: true, events: [payment.*], where: {level: [2, 3]}"
    off = f"{WANTS}, enabled: false"
    rows = [("all", WANTS), ("late", filtered), ("never", off)]
    desk = Desk("".join(f"  {name}: {{to: '{receiver.url}', secret: n8n, {rest}}}\n" for name, rest in rows))

    def missed(level: int) -> dict[str, Any]:
        fact = PaymentMissed(invoice_id=7, level=level)
        return CloudEvent.wrap(fact, source="/odoo", time=start()).model_dump(mode="json", exclude_none=True)

    assert desk.accept(missed(1)) == ("subscription:all",)
    assert desk.accept(missed(2)) == ("subscription:all", "subscription:late")
    assert desk.accept(missed(2)) == ()
    assert [(task, kwargs["subscription"]) for task, kwargs, _ in desk.queue] == [
        ("purser.deliver", "all"),
        ("purser.deliver", "all"),
        ("purser.deliver", "late"),
    ]
    assert len({id_ for _, _, id_ in desk.queue}) == 3
    assert desk.ledger.inbox.count() == 2


def test_an_event_stays_awaited_until_it_is_delivered(desk: Desk, receiver: Receiver) -> None:
    event = posted()
    desk.accept(event)
    (entry,) = desk.ledger.inbox.page().items
    assert entry.pending == ("subscription:n8n",)
    react.enqueue_reaction(desk.fleet, entry.pending[0], entry.event)
    assert desk.queue[0] == desk.queue[1], "what is sent again is the same message"

    assert desk.deliver(event) is DeliveryResult.DELIVERED

    assert receiver.events() == [event]
    assert receiver.heard[0].id == desk.queue[0][2]
    assert desk.ledger.inbox.count() == 0
    assert desk.ledger.outbound.pending("n8n") == (0, None)
    assert desk.last() == (DeliveryResult.DELIVERED, 204, 1)
    assert desk.deliver(event) is DeliveryResult.DELIVERED
    assert len(receiver.heard) == 1, "a copy of the message is recognised"


# --------------------------------------------------------------------------------- order --


def test_a_later_event_of_a_subject_waits_for_the_earlier_one(desk: Desk, receiver: Receiver) -> None:
    first, second, other = posted(1), posted(2, minute=5), posted(3, invoice=8)
    for event in (second, first, other):
        desk.accept(event)
    receiver.give = answer(500)
    with pytest.raises(Transient, match=r"`n8n` at http://127\.0\.0\.1:\d+: the receiver answered HTTP 500"):
        desk.deliver(first)
    with pytest.raises(Snooze, match="an earlier event of the same subject is not delivered"):
        desk.deliver(second)
    receiver.give = answer(204)
    desk.deliver(other)
    desk.deliver(first, attempt=2)
    desk.deliver(second)
    assert [event["data"]["number"] for event in receiver.events()] == ["INV/1", "INV/3", "INV/1", "INV/2"]
    assert receiver.heard[0].id == receiver.heard[2].id, "another attempt is known by its id"


def test_who_waits_looks_again_when_the_one_before_it_does(desk: Desk) -> None:
    first, second = posted(1), posted(2)
    for event in (first, second):
        desk.accept(event)
    id_ = Reaction("/odoo", first["id"], of_subscription("n8n")).message_id
    for until, after in (
        (None, 2.0),
        (start() + dt.timedelta(minutes=5), 300.0),
        (start() + dt.timedelta(days=1), 3600.0),
    ):
        if until is not None:
            desk.ledger.outbound.parked(id_, until=until)
        with pytest.raises(Snooze) as held:
            desk.deliver(second)
        assert held.value.after == pytest.approx(after, abs=1)


@pytest.mark.parametrize("hands", ["letter", "refusal"])
def test_one_that_is_in_somebodys_hands_frees_the_line(desk: Desk, receiver: Receiver, hands: str) -> None:
    first, second = posted(1), posted(2)
    for event in (first, second):
        desk.accept(event)
    mark_handled(desk.ledger, {"subscription": "n8n", "event": first})
    assert desk.deliver(second) is DeliveryResult.DELIVERED
    assert desk.ledger.inbox.count() == 0
    assert desk.deliver(first) is DeliveryResult.DELIVERED, "replayed, it goes at once"


# --------------------------------------------------------------------- receivers that fail --


def test_a_receiver_that_wants_no_more_is_left_alone_until_a_person_says_otherwise(
    desk: Desk, receiver: Receiver
) -> None:
    first, second, third = posted(1), posted(2, invoice=8), posted(3, invoice=9)
    desk.accept(first)
    desk.accept(second)
    receiver.give = answer(410)
    with pytest.raises(Refusal, match="`purser outbound enable n8n`"):
        desk.deliver(first)
    mark_handled(desk.ledger, {"subscription": "n8n", "event": first})  # as the task does for a refusal

    assert desk.deliver(second) is DeliveryResult.LEFT_OUT
    assert desk.accept(third) == ()
    assert len(receiver.heard) == 1
    assert desk.ledger.inbox.count() == 0
    assert desk.ledger.sendings.tally("n8n").left_out == 2

    receiver.give = answer(204)
    desk.ledger.outbound.enable("n8n", who="ada", note="it is back")
    subscription = desk.fleet.policies.subscription("n8n")
    found = find_kept(desk.fleet, subscription)
    assert [(one.way, one.again) for one in found] == [(ResendSource.LEFT_OUT, ResendStatus.SENDS)] * 2
    desk.queue.clear()
    assert all(send_kept(desk.fleet, subscription, one) for one in found)
    for _, kwargs, _ in desk.queue:
        desk.deliver(kwargs["event"])
    assert [event["data"]["number"] for event in receiver.events()] == ["INV/1", "INV/2", "INV/3"]
    assert desk.deliver(first) is DeliveryResult.DELIVERED, "and the refusal can be tried again"


def test_a_receiver_that_fails_over_and_over_is_left_alone_and_probed(desk: Desk, receiver: Receiver) -> None:
    events = [posted(n, invoice=n) for n in range(1, 9)]
    for event in events:
        desk.accept(event)
    receiver.give = answer(500)
    for event in events[:5]:
        with pytest.raises(Transient):
            desk.deliver(event)
    with pytest.raises(Snooze, match="breaker open: the receiver failed several times in a row") as held:
        desk.deliver(events[5])
    assert len(receiver.heard) == 5
    assert 9 < held.value.after <= 10

    desk.moment += dt.timedelta(seconds=11)
    receiver.give = answer(200)
    assert desk.deliver(events[5]) is DeliveryResult.DELIVERED
    assert deliver.gate_of(desk.ledger, "n8n").state().breaker is CircuitState.CLOSED
    assert desk.ledger.sendings.tally("n8n").failing_since is None
    assert desk.deliver(events[0], attempt=2) is DeliveryResult.DELIVERED


def test_a_receiver_that_asks_for_patience_is_left_alone_so_long(desk: Desk, receiver: Receiver) -> None:
    first, second = posted(1), posted(2, invoice=8)
    receiver.give = answer(429, retry_after="90")
    with pytest.raises(Throttled) as throttled:
        desk.deliver(first)
    assert throttled.value.retry_after == 90
    with pytest.raises(Snooze, match="the receiver asked for patience") as held:
        desk.deliver(second)
    assert 80 < held.value.after <= 90
    assert len(receiver.heard) == 1


def test_other_receivers_are_not_held_back_by_one(receiver: Receiver) -> None:
    with receiving() as other:
        urls = (("bad", receiver.url), ("good", other.url))
        desk = Desk("".join(f"  {name}: {{to: '{url}', secret: n8n, {WANTS}}}\n" for name, url in urls))
        receiver.give = answer(500)
        for n in range(5):
            with pytest.raises(Transient):
                desk.deliver(posted(n), "bad")
        assert desk.deliver(posted(1), "good") is DeliveryResult.DELIVERED


# ------------------------------------------------------------------------ what cannot be --


def test_nothing_is_sent_unsigned(receiver: Receiver) -> None:
    desk = Desk(f"  n8n: {{to: '{receiver.url}', secret: other, {WANTS}}}\n")
    with pytest.raises(Misconfigured, match="holds no secret `other`"):
        desk.deliver(posted())
    assert receiver.heard == []


def test_a_message_of_nobody_is_for_an_engineer(desk: Desk) -> None:
    with pytest.raises(ConfigurationError, match=r"subscription `n8m` is unknown\. Did you mean `n8n`"):
        desk.deliver(posted(), "n8m")
    with pytest.raises(Permanent, match="not a CloudEvent"):
        desk.deliver({"id": "x"})


def test_no_error_and_no_log_holds_what_follows_the_host(desk: Desk, receiver: Receiver) -> None:
    receiver.give = answer(301, location="http://elsewhere.example/?key=token")
    with pytest.raises(Transient, match="write its new address in the policy") as caught:
        desk.deliver(posted())
    assert "token" not in str(caught.value)
    assert "token" not in repr(desk.ledger.sendings.latest("n8n"))


# ------------------------------------------------------------------------------ once more --


def test_what_has_arrived_is_sent_again_only_if_that_is_said(desk: Desk, receiver: Receiver) -> None:
    event = posted()
    subscription = desk.fleet.policies.subscription("n8n")
    desk.accept(event)
    assert find_kept(desk.fleet, subscription, event_ids=[event["id"]])[0].again is ResendStatus.UNKNOWN
    receiver.give = answer(500)
    with pytest.raises(Transient):
        desk.deliver(event)
    assert find_kept(desk.fleet, subscription, event_ids=[event["id"]])[0].again is ResendStatus.UNDER_WAY
    assert find_kept(desk.fleet, subscription) == ()
    receiver.give = answer(204)
    desk.deliver(event)

    assert find_kept(desk.fleet, subscription) == ()
    (found,) = find_kept(desk.fleet, subscription, delivered=True)
    assert (found.event_id, found.way) == (event["id"], ResendSource.DELIVERED)
    assert find_kept(desk.fleet, subscription, event_ids=[event["id"]]) == (found,)
    desk.moment += dt.timedelta(hours=2)
    assert find_kept(desk.fleet, subscription, delivered=True, since=desk.moment - dt.timedelta(hours=1)) == ()

    assert send_kept(desk.fleet, subscription, found)
    assert desk.ledger.inbox.count() == 1, "the broker may lose this one, too"
    assert desk.deliver(event) is DeliveryResult.DELIVERED
    assert len({one.id for one in receiver.heard}) == 1
    assert len(receiver.heard) == 3


def test_what_is_no_longer_kept_is_said_so(desk: Desk) -> None:
    assert not send_kept(
        desk.fleet, desk.fleet.policies.subscription("n8n"), ResendableEvent(event_id="x", source="y")
    )


def test_a_test_goes_past_queue_line_and_gate_and_is_written_down(desk: Desk, receiver: Receiver) -> None:
    receiver.give = answer(500, b"workflow not active")
    for n in range(5):
        with pytest.raises(Transient):
            desk.deliver(posted(n))
    receiver.give = answer(200, b"hello")
    desk.moment += dt.timedelta(seconds=1)
    ending, _, told = deliver.send_trial(desk.fleet, desk.fleet.policies.subscription("n8n"))
    assert (ending.sent, ending.status, told) == (DeliveryResult.DELIVERED, 200, "hello")
    assert receiver.events()[-1]["type"] == "purser.test.v1"
    assert desk.last() == (DeliveryResult.DELIVERED, 200, 0)
    assert desk.ledger.sendings.tally("n8n").delivered == 0


# -------------------------------------------------------------------- how a message ends --


def message(event: dict[str, Any], *, attempt: int = 1) -> Any:
    """Return the message of an event as a broker delivers it."""
    id_ = Reaction("/odoo", event["id"], of_subscription("n8n")).message_id
    kwargs = {"subscription": "n8n", "event": event}
    return Message(  # type: ignore[no-untyped-call]
        body=json.dumps([[], kwargs, {}]),
        content_type="application/json",
        content_encoding="utf-8",
        headers={"id": id_, "task": "purser.deliver", "lang": "py", "retries": attempt - 1},
        properties={},
        delivery_info={"routing_key": "outbound"},
        channel=SimpleNamespace(basic_ack=lambda *_, **__: None, no_ack_consumers=None),
        delivery_tag="1",
        accept={"application/json"},
    )


def test_a_message_that_waits_or_dies_says_so_to_those_behind_it(desk: Desk) -> None:
    first, second = posted(1), posted(2)
    for event in (first, second):
        desk.accept(event)
    schedule_retry(desk.fleet, message(first), kind=DelayKind.RETRY, after=300, why="the receiver answered HTTP 500")
    with pytest.raises(Snooze) as held:
        desk.deliver(second)
    assert held.value.after == pytest.approx(300, abs=1)
    schedule_retry(desk.fleet, message(second), kind=DelayKind.SNOOZE, after=held.value.after, why=held.value.why)

    store_letter(desk.fleet, message(first), reason="attempts spent", error="Transient", text="HTTP 500")

    (due,) = [one for one in desk.ledger.delayed.page().items if one.kind is DelayKind.SNOOZE]
    assert due.due <= desk.moment, "it is woken, and need not sleep out what it was told"
    assert desk.deliver(second) is DeliveryResult.DELIVERED
    (letter,) = desk.ledger.letters.page(DeadLetterFilter(task="purser.deliver")).items
    assert letter.subjects == ("account.move/7",)
    (found,) = find_kept(desk.fleet, desk.fleet.policies.subscription("n8n"))
    assert (found.way, found.letter, found.event_id) == (ResendSource.LETTER, letter.id, first["id"])


def test_one_that_is_cancelled_frees_the_line(desk: Desk) -> None:
    first, second = posted(1), posted(2)
    for event in (first, second):
        desk.accept(event)
    schedule_retry(desk.fleet, message(first), kind=DelayKind.RETRY, after=300, why="x")
    (waiting,) = desk.ledger.delayed.page().items
    assert cancel(desk.ledger, [waiting.id], who="ada", note="not wanted") == (waiting.id,)
    assert desk.deliver(second) is DeliveryResult.DELIVERED


def test_what_is_lost_by_the_broker_is_sent_again(desk: Desk) -> None:
    desk.accept(posted())
    lost = desk.queue.pop()
    desk.moment += dt.timedelta(minutes=11)
    for entry in desk.ledger.inbox.lend_stalled():
        for name in entry.pending:
            react.enqueue_reaction(desk.fleet, name, entry.event)
    assert desk.queue == [lost]


def test_a_plan_says_where_a_letter_would_go(desk: Desk) -> None:
    values = {"subscription": "n8n", "event": posted()}
    body = json.dumps([[], values, {}]).encode()
    given = {"id": "m1", "task": "purser.deliver", "queue": "outbound", "body": body, "reason": "attempts spent"}
    letter = DeadLetter(headers={"id": "m1"}, fingerprint="f", first_at=start(), stored_at=start(), **given)  # type: ignore[arg-type]
    drafter = IntentReader(desk.fleet)
    assert (drafter.draft(letter).fate, "it is sent to `n8n` at http://127" in drafter.draft(letter).why) == (
        PredictedOutcome.APPLY,
        True,
    )
    desk.ledger.outbound.switch_off("n8n", why="410")
    assert drafter.draft(letter).fate is PredictedOutcome.UNKNOWN


def test_a_paused_subscription_holds_back_its_messages_and_no_others(desk: Desk) -> None:
    desk.ledger.pauses.pause("subscription:n8n", who="ada", note="maintenance")
    with pytest.raises(Snooze, match="paused: subscription:n8n"):
        desk.fleet.may_begin(concerns("outbound", {"subscription": "n8n", "event": {}}))
    desk.fleet.may_begin(concerns("outbound", {"subscription": "bi", "event": {}}))
