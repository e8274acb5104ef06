"""An absence, decided over values: what is due then, who is asked, and who could help."""

import datetime as dt
from typing import Any

from events.employee import LeaveApproved
from purser import RecordLink, Ref
from purser.testing import snapshot
from tasks.automations.ask_about_leave import ask_about_leave
from tasks.queries.availability import AbsentToday, AskableUser, WorkRecord
from tasks.queries.leaves import (
    ApprovedLeave,
    DueProject,
    DueTask,
    LeaveEmployee,
    LeaveRequest,
    LeaveTodo,
    TeamAbsence,
    Teammate,
    TeamTask,
)

AS_OF = dt.datetime(2026, 11, 20, 6, tzinfo=dt.UTC)
MARA, BOSS, PM, ALI, ZOE = 51, 52, 53, 54, 55
AWAY = {"date_from": "2026-12-01 07:00:00", "date_to": "2026-12-03 16:00:00"}
PERSON = LeaveEmployee(id=1, name="Mara", user_id=MARA, manager_id=2, resource_id=11)
TEAM = (
    Teammate(id=2, name="Boss", user_id=BOSS, resource_id=12),
    Teammate(id=5, name="Zoe <Z>", user_id=ZOE, resource_id=15),
    Teammate(id=4, name="Ali", user_id=ALI, resource_id=14),
    Teammate(id=1, name="Mara", user_id=MARA, resource_id=11),
    TeamTask(id=30, project_id=3, user_ids=(MARA, ALI)),
    TeamTask(id=31, project_id=3, user_ids=(ZOE,)),
)
BASE = "leave/21/1/2026-12-01..2026-12-03/task"
COLLEAGUES = tuple(AskableUser(id=one) for one in (MARA, BOSS, PM, ALI, ZOE))


def absence(**values: Any) -> ApprovedLeave:
    return ApprovedLeave.model_validate({"id": 1, "resource_id": 11} | AWAY | values)


def task(**values: Any) -> DueTask:
    own = {"id": 30, "name": "Report", "project_id": [3, "P"], "user_ids": [MARA]}
    return DueTask.model_validate(own | {"date_deadline": "2026-12-02 17:00:00"} | values)


def decided(*rows: Any, **tunables: Any) -> list[Any]:
    reads = ask_about_leave.reads
    users = () if any(isinstance(one, AskableUser) for one in rows) else COLLEAGUES
    return list(ask_about_leave(LeaveApproved(leave_id=21), snapshot(AS_OF, *rows, *users, reads=reads), **tunables))


def todo(id_: int, *keys: str) -> LeaveTodo:
    return LeaveTodo(id=id_, keys=keys)


def test_the_project_manager_is_asked_and_colleagues_are_named() -> None:
    (asked,) = decided(absence(), PERSON, task(), DueProject(id=3, user_id=PM), *TEAM)
    assert (asked.key, asked.values["res_id"]) == (f"{BASE}/30", 30)
    assert asked.values["user_id"] == RecordLink(Ref("res.users", PM))
    assert asked.values["summary"] == "Mara is away 2026-12-01 to 2026-12-03: who takes this over?"
    assert "There then: Ali, Zoe &lt;Z&gt;." in asked.values["note"]
    assert asked.values["date_deadline"] == dt.date(2026, 11, 22)


def test_colleagues_who_are_away_then_or_not_on_the_project_are_no_alternative() -> None:
    (asked,) = decided(absence(), PERSON, task(), DueProject(id=3, user_id=PM), *TEAM[:4], *TEAM[4:5], busy(14))
    assert "nobody else who works on this project" in asked.values["note"]


def busy(resource: int, first: str = "2026-12-02 08:00:00", last: str = "2026-12-02 16:00:00") -> TeamAbsence:
    return TeamAbsence.model_validate({"id": resource, "resource_id": resource, "date_from": first, "date_to": last})


def test_somebody_with_two_records_is_one_person_absent_only_where_both_are() -> None:
    second = Teammate(id=6, name="Ali (Paris)", user_id=ALI, resource_id=16)
    rows = (absence(), PERSON, task(), DueProject(id=3, user_id=PM), *TEAM, second)
    (asked,) = decided(*rows, busy(14))
    assert "There then: Ali, Zoe &lt;Z&gt;." in asked.values["note"]
    (asked,) = decided(*rows, busy(14), busy(16))
    assert "There then: Zoe &lt;Z&gt;." in asked.values["note"]


def test_who_is_away_in_one_company_is_asked_about_the_work_of_that_company_alone() -> None:
    person = LeaveEmployee(id=1, name="Mara", user_id=MARA, manager_id=2, resource_id=11, company_id=1)
    second = Teammate(id=6, name="Mara (Paris)", user_id=MARA, resource_id=16)
    other = task(id=40, project_id=[4, "Q"])
    projects = (DueProject(id=3, user_id=PM, company_id=1), DueProject(id=4, user_id=PM, company_id=2))
    (asked,) = decided(absence(), person, task(), other, *projects, *TEAM, second)
    assert asked.key == f"{BASE}/30"
    assert len(decided(absence(), person, task(), other, *projects, *TEAM)) == 2


def test_an_absence_in_a_persons_morning_elsewhere_is_not_of_that_day() -> None:
    away = busy(14, "2026-11-30 12:00:00", "2026-11-30 21:00:00")
    tokyo = Teammate.model_validate({**TEAM[2].model_dump(), "tz": "Asia/Tokyo"})
    rows = (absence(), PERSON, task(), DueProject(id=3, user_id=PM), *TEAM[:2], *TEAM[3:], away)
    (asked,) = decided(*rows, TEAM[2])
    assert "There then: Ali" in asked.values["note"]
    (asked,) = decided(*rows, tokyo)
    assert "Ali" not in asked.values["note"]


