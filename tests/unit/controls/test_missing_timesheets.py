"""The rule of missing timesheets, sentence by sentence, on rows built by hand."""

import datetime as dt
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from purser import (
    Compliant,
    Exempt,
    Finding,
    Many2One,
    Money,
    OpenCaseRef,
    Period,
    QueryContext,
    Ref,
    Severity,
    Snapshot,
)
from purser.testing import ControlVerdicts, evaluate, snapshot
from tasks.controls.missing_timesheets import missing_timesheets
from tasks.queries.employees import (
    Attendance,
    Calendar,
    CalendarLeave,
    Company,
    CurrentPlacement,
    Department,
    Employee,
    EmployeeVersion,
    Profile,
    Tag,
    User,
)
from tasks.queries.timesheets import TimesheetUnit, TimesheetWeek

AS_OF = dt.datetime(2026, 11, 17, 8, tzinfo=dt.UTC)  # a Tuesday
WEEK = Period.week_of(dt.date(2026, 11, 9))
BEFORE = Period.week_of(dt.date(2026, 11, 2))
OLD = Period.week_of(dt.date(2026, 8, 3))
SOMEBODY = Ref("hr.employee", 1)
READS = missing_timesheets.reads
OFFICE, FREE = 10, None


def employee(id: int = 1, **values: Any) -> Employee:  # noqa: A002
    values = {
        "name": f"Employee {id}",
        "active": True,
        "company_id": 1,
        "resource_id": 100 + id,
        "tz": "UTC",
        **values,
    }
    return Employee(id=id, **values)


def version(
    since: dt.date = dt.date(2026, 1, 1), *, of: int = 1, calendar: int | None = OFFICE, **values: Any
) -> EmployeeVersion:
    return EmployeeVersion(
        id=of * 1000 + since.toordinal() % 1000, employee_id=of, since=since, calendar_id=calendar, **values
    )


def placement(of: int = 1, **values: Any) -> CurrentPlacement:
    return CurrentPlacement(
        **{"id": of, "created": dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "calendar_id": OFFICE, **values}
    )


def office(id: int = OFFICE, days: Iterable[int] = range(5)) -> list[Any]:  # noqa: A002
    """Build a calendar of eight hours on each of some weekdays."""
    attendances = [
        Attendance(
            id=id * 100 + day * 2 + half,
            calendar_id=id,
            weekday=day,
            hour_from=Decimal(start),
            hour_to=Decimal(start + 4),
        )
        for day in days
        for half, start in enumerate((8, 13))
    ]
    return [Calendar(id=id, tz="UTC", hours_per_day=Decimal(8)), *attendances]


def logged(hours: float, week: Period = WEEK, *, of: int = 1, unit: int | None = None) -> TimesheetWeek:
    return TimesheetWeek(
        month=week.first.replace(day=1),
        iso_week=week.first.isocalendar().week,
        unit_id=unit,
        employee_ids=(of, 999, of),
        amounts=(hours / 2, 3.0, hours / 2),
    )


def leave(first: dt.datetime, last: dt.datetime, **values: Any) -> CalendarLeave:
    return CalendarLeave(id=first.toordinal(), starts=first, ends=last, **values)


def whole(day: dt.date, **values: Any) -> CalendarLeave:
    start = dt.datetime.combine(day, dt.time(), dt.UTC)
    return leave(start, start + dt.timedelta(hours=23, minutes=59, seconds=59), **values)


def watch(week: Period, subject: Ref = SOMEBODY) -> OpenCaseRef:
    return OpenCaseRef(subject, week)


def firm(*rows: Any, watched: Sequence[OpenCaseRef] = (), as_of: dt.datetime = AS_OF) -> Snapshot:
    return snapshot(as_of, *office(), *rows, reads=READS, watched=watched)


def look(
    *rows: Any, watched: Sequence[OpenCaseRef] = (), as_of: dt.datetime = AS_OF, weeks_back: int = 1, **tunables: Any
) -> ControlVerdicts:
    """Judge last week only, unless a test says otherwise."""
    return evaluate(missing_timesheets, firm(*rows, watched=watched, as_of=as_of), weeks_back=weeks_back, **tunables)


def shortfall(judgement: ControlVerdicts, subject: Ref = SOMEBODY, week: Period = WEEK) -> Decimal:
    return judgement.finding(subject, week).hours_at_risk


# ------------------------------------------------------------------------------ the sentence --


def test_an_empty_week_is_a_finding_a_person_understands() -> None:
    found = look(employee(), version(), logged(12.5)).finding(SOMEBODY, WEEK)
    assert found.summary == "Week 2026-11-09 to 2026-11-15: 12.5 of 40 h logged, 27.5 h missing"
    assert found.subject_name == "Employee 1"
    assert found.hours_at_risk == Decimal("27.50")
    assert found.since == dt.date(2026, 11, 16)


