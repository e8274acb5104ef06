"""What declarations read of purchasing: requests for quotation that wait."""

from tasks.queries.draft_orders import UnconfirmedOrder


class DraftPurchase(UnconfirmedOrder, model="purchase.order", optional=True):
    """A purchase nobody has confirmed yet, or one with an open case."""
