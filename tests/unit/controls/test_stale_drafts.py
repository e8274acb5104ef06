"""Stale drafts, judged over values: what waits for whom since when, and what waits on purpose."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purser import Compliant, Exempt, Finding, Money, OpenCaseRef, QueryContext, Ref, Row, Severity
from purser.testing import ControlVerdicts, evaluate, snapshot
from tasks.controls.stale_drafts import stale_drafts
from tasks.queries.accounting import DraftMove, OrderOfDraft
from tasks.queries.availability import ASKING, AskableUser
from tasks.queries.companies import OwnCompany
from tasks.queries.expenses import ExpenseEmployee, PendingExpense
from tasks.queries.purchases import DraftPurchase
from tasks.queries.sales import Quotation

AS_OF = dt.datetime(2026, 11, 20, 6, tzinfo=dt.UTC)
SELLER, AUTHOR, WORKER, BOSS, BUYER, GONE = 3, 4, 5, 6, 7, 8
PEOPLE = tuple(AskableUser(id=one) for one in (SELLER, AUTHOR, WORKER, BOSS, BUYER))
FIRM = OwnCompany.model_validate({"id": 1, "currency_id": [1, "EUR"]})
COMMON = {"currency_id": [1, "EUR"], "partner_id": [9, "Azure"], "create_date": "2026-10-02 08:00:00"}


def move(**values: Any) -> DraftMove:
    own = {"id": 11, "name": False, "ref": False, "move_type": "out_invoice", "state": "draft", "auto_post": "no"}
    more = {"posted_before": False, "invoice_user_id": SELLER, "create_uid": AUTHOR, "invoice_date": False}
    return DraftMove.model_validate(COMMON | own | more | {"amount_total": 1200.0} | values)


def order_of_draft(**values: Any) -> OrderOfDraft:
    own = {"id": 7, "name": "S00007", "user_id": SELLER, "invoice_ids": [11, 12]}
    return OrderOfDraft.model_validate(own | values)


def quotation(**values: Any) -> Quotation:
    own = {"id": 21, "name": "S00021", "state": "draft", "user_id": SELLER, "amount_total": 500.0}
    when = {"date_order": "2026-10-02 08:00:00", "validity_date": False}
    return Quotation.model_validate(COMMON | own | when | values)


def expense(**values: Any) -> PendingExpense:
    own = {"id": 31, "name": "Taxi", "state": "draft", "employee_id": 50, "manager_id": BOSS}
    more = {"total_amount_currency": 30.0, "write_date": "2026-10-20 08:00:00"}
    return PendingExpense.model_validate(COMMON | own | more | values)


def employee(**values: Any) -> ExpenseEmployee:
    return ExpenseEmployee.model_validate({"id": 50, "name": "Mara", "user_id": WORKER} | values)


def purchase(**values: Any) -> DraftPurchase:
    own = {"id": 41, "name": "P00041", "state": "draft", "user_id": BUYER, "amount_total": 11.0}
    return DraftPurchase.model_validate(COMMON | own | {"date_order": "2026-10-02 08:00:00"} | values)


def judged(*rows: Any, as_of: dt.datetime = AS_OF, **tunables: Any) -> ControlVerdicts:
    firm = () if any(isinstance(row, OwnCompany) for row in rows) else (FIRM,)
    return evaluate(stale_drafts, snapshot(as_of, *rows, *firm, *PEOPLE, reads=stale_drafts.reads), **tunables)


def only(*rows: Any, **tunables: Any) -> Finding:
    (found,) = judged(*rows, **tunables).findings
    return found


def test_a_draft_invoice_is_found_with_everything_a_person_needs() -> None:
    assert only(move(), order_of_draft()) == Finding(
        subject=Ref("account.move", 11),
        subject_name="Draft invoice 11, Azure",
        summary="Draft invoice of 1,200.00 EUR waits since 2026-10-02, from S00007",
        since=dt.date(2026, 10, 2),
        severity=Severity.MEDIUM,
        owner=SELLER,
        asks={"salesperson": SELLER},
        desk=Ref("sale.order", 7),
        money_at_risk=Money(Decimal(1200), "EUR"),
    )


@pytest.mark.parametrize(
    ("row", "name", "summary"),
    [
        (move(move_type="out_refund", name="/"), "Draft credit note 11, Azure", "Draft credit note of 1,200.00 EUR"),
        (move(move_type="in_invoice", ref="V-7"), "V-7, Azure", "Draft bill of 1,200.00 EUR"),
        (
            move(move_type="in_refund"),
            "Draft vendor credit note 11, Azure",
            "Draft vendor credit note of 1,200.00 EUR",
        ),
        (move(partner_id=False, amount_total=0.0), "Draft invoice 11", "Draft invoice of 0.00 EUR"),
        (quotation(), "S00021, Azure", "Unsent quotation of 500.00 EUR"),
        (quotation(state="sent"), "S00021, Azure", "Quotation of 500.00 EUR"),
        (expense(), "Taxi", "Draft expense of 30.00 EUR"),
        (purchase(state="sent"), "P00041, Azure", "Draft purchase of 11.00 EUR"),
    ],
)
def test_each_kind_says_what_it_is(row: Row, name: str, summary: str) -> None:
    found = only(row)
    assert (found.subject, found.subject_name) == (row.ref, name)
    assert found.summary == f"{summary} waits since 2026-10-02"


@pytest.mark.parametrize(
    ("rows", "asks", "desk"),
    [
        pytest.param([move(invoice_user_id=False)], {"author": AUTHOR}, None, id="invoice without salesperson"),
        pytest.param([move(invoice_user_id=GONE)], {"author": AUTHOR}, None, id="invoice whose salesperson left"),
        pytest.param([move(invoice_user_id=GONE, create_uid=1)], {}, None, id="invoice a machine made"),
        pytest.param(
            [move(invoice_user_id=False), order_of_draft(user_id=BUYER), order_of_draft(id=8)],
            {"salesperson": BUYER},
            Ref("sale.order", 7),
            id="invoice of two orders: the first one's salesperson",
        ),
        pytest.param([move(id=99), order_of_draft()], {"salesperson": SELLER}, None, id="invoice of no order"),
        pytest.param([move(move_type="in_invoice")], {"author": AUTHOR}, None, id="bill"),
        pytest.param([quotation()], {"salesperson": SELLER}, Ref("sale.order", 21), id="quotation"),
        pytest.param([expense(), employee()], {"employee": WORKER}, Ref("hr.expense", 31), id="expense"),
        pytest.param(
            [expense(), employee(user_id=False)], {"approver": BOSS}, Ref("hr.expense", 31), id="expense without user"
        ),
        pytest.param(
            [expense(state="submitted"), employee()],
            {"approver": BOSS},
            Ref("hr.expense", 31),
            id="submitted",
        ),
        pytest.param([purchase()], {"buyer": BUYER}, Ref("purchase.order", 41), id="purchase"),
    ],
)
def test_the_nearest_person_who_is_still_there_is_asked(rows: list[Row], asks: dict[str, int], desk: Ref) -> None:
    found = only(*rows)
    assert (found.asks, found.owner, found.desk) == (asks, next(iter(asks.values()), None), desk)
    assert set(found.asks) <= set(stale_drafts.asks)


@pytest.mark.parametrize(
    ("row", "days"),
    [
        (move(create_date="2026-11-12 23:59:59"), 7),
        (move(move_type="out_refund", create_date="2026-11-12 23:59:59"), 7),
        (move(invoice_date="2026-11-12"), 7),
        (move(move_type="in_invoice", create_date="2026-11-09 12:00:00", invoice_date="2026-11-19"), 10),
        (quotation(date_order="2026-10-20 12:00:00"), 30),
        (quotation(date_order=False, create_date="2026-10-20 12:00:00"), 30),
        (quotation(validity_date="2026-11-19", date_order="2026-11-18 12:00:00"), 0),
        (expense(create_date="2026-11-09 12:00:00", write_date="2026-11-19 12:00:00"), 10),
        (expense(state="submitted", write_date="2026-11-14 12:00:00"), 5),
        (purchase(date_order="2026-11-05 12:00:00"), 14),
    ],
)
def test_a_document_is_stale_on_the_day_after_the_firms_patience(row: Row, days: int) -> None:
    assert len(judged(row).findings) == 1
    assert only(row).since == AS_OF.date() - dt.timedelta(days=days + 1)
    assert judged(row, as_of=AS_OF - dt.timedelta(days=1)) == ControlVerdicts((), (Compliant(row.ref),), ())


def test_the_day_is_the_day_in_the_zone_of_the_scan() -> None:
    late = move(create_date="2026-11-12 23:30:00")
    vienna = dt.timezone(dt.timedelta(hours=1))
    assert only(late).since == dt.date(2026, 11, 12)
    assert judged(late, as_of=AS_OF.astimezone(vienna)).kept == (Compliant(late.ref),)


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (move(auto_post="at_date"), Exempt(Ref("account.move", 11), "it posts itself on its date")),
        (move(state="posted"), Compliant(Ref("account.move", 11))),
        (move(state="cancel"), Exempt(Ref("account.move", 11), "it was cancelled")),
        (quotation(validity_date="2026-11-20"), Compliant(Ref("sale.order", 21))),
        (quotation(validity_date="2027-03-01"), Compliant(Ref("sale.order", 21))),
        (quotation(state="sale"), Compliant(Ref("sale.order", 21))),
        (quotation(state="cancel"), Exempt(Ref("sale.order", 21), "it was cancelled")),
        (expense(state="approved"), Compliant(Ref("hr.expense", 31))),
        (expense(state="paid"), Compliant(Ref("hr.expense", 31))),
        (expense(state="refused"), Exempt(Ref("hr.expense", 31), "it was refused")),
        (purchase(state="to approve"), Compliant(Ref("purchase.order", 41))),
        (purchase(state="purchase"), Compliant(Ref("purchase.order", 41))),
        (purchase(state="cancel"), Exempt(Ref("purchase.order", 41), "it was cancelled")),
        (purchase(date_order="2027-03-01 12:00:00"), Compliant(Ref("purchase.order", 41))),
    ],
)
def test_what_is_done_or_waits_on_purpose_is_no_finding(row: Row, verdict: Compliant | Exempt) -> None:
    of = judged(row)
    assert (of.findings, of.kept + of.exempt) == ((), (verdict,))


def test_an_invoice_reset_to_draft_is_worse_and_says_so() -> None:
    found = only(move(posted_before=True, name="INV/2026/00007"))
    assert (found.severity, found.subject_name) == (Severity.HIGH, "INV/2026/00007, Azure")
    assert found.summary.endswith("2026-10-02, it was posted before and reset to draft")


@pytest.mark.parametrize(
    ("row", "small", "large"),
    [
        (move(), Severity.MEDIUM, Severity.HIGH),
        (move(posted_before=True), Severity.HIGH, Severity.HIGH),
        (move(move_type="in_invoice"), Severity.MEDIUM, Severity.HIGH),
        (quotation(), Severity.LOW, Severity.MEDIUM),
        (expense(), Severity.LOW, Severity.MEDIUM),
        (expense(state="submitted"), Severity.MEDIUM, Severity.HIGH),
        (purchase(), Severity.LOW, Severity.MEDIUM),
    ],
)
def test_a_large_amount_makes_it_worse(row: Row, small: Severity, large: Severity) -> None:
    amount = only(row).money_at_risk
    assert amount is not None
    assert only(row).severity is small
    assert only(row, large_amount=amount.amount).severity is large


@pytest.mark.parametrize(
    ("amount", "currency", "large_amount", "severity"),
    [
        pytest.param(9_999, "EUR", Decimal(10_000), Severity.MEDIUM, id="below the firm's limit"),
        pytest.param(10_000, "EUR", Decimal(10_000), Severity.HIGH, id="at the firm's limit"),
        pytest.param(1, "KWD", Decimal(10_000), Severity.HIGH, id="a bare number says nothing of another currency"),
        pytest.param(
            999_999, "JPY", {"EUR": Decimal(10_000), "JPY": Decimal(1_000_000)}, Severity.MEDIUM, id="named"
        ),
        pytest.param(1_000_000, "JPY", {"JPY": Decimal(1_000_000)}, Severity.HIGH, id="at the named limit"),
        pytest.param(1, "EUR", {"JPY": Decimal(1_000_000)}, Severity.HIGH, id="only another one is named"),
        pytest.param(0, "KWD", {"EUR": Decimal(10_000)}, Severity.MEDIUM, id="nothing is never large"),
        pytest.param(0, "EUR", Decimal(0), Severity.MEDIUM, id="zero is not more than zero"),
        pytest.param(1, "EUR", Decimal(0), Severity.HIGH, id="a limit of zero means more than nothing"),
    ],
)
def test_a_limit_counts_in_the_currency_it_is_meant_in(
    amount: int, currency: str, large_amount: Any, severity: Severity
) -> None:
    found = only(move(amount_total=amount, currency_id=[2, currency]), large_amount=large_amount)
    assert found.severity is severity


def test_a_firm_whose_companies_keep_books_in_several_currencies_must_name_them() -> None:
    other = OwnCompany.model_validate({"id": 2, "currency_id": [2, "KWD"]})
    assert only(move(), FIRM, other).severity is Severity.HIGH
    assert only(move(), FIRM, other, large_amount={"EUR": Decimal(10_000)}).severity is Severity.MEDIUM


@pytest.mark.parametrize(
    ("currency", "given", "amount", "text"),
    [
        ("KWD", 1.2345, "1.235", "1.235 KWD"),
        ("JPY", 10_000.0, "10000", "10,000 JPY"),
        ("EUR", 1.005, "1.01", "1.01 EUR"),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(currency: str, given: float, amount: str, text: str) -> None:
    found = only(move(amount_total=given, currency_id=[2, currency]))
    assert found.money_at_risk == Money(Decimal(amount), currency)
    assert f" of {text} waits" in found.summary


def test_a_database_without_purchases_and_expenses_still_gets_the_rest() -> None:
    of = snapshot(AS_OF, move(), *PEOPLE, reads=[OrderOfDraft, OwnCompany, *ASKING])
    for kind in (Quotation, PendingExpense, ExpenseEmployee, DraftPurchase):
        of = of.plus(kind, None)
    assert len(evaluate(stale_drafts, of).findings) == 1


documents = st.sampled_from([move(), move(move_type="in_invoice"), quotation(), expense(), purchase()])
days = st.integers(0, 90)


@given(documents, days, days, st.integers(-10, 90))
def test_more_patience_never_finds_more(row: Row, patience: int, more: int, age: int) -> None:
    tunables = [name for name in stale_drafts.tunables if name.endswith("_days")]
    as_of = dt.datetime(2026, 10, 2, 12, tzinfo=dt.UTC) + dt.timedelta(days=age)
    short = judged(row, as_of=as_of, **dict.fromkeys(tunables, patience))
    long = judged(row, as_of=as_of, **dict.fromkeys(tunables, patience + more))
    assert len(short.findings) == (1 if age > patience else 0)
    assert len(long.findings) <= len(short.findings)


@given(st.lists(documents, unique_by=lambda row: row.ref))
def test_every_document_read_is_judged_once(rows: list[Row]) -> None:
    of = judged(*rows)
    verdicts = [one.subject for one in of.findings] + [one.subject for one in of.kept]
    assert sorted(verdicts) == sorted(row.ref for row in rows)


# --------------------------------------------------------------------------------------- reads --


def scope(*rows: Row, watched: tuple[OpenCaseRef, ...] = ()) -> QueryContext:
    return QueryContext(as_of=AS_OF, watched=watched, snapshot=snapshot(AS_OF, *rows, reads=stale_drafts.reads))


@pytest.mark.parametrize("kind", [DraftMove, Quotation, PendingExpense, DraftPurchase])
def test_documents_of_open_cases_are_read_whatever_their_state(kind: type[Row]) -> None:
    watched = tuple(OpenCaseRef(Ref(model, 77), None) for model in ("account.move", kind.model, "res.partner"))
    domain = kind.domain(scope(watched=watched))
    assert domain is not None
    assert [leaf[2] for leaf in domain if leaf[0] == "id"] in ([[77]], [[77, 77]])


def test_orders_are_searched_from_customer_drafts_only() -> None:
    rows = move(id=1), move(id=2, move_type="in_invoice"), move(id=3, state="posted")
    assert OrderOfDraft.domain(scope(*rows)) == [("invoice_ids", "in", [1])]
    assert OrderOfDraft.domain(scope(*rows[1:])) is None


def test_only_people_whom_a_document_names_are_read() -> None:
    rows = move(invoice_user_id=False), quotation(user_id=30), expense(manager_id=20), employee(user_id=False)
    assert AskableUser.domain(scope(*rows)) == [("id", "in", [AUTHOR, 20, 30]), ("share", "=", False)]
    assert AskableUser.domain(scope()) is None
