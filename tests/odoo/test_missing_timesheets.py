"""The control finds on a real Odoo 19 what a person with pencil and calendar finds."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from odoo_client import OdooClient, OdooConnection, connect
from purser import Compliant, Exempt, Finding, Money, OpenCaseRef, Period, Ref, Severity, Verdict
from purser.errors import NotApplicable
from tasks.controls.missing_timesheets import missing_timesheets
from tests.conftest import OdooEnv
from tests.odoo.seeding_people import DAYS_UNIT, Firm

AS_OF = dt.datetime(2026, 11, 10, 12, tzinfo=dt.UTC)  # a Tuesday
W1, W2, W3, W4 = (Period.week_of(dt.date(2026, 10, 12) + dt.timedelta(weeks=n)) for n in range(4))
"""From 12 October to 8 November. The clocks go back on the Sunday of W2 in Berlin, of W3 in New York."""
WEEKS = (W1, W2, W3, W4)
KEPT = Decimal(0)
OLD = Period.week_of(dt.date(2026, 8, 3))

Judged = dict[tuple[int, Period], Verdict]


def day(week: Period, number: int) -> dt.date:
    """Return a day of a week; Monday is 0."""
    return week.first + dt.timedelta(days=number)


@dataclass
class Scene:
    """The firm as seeded, and what the control said of it."""

    employees: dict[str, int]
    users: dict[str, int]
    judged: Judged
    calls: int
    client: OdooClient
    firm: Firm
    company: int

    def said(self, who: str) -> list[Decimal | None]:
        """Return the missing hours of the four weeks: 0 where the week was kept, None where nothing was said."""
        return [_missing(self.judged.get((self.employees[who], week))) for week in WEEKS]

    def finding(self, who: str, week: Period) -> Finding:
        verdict = self.judged[self.employees[who], week]
        assert isinstance(verdict, Finding)
        return verdict

    def scan(
        self, *, as_of: dt.datetime = AS_OF, watched: tuple[OpenCaseRef, ...] = (), **tunables: object
    ) -> Judged:
        """Look again."""
        return scan(self.client, as_of=as_of, watched=watched, **tunables)


def _missing(verdict: Verdict | None) -> Decimal | None:
    match verdict:
        case Finding():
            return verdict.hours_at_risk
        case Compliant():
            return KEPT
        case _:
            return None


def scan(
    client: OdooClient, *, as_of: dt.datetime, watched: tuple[OpenCaseRef, ...] = (), **tunables: object
) -> Judged:
    snapshot = client.snapshot(missing_timesheets.reads, as_of=as_of, tunables=tunables, watched=watched)
    return {
        (verdict.subject.id, verdict.period): verdict
        for verdict in missing_timesheets(snapshot, **tunables)
        if verdict.period is not None
    }


def watch(employee: int, week: Period) -> OpenCaseRef:
    return OpenCaseRef(Ref("hr.employee", employee), week)


@pytest.fixture(scope="module")
def scene(odoo_env: OdooEnv) -> Iterator[Scene]:
    """Seed the firm once and look at it once."""
    door = OdooConnection(url=odoo_env.url, db=odoo_env.db, login=odoo_env.login, api_key=odoo_env.api_key)
    with Firm(odoo_env) as firm, connect(door) as client:
        employees: dict[str, int] = {}
        users: dict[str, int] = {}
        company = firm.company()
        _schedules(firm, company, employees)
        _absences(firm, company, employees)
        _careers(firm, company, employees)
        _people(firm, company, employees, users)
        _days(firm, company, employees, users)
        judged = scan(client, as_of=AS_OF)
        yield Scene(employees, users, judged, client.calls, client, firm, company)


def _schedules(firm: Firm, company: int, made: dict[str, int]) -> None:
    office = firm.calendar(company)
    made["logged"] = firm.employee(company, office)
    firm.log(company, made["logged"], [(day(w, n), 8) for w in WEEKS for n in range(5)])
    made["silent"] = firm.employee(company, office)
    made["under"] = firm.employee(company, office)  # 40, 39.5, 39.4, and 40 entered on one Sunday
    firm.log(company, made["under"], [(day(W1, n), 8) for n in range(5)])
    firm.log(company, made["under"], [(day(W2, 0), 39.5), (day(W3, 0), 39.4), (day(W4, 6), 40)])
    made["over"] = firm.employee(company, office)  # 50 in one week do not pay for the next
    firm.log(company, made["over"], [(day(W1, 0), 50), (day(W2, 0), 30)])
    made["corrected"] = firm.employee(company, office)  # 40 entered, 10 taken back
    firm.log(company, made["corrected"], [(day(W1, 0), 40), (day(W1, 1), -10)])
    made["three days"] = firm.employee(company, firm.calendar(company, days=(0, 1, 2)))
    made["two weeks"] = firm.employee(company, firm.calendar(company, days=range(5), second_week=(0, 1, 2)))
    made["flexible"] = firm.employee(company, firm.flexible(company, per_day=10, per_week=40))
    made["flexible part-time"] = firm.employee(company, firm.flexible(company, per_day=8, per_week=24))
    made["free"] = firm.employee(company, None)
    nights = firm.calendar(company, days=(6,), hours=((0, 6),))  # Sunday, midnight to six
    made["nights"] = firm.employee(company, nights)
    made["nights in New York"] = firm.employee(company, nights, tz="America/New_York")
    made["Honolulu"] = firm.employee(company, office, tz="Pacific/Honolulu")


def _absences(firm: Firm, company: int, made: dict[str, int]) -> None:
    office = firm.calendar(company)
    made["on leave"] = firm.employee(company, office)
    firm.leave(company, made["on leave"], day(W1, 0), day(W1, 4))
    firm.leave(company, made["on leave"], day(W2, 1))
    firm.leave(company, made["on leave"], day(W3, 2), request_hour_from=9, request_hour_to=15)  # five hours of work
    firm.leave(company, made["on leave"], day(W4, 4), day(W4, 4) + dt.timedelta(days=4))  # beyond the window
    flexible = firm.flexible(company, per_day=10, per_week=40)
    made["flexible on leave"] = firm.employee(company, flexible)
    firm.leave(company, made["flexible on leave"], day(W1, 1))
    firm.leave(company, made["flexible on leave"], day(W2, 1), request_hour_from=9, request_hour_to=12)
    firm.leave(company, made["flexible on leave"], day(W3, 4))  # beyond the cap: removes nothing
    closed = firm.company()
    _holidays(firm, closed, made)


def _holidays(firm: Firm, company: int, made: dict[str, int]) -> None:
    """Monday of W4 for the whole company, Thursday of W4 for one calendar only, Tuesday of W4 elsewhere."""
    office, other = firm.calendar(company), firm.calendar(company)
    made["holiday"] = firm.employee(company, office)
    made["two holidays"] = firm.employee(company, other)
    made["flexible holiday"] = firm.employee(company, firm.flexible(company, per_day=10, per_week=40))
    firm.holiday(company, day(W4, 0))
    firm.holiday(company, day(W4, 3), other)
    firm.holiday(firm.company(), day(W4, 1))
    firm.log(company, made["holiday"], [(day(W4, n), 8) for n in range(1, 5)])


def _careers(firm: Firm, company: int, made: dict[str, int]) -> None:
    office, half = firm.calendar(company), firm.calendar(company, days=(0, 1, 2))
    made["hired on Wednesday"] = firm.employee(company, office, date_version=str(day(W2, 2)))
    made["contract"] = firm.employee(
        company,
        office,
        date_version="2026-01-05",
        contract_date_start=str(day(W2, 1)),
        contract_date_end=str(day(W3, 3)),
    )
    made["contract over"] = firm.employee(
        company, office, contract_date_start="2026-01-05", contract_date_end="2026-06-30"
    )
    made["fewer hours"] = firm.employee(company, office, contract_date_start="2026-01-05")
    firm.version(made["fewer hours"], day(W3, 1), resource_calendar_id=half)
    made["left"] = firm.employee(company, office)
    firm.archive(made["left"], departure=day(W3, 1))
    made["vanished"] = firm.employee(company, office)
    firm.archive(made["vanished"])


def _people(firm: Firm, company: int, made: dict[str, int], users: dict[str, int]) -> None:
    office = firm.calendar(company)
    users |= {who: firm.user(company) for who in ("boss", "head", "worker")}
    made["boss"] = firm.employee(company, office, user_id=users["boss"])
    made["head"] = firm.employee(company, office, user_id=users["head"])
    above = firm.create("hr.department", company=company, name=firm.name("Above"), manager_id=made["head"])
    below = firm.create(
        "hr.department", company=company, name=firm.name("Below"), parent_id=above, company_id=company
    )
    users["department above"] = above
    made["with user"] = firm.employee(company, office, user_id=users["worker"], parent_id=made["boss"])
    made["no user"] = firm.employee(company, office, parent_id=made["boss"])
    made["no manager"] = firm.employee(company, office, department_id=below, parent_id=False)
    made["nobody"] = firm.employee(company, office, hourly_cost=50)
    tag = firm.create("hr.employee.category", name=firm.name("Tag"))
    made["tagged"] = firm.employee(company, office, category_ids=[[6, 0, [tag]]])


def _days(firm: Firm, company: int, made: dict[str, int], users: dict[str, int]) -> None:
    """A second company counts in days of 7.5 hours; one of its people also works for the first company's projects."""
    second = firm.company(counts_in=DAYS_UNIT)
    short = firm.calendar(second, hours=((8, 12), (13, 16.5)))
    firm.call("res.company", "write", ids=[second], vals={"resource_calendar_id": short})
    made["in days"] = firm.employee(second, short)
    firm.log(second, made["in days"], [(day(W1, n), 1) for n in range(5)])
    firm.log(second, made["in days"], [(day(W2, 0), 4.5)])
    made["elsewhere"] = firm.employee(second, short)
    firm.log(company, made["elsewhere"], [(day(W1, n), 7.5) for n in range(5)])
    firm.call("res.users", "write", ids=[users["worker"]], vals={"company_ids": [[4, second]]})
    made["second job"] = firm.employee(second, short, user_id=users["worker"])
    firm.log(second, made["second job"], [(day(W1, n), 1) for n in range(5)])


