"""A purchase that was approved is told, with the moment of it."""

import datetime as dt
from collections.abc import Iterator

from events.billing import PurchaseApproved
from events.event import Event
from purser import Domain, Moment, QueryContext, Row, minutes, watch

ORDERED = ("purchase", "done")
"""Up to Odoo 18 a locked purchase is `done`."""


class ApprovedPurchase(Row, model="purchase.order", optional=True):
    """A purchase the firm has made."""

    date_approve: Moment | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read those ordered."""
        return [*scope.look, ("state", "in", ORDERED), ("date_approve", "!=", False)]


@watch("purchases", row=ApprovedPurchase, tells=(PurchaseApproved,), every=minutes(5))
def purchases(row: ApprovedPurchase, as_of: dt.datetime) -> Iterator[Event]:
    """A purchase was approved."""
    yield PurchaseApproved(purchase_id=row.id, approved_at=row.date_approve)
