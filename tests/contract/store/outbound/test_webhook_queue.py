"""No later event of a subject goes out before an earlier one, and what was delivered is remembered and logged."""

import datetime as dt
import random
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import DelayKind, DeliveryAttempt, DeliveryResult, DeliveryStats, DeliveryTurn, Ledger, NextAction
from store.outbound.delivery_attempts import RETENTION as LOGGED_FOR
from store.outbound.webhook_queue import RETENTION
from tests.contract.store.making import START, Clock, delayed, fresh, key_ending

TEN = dt.timedelta(minutes=10)
FIRST, GO = "subscription:n8n", DeliveryTurn(NextAction.GO)


def accept(ledger: Ledger, id_: str, *, minute: float = 0, subject: str = "crm.lead/42", name: str = "n8n") -> bool:
    """Have an event accepted that happened so many minutes after START; its message is called as the event is."""
    awaited = f"subscription:{name}"
    ledger.inbox.accept("crm", id_, {"id": id_}, [awaited], again_after=TEN)
    at = START + dt.timedelta(minutes=minute)
    return ledger.outbound.join(
        id_, subscription=name, subject=subject, at=at, source="crm", event_id=id_, awaited=awaited
    )


def turn(ledger: Ledger, id_: str, name: str = "n8n") -> DeliveryTurn:
    return ledger.outbound.turn(id_, subscription=name, source="crm", event_id=id_)


def goes(ledger: Ledger, *ids: str) -> list[str]:
    return [id_ for id_ in ids if turn(ledger, id_) == GO]


# --------------------------------------------------------------------------------- lines --


def test_a_line_is_worked_off_in_the_order_of_its_events(ledger: Ledger) -> None:
    for id_, minute in (("b", 2), ("c", 3), ("a", 1)):
        assert accept(ledger, id_, minute=minute) is True
    assert goes(ledger, "a", "b", "c") == ["a"]
    assert turn(ledger, "b") == DeliveryTurn(NextAction.WAIT)
    assert ledger.outbound.leave("a") == "b"
    assert goes(ledger, "b", "c") == ["b"]
    assert ledger.outbound.leave("b") == "c"
    assert ledger.outbound.leave("c") == ""
    assert ledger.outbound.pending("n8n") == (0, None)


def test_of_one_moment_they_go_in_the_order_they_came(ledger: Ledger) -> None:
    ids = ["z", "m", "a", "q", "b"]
    for id_ in ids:
        accept(ledger, id_)
    left = []
    following = "z"
    while following:
        assert goes(ledger, *ids) == [following]
        left.append(following)
        following = ledger.outbound.leave(following)
        ids.remove(left[-1])
    assert left == ["z", "m", "a", "q", "b"]


def test_other_subjects_and_other_subscriptions_do_not_wait(ledger: Ledger) -> None:
    accept(ledger, "a")
    accept(ledger, "b", subject="crm.lead/43")
    accept(ledger, "c", name="bi")
    assert [turn(ledger, "b"), turn(ledger, "c", "bi")] == [GO, GO]
    assert [ledger.outbound.pending(name)[0] for name in ("n8n", "bi")] == [2, 1]


@pytest.mark.parametrize("year", [1, 9999])
def test_a_moment_that_makes_no_sense_holds_up_nobody_for_ever(ledger: Ledger, year: int) -> None:
    at = dt.datetime(year, 6, 1, tzinfo=dt.UTC)
    for id_ in ("odd", "odder"):
        ledger.inbox.accept("crm", id_, {}, [FIRST], again_after=TEN)
        ledger.outbound.join(id_, subscription="n8n", subject="s", at=at, source="crm", event_id=id_, awaited=FIRST)
    assert goes(ledger, "odd", "odder") == ["odd"]
    assert ledger.outbound.leave("odd") == "odder"


def test_joining_again_keeps_the_place_and_the_age(ledger: Ledger, clock: Clock) -> None:
    accept(ledger, "a")
    clock.pass_(minutes=1)
    accept(ledger, "b")
    clock.pass_(minutes=1)
    assert accept(ledger, "a", minute=9) is True
    assert goes(ledger, "a", "b") == ["a"]
    assert ledger.outbound.pending("n8n") == (2, START)


def test_only_what_the_inbox_waits_for_stands_in_a_line(ledger: Ledger) -> None:
    """A message that was done before its event was accepted once more must not block those that come later."""
    accept(ledger, "a")
    ledger.outbound.leave("a")
    ledger.inbox.done("crm", "a", FIRST)
    again = {"subscription": "n8n", "subject": "crm.lead/42", "at": START, "source": "crm", "event_id": "a"}
    assert ledger.outbound.join("a", awaited=FIRST, **again) is False  # type: ignore[arg-type]
    accept(ledger, "b")
    assert goes(ledger, "a", "b") == ["a", "b"], "what is in no line waits for nobody and holds up nobody"


