"""A quotation that was signed in the portal is told, and a subscription that came into another state."""

import datetime as dt
from collections.abc import Iterator

from events.event import Event
from events.opportunity import QuotationSigned, SubscriptionChanged
from purser import Domain, Moment, QueryContext, Row, minutes, watch


class SignedOrder(Row, model="sale.order", optional=True):
    """An order that bears a signature."""

    signed_on: Moment

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read those with a signature."""
        return [*scope.look, ("signed_on", "!=", False)]


class SubscriptionOrder(Row, model="sale.order", optional=True):
    """An order that is a subscription. Enterprise only: elsewhere orders have no such state."""

    subscription_state: str | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read those that ever were one."""
        return [*scope.look, ("subscription_state", "!=", False)]


DRAFT = "1_draft"
"""A subscription that nobody has agreed to yet."""


@watch("signatures", row=SignedOrder, tells=(QuotationSigned,), every=minutes(5))
def signatures(row: SignedOrder, as_of: dt.datetime) -> Iterator[Event]:
    """A customer signed a quotation."""
    yield QuotationSigned(order_id=row.id, signed_at=row.signed_on)


@watch("subscriptions", row=SubscriptionOrder, tells=(SubscriptionChanged,), every=minutes(15))
def subscriptions(row: SubscriptionOrder, as_of: dt.datetime) -> Iterator[Event]:
    """A subscription came into another state."""
    if row.subscription_state and row.subscription_state != DRAFT:
        yield SubscriptionChanged(order_id=row.id, state=row.subscription_state)