def test_days_are_those_of_the_request_else_of_the_persons_zone() -> None:
    one_day = {"date_from": "2026-12-09 19:00:00", "date_to": "2026-12-10 04:00:00"}
    person = LeaveEmployee(id=1, name="Tia", user_id=MARA, manager_id=2, resource_id=11, tz="Pacific/Auckland")
    rows = (absence(**one_day), person, DueProject(id=3, user_id=PM), *TEAM)
    due = task(date_deadline="2026-12-09 19:30:00")
    (asked,) = decided(*rows, due)
    assert asked.values["summary"] == "Tia is away 2026-12-10: who takes this over?"
    assert "It is due on 2026-12-10." in asked.values["note"]
    request = LeaveRequest(id=21, request_date_from=dt.date(2026, 12, 10), request_date_to=dt.date(2026, 12, 11))
    (asked,) = decided(*rows, due, request)
    assert asked.values["summary"] == "Tia is away 2026-12-10 to 2026-12-11: who takes this over?"


def test_whole_days_that_end_at_midnight_take_nothing_of_the_next() -> None:
    fred = LeaveEmployee(id=1, name="Fred", user_id=MARA, resource_id=11, tz="Europe/Berlin")
    whole = absence(date_from="2026-12-09 23:00:00", date_to="2026-12-10 23:00:00")
    (asked,) = decided(whole, fred, task(), DueProject(id=3, user_id=PM), *TEAM)
    assert asked.values["summary"] == "Fred is away 2026-12-10: who takes this over?"


def test_nobody_is_asked_who_cannot_log_in() -> None:
    rows = (absence(), PERSON, task(), DueProject(id=3, user_id=PM), *TEAM)
    (asked,) = decided(*rows, AskableUser(id=BOSS), AskableUser(id=ALI))
    assert asked.values["user_id"] == RecordLink(Ref("res.users", BOSS))
    assert "There then: Ali." in asked.values["note"]
    (asked,) = decided(*rows, AskableUser(id=ALI))
    assert asked.values["user_id"] is None


def test_a_manager_on_leave_today_is_passed_over_while_somebody_else_is_there() -> None:
    today = {"resource_id": 13, "date_from": "2026-11-20 07:00:00", "date_to": "2026-11-20 16:00:00"}
    rows = (absence(), PERSON, task(), DueProject(id=3, user_id=PM), *TEAM)
    away = (WorkRecord(id=3, user_id=PM, resource_id=13), AbsentToday.model_validate({"id": 9, **today}))
    (asked,) = decided(*rows, *away)
    assert asked.values["user_id"] == RecordLink(Ref("res.users", BOSS))
    (asked,) = decided(*rows, *away, AskableUser(id=PM))
    assert asked.values["user_id"] == RecordLink(Ref("res.users", PM))


def test_questions_whose_cause_went_away_are_closed() -> None:
    other, own, gone = (
        todo(1, "leave/99/task/1"),
        todo(2, f"{BASE}/30"),
        todo(3, f"{BASE}/31"),
    )
    closed = decided(other, own, gone)
    assert [(one.activity, one.key) for one in closed] == [
        (2, f"{BASE}/30"),
        (3, f"{BASE}/31"),
    ]
    assert all("does not take place any more" in one.feedback for one in closed)
    asked, moved = decided(absence(), PERSON, task(), DueProject(id=3, user_id=PM), *TEAM, other, own, gone)
    assert (asked.key, moved.activity) == (f"{BASE}/30", 3)


def test_where_the_manager_is_away_or_nobody_the_persons_manager_is_asked() -> None:
    for user in (MARA, None):
        (asked,) = decided(absence(), PERSON, task(), DueProject(id=3, user_id=user), *TEAM)
        assert asked.values["user_id"] == RecordLink(Ref("res.users", BOSS))


def test_an_absence_that_was_cancelled_or_is_over_asks_nobody() -> None:
    assert decided(PERSON, task(), *TEAM) == []
    assert decided(absence(date_from="2026-11-18 07:00:00", date_to="2026-11-19 16:00:00"), PERSON, task()) == []


def test_an_answer_is_wanted_before_the_absence_and_never_in_the_past() -> None:
    soon = absence(date_from="2026-11-21 07:00:00")
    (asked,) = decided(soon, PERSON, task(), DueProject(id=3, user_id=PM), *TEAM, answer_days=9)
    assert asked.values["date_deadline"] == dt.date(2026, 11, 20)


def test_a_template_is_no_work() -> None:
    assert decided(absence(), PERSON, task(has_template_ancestor=True), *TEAM) == []


def test_an_approval_of_other_days_or_once_more_asks_anew_and_closes_the_former_question() -> None:
    former = todo(4, f"{BASE}/30")
    rows = (PERSON, task(), DueProject(id=3, user_id=PM), *TEAM, former)
    asked, closed = decided(absence(date_to="2026-12-04 16:00:00"), *rows)
    assert (asked.key, closed.activity) == ("leave/21/1/2026-12-01..2026-12-04/task/30", 4)
    asked, closed = decided(absence(id=2), *rows)
    assert (asked.key, closed.activity) == ("leave/21/2/2026-12-01..2026-12-03/task/30", 4)
    (asked,) = decided(absence(), *rows)
    assert asked.key == former.keys[0]
