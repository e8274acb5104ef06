"""What orders that nobody has confirmed yet have in common, whether we sell or buy."""

from decimal import Decimal

from purser import Domain, Many2One, Moment, QueryContext, Row


class UnconfirmedOrder(Row):
    """An order nobody has confirmed yet, or one with an open case."""

    name: str
    state: str
    user_id: int | None = None
    partner_id: Many2One | None = None
    currency_id: Many2One
    amount_total: Decimal = Decimal(0)
    create_date: Moment
    date_order: Moment | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read all that wait, of any age: the control knows the firm's patience."""
        return ["|", ("state", "in", ("draft", "sent")), ("id", "in", scope.watched_ids(cls.model))]

    @property
    def people(self) -> tuple[int | None, ...]:
        """Name whom the order names."""
        return (self.user_id,)
