"""Whoever manages a project knows which of its tasks fall into an approved absence, and who could take them over.

A task falls into it when it is open, the person works on it, and its deadline is a day of the absence. Days are those
of the request, else those of the person's own zone. Asked is the manager of the project; where that is the one who is
away, absent today, or cannot be asked, the manager of the person; else the question is unassigned. Alternatives are
those who work on the same project and are not absent on any of its days. Time of type 'other' is worked, so it is
no absence. Why somebody is away is nobody's business here.

When the absence is refused, cancelled or moved, questions whose cause went away are closed. Each approval asks anew:
the key of a question names the row that Odoo made of the approval, and its days.
"""

import datetime as dt
from collections.abc import Iterator
from html import escape

from events.employee import LeaveApproved, LeaveCancelled
from purser import Change, Snapshot, activity, automation
from purser.parameters.bounds import Days
from purser.todos import close_todos
from tasks.people import Absences, PersonIndex
from tasks.queries.availability import ASKING
from tasks.queries.leaves import (
    QUESTION,
    ApprovedLeave,
    DueProject,
    DueTask,
    LeaveEmployee,
    LeaveRequest,
    LeaveTodo,
    TeamAbsence,
    Teammate,
    TeamTask,
    leave_days,
    zone_of_absent,
)

CALLED_OFF = "The absence does not take place any more, or the task does not fall into it: nobody has to take over."


@automation(
    "ask-about-leave",
    on=LeaveApproved,
    also=(LeaveCancelled,),
    reads=(
        *(ApprovedLeave, LeaveRequest, LeaveEmployee, DueTask, DueProject, TeamTask, Teammate, TeamAbsence),
        *(*ASKING, LeaveTodo),
    ),
    activity_on=("project.task",),
)
def ask_about_leave(
    event: LeaveApproved | LeaveCancelled, snapshot: Snapshot, *, answer_days: Days = 2
) -> Iterator[Change]:
    """Whoever manages a project knows which of its tasks fall into an approved absence, and who could take over."""
    days, person = leave_days(snapshot), next(iter(snapshot.rows(LeaveEmployee)), None)
    today = snapshot.today
    base = f"leave/{event.leave_id}/"
    if days is None or person is None:
        yield from close_todos(snapshot, LeaveTodo, prefix=base, because=CALLED_OFF)
        return
    first, last = days
    due = [
        one for one in snapshot.rows(DueTask) if not one.has_template_ancestor and _concerns(one, person, snapshot)
    ]
    approval = f"{base}{max(row.id for row in snapshot.rows(ApprovedLeave))}/{first}..{last}/"
    keys = {f"{approval}task/{task.id}" for task in due}
    for task in due if last >= today else ():
        others = ", ".join(_alternatives(task, person, days, snapshot)) or "nobody else who works on this project"
        when = f"{first}" if first == last else f"{first} to {last}"
        day = task.date_deadline.astimezone(zone_of_absent(snapshot)).date()
        yield activity(
            key=f"{approval}task/{task.id}",
            on=task.ref,
            summary=f"{person.name} is away {when}: {QUESTION}",
            note=f"<p>It is due on {day}. There then: {escape(others)}.</p>",
            user_id=_asked(task, person, snapshot),
            deadline=max(today, min(today + dt.timedelta(days=answer_days), first - dt.timedelta(days=1))),
        )
    yield from close_todos(snapshot, LeaveTodo, prefix=base, but=keys, because=CALLED_OFF)


def _concerns(task: DueTask, person: LeaveEmployee, snapshot: Snapshot) -> bool:
    """Return whether a task waits for this employment: who is away in one company may work on for another."""
    project = snapshot.get(DueProject, task.project_id.id)
    company = None if project is None else project.company_id
    employed_twice = any(
        one.user_id == person.user_id and one.resource_id != person.resource_id for one in snapshot.rows(Teammate)
    )
    return not employed_twice or company in (None, person.company_id)


def _asked(task: DueTask, person: LeaveEmployee, snapshot: Snapshot) -> int | None:
    project = snapshot.get(DueProject, task.project_id.id)
    manager = snapshot.get(Teammate, person.manager_id)
    candidates = (project.user_id if project else None, manager.user_id if manager else None)
    return PersonIndex(snapshot).first(*(one for one in candidates if one != person.user_id))


def _alternatives(
    task: DueTask, person: LeaveEmployee, days: tuple[dt.date, dt.date], snapshot: Snapshot
) -> Iterator[str]:
    """Name them in the order of their names, each person once."""
    people = PersonIndex(snapshot)
    absences = Absences(snapshot.rows(Teammate), snapshot.rows(TeamAbsence), snapshot.as_of.tzinfo)
    on_it = {user for one in snapshot.rows(TeamTask) if one.project_id == task.project_id.id for user in one.user_ids}
    span = [days[0] + dt.timedelta(days=n) for n in range((days[1] - days[0]).days + 1)]
    named: set[int | None] = {person.user_id}
    for one in sorted(snapshot.rows(Teammate), key=lambda teammate: teammate.name):
        if one.user_id not in on_it or one.user_id in named or not people.may_be_asked(one.user_id):
            continue
        named.add(one.user_id)
        if not any(absences.is_absent(one.user_id, day) for day in span):
            yield one.name