@pytest.mark.parametrize(
    ("hours", "missing"), [(40, None), (41, None), (39.5, None), (39.49, "0.51"), (0, "40"), (-2, "42")]
)
def test_a_week_within_the_tolerance_is_kept(hours: float, missing: str | None) -> None:
    judgement = look(employee(), version(), logged(hours))
    if missing is None:
        assert judgement.kept == (Compliant(SOMEBODY, WEEK),)
        assert judgement.findings == ()
    else:
        assert shortfall(judgement) == Decimal(missing)
        assert judgement.kept == ()


def test_a_sum_of_floats_is_read_to_the_cent() -> None:
    almost = logged(39.4999999999)
    assert look(employee(), version(), almost).kept == (Compliant(SOMEBODY, WEEK),)


def test_every_week_of_the_window_is_judged_and_the_running_one_is_not() -> None:
    judgement = look(employee(), version(), weeks_back=4)
    assert [f.period and f.period.first for f in judgement.findings] == [
        dt.date(2026, 10, 19),
        dt.date(2026, 10, 26),
        dt.date(2026, 11, 2),
        dt.date(2026, 11, 9),
    ]


def test_a_week_logged_across_two_months_is_one_week() -> None:
    week = Period.week_of(dt.date(2026, 10, 28))
    halves = [
        TimesheetWeek(month=month, iso_week=44, employee_ids=(1,), amounts=(20.0,))
        for month in (dt.date(2026, 10, 1), dt.date(2026, 11, 1))
    ]
    assert Compliant(SOMEBODY, week) in look(employee(), version(), *halves, weeks_back=3).kept


def test_hours_of_one_employee_do_not_fill_the_week_of_another_of_the_same_user() -> None:
    rows = [employee(1, user_id=7), employee(2, user_id=7), User(id=7, login="u"), version(), version(of=2)]
    judgement = look(*rows, logged(40, of=2))
    assert shortfall(judgement) == 40
    assert judgement.kept == (Compliant(Ref("hr.employee", 2), WEEK),)


# --------------------------------------------------------------------------- closed in which zone --


@pytest.mark.parametrize(
    ("zone", "closed"),
    [("Pacific/Auckland", True), ("UTC", True), ("America/New_York", False), ("Pacific/Honolulu", False)],
)
def test_a_week_closes_at_the_midnight_of_the_employee(zone: str, closed: bool) -> None:
    monday = dt.datetime(2026, 11, 16, 0, 30, tzinfo=dt.UTC)
    judgement = look(employee(tz=zone), version(), as_of=monday)
    assert [f.period for f in judgement.findings] == [WEEK if closed else BEFORE]


def test_a_zone_may_close_a_week_before_utc_does() -> None:
    sunday = dt.datetime(2026, 11, 15, 11, 30, tzinfo=dt.UTC)  # Monday 00:30 in Auckland
    assert shortfall(look(employee(tz="Pacific/Auckland"), version(), as_of=sunday)) == 40


def test_without_a_zone_of_their_own_people_live_by_that_of_their_calendar() -> None:
    monday = dt.datetime(2026, 11, 16, 0, 30, tzinfo=dt.UTC)
    calendar = Calendar(
        id=11, tz="America/New_York", flexible=True, hours_per_day=Decimal(8), hours_per_week=Decimal(40)
    )
    judgement = look(employee(tz=None), version(calendar=11), calendar, as_of=monday)
    assert [f.period for f in judgement.findings] == [BEFORE]


@pytest.mark.parametrize(("grace", "closed"), [(0, True), (1, True), (2, False), (30, False)])
def test_days_of_grace_follow_the_sunday(grace: int, closed: bool) -> None:
    judgement = look(employee(), version(), grace_days=grace)  # seen on a Tuesday
    assert bool(judgement.findings) is closed


# ---------------------------------------------------------------------------------- expectation --


def test_public_holidays_count_for_their_company_and_calendar_only() -> None:
    monday = WEEK.first
    of_company = whole(monday, company_id=1)
    of_another = whole(monday + dt.timedelta(days=1), company_id=2)
    of_calendar = whole(monday + dt.timedelta(days=2), company_id=1, calendar_id=OFFICE)
    of_other_calendar = whole(monday + dt.timedelta(days=3), company_id=1, calendar_id=99)
    absences = (of_company, of_another, of_calendar, of_other_calendar)
    assert shortfall(look(employee(), version(), *absences)) == 24


