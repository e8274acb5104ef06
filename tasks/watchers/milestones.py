"""A milestone that somebody ticked as reached is told, with the day Odoo gave it."""

import datetime as dt
from collections.abc import Iterator

from events.event import Event
from events.project import MilestoneApproved
from purser import Domain, QueryContext, Row, minutes, watch


class TickedMilestone(Row, model="project.milestone", optional=True):
    """A milestone that is marked as reached."""

    is_reached: bool = False
    reached_date: dt.date | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read those that are reached."""
        return [*scope.look, ("is_reached", "=", True)]


@watch("milestones", row=TickedMilestone, tells=(MilestoneApproved,), every=minutes(5))
def milestones(row: TickedMilestone, as_of: dt.datetime) -> Iterator[Event]:
    """A milestone was marked as reached."""
    if row.is_reached:
        yield MilestoneApproved(milestone_id=row.id, reached_on=row.reached_date)
