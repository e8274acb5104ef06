"""A milestone, decided over values: what counts as evidence, who has the last word, and what may be billed then."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from events.billing import BillingReady
from events.project import MilestoneApproved
from purser import Ensure, PostNote, Ref, Update
from purser.changes import change_key
from purser.errors import Refusal
from purser.testing import snapshot
from tasks.automations.reach_milestone import reach_milestone
from tasks.queries.projects import (
    ApprovedMilestone,
    LineMilestone,
    MilestoneLine,
    MilestoneNote,
    MilestoneOrder,
    MilestoneTask,
)

AS_OF = dt.datetime(2026, 11, 20, 6, tzinfo=dt.UTC)
PROOF = MilestoneApproved(milestone_id=7, evidence="Protocol & mail of 19 Nov")
TICKED = MilestoneApproved(milestone_id=7, reached_on=dt.date(2026, 11, 19))
TOLD = MilestoneApproved(milestone_id=7)
DONE, OPEN = MilestoneTask(id=1, state="1_done"), MilestoneTask(id=2, state="01_in_progress")
REACHED = {"is_reached": True, "reached_date": "2026-11-19"}


def milestone(**values: Any) -> ApprovedMilestone:
    own = {"id": 7, "name": "Concept", "project_id": [3, "P"], "sale_line_id": False}
    return ApprovedMilestone.model_validate(own | values)


def line(**values: Any) -> MilestoneLine:
    own = {"id": 5, "order_id": [4, "S4"], "product_uom_qty": 10, "qty_delivered_method": "milestones"}
    return MilestoneLine.model_validate(own | values)


def order(**values: Any) -> MilestoneOrder:
    return MilestoneOrder.model_validate({"id": 4, "name": "S00004", "state": "sale", "user_id": 9} | values)


def shares(*shares: float, reached: bool = False) -> list[LineMilestone]:
    """Return milestones of the line, that of the event first."""
    return [
        LineMilestone(id=7 + n, is_reached=reached and n == 0, quantity_percentage=Decimal(str(share)))
        for n, share in enumerate(shares)
    ]


def decided(event: MilestoneApproved, *rows: Any) -> list[Any]:
    return list(reach_milestone(event, snapshot(AS_OF, *rows, reads=reach_milestone.reads)))


def test_evidence_ticks_it_and_stands_in_its_chatter() -> None:
    update, note = decided(PROOF, milestone(), OPEN)
    assert note.after == change_key(update)
    assert update == Update(
        ref=Ref("project.milestone", 7), expect={"is_reached": False}, values={"is_reached": True}
    )
    assert isinstance(note, PostNote)
    assert "Protocol & mail of 19 Nov" in note.body


def test_closed_tasks_are_evidence() -> None:
    update, note = decided(TOLD, milestone(), DONE)
    assert isinstance(update, Update)
    assert "every task of it is closed" in note.body


@pytest.mark.parametrize(("tasks", "words"), [((DONE, OPEN), "1 of its 2 tasks are open"), ((), "it has no tasks")])
def test_without_evidence_it_is_refused_and_says_what_is_missing(tasks: tuple[Any, ...], words: str) -> None:
    with pytest.raises(Refusal, match=words):
        decided(TOLD, milestone(), *tasks)


def test_a_milestone_that_was_ticked_in_odoo_and_taken_back_stays_so() -> None:
    assert decided(TICKED, milestone(), DONE) == []


def test_the_same_approval_again_does_not_overrule_who_took_it_back() -> None:
    said = MilestoneNote(id=1, body="<p>Reached. Evidence: Protocol &amp; mail of 19 Nov</p>")
    with pytest.raises(Refusal, match="somebody has taken it back"):
        decided(PROOF, milestone(), said)
    assert decided(PROOF.model_copy(update={"evidence": "A second protocol"}), milestone(), said) != []
    assert decided(PROOF, milestone(), MilestoneNote(id=2, body="")) != []


def test_its_share_makes_the_order_ready_to_be_billed_once_by_whatever_way_it_came() -> None:
    rows = [line(), order()]
    ready = BillingReady(order_id=4, cause="milestone/7/2026-11-20")
    assert decided(PROOF, milestone(sale_line_id=5), *rows, *shares(0.4, 0.6))[-1] == ready
    told = [
        decided(event, milestone(sale_line_id=5, **REACHED), line(qty_delivered=4), order(), *of)[-1]
        for event in (PROOF, TICKED, TOLD)
        for of in [[DONE, *shares(0.4, 0.6, reached=True)]]
    ]
    assert {one.identity for one in told} == {"billing.ready.v1/sale.order/4/milestone/7/2026-11-19"}


@pytest.mark.parametrize(
    "rows",
    [
        [line(qty_delivered=4, qty_invoiced=4), order()],
        [line(qty_delivered=4), order(state="cancel")],
        [line(qty_delivered=4, qty_delivered_method="timesheet"), order()],
    ],
    ids=["billed already", "cancelled", "billed by time"],
)
def test_what_is_not_to_be_billed_is_not_told(rows: list[Any]) -> None:
    assert decided(TICKED, milestone(sale_line_id=5, **REACHED), *rows, *shares(0.4, 0.6, reached=True)) == []


@pytest.mark.parametrize(
    ("of", "delivered", "words"),
    [(shares(0.4, 0.5, reached=True), 4, "90.0% of it"), (shares(0.4, 0.6, reached=True), 2, "2.00 of order line 5")],
)
def test_milestones_that_do_not_add_up_are_asked_about_and_not_billed(
    of: list[LineMilestone], delivered: float, words: str
) -> None:
    rows = [line(qty_delivered=delivered), order(), *of]
    (asked,) = decided(TICKED, milestone(sale_line_id=5, **REACHED), *rows)
    assert isinstance(asked, Ensure)
    assert (asked.model, asked.key) == ("mail.activity", "order/4/milestones/5")
    assert words in str(asked.values["note"])


@pytest.mark.parametrize("share", ["0.01", "0.02", "0.015", "0.004"])
def test_a_small_share_of_one_piece_is_billed_whatever_the_piece_is_worth(share: str) -> None:
    one = line(product_uom_qty=1, qty_delivered=float(share))
    rest = 1 - float(share)
    (told,) = decided(
        TICKED, milestone(sale_line_id=5, **REACHED), one, order(), *shares(float(share), rest, reached=True)
    )
    assert isinstance(told, BillingReady)


def test_the_last_small_share_of_an_order_is_billed() -> None:
    last = [
        *shares(0.02, 0.98),
    ]
    reached = [last[0], last[1].model_copy(update={"is_reached": True})]
    one = line(product_uom_qty=1, qty_delivered=0.98, qty_invoiced=0.98)
    assert isinstance(decided(PROOF, milestone(sale_line_id=5), one, order(), *reached)[-1], BillingReady)


@pytest.mark.parametrize(("delivered", "is_asked"), [(0.33, False), (0.3333, False), (0.32, True), (0.35, True)])
def test_only_what_odoo_rounds_away_is_no_difference(delivered: float, *, is_asked: bool) -> None:
    of = shares(0.3333, 0.3333, 0.3333, reached=True)
    out = decided(
        TICKED, milestone(sale_line_id=5, **REACHED), line(product_uom_qty=1, qty_delivered=delivered), order(), *of
    )
    assert [isinstance(one, Ensure) for one in out] == [is_asked]


def test_what_is_left_of_rounding_an_invoice_is_not_billed() -> None:
    of = shares(0.3333, 0.3333, 0.3333, reached=True)
    third = line(product_uom_qty=1, qty_delivered=0.33, qty_invoiced=0.33)
    assert decided(TICKED, milestone(sale_line_id=5, **REACHED), third, order(), *of) == []


def test_thirds_make_a_whole() -> None:
    rows = [line(qty_delivered=3.33), order(), *shares(0.3333, 0.3333, 0.3333, reached=True)]
    (told,) = decided(TICKED, milestone(sale_line_id=5, **REACHED), *rows)
    assert isinstance(told, BillingReady)