def test_leave_counts_for_its_owner_even_if_booked_under_another_calendar() -> None:
    own = whole(WEEK.first, resource_id=101, company_id=1, calendar_id=99)
    judgement = look(employee(), employee(2), version(), version(of=2), own)
    assert shortfall(judgement) == 32
    assert shortfall(judgement, Ref("hr.employee", 2)) == 40


def test_each_day_goes_by_the_version_valid_on_it() -> None:
    later = version(dt.date(2026, 11, 11), calendar=20)  # a Wednesday; the new calendar works Wednesday only
    assert shortfall(look(employee(), version(), later, *office(20, (2,)))) == 24


@pytest.mark.parametrize(("first", "reason"), [((2026, 11, 16), "Sales"), ((2026, 11, 18), "Front")])
def test_the_department_of_now_is_that_of_the_latest_version_begun(first: tuple[int, int, int], reason: str) -> None:
    rows = [
        employee(),
        version(department_id=1),
        version(dt.date(*first), department_id=2),
        Department(id=1, name="Front"),
        Department(id=2, name="Sales"),
    ]
    judgement = look(*rows, watched=[watch(WEEK)], exempt_departments=("Front", "Sales"))
    assert judgement.exempt == (Exempt(SOMEBODY, f"exempt by policy: department {reason}", WEEK),)


def test_without_hr_rights_the_placement_of_today_tells_calendar_department_and_departure() -> None:
    left = placement(calendar_id=20, department_id=1, departure_date=dt.date(2026, 11, 11))
    rows = [employee(), left, *office(20, range(2, 7)), Department(id=1, name="Front")]
    blind = _without(firm(*rows, watched=[watch(WEEK)]), EmployeeVersion)
    assert shortfall(evaluate(missing_timesheets, blind, weeks_back=1)) == 8
    assert evaluate(missing_timesheets, blind, weeks_back=1, exempt_departments=("Front",)).findings == ()


def test_one_who_vanished_between_two_reads_is_not_judged() -> None:
    blind = _without(firm(employee(), watched=[watch(WEEK)]), EmployeeVersion)
    tunables: dict[str, Any] = {"weeks_back": 1, "flexible_default_hours": Decimal(20)}
    assert evaluate(missing_timesheets, blind, **tunables) == ControlVerdicts((), (), ())


def test_people_who_share_a_calendar_keep_their_own_week() -> None:
    """The hours of a week are reckoned once for all who share what they depend on, and for nobody else."""
    people = {
        1: (employee(1), version(of=1), 40),
        2: (employee(2, company_id=2), version(of=2), 32),
        3: (employee(3, tz="Pacific/Honolulu"), version(of=3), 40),
        4: (employee(4), version(of=4, calendar=20), 8),
        5: (employee(5), version(of=5), 24),
        6: (employee(6), version(of=6, departure_date=dt.date(2026, 11, 10)), 16),
        7: (employee(7), version(dt.date(2026, 11, 10), of=7), 32),
        8: (employee(8), version(of=8), 40),
    }
    absences = [
        whole(WEEK.first, company_id=2),
        leave(*_noon_to_noon(WEEK.first, days=2), resource_id=105),
    ]
    rows = [row for person in people.values() for row in person[:2]]
    judgement = look(*rows, *absences, *office(20, (2,)))
    assert {f.subject.id: f.hours_at_risk for f in judgement.findings} == {
        number: hours for number, (_, _, hours) in people.items()
    }


def _noon_to_noon(day: dt.date, *, days: int) -> tuple[dt.datetime, dt.datetime]:
    noon = dt.datetime.combine(day, dt.time(12), dt.UTC)
    return noon, noon + dt.timedelta(days=days)


def test_the_first_version_also_speaks_for_a_contract_that_began_before_it() -> None:
    only = version(dt.date(2026, 11, 12), contract_start=dt.date(2026, 1, 1))
    assert shortfall(look(employee(), only)) == 40


@pytest.mark.parametrize(
    ("contracts", "missing"),
    [
        ([("2026-01-01", None)], 40),
        ([("2026-11-11", None)], 24),
        ([("2026-01-01", "2026-11-10")], 16),
        ([("2026-01-01", "2026-11-09"), ("2026-11-13", None)], 16),
        ([("2026-01-01", "2026-06-30")], None),
        ([("2026-12-01", None)], None),
    ],
)
def test_who_ever_had_a_contract_counts_inside_contracts_only(
    contracts: list[tuple[str, str | None]], missing: int | None
) -> None:
    versions = [
        version(
            dt.date.fromisoformat(start),
            contract_start=dt.date.fromisoformat(start),
            contract_end=end and dt.date.fromisoformat(end),
        )
        for start, end in contracts
    ]
    judgement = look(employee(), *versions)
    assert [f.hours_at_risk for f in judgement.findings] == ([] if missing is None else [missing])
    assert judgement.kept == ()


