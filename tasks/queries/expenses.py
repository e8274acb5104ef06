"""What declarations read of expenses: those that wait for somebody, and those a customer will pay."""

import datetime as dt
from decimal import Decimal
from typing import Annotated

from purser import OPTIONAL_FIELD, Domain, Many2One, Moment, QueryContext, Row
from tasks.queries.sales import BilledOrder, LineToBill


class PendingExpense(Row, model="hr.expense", optional=True):
    """An expense that its employee has not submitted or its approver not decided, or one with an open case."""

    name: str
    state: str
    employee_id: int
    manager_id: Annotated[int | None, OPTIONAL_FIELD] = None
    currency_id: Many2One
    total_amount_currency: Decimal = Decimal(0)
    create_date: Moment
    write_date: Moment

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read all that wait, of any age: the control knows the firm's patience."""
        watched = scope.watched_ids(cls.model)
        return ["|", ("state", "in", ("draft", "submitted")), ("id", "in", watched)]

    @property
    def people(self) -> tuple[int | None, ...]:
        """Name whom the expense names."""
        return (self.manager_id,)


class ExpenseEmployee(Row, model="hr.employee", optional=True, active_test=False):
    """Whose expense it is."""

    name: str
    user_id: int | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read the employees of the expenses."""
        ids = sorted({expense.employee_id for expense in scope.snapshot.rows(PendingExpense)})
        return [("id", "in", ids)] if ids else None

    @property
    def people(self) -> tuple[int | None, ...]:
        """Name the employee's user."""
        return (self.user_id,)


class ReinvoicedExpense(Row, model="hr.expense", optional=True):
    """An expense the customer will pay: on its order already, or approved and on its way there."""

    state: str
    sale_order_id: int | None = None
    sale_order_line_id: int | None = None
    can_be_reinvoiced: Annotated[bool, OPTIONAL_FIELD] = True
    date: dt.date | None = None
    currency_id: Many2One
    untaxed_amount_currency: Decimal = Decimal(0)

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those behind expense lines to bill, and the approved ones of the same orders."""
        lines = [line.id for line in scope.snapshot.rows(LineToBill) if line.is_expense]
        orders = [order.id for order in scope.snapshot.rows(BilledOrder)]
        if not orders:
            return None
        on_its_way = ["&", "&", ("sale_order_id", "in", orders), ("sale_order_line_id", "=", False)]
        return ["|", ("sale_order_line_id", "in", lines), *on_its_way, ("state", "=", "approved")]
