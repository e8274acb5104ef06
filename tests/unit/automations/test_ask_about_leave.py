"""An absence, decided over values: what is due then, who is asked, and who could help."""

import datetime as dt
from typing import Any

from events.people import LeaveApproved
from purser import Link, Ref
from purser.testing import snapshot
from tasks.automations.ask_about_leave import ask_about_leave
from tasks.rows.absence import Absence, AbsentEmployee, DueProject, DueTask, TeamAbsence, Teammate, TeamTask

AS_OF = dt.datetime(2026, 11, 20, 6, tzinfo=dt.UTC)
MARA, BOSS, PM, ALI, ZOE = 51, 52, 53, 54, 55
AWAY = {"date_from": "2026-12-01 07:00:00", "date_to": "2026-12-03 16:00:00"}
PERSON = AbsentEmployee(id=1, name="Mara", user_id=MARA, manager_id=2, resource_id=11)
TEAM = (
    Teammate(id=2, name="Boss", user_id=BOSS, resource_id=12),
    Teammate(id=5, name="Zoe <Z>", user_id=ZOE, resource_id=15),
    Teammate(id=4, name="Ali", user_id=ALI, resource_id=14),
    Teammate(id=1, name="Mara", user_id=MARA, resource_id=11),
    TeamTask(id=30, project_id=3, user_ids=(MARA, ALI)),
    TeamTask(id=31, project_id=3, user_ids=(ZOE,)),
)


def absence(**values: Any) -> Absence:
    return Absence.model_validate({"id": 1, "resource_id": 11} | AWAY | values)


def task(**values: Any) -> DueTask:
    own = {"id": 30, "name": "Report", "project_id": [3, "P"], "user_ids": [MARA]}
    return DueTask.model_validate(own | {"date_deadline": "2026-12-02 17:00:00"} | values)


def decided(*rows: Any, **tunables: Any) -> list[Any]:
    reads = ask_about_leave.reads
    return list(ask_about_leave(LeaveApproved(leave_id=21), snapshot(AS_OF, *rows, reads=reads), **tunables))


def test_the_project_manager_is_asked_and_colleagues_are_named() -> None:
    (asked,) = decided(absence(), PERSON, task(), DueProject(id=3, user_id=PM), *TEAM)
    assert (asked.key, asked.values["res_id"]) == ("leave/21/task/30", 30)
    assert asked.values["user_id"] == Link(Ref("res.users", PM))
    assert asked.values["summary"] == "Mara is away 2026-12-01 to 2026-12-03: who takes this over?"
    assert "There then: Ali, Zoe &lt;Z&gt;." in asked.values["note"]
    assert asked.values["date_deadline"] == dt.date(2026, 11, 22)


def test_colleagues_who_are_away_then_or_not_on_the_project_are_no_alternative() -> None:
    busy = TeamAbsence(id=2, resource_id=14)
    (asked,) = decided(absence(), PERSON, task(), DueProject(id=3, user_id=PM), *TEAM[:4], *TEAM[4:5], busy)
    assert "nobody else who works on this project" in asked.values["note"]


def test_where_the_manager_is_away_or_nobody_the_persons_manager_is_asked() -> None:
    for user in (MARA, None):
        (asked,) = decided(absence(), PERSON, task(), DueProject(id=3, user_id=user), *TEAM)
        assert asked.values["user_id"] == Link(Ref("res.users", BOSS))


def test_an_absence_that_was_cancelled_or_is_over_asks_nobody() -> None:
    assert decided(PERSON, task(), *TEAM) == []
    assert decided(absence(date_from="2026-11-18 07:00:00", date_to="2026-11-19 16:00:00"), PERSON, task()) == []


def test_an_answer_is_wanted_before_the_absence_and_never_in_the_past() -> None:
    soon = absence(date_from="2026-11-21 07:00:00")
    (asked,) = decided(soon, PERSON, task(), DueProject(id=3, user_id=PM), *TEAM, answer_days=9)
    assert asked.values["date_deadline"] == dt.date(2026, 11, 20)


def test_a_template_is_no_work() -> None:
    assert decided(absence(), PERSON, task(has_template_ancestor=True), *TEAM) == []
