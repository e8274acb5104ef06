"""What declarations read of purchasing: requests for quotation that wait."""

from decimal import Decimal

from purser import Domain, Moment, Named, Row, Scope


class DraftPurchase(Row, model="purchase.order", optional=True):
    """A purchase nobody has confirmed yet, or one with an open case."""

    name: str
    state: str
    user_id: int | None = None
    partner_id: Named | None = None
    currency_id: Named
    amount_total: Decimal = Decimal(0)
    create_date: Moment
    date_order: Moment | None = None

    @classmethod
    def domain(cls, scope: Scope) -> Domain:
        """Read all that wait, of any age: the control knows the firm's patience."""
        watched = scope.watched_ids(cls.model)
        return ["|", ("state", "in", ("draft", "sent")), ("id", "in", watched)]

    @property
    def people(self) -> tuple[int | None, ...]:
        """Name whom the purchase names."""
        return (self.user_id,)
