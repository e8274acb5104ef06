"""A change the customer agreed to is told, where the firm's policy says which tasks stand for changes.

Odoo has no record for a change request. With `tags` set, an approved task that bears one of these tags stands for
one; without, nothing is told.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Annotated

from events.event import Event
from events.project import ChangeRequestApproved
from purser import Domain, QueryContext, Row, minutes, watch
from purser.parameters.record_names import RecordNameType

APPROVED = "03_approved"
TagName = Annotated[str, RecordNameType(("project.tags",))]


class ApprovedTask(Row, model="project.task", optional=True):
    """A task with a tag of the policy, in the state that says it was approved."""

    state: str | None = None
    tag_ids: tuple[int, ...] = ()

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read none where the policy names no tag."""
        tags = tuple(scope.tunables.get("tags", ()))
        return [*scope.look, ("tag_ids.name", "in", tags), ("state", "=", APPROVED)] if tags else None


@watch("change-requests", row=ApprovedTask, tells=(ChangeRequestApproved,), every=minutes(5))
def change_requests(row: ApprovedTask, as_of: dt.datetime, *, tags: tuple[TagName, ...] = ()) -> Iterator[Event]:
    """A task that stands for a change request (`tags`) was approved."""
    if tags and row.state == APPROVED:
        yield ChangeRequestApproved(task_id=row.id, state=row.state)