def test_without_a_contract_people_count_from_their_first_version_on() -> None:
    assert shortfall(look(employee(), version(dt.date(2026, 11, 12)))) == 16


def test_without_hr_rights_people_count_from_the_day_they_were_created_on() -> None:
    created = dt.datetime(2026, 11, 12, 3, tzinfo=dt.UTC)  # still Wednesday in New York
    blind = _without(firm(employee(tz="America/New_York"), placement(created=created)), EmployeeVersion)
    judgement = evaluate(missing_timesheets, blind, weeks_back=1)
    assert shortfall(judgement) == 24


def test_an_employee_whose_versions_are_out_of_sight_is_not_judged() -> None:
    assert look(employee(), version(of=2), watched=[watch(WEEK)]) == ControlVerdicts((), (), ())


def test_archived_people_count_until_they_left() -> None:
    left = version(departure_date=dt.date(2026, 11, 10))
    judgement = look(employee(active=False), left, weeks_back=2)
    assert [f.hours_at_risk for f in judgement.findings] == [40, 16]


def test_archived_people_with_no_date_count_as_long_as_their_contract() -> None:
    ended = version(contract_start=dt.date(2026, 1, 1), contract_end=dt.date(2026, 11, 9))
    assert shortfall(look(employee(active=False), ended)) == 8
    unended = version(contract_start=dt.date(2026, 1, 1))
    assert look(employee(active=False), unended) == ControlVerdicts((), (), ())


def test_people_without_a_calendar_are_examined_only_where_the_policy_gives_them_hours() -> None:
    free = [employee(), version(calendar=FREE)]
    assert look(*free, watched=[watch(WEEK)]) == ControlVerdicts((), (), ())
    given_hours = look(*free, whole(WEEK.first, company_id=1), flexible_default_hours=Decimal(20))
    assert shortfall(given_hours) == 16


def test_a_flexible_week_asks_for_the_hours_of_the_calendar_not_for_the_companys_full_time() -> None:
    part_time = {"id": 11, "flexible_hours": True, "hours_per_day": 8, "hours_per_week": 24}
    calendar = Calendar.model_validate({**part_time, "full_time_required_hours": 40})
    rows = [employee(), version(calendar=11), calendar]
    assert look(*rows, logged(24), watched=[watch(WEEK)]).findings == look(*rows, logged(24)).findings
    assert WEEK not in {one.period for one in look(*rows, logged(24)).findings}
    assert shortfall(look(*rows, logged(20))) == 4
    older = Calendar.model_validate({**part_time, "hours_per_week": None, "full_time_required_hours": 30})
    assert shortfall(look(employee(), version(calendar=11), older, logged(20))) == 10
    empty = Calendar.model_validate({**part_time, "hours_per_week": 0, "full_time_required_hours": 40})
    assert look(employee(), version(calendar=11), empty, logged(20)) == ControlVerdicts((), (), ())


def test_whose_zone_is_nowhere_lives_by_that_of_the_firm() -> None:
    tokyo = dt.datetime(2026, 11, 15, 15, 30, tzinfo=dt.UTC).astimezone(ZoneInfo("Asia/Tokyo"))
    calendar = Calendar(id=11, flexible=True, hours_per_day=Decimal(8), hours_per_week=Decimal(40))
    judgement = look(employee(tz=None), version(calendar=11), calendar, as_of=tokyo)
    assert WEEK in {one.period for one in judgement.findings}


def test_a_calendar_that_cannot_be_read_or_says_nothing_is_not_judged() -> None:
    no_cap = Calendar(id=30, flexible=True, hours_per_day=Decimal(8))
    no_attendance = Calendar(id=31, hours_per_day=Decimal(8))
    for calendar in (30, 31, 77):
        rows = [employee(), version(calendar=calendar), no_cap, no_attendance]
        assert look(*rows, watched=[watch(WEEK)]) == ControlVerdicts((), (), ())


# ---------------------------------------------------------------------------------------- units --


def counting_in_days(hours_per_day: str) -> list[Any]:
    return [
        TimesheetUnit(id=5, name="Days", factor=Decimal(8), relative_uom_id=4, timesheet_widget="float_toggle"),
        TimesheetUnit(
            id=6, name="Half days", factor=Decimal("0.5"), relative_uom_id=5, timesheet_widget="float_toggle"
        ),
        TimesheetUnit(id=4, name="Hours", factor=Decimal(1), timesheet_widget="float_time"),
        TimesheetUnit(id=7, name="Minutes", factor=Decimal("0.0166667"), relative_uom_id=4),
        Company(id=1, name="Firm", currency=Many2One(1, "EUR"), calendar_id=40),
        Calendar(id=40, hours_per_day=Decimal(hours_per_day)),
    ]