def test_one_that_the_inbox_has_forgotten_blocks_nobody(ledger: Ledger) -> None:
    for id_ in ("a", "b", "c"):
        accept(ledger, id_)
    ledger.inbox.done("crm", "a", FIRST)  # and who did it was killed before it could leave
    assert turn(ledger, "c") == DeliveryTurn(NextAction.WAIT)
    assert goes(ledger, "b", "c") == ["b"]
    assert ledger.outbound.pending("n8n")[0] == 2


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_when_each_subject_goes_out_in_its_order(
    client: redis.Redis, told: list[tuple[int, int]], chance: random.Random
) -> None:
    ledger = fresh(client)
    for number, (subject, minute) in enumerate(told):
        accept(ledger, f"{number:02}", subject=str(subject), minute=minute)
    left, gone = [f"{number:02}" for number in range(len(told))], []
    while left:
        ready = goes(ledger, *left)
        assert len(ready) == len({told[int(id_)][0] for id_ in left}), "one of each subject may go"
        gone.append(chance.choice(ready))
        left.remove(gone[-1])
        ledger.outbound.leave(gone[-1])
        ledger.inbox.done("crm", gone[-1], FIRST)
    for subject in range(3):
        of_subject = [(told[int(id_)][1], id_) for id_ in gone if told[int(id_)][0] == subject]
        assert of_subject == sorted(of_subject)
    assert ledger.outbound.pending("n8n") == (0, None)


def test_leaving_twice_or_without_having_been_there_changes_nothing(ledger: Ledger) -> None:
    accept(ledger, "a")
    accept(ledger, "b")
    assert [ledger.outbound.leave(id_) for id_ in ("x", "a", "a")] == ["", "b", ""]
    assert goes(ledger, "b") == ["b"]


def test_who_waits_knows_when_the_one_before_it_is_tried_again(ledger: Ledger) -> None:
    accept(ledger, "a")
    accept(ledger, "b")
    ledger.outbound.parked("a", until=START + TEN)
    ledger.outbound.parked("unknown", until=START + TEN)
    assert turn(ledger, "b") == DeliveryTurn(NextAction.WAIT, START + TEN)
    assert turn(ledger, "a") == GO, "its time may have been brought forward"
    assert turn(ledger, "b") == DeliveryTurn(NextAction.WAIT), "and now it is under way"


def test_what_is_held_back_can_be_woken_and_what_failed_waits_on(ledger: Ledger, clock: Clock) -> None:
    ledger.delayed.park(delayed("held", minute=60, kind=DelayKind.SNOOZE))
    ledger.delayed.park(delayed("failed", minute=60, kind=DelayKind.RETRY))
    assert [ledger.delayed.wake(id_) for id_ in ("held", "failed", "unknown", "held")] == [True, False, False, False]
    assert ledger.delayed.move_due() == 1
    assert ledger.delayed.get("failed") is not None


# -------------------------------------------------------------------------- what is kept --


def test_what_was_delivered_is_not_sent_again_unless_that_is_wanted(ledger: Ledger) -> None:
    accept(ledger, "a")
    ledger.outbound.delivered("crm", "a", subscription="n8n")
    assert turn(ledger, "a") == DeliveryTurn(NextAction.DONE)
    assert turn(ledger, "a", "bi") == GO
    ledger.outbound.forget_delivered("crm", "a", subscription="n8n")
    assert turn(ledger, "a") == GO


def test_an_event_is_kept_for_a_week(ledger: Ledger, client: Any) -> None:
    event = {"id": "a", "data": {"name": "Zürich"}}
    assert ledger.outbound.kept("crm", "a") is None
    ledger.outbound.delivered("crm", "a", subscription="n8n")
    assert ledger.outbound.kept("crm", "a") is None
    ledger.outbound.keep("crm", "a", event)
    assert ledger.outbound.kept("crm", "a") == event
    assert turn(ledger, "a") == DeliveryTurn(NextAction.DONE)
    assert 0 < client.pttl(ledger.outbound._event("crm", "a")) <= RETENTION.total_seconds() * 1000
    client.hset(ledger.outbound._event("crm", "a"), "event", b"\xff")
    assert ledger.outbound.kept("crm", "a") is None


