"""An expense that was handed in is told, and one that was refused."""

import datetime as dt
from collections.abc import Iterator

from events.billing import ExpenseRejected, ExpenseSubmitted
from events.event import Event
from purser import Domain, QueryContext, Row, minutes, watch

SUBMITTED, REFUSED = "submitted", "refused"


class SubmittedExpense(Row, model="hr.expense", optional=True):
    """An expense that waits for its approver, or that one refused."""

    state: str | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read those in a state that says so."""
        return [*scope.look, ("state", "in", (SUBMITTED, REFUSED))]


@watch("expenses", row=SubmittedExpense, tells=(ExpenseSubmitted, ExpenseRejected), every=minutes(5))
def expenses(row: SubmittedExpense, as_of: dt.datetime) -> Iterator[Event]:
    """An expense was handed in or refused."""
    if row.state == SUBMITTED:
        yield ExpenseSubmitted(expense_id=row.id, state=row.state)
    elif row.state == REFUSED:
        yield ExpenseRejected(expense_id=row.id, state=row.state)
