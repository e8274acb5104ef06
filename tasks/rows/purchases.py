"""What declarations read of purchasing: requests for quotation that wait."""

from tasks.rows.waiting import WaitingOrder


class DraftPurchase(WaitingOrder, model="purchase.order", optional=True):
    """A purchase nobody has confirmed yet, or one with an open case."""
