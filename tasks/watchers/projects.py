"""A project that was made is told, and one whose agreed end comes near."""

import datetime as dt
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from events.event import Event
from events.opportunity import ContractExpiring
from events.project import ProjectCreated
from purser import OPTIONAL_FIELD, Domain, Moment, QueryContext, Row, WatchTrigger, hours, minutes, watch
from purser.parameters.bounds import Days

NOTICE_DAYS = 30


class NewProject(Row, model="project.project", optional=True):
    """A project; in Odoo 19 some are templates, and no work."""

    create_date: Moment
    is_template: Annotated[bool, OPTIONAL_FIELD] = False

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read whatever is looked at."""
        return [*scope.look]


class EndingProject(Row, model="project.project", optional=True):
    """A customer's running project whose end is near."""

    ends_on: dt.date | None = Field(None, alias="date")
    is_template: Annotated[bool, OPTIONAL_FIELD] = False

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read those that end within the days of notice."""
        today = scope.today
        last = today + dt.timedelta(days=int(scope.tunables.get("notice_days", NOTICE_DAYS)))
        return [*scope.look, ("date", ">=", today), ("date", "<=", last), ("partner_id", "!=", False)]


@watch("projects", row=NewProject, tells=(ProjectCreated,), every=minutes(5))
def projects(row: NewProject, as_of: dt.datetime) -> Iterator[Event]:
    """A project was made."""
    if not row.is_template:
        yield ProjectCreated(project_id=row.id, created_at=row.create_date)


@watch("contracts", row=EndingProject, tells=(ContractExpiring,), every=hours(6), by=WatchTrigger.TIME, stamped=False)
def contracts(row: EndingProject, as_of: dt.datetime, *, notice_days: Days = NOTICE_DAYS) -> Iterator[Event]:
    """The agreed end of a customer's project is `notice_days` away, or less."""
    last = as_of.date() + dt.timedelta(days=notice_days)
    if row.ends_on and as_of.date() <= row.ends_on <= last and not row.is_template:
        yield ContractExpiring(project_id=row.id, ends_on=row.ends_on)