@pytest.mark.parametrize(
    ("unit", "quantity", "per_day", "missing"),
    [(5, 4, "8", 8), (5, 4, "7.5", 10), (4, 30, "7.5", 10), (7, 1800, "8", 10), (None, 30, "8", 10)],
)
def test_time_is_converted_from_the_unit_it_was_entered_in(
    unit: int | None, quantity: float, per_day: str, missing: int
) -> None:
    judgement = look(employee(), version(), *counting_in_days(per_day), logged(quantity, unit=unit))
    assert shortfall(judgement).quantize(Decimal("0.1")) == missing


def test_time_in_several_units_adds_up() -> None:
    rows = counting_in_days("8")
    judgement = look(employee(), version(), *rows, logged(3, unit=5), logged(16, unit=4))
    assert judgement.kept == (Compliant(SOMEBODY, WEEK),)


# ------------------------------------------------------------------------------------- who is asked --


def test_the_employee_and_the_one_above_can_be_asked() -> None:
    users = [User(id=71, login="me"), User(id=72, login="boss")]
    found = look(
        *(employee(1, user_id=71, manager_id=2), employee(2, user_id=72), version(), version(of=2), logged(40, of=2)),
        *users,
    ).finding(SOMEBODY, WEEK)
    assert dict(found.asks) == {"employee": 71, "manager": 72}
    assert (found.owner, found.desk) == (71, SOMEBODY)


@pytest.mark.parametrize(
    ("departments", "manager"),
    [
        ([Department(id=1, name="A", manager_id=2)], 72),
        ([Department(id=1, name="A", manager_id=1, parent_id=2), Department(id=2, name="B", manager_id=2)], 72),
        ([Department(id=1, name="A", parent_id=2), Department(id=2, name="B", parent_id=1)], None),
        ([Department(id=1, name="A", manager_id=3)], None),
    ],
)
def test_without_a_manager_the_department_above_is_asked(departments: list[Department], manager: int | None) -> None:
    rows = [employee(1, user_id=71), employee(2, user_id=72), employee(3, user_id=73), version(department_id=1)]
    users = [User(id=71, login="me"), User(id=72, login="boss")]  # 73 is archived
    found = look(*rows, *departments, *users).finding(SOMEBODY, WEEK)
    assert dict(found.asks) == {"employee": 71} | ({} if manager is None else {"manager": manager})


def test_nobody_to_ask_means_no_owner_and_leaves_the_roles_to_be_asked() -> None:
    found = look(employee(user_id=99), version()).finding(SOMEBODY, WEEK)
    assert (dict(found.asks), found.owner, found.desk) == ({}, None, found.subject)


# ----------------------------------------------------------------------------------- who is exempt --


@pytest.mark.parametrize(
    ("tunables", "reason"),
    [
        ({"exempt_employees": (1,)}, "named in exempt_employees"),
        ({"exempt_employees": ("1",)}, "named in exempt_employees"),
        ({"exempt_employees": ("ME@example.com",)}, "named in exempt_employees"),
        ({"exempt_employees": (" login ",)}, "named in exempt_employees"),
        ({"exempt_departments": ("Sales",)}, "department Sales"),
        ({"exempt_departments": ("Front",)}, "department Front"),
        ({"exempt_tags": ("Partner",)}, "tag Partner"),
    ],
)
def test_whom_the_policy_exempts_is_left_alone_and_an_open_case_withdrawn(
    tunables: dict[str, Any], reason: str
) -> None:
    rows = [
        employee(user_id=71, work_email="me@example.com"),
        version(department_id=2),
        Profile(id=1, tag_ids=(3,)),
        User(id=71, login="login"),
        Department(id=1, name="Front"),
        Department(id=2, name="Sales", parent_id=1),
        Tag(id=3, name="Partner"),
    ]
    assert look(*rows, weeks_back=2).findings != ()
    judgement = look(*rows, weeks_back=2, watched=[watch(WEEK)], **tunables)
    assert judgement == ControlVerdicts((), (), (Exempt(SOMEBODY, f"exempt by policy: {reason}", WEEK),))


def test_the_exemption_of_one_leaves_the_others_examined() -> None:
    judgement = look(employee(1), employee(11), version(), version(of=11), exempt_employees=("1",))
    assert [f.subject.id for f in judgement.findings] == [11]


# ------------------------------------------------------------------------------------- open cases --


def test_a_watched_week_is_judged_however_old_it_is() -> None:
    still = look(employee(), version(), watched=[watch(OLD)])
    proved = look(employee(), version(), logged(40, OLD), watched=[watch(OLD)])
    assert shortfall(still, week=OLD) == 40
    assert proved.kept == (Compliant(SOMEBODY, OLD),)