EXPECTED: dict[str, list[object]] = {
    "logged": [0, 0, 0, 0],
    "silent": [40, 40, 40, 40],
    "under": [0, 0, "0.6", 0],
    "over": [0, 10, 40, 40],
    "corrected": [10, 40, 40, 40],
    "three days": [24, 24, 24, 24],
    "two weeks": [40, 24, 40, 24],
    "flexible": [40, 40, 40, 40],
    "flexible part-time": [24, 24, 24, 24],
    "free": [None, None, None, None],
    "nights": [6, 7, 6, 6],
    "nights in New York": [6, 6, 7, 6],
    "Honolulu": [40, 40, 40, 40],
    "on leave": [None, 32, 35, 32],
    "flexible on leave": [30, 37, 40, 40],
    "holiday": [40, 40, 40, 0],
    "two holidays": [40, 40, 40, 24],
    "flexible holiday": [40, 40, 40, 30],
    "hired on Wednesday": [None, 24, 40, 40],
    "contract": [None, 32, 32, None],
    "contract over": [None, None, None, None],
    "fewer hours": [40, 40, 24, 24],
    "left": [40, 40, 16, None],
    "vanished": [None, None, None, None],
    "in days": [0, "3.75", "37.5", "37.5"],
    "elsewhere": [0, "37.5", "37.5", "37.5"],
    "second job": [0, "37.5", "37.5", "37.5"],
    "with user": [40, 40, 40, 40],
}


