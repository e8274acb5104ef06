"""A running project has a project manager."""

import datetime as dt
from collections.abc import Iterator

from purser import (
    Compliant,
    Domain,
    Exempt,
    Finding,
    Moment,
    QueryContext,
    Row,
    Severity,
    Snapshot,
    Verdict,
    control,
    daily,
)


class RunningProject(Row, model="project.project", active_test=False):
    """A project that is not archived, or one with an open case."""

    name: str
    active: bool
    user_id: int | None = None
    create_date: Moment

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read the running ones, and those a case is open about, whatever became of them."""
        return ["|", ("active", "=", True), ("id", "in", scope.watched_ids(cls.model))]


@control(
    "ownerless-projects",
    title="Project without a manager",
    reads=(RunningProject,),
    every=daily("07:00"),
    severity=Severity.LOW,
    owner="pmo",
    activity_on=("project.project",),
)
def ownerless_projects(snapshot: Snapshot, *, grace_days: int = 2) -> Iterator[Verdict]:
    """A running project has a project manager."""
    deadline = snapshot.today - dt.timedelta(days=grace_days)
    for project in snapshot.rows(RunningProject):
        since = project.create_date.date()
        if not project.active:
            yield Exempt(project.ref, "the project is archived")
        elif project.user_id is not None or since >= deadline:
            yield Compliant(project.ref)
        else:
            yield Finding(
                subject=project.ref,
                subject_name=project.name,
                summary=f"{project.name} has no project manager",
                since=since,
                desk=project.ref,
            )
