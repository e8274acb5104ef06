"""A customer whose name, address or way to be reached has changed is told of."""

import datetime as dt
from collections.abc import Iterator

from events.customer import CustomerChanged
from events.event import Event
from events.field_types import fingerprint
from purser import Domain, QueryContext, Row, minutes, watch


class CustomerRecord(Row, model="res.partner"):
    """What others keep of a customer, too."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None
    vat: str | None = None
    street: str | None = None
    zip: str | None = None
    city: str | None = None
    country_id: int | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read firms; their people and addresses are part of them."""
        return [*scope.look, ("is_company", "=", True), ("parent_id", "=", False)]


@watch("customers", row=CustomerRecord, tells=(CustomerChanged,), every=minutes(15), stamped=False)
def customers(row: CustomerRecord, as_of: dt.datetime) -> Iterator[Event]:
    """A customer has another name, address or way to be reached."""
    yield CustomerChanged(customer_id=row.id, state=fingerprint(row.model_dump(exclude={"id"})))