def test_a_watched_week_with_no_work_left_is_withdrawn() -> None:
    on_leave = leave(dt.datetime(2026, 8, 1, tzinfo=dt.UTC), dt.datetime(2026, 8, 30, tzinfo=dt.UTC), resource_id=101)
    (withdrawn,) = look(employee(), version(), on_leave, logged(40), watched=[watch(OLD)]).exempt
    assert withdrawn == Exempt(SOMEBODY, "no work is left in this week: leave or holidays", OLD)


@pytest.mark.parametrize(
    ("person", "known"),
    [
        (employee(), version(contract_start=WEEK.first)),
        (employee(), version(departure_date=OLD.first - dt.timedelta(days=1))),
        (employee(active=False), version()),
    ],
)
def test_a_watched_week_surely_outside_employment_is_withdrawn(person: Employee, known: EmployeeVersion) -> None:
    assert Exempt(SOMEBODY, "not employed in this week", OLD) in look(person, known, watched=[watch(OLD)]).exempt


def test_a_first_version_is_no_proof_that_nobody_worked_before() -> None:
    judgement = look(employee(), version(WEEK.first), logged(40), watched=[watch(OLD)])
    assert judgement == ControlVerdicts((), (Compliant(SOMEBODY, WEEK),), ())


@pytest.mark.parametrize(
    ("active", "created"),
    [(False, dt.datetime(2026, 1, 1, tzinfo=dt.UTC)), (True, dt.datetime(2026, 10, 1, tzinfo=dt.UTC))],
)
def test_hr_rights_taken_away_withdraw_nothing(active: bool, created: dt.datetime) -> None:
    blind = _without(firm(employee(active=active), placement(created=created), watched=[watch(OLD)]), EmployeeVersion)
    assert evaluate(missing_timesheets, blind, weeks_back=1).exempt == ()


@pytest.mark.parametrize(
    "foreign",
    [
        OpenCaseRef(Ref("hr.employee", 999), OLD),
        OpenCaseRef(Ref("sale.order", 1), OLD),
        OpenCaseRef(SOMEBODY, None),
        OpenCaseRef(SOMEBODY, Period(OLD.first, OLD.first)),
        OpenCaseRef(SOMEBODY, Period.week_of(AS_OF.date())),
    ],
)
def test_nothing_is_said_of_a_case_that_cannot_be_examined(foreign: OpenCaseRef) -> None:
    judgement = look(employee(), version(), logged(40), watched=[foreign])
    assert judgement == ControlVerdicts((), (Compliant(SOMEBODY, WEEK),), ())


# ------------------------------------------------------------------------------------ money, severity --


def test_a_missing_hour_has_a_price_only_where_the_policy_says_so() -> None:
    rows = [
        employee(),
        version(),
        Profile(id=1, hourly_cost=Decimal("41.50")),
        logged(38),
        Company(id=1, name="F", currency=Many2One(1, "CHF")),
    ]
    money = [
        look(*rows, **tunables).finding(SOMEBODY, WEEK).money_at_risk
        for tunables in ({}, {"value_at_cost": True}, {"hourly_rate": Decimal(120), "value_at_cost": True})
    ]
    assert money == [None, Money(Decimal("83.00"), "CHF"), Money(Decimal("240.00"), "CHF")]


def test_an_unknown_cost_is_no_price() -> None:
    company = Company(id=1, name="F", currency=Many2One(1, "CHF"))
    assert look(employee(), version(), company, value_at_cost=True).finding(SOMEBODY, WEEK).money_at_risk is None


@pytest.mark.parametrize(("hours", "severity"), [(0, None), (30, None), (30.5, Severity.LOW), (39, Severity.LOW)])
def test_less_than_a_quarter_missing_is_of_low_severity(hours: float, severity: Severity | None) -> None:
    assert look(employee(), version(), logged(hours)).finding(SOMEBODY, WEEK).severity is severity


# --------------------------------------------------------------------------------- for all inputs --

amounts = st.lists(st.integers(0, 4800).map(lambda cents: cents / 100), min_size=1, max_size=6)
tolerances = st.decimals(0, 20, places=2)


def everybody(hours: Sequence[float]) -> list[Any]:
    people = range(1, len(hours) + 1)
    return [
        *(employee(n) for n in people),
        *(version(of=n) for n in people),
        *(logged(h, of=n) for n, h in zip(people, hours, strict=True)),
    ]


def found(judgement: ControlVerdicts) -> set[Ref]:
    return {finding.subject for finding in judgement.findings}