@pytest.mark.parametrize("who", EXPECTED)
def test_the_hours_missing_are_those_counted_by_hand(scene: Scene, who: str) -> None:
    assert scene.said(who) == [None if h is None else Decimal(str(h)) for h in EXPECTED[who]]


def test_leave_is_not_counted_a_second_time_through_the_timesheets_odoo_makes_of_it(scene: Scene) -> None:
    made_by_odoo = [("employee_id", "=", scene.employees["on leave"]), ("holiday_id", "!=", False)]
    assert scene.firm.call("account.analytic.line", "search_count", domain=made_by_odoo) > 0
    assert scene.finding("on leave", W2).summary == "Week 2026-10-19 to 2026-10-25: 0 of 32 h logged, 32 h missing"


@pytest.mark.parametrize("who", ["two weeks", "three days", "nights"])
def test_odoo_counts_a_week_of_leave_as_long_as_the_week_that_is_missing(scene: Scene, who: str) -> None:
    twin = scene.firm.call("hr.employee", "read", ids=[scene.employees[who]], fields=["resource_calendar_id", "tz"])[
        0
    ]
    employee = scene.firm.employee(scene.company, twin["resource_calendar_id"][0], tz=twin["tz"])
    for week, missing in zip(WEEKS, scene.said(who), strict=True):
        leave = scene.firm.leave(scene.company, employee, week.first, week.last)
        assert scene.firm.call("hr.leave", "read", ids=[leave], fields=["number_of_hours"])[0]["number_of_hours"] == (
            missing
        )