def test_what_is_to_happen_once_more_is_awaited_once_more(ledger: Ledger) -> None:
    ledger.inbox.accept("crm", "a", {}, [FIRST, "open-project"], again_after=TEN)
    ledger.inbox.done("crm", "a", FIRST)
    ledger.inbox.accept("crm", "a", {}, [FIRST], again_after=TEN)
    kept = ledger.inbox.get("crm", "a")
    assert kept is not None
    assert kept.pending == ("open-project",)
    ledger.inbox.accept("crm", "a", {}, [FIRST], again_after=TEN, once_more=True)
    kept = ledger.inbox.get("crm", "a")
    assert kept is not None
    assert kept.pending == ("open-project", FIRST)


# ---------------------------------------------------------------------------- the switch --


def test_a_subscription_is_switched_off_once_and_on_by_a_person(ledger: Ledger, clock: Clock) -> None:
    ledger.outbound.switch_off("n8n", why="410")
    clock.pass_(minutes=5)
    ledger.outbound.switch_off("n8n", why="410 again")
    (off,) = ledger.outbound.switched_off().values()
    assert (off.at, off.why) == (START, "410")
    assert turn(ledger, "a") == DeliveryTurn(NextAction.OFF)

    assert ledger.outbound.enable("n8n", who="ada", note="mended") is True
    assert ledger.outbound.enable("n8n", who="ada", note="mended") is False
    assert ledger.outbound.switched_off() == {}
    (entry,) = ledger.audit.tail()
    assert (entry.who, entry.action, entry.what, entry.note) == ("ada", "outbound.enable", "n8n", "mended")
    with pytest.raises(ValueError, match="note is empty"):
        ledger.outbound.enable("n8n", who="ada", note=" ")


# ------------------------------------------------------------------------------- the log --


def sending(outcome: DeliveryResult, at: dt.datetime, **given: Any) -> DeliveryAttempt:
    values: dict[str, Any] = {
        "subscription": "n8n",
        "message": "m-1",
        "source": "crm",
        "event_id": "a",
        "type": "invoice.posted.v1",
        "subject": "account.move/7",
        "attempt": 1,
        "seconds": 0.25,
    }
    return DeliveryAttempt(at=at, outcome=outcome, **(values | given))


def test_attempts_are_listed_newest_first_and_counted(ledger: Ledger, clock: Clock) -> None:
    ends = [
        (DeliveryResult.FAILED, 500),
        (DeliveryResult.THROTTLED, 429),
        (DeliveryResult.DELIVERED, 200),
        (DeliveryResult.FAILED, None),
        (DeliveryResult.LEFT_OUT, None),
    ]
    for outcome, status in ends:
        ledger.sendings.record(sending(outcome, clock.pass_(minutes=1), status=status, why="because"))
    ledger.sendings.record(sending(DeliveryResult.FAILED, clock.pass_(minutes=1), attempt=0))

    assert [one.outcome for one in ledger.sendings.latest("n8n", limit=3)] == [
        DeliveryResult.FAILED,
        DeliveryResult.LEFT_OUT,
        DeliveryResult.FAILED,
    ]
    assert len(ledger.sendings.latest("n8n", since=START + dt.timedelta(minutes=5))) == 2
    assert ledger.sendings.latest("bi") == ()
    assert ledger.sendings.tally("n8n") == DeliveryStats(
        delivered=1,
        failed=3,
        left_out=1,
        failing_since=START + dt.timedelta(minutes=4),
        last_at=START + dt.timedelta(minutes=5),
        last_outcome=DeliveryResult.LEFT_OUT,
        last_why="because",
    ), "a test by hand is no attempt"
    assert ledger.sendings.tally("bi") == DeliveryStats()


def test_old_lines_go_and_are_counted(ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("store.outbound.delivery_attempts.MAX_ATTEMPTS_KEPT", 3)
    for _ in range(5):
        ledger.sendings.record(sending(DeliveryResult.DELIVERED, clock.pass_(minutes=1)))
    assert len(ledger.sendings.latest("n8n")) == 3
    assert ledger.sendings.tally("n8n").trimmed == 2
    clock.moment += LOGGED_FOR
    ledger.sendings.record(sending(DeliveryResult.DELIVERED, clock.pass_(seconds=1)))
    assert len(ledger.sendings.latest("n8n")) == 1
    assert ledger.sendings.tally("n8n").trimmed == 5


@pytest.mark.parametrize(("end", "field"), [(":tally:n8n", "delivered"), (":outbound:off", "n8n")])
def test_what_was_changed_by_hand_is_said_so(ledger: Ledger, client: Any, end: str, field: str) -> None:
    ledger.sendings.record(sending(DeliveryResult.DELIVERED, START))
    ledger.outbound.switch_off("n8n", why="x")
    client.hset(key_ending(client, end), field, "nonsense")
    assert ledger.sendings.tally("n8n").last_at is None or "tally" not in end
    assert list(ledger.outbound.switched_off()) == ["n8n"], "an unreadable switch is one"
