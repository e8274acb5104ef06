"""A support case that became urgent is told, and one that was closed. Helpdesk is Enterprise's add-on, or OCA's."""

import datetime as dt
from collections.abc import Iterator
from typing import Annotated

from events.event import Event
from events.project import TicketEscalated, TicketResolved
from purser import OPTIONAL_FIELD, Domain, Moment, QueryContext, Row, minutes, watch

URGENT = ("2", "3")
"""High and urgent; 0 and 1 are low and medium."""


class SupportCase(Row, model="helpdesk.ticket", optional=True, active_test=False):
    """A support case."""

    priority: str | None = None
    close_date: Annotated[Moment | None, OPTIONAL_FIELD] = None
    """Enterprise's stamp."""
    closed_date: Annotated[Moment | None, OPTIONAL_FIELD] = None
    """OCA's stamp."""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read whatever is looked at."""
        return [*scope.look]

    @property
    def closed_at(self) -> dt.datetime | None:
        """Return when it was closed."""
        return self.close_date or self.closed_date


@watch("tickets", row=SupportCase, tells=(TicketEscalated, TicketResolved), every=minutes(5))
def tickets(row: SupportCase, as_of: dt.datetime) -> Iterator[Event]:
    """A support case became urgent or was closed."""
    if row.closed_at is not None:
        yield TicketResolved(ticket_id=row.id, closed_at=row.closed_at)
    elif row.priority in URGENT:
        yield TicketEscalated(ticket_id=row.id, priority=row.priority)