def test_a_week_is_closed_when_its_sunday_has_ended_where_the_employee_lives(scene: Scene) -> None:
    monday_morning = dt.datetime(2026, 11, 9, 9, tzinfo=dt.UTC)  # still Sunday, 23:00, in Honolulu
    judged = scene.scan(as_of=monday_morning)
    assert (scene.employees["silent"], W4) in judged
    assert (scene.employees["Honolulu"], W4) not in judged
    assert (scene.employees["Honolulu"], W4) in scene.scan(as_of=monday_morning + dt.timedelta(hours=1))


def test_people_without_a_calendar_are_examined_where_the_policy_gives_them_hours(scene: Scene) -> None:
    verdict = scene.scan(flexible_default_hours=Decimal(20))[scene.employees["free"], W4]
    assert _missing(verdict) == 20


def test_the_employee_is_asked_first_and_the_manager_next(scene: Scene) -> None:
    finding = scene.finding("with user", W4)
    assert finding.asks == {"employee": scene.users["worker"], "manager": scene.users["boss"]}
    assert finding.owner == scene.users["worker"]
    assert finding.desk == finding.subject == Ref("hr.employee", scene.employees["with user"])
    assert finding.since == dt.date(2026, 11, 9)


def test_who_has_no_user_is_reached_through_the_manager(scene: Scene) -> None:
    finding = scene.finding("no user", W4)
    assert (finding.asks, finding.owner) == ({"manager": scene.users["boss"]}, scene.users["boss"])


def test_who_has_no_manager_is_reached_through_the_department(scene: Scene) -> None:
    assert scene.finding("no manager", W4).asks == {"manager": scene.users["head"]}


def test_nobody_to_ask_leaves_the_roles_to_be_asked_on_the_employee(scene: Scene) -> None:
    finding = scene.finding("nobody", W4)
    assert (finding.asks, finding.owner, finding.desk) == ({}, None, finding.subject)


def test_an_archived_user_is_not_asked(scene: Scene) -> None:
    scene.firm.call("res.users", "write", ids=[scene.users["boss"]], vals={"active": False})
    try:
        verdict = scene.scan()[scene.employees["no user"], W4]
    finally:
        scene.firm.call("res.users", "write", ids=[scene.users["boss"]], vals={"active": True})
    assert isinstance(verdict, Finding)
    assert verdict.asks == {}


def test_a_case_closes_once_the_time_is_there_however_old_its_week_is(scene: Scene) -> None:
    employee = scene.firm.employee(scene.company, scene.firm.calendar(scene.company))
    before = scene.scan(watched=(watch(employee, OLD),))[employee, OLD]
    scene.firm.log(scene.company, employee, [(day(OLD, n), 8) for n in range(5)])
    after = scene.scan(watched=(watch(employee, OLD),))[employee, OLD]
    assert isinstance(before, Finding)
    assert before.hours_at_risk == 40
    assert after == Compliant(Ref("hr.employee", employee), OLD)


def test_leave_in_an_old_week_counts_too(scene: Scene) -> None:
    employee = scene.firm.employee(scene.company, scene.firm.calendar(scene.company))
    scene.firm.leave(scene.company, employee, day(OLD, 0), day(OLD, 4))
    verdict = scene.scan(watched=(watch(employee, OLD),))[employee, OLD]
    assert isinstance(verdict, Exempt)
    assert "leave" in verdict.reason


@pytest.mark.parametrize("who", ["contract over", "vanished"])
def test_a_case_about_somebody_who_no_longer_counts_is_withdrawn(scene: Scene, who: str) -> None:
    verdict = scene.scan(watched=(watch(scene.employees[who], W2),))[scene.employees[who], W2]
    assert verdict == Exempt(Ref("hr.employee", scene.employees[who]), "not employed in this week", W2)


APPROVER = "hr_timesheet.group_hr_timesheet_approver"


