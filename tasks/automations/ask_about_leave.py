"""Whoever manages a project knows which of its tasks fall into an approved absence, and who could take them over.

A task falls into it when it is open, the person works on it, and its deadline is a day of the absence. Asked is the
manager of the project; where that is the one who is away, or nobody, the manager of the person. Alternatives are
those who work on the same project and are not away then themselves. Why somebody is away is nobody's business here.
"""

import datetime as dt
from collections.abc import Iterator
from html import escape

from events.people import LeaveApproved
from purser import Change, Snapshot, activity, automation
from tasks.rows.absence import (
    Absence,
    AbsentEmployee,
    DueProject,
    DueTask,
    TeamAbsence,
    Teammate,
    TeamTask,
    away,
)


@automation(
    "ask-about-leave",
    on=LeaveApproved,
    reads=(Absence, AbsentEmployee, DueTask, DueProject, TeamTask, Teammate, TeamAbsence),
)
def ask_about_leave(event: LeaveApproved, snapshot: Snapshot, *, answer_days: int = 2) -> Iterator[Change]:
    """Whoever manages a project knows which of its tasks fall into an approved absence, and who could take over."""
    days, person = away(snapshot), next(iter(snapshot.rows(AbsentEmployee)), None)
    today = snapshot.today
    if days is None or person is None or days[1] < today:
        return  # cancelled in the meantime, or over
    first, last = days
    for task in snapshot.rows(DueTask):
        if task.has_template_ancestor:
            continue
        others = ", ".join(_alternatives(task, person, snapshot)) or "nobody else who works on this project"
        when = f"{first}" if first == last else f"{first} to {last}"
        yield activity(
            key=f"leave/{event.leave_id}/task/{task.id}",
            on=task.ref,
            summary=f"{person.name} is away {when}: who takes this over?",
            note=f"<p>It is due on {task.date_deadline.date()}. There then: {escape(others)}.</p>",
            user_id=_manager(task, person, snapshot),
            deadline=max(today, min(today + dt.timedelta(days=answer_days), first - dt.timedelta(days=1))),
        )


def _manager(task: DueTask, person: AbsentEmployee, snapshot: Snapshot) -> int | None:
    project = snapshot.get(DueProject, task.project_id.id)
    if project is not None and project.user_id not in (None, person.user_id):
        return project.user_id
    manager = snapshot.get(Teammate, person.manager_id)
    return None if manager is None else manager.user_id


def _alternatives(task: DueTask, person: AbsentEmployee, snapshot: Snapshot) -> Iterator[str]:
    """Name them in the order of their names."""
    on_it = {user for one in snapshot.rows(TeamTask) if one.project_id == task.project_id.id for user in one.user_ids}
    busy = {absence.resource_id for absence in snapshot.rows(TeamAbsence)}
    for one in sorted(snapshot.rows(Teammate), key=lambda teammate: teammate.name):
        if one.user_id in on_it and one.user_id != person.user_id and one.resource_id not in busy:
            yield one.name