@given(amounts, tolerances, tolerances)
def test_a_longer_tolerance_never_finds_more(hours: list[float], one: Decimal, other: Decimal) -> None:
    strict, lenient = sorted((one, other))
    rows = everybody(hours)
    assert found(look(*rows, tolerance_hours=lenient)) <= found(look(*rows, tolerance_hours=strict))


@given(amounts, st.integers(0, 100), st.integers(0, 100))
def test_longer_grace_never_finds_more(hours: list[float], one: int, other: int) -> None:
    short, long = sorted((one, other))
    rows = everybody(hours)
    assert found(look(*rows, grace_days=long)) <= found(look(*rows, grace_days=short))


@given(amounts, st.floats(0, 40))
def test_one_more_hour_logged_never_adds_a_finding(hours: list[float], more: float) -> None:
    rows = everybody(hours)
    assert found(look(*rows, logged(more))) <= found(look(*rows))


@given(amounts, st.integers(0, 6), st.integers(1, 12))
def test_one_more_leave_never_adds_a_finding(hours: list[float], day: int, length: int) -> None:
    start = dt.datetime.combine(WEEK.first + dt.timedelta(days=day), dt.time(9), dt.UTC)
    rows = everybody(hours)
    off = leave(start, start + dt.timedelta(hours=length), resource_id=101)
    assert found(look(*rows, off)) <= found(look(*rows))


@given(amounts)
def test_whoever_has_work_is_examined(hours: list[float]) -> None:
    judgement = look(*everybody(hours))
    assert len(judgement.findings) + len(judgement.kept) == len(hours)


# --------------------------------------------------------------------------------------- what is read --


@given(st.dates(dt.date(1990, 1, 1), dt.date(2100, 1, 1)))
def test_a_month_and_an_iso_week_name_one_monday(day: dt.date) -> None:
    group = TimesheetWeek(month=day.replace(day=1), iso_week=day.isocalendar().week)
    assert group.monday == Period.week_of(day).first


def test_a_group_is_read_as_odoo_writes_it() -> None:
    group = TimesheetWeek.model_validate(
        {
            "date:month": ["2027-01-01", "January 2027"],
            "date:iso_week_number": 53.0,
            "product_uom_id": False,
            "employee_id:array_agg": [3, 4, 3],
            "unit_amount:array_agg": [7.1, 1.0, None],
        }
    )
    assert (group.monday, group.unit_id) == (dt.date(2026, 12, 28), None)
    assert group.quantities() == {3: Decimal("7.1"), 4: Decimal(1)}


def test_half_a_group_is_an_error_and_no_shorter_week() -> None:
    torn = TimesheetWeek(month=dt.date(2026, 11, 1), iso_week=46, employee_ids=(1, 2), amounts=(8.0,))
    with pytest.raises(ValueError, match="shorter"):
        look(employee(), version(), torn)


def scope(
    *rows: Any, watched: Sequence[OpenCaseRef] = (), as_of: dt.datetime = AS_OF, **tunables: Any
) -> QueryContext:
    given_rows = firm(*rows, watched=watched, as_of=as_of)
    return QueryContext(as_of=as_of, tunables=tunables, watched=watched, snapshot=given_rows)


def dates(domain: list[Any] | None) -> list[tuple[str, dt.date]]:
    assert domain is not None
    return [(operator, value) for field, operator, value in filter(_is_leaf, domain) if field == "date"]


def _is_leaf(term: object) -> bool:
    return isinstance(term, tuple)


def _without(given_rows: Snapshot, *unknown: Any) -> Snapshot:
    rows = {kind: given_rows.rows(kind) for kind in given_rows.kinds() if kind not in unknown}
    return Snapshot(given_rows.as_of, rows, unknown=unknown, watched=given_rows.watched)


@given(st.integers(0, 90_000), st.integers(1, 9), st.integers(-12, 14))
def test_the_weeks_read_hold_every_week_judged_in_any_zone(hour: int, weeks_back: int, offset: int) -> None:
    as_of = dt.datetime(2020, 1, 1, tzinfo=dt.UTC) + dt.timedelta(hours=hour)
    read = dict(dates(TimesheetWeek.domain(scope(as_of=as_of, weeks_back=weeks_back))))
    today = as_of.astimezone(dt.timezone(dt.timedelta(hours=offset))).date()
    assert read[">="] <= Period.week_of(today - dt.timedelta(weeks=weeks_back)).first
    assert read["<="] >= Period.week_of(today - dt.timedelta(weeks=1)).last
    assert read[">="].weekday() == 0
    assert read["<="].weekday() == 6


def test_an_old_case_widens_what_is_read_for_its_employee_only() -> None:
    domain = TimesheetWeek.domain(scope(watched=[watch(OLD), watch(WEEK, Ref("hr.employee", 2))]))
    assert (">=", OLD.first) in dates(domain)
    assert ("employee_id", "in", [1]) in domain


