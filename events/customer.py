"""Facts about whom the firm works for (`res.partner`): master data, which flows apart from transactions."""

from pydantic import Field

from events.event import Event
from events.field_types import Id, Word


class CustomerChanged(Event, type="customer.changed.v1", about=("res.partner", "customer_id"), mark="state"):
    """A customer has another name, address or way to be reached. Odoo stores no mark of it beside `write_date`."""

    customer_id: Id = Field(description="The id of the res.partner.")
    state: Word | None = Field(
        None,
        examples=["6f1c5b0a9d2e4837"],
        description="What tells these values from others: see `fingerprint` in events/field_types.py.",
    )