def as_bot(scene: Scene, odoo_env: OdooEnv, *groups: str, watched: tuple[OpenCaseRef, ...] = ()) -> Judged:
    """See this firm's people with the eyes of a bot that has only these groups."""
    login, key = scene.firm.bot(*groups)
    with connect(OdooConnection(url=odoo_env.url, db=odoo_env.db, login=login, api_key=key)) as client:
        judged = scan(client, as_of=AS_OF, watched=watched)
    ours = set(scene.employees.values())
    return {key: verdict for key, verdict in judged.items() if key[0] in ours}


def test_an_hr_manager_who_approves_timesheets_sees_all_an_administrator_sees(
    scene: Scene, odoo_env: OdooEnv
) -> None:
    ours = set(scene.employees.values())
    judged = as_bot(scene, odoo_env, APPROVER, "hr.group_hr_manager")
    assert judged == {key: verdict for key, verdict in scene.judged.items() if key[0] in ours}


@pytest.mark.parametrize("groups", [(APPROVER, "hr.group_hr_user"), (APPROVER,)])
def test_rights_taken_away_close_and_withdraw_nothing(
    scene: Scene, odoo_env: OdooEnv, groups: tuple[str, ...]
) -> None:
    ours = set(scene.employees.values())
    cases = {key for key, verdict in scene.judged.items() if isinstance(verdict, Finding) and key[0] in ours}
    judged = as_bot(scene, odoo_env, *groups, watched=tuple(watch(*case) for case in cases))
    assert [judged[case] for case in cases if not isinstance(judged.get(case, None), Finding | None)] == []


def test_without_a_right_to_timesheets_the_control_is_not_applicable(scene: Scene, odoo_env: OdooEnv) -> None:
    with pytest.raises(NotApplicable, match=r"account\.analytic\.line"):
        as_bot(scene, odoo_env, "hr.group_hr_manager")


def test_the_policy_exempts_by_tag_department_and_login(scene: Scene) -> None:
    made = scene.employees
    tag = scene.firm.call("hr.employee", "read", ids=[made["tagged"]], fields=["category_ids"])[0]["category_ids"][0]
    tag_name = scene.firm.call("hr.employee.category", "read", ids=[tag], fields=["name"])[0]["name"]
    department = scene.users["department above"]
    department_name = scene.firm.call("hr.department", "read", ids=[department], fields=["name"])[0]["name"]
    login = scene.firm.call("res.users", "read", ids=[scene.users["worker"]], fields=["login"])[0]["login"]
    judged = scene.scan(
        exempt_tags=(tag_name,),
        exempt_departments=(department_name,),
        exempt_employees=(login.upper(), str(made["silent"])),
    )
    assert not {(made[who], W4) for who in ("tagged", "no manager", "with user", "silent")} & judged.keys()
    assert (made["nobody"], W4) in judged


def test_a_missing_hour_has_a_price_only_where_the_policy_says_so(scene: Scene) -> None:
    who = scene.employees["nobody"], W4
    at_cost, at_rate = scene.scan(value_at_cost=True)[who], scene.scan(hourly_rate=Decimal("120.50"))[who]
    assert isinstance(at_cost, Finding)
    assert isinstance(at_rate, Finding)
    assert scene.finding("nobody", W4).money_at_risk is None
    assert at_cost.money_at_risk == Money(Decimal("2000.00"), "EUR")
    assert at_rate.money_at_risk == Money(Decimal("4820.00"), "EUR")


def test_a_small_rest_is_less_severe_than_an_empty_week(scene: Scene) -> None:
    assert scene.finding("under", W3).severity is Severity.LOW
    assert scene.finding("silent", W3).severity is None


def test_the_number_of_calls_does_not_grow_with_the_firm(scene: Scene) -> None:
    def calls(**tunables: Any) -> int:
        before = scene.client.calls - scene.client.pages
        scene.scan(**tunables)
        return scene.client.calls - scene.client.pages - before

    asks_for_all: dict[str, Any] = {"exempt_tags": ("Partner",), "value_at_cost": True}
    scene.scan(**asks_for_all)  # which fields there are is asked once
    assert calls() == len(missing_timesheets.reads) - 3  # versions are in sight, no policy on tags or cost
    assert calls(**asks_for_all) == len(missing_timesheets.reads) - 1
    assert scene.calls <= 14  # the first run also asks for the languages and for the fields of calendars, once
    assert len(missing_timesheets.reads) - 1 <= 12  # with and without HR rights one of two is read