def test_absences_of_an_old_case_are_read_for_its_employee_and_the_holidays_of_all() -> None:
    domain = CalendarLeave.domain(scope(employee(1), employee(2), watched=[watch(OLD)]))
    assert ("resource_id", "in", [101]) in domain
    assert ("resource_id", "=", False) in domain


def test_the_employee_of_an_open_case_is_read_even_if_archived_long_ago() -> None:
    assert ("id", "in", [1]) in Employee.domain(scope(watched=[watch(OLD), OpenCaseRef(Ref("sale.order", 5), None)]))


@pytest.mark.parametrize(
    ("leaves", "holidays", "by_hand"),
    [((None, 5, None), (None, None, 6), 8), ((None, 5, None), (), 12), ((), (None, None, 6), 24), ((), (), 28)],
)
def test_timesheets_made_by_odoo_of_leave_and_holidays_are_left_out(
    leaves: tuple[int | None, ...], holidays: tuple[int | None, ...], by_hand: int
) -> None:
    lines = TimesheetWeek(
        month=WEEK.first.replace(day=1),
        iso_week=46,
        employee_ids=(1, 1, 1),
        amounts=(8.0, 16.0, 4.0),
        leave_ids=leaves,
        holiday_ids=holidays,
    )
    assert lines.quantities() == {1: Decimal(by_hand)}


def test_what_tells_leave_from_work_is_asked_only_where_odoo_knows_it() -> None:
    optional = {spec.asked for spec in TimesheetWeek.specs() if spec.if_known}
    assert optional == {"holiday_id:array_agg", "global_leave_id:array_agg"}


def test_what_nobody_needs_is_not_asked_for() -> None:
    hours = TimesheetUnit(id=4, name="Hours", factor=Decimal(1))
    assert TimesheetUnit.domain(scope()) is None
    assert TimesheetUnit.domain(scope(logged(1, unit=4))) == [("id", "in", [4])]
    assert Company.domain(scope(hours)) is None
    assert Company.domain(scope(hours, hourly_rate=Decimal(1))) == []
    assert Company.domain(scope(*counting_in_days("8"))) == []
    assert Tag.domain(scope()) is None
    assert Tag.domain(scope(exempt_tags=("Partner",))) == []
    assert Profile.domain(scope(employee(), hourly_rate=Decimal(1))) is None
    assert Profile.domain(scope(employee(), exempt_tags=("Partner",))) == [("id", "in", [1])]
    assert Profile.domain(scope(employee(), value_at_cost=True)) == [("id", "in", [1])]


def test_only_where_versions_are_out_of_sight_is_their_stand_in_asked_for() -> None:
    assert CurrentPlacement.domain(scope(employee(1), employee(2), version())) is None
    blind = _without(firm(employee(1), employee(2)), EmployeeVersion)
    assert CurrentPlacement.domain(QueryContext(as_of=AS_OF, snapshot=blind)) == [("id", "in", [1, 2])]


def test_calendars_are_read_of_people_of_every_version_and_of_companies() -> None:
    rows = [
        placement(calendar_id=1),
        version(calendar=2),
        Company(id=1, name="F", currency=Many2One(1, "EUR"), calendar_id=3),
    ]
    assert Calendar.domain(scope(*rows, placement(2, calendar_id=None))) == [("id", "in", [1, 2, 3])]


@pytest.mark.parametrize(
    ("tunable", "text", "value"),
    [
        ("tolerance_hours", "0.25", Decimal("0.25")),
        ("exempt_employees", [7, "a@example.com"], (7, "a@example.com")),
        ("exempt_tags", ["Partner"], ("Partner",)),
        ("flexible_default_hours", None, None),
    ],
)
def test_a_tunable_is_read_from_a_policy(tunable: str, text: object, value: object) -> None:
    assert TypeAdapter(missing_timesheets.tunables[tunable].type).validate_python(text) == value


@pytest.mark.parametrize(
    ("tunable", "nonsense"),
    [("weeks_back", -1), ("weeks_back", 53), ("grace_days", -1), ("tolerance_hours", -1), ("hourly_rate", 0)],
)
def test_a_tunable_refuses_what_makes_no_sense(tunable: str, nonsense: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(missing_timesheets.tunables[tunable].type).validate_python(nonsense)


def test_a_finding_names_the_control_and_who_answers_for_it() -> None:
    assert (missing_timesheets.name, missing_timesheets.owner) == ("missing-timesheets", "pmo")
    assert missing_timesheets.asks == ("employee", "manager")
    assert missing_timesheets.rule == "Every closed week is fully logged by everybody who had to work in it."
    assert all(isinstance(f, Finding) for f in look(employee(), version()).findings)
