"""What was refused is tried again once its cause is mended: in Odoo, or by sending its message anew."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from purser.changes import Ensure, Update, Values, dump_changes
from purser.findings import Ref
from store import RefusalRecord, RefusalState
from tests.integration.calm import Calm
from tests.odoo.seeding_people import Firm
from workers.events.refusal_handling import RetryOutcome, as_change, retry

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def fleet(calm: Callable[[Path | None], Calm], firm: Firm) -> Calm:
    firm.company()
    return calm(None)


def refused(fleet: Calm, key: str, change: object) -> None:
    told = change if isinstance(change, dict) else dump_changes([change])[0]  # type: ignore[list-item]
    fleet.fleet.ledger.refusals.add(
        RefusalRecord(id=key, task="automation x", what=key, why="no", change=told, first_at=NOW, last_at=NOW)
    )


def customer(key: str, values: Values) -> Ensure:
    return Ensure(model="res.partner", key=key, values=values)


def test_what_odoo_takes_now_is_done_once_and_closed(fleet: Calm, firm: Firm) -> None:
    refused(fleet, "again/1", customer("again/1", {"name": "Again Ltd"}))
    assert retry(fleet.fleet, "again/1", who="ada", note="right given").ending is RetryOutcome.DONE
    assert retry(fleet.fleet, "again/1", who="ada", note="right given").ending is RetryOutcome.NOT_OPEN
    assert len(firm.call("res.partner", "search_read", domain=[("name", "=", "Again Ltd")], fields=["id"])) == 1
    entry = fleet.fleet.ledger.refusals.get("again/1")
    assert entry is not None
    assert entry.settled is not None
    assert (entry.state, entry.settled.who) == (RefusalState.CLOSED, "ada")


def test_what_odoo_still_refuses_stays_open_with_its_newest_words(fleet: Calm) -> None:
    gone = Update(ref=Ref("res.partner", 10**8), expect={"name": "x"}, values={"name": "y"})
    refused(fleet, f"update/{gone.ref}", gone)
    again = retry(fleet.fleet, f"update/{gone.ref}", who="ada", note="looked")
    assert again.ending is RetryOutcome.REFUSED
    entry = fleet.fleet.ledger.refusals.get(f"update/{gone.ref}")
    assert entry is not None
    assert (entry.state, entry.count, entry.why) == (RefusalState.OPEN, 2, again.why)


def test_a_message_that_was_refused_as_a_whole_is_sent_again(fleet: Calm) -> None:
    sent = []
    fleet.fleet.publish = lambda task, kwargs, **options: sent.append((task, kwargs, options["task_id"]))
    refused(fleet, "m-1", as_change("purser.scan", {"control": "missing-timesheets"}))
    assert retry(fleet.fleet, "m-1", who="ada", note="mended").ending is RetryOutcome.SENT
    assert fleet.fleet.ledger.refusals.count() == 0
    assert sent == [("purser.scan", {"control": "missing-timesheets"}, "m-1")]


def test_what_an_older_release_refused_says_that_it_is_not_kept(fleet: Calm) -> None:
    refused(fleet, "old", {})
    assert retry(fleet.fleet, "old", who="ada", note="looked").ending is RetryOutcome.NOT_KEPT
    assert fleet.fleet.ledger.refusals.count() == 1
