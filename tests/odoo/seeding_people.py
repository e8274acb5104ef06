"""A firm of its own in a shared Odoo: companies, calendars, people, absences and timesheets by plain calls."""

import datetime as dt
import itertools
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Self
from zoneinfo import ZoneInfo

import httpx

from tests.conftest import OdooEnv

Hours = Sequence[tuple[float, float]]
OFFICE: Hours = ((8, 12), (13, 17))
HOURS_UNIT, DAYS_UNIT = "Hours", "Days"


class Firm:
    """Whatever it makes carries one tag in its name, so a test can tell its own rows from everybody else's."""

    def __init__(self, env: OdooEnv) -> None:
        headers = {"Authorization": f"bearer {env.api_key}", "X-Odoo-Database": env.db}
        self._http = httpx.Client(base_url=env.url, headers=headers, timeout=120)
        self.tag = uuid.uuid4().hex[:8]
        self._numbers = itertools.count(1)
        self._projects: dict[int, int] = {}
        self._leave_types: dict[int, int] = {}
        self._companies: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def call(self, model: str, method: str, **arguments: Any) -> Any:
        """Make one JSON-2 call; AssertionError with Odoo's own words when it is refused."""
        answer = self._http.post(f"/json/2/{model}/{method}", json=arguments)
        assert answer.status_code == 200, f"{model}.{method}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def create(self, model: str, *, company: int | None = None, **values: Any) -> int:
        """Create one record, seen from a company."""
        context: dict[str, Any] = {"tracking_disable": True}
        if company is not None:
            context["allowed_company_ids"] = [company, *(c for c in self._companies if c != company)]
        made: list[int] = self.call(model, "create", vals_list=[values], context=context)
        return made[0]

    def find(self, model: str, *domain: Any) -> int:
        """Return the id of the first record of a domain."""
        found: list[int] = self.call(model, "search", domain=list(domain), limit=1, context={"active_test": False})
        assert found, f"no {model} with {domain}"
        return found[0]

    def name(self, what: str) -> str:
        return f"{what} {next(self._numbers)} {self.tag}"

    # --------------------------------------------------------------------------- companies --

    def company(self, *, counts_in: str = HOURS_UNIT) -> int:
        made = self.create(
            "res.company", name=self.name("Firm"), currency_id=self.find("res.currency", ("name", "=", "EUR"))
        )
        self._companies.append(made)
        unit = self.find("uom.uom", ("name", "=", counts_in))
        self.call("res.company", "write", ids=[made], vals={"project_time_mode_id": unit})
        return made

    def calendar(
        self,
        company: int,
        days: Iterable[int] = range(5),
        hours: Hours = OFFICE,
        *,
        second_week: Iterable[int] | None = None,
        **values: Any,
    ) -> int:
        """Make a fixed calendar; `second_week` gives the days of the second of two alternating weeks."""
        weeks = [("0", days), ("1", second_week)] if second_week is not None else [(False, days)]
        lines = [
            {
                "name": "work",
                "dayofweek": str(day),
                "hour_from": start,
                "hour_to": end,
                "day_period": "morning" if end <= 12 else "afternoon",
                "week_type": week,
            }
            for week, on in weeks
            for day in on
            for start, end in hours
        ]
        return self.create(
            "resource.calendar",
            company=company,
            name=self.name("Calendar"),
            company_id=company,
            tz="Europe/Berlin",
            two_weeks_calendar=second_week is not None,
            attendance_ids=[[5, 0, 0], *([0, 0, line] for line in lines)],
            **values,
        )

    def flexible(self, company: int, *, per_day: float, per_week: float) -> int:
        return self.create(
            "resource.calendar",
            company=company,
            name=self.name("Flexible"),
            company_id=company,
            tz="Europe/Berlin",
            schedule_type="flexible",
            flexible_hours=True,
            hours_per_day=per_day,
            hours_per_week=per_week,
        )

    def holiday(self, company: int, day: dt.date, calendar: int | None = None) -> int:
        """Declare a public holiday of a company, of one calendar where it is named. Its midnights are Berlin's."""
        return self.create(
            "resource.calendar.leaves",
            company=company,
            name=self.name("Holiday"),
            company_id=company,
            calendar_id=calendar or False,
            **_berlin(day),
        )

    # ------------------------------------------------------------------------------ people --

    def user(self, company: int) -> int:
        name = self.name("user").replace(" ", ".")
        return self.create(
            "res.users", name=name, login=f"{name}@example.com", company_id=company, company_ids=[[6, 0, [company]]]
        )

    def employee(self, company: int, calendar: int | None, **values: Any) -> int:
        values = {"name": self.name("Employee"), "tz": "Europe/Berlin", "date_version": "2026-01-05", **values}
        return self.create(
            "hr.employee", company=company, company_id=company, resource_calendar_id=calendar or False, **values
        )

    def version(self, employee: int, since: dt.date, **values: Any) -> None:
        self.call("hr.employee", "create_version", ids=[employee], values={"date_version": str(since), **values})

    def leave(self, company: int, employee: int, first: dt.date, last: dt.date | None = None, **values: Any) -> int:
        """Book approved leave: whole days, or `request_hour_from` to `request_hour_to` of one day."""
        if company not in self._leave_types:
            self._leave_types[company] = self.create(
                "hr.leave.type",
                company=company,
                name=self.name("Leave"),
                company_id=company,
                requires_allocation=False,
                leave_validation_type="no_validation",
                request_unit="hour",
            )
        return self.create(
            "hr.leave",
            company=company,
            employee_id=employee,
            holiday_status_id=self._leave_types[company],
            request_date_from=str(first),
            request_date_to=str(last or first),
            request_unit_hours=bool(values),
            **values,
        )

    def log(self, company: int, employee: int, hours: Iterable[tuple[dt.date, float]]) -> list[int]:
        """Enter timesheets on a project of `company`, in its own unit of time."""
        if company not in self._projects:
            self._projects[company] = self.create(
                "project.project",
                company=company,
                name=self.name("Project"),
                company_id=company,
                allow_timesheets=True,
            )
        lines = [
            {
                "project_id": self._projects[company],
                "employee_id": employee,
                "date": str(day),
                "unit_amount": amount,
                "name": "work",
            }
            for day, amount in hours
        ]
        made: list[int] = self.call(
            "account.analytic.line",
            "create",
            vals_list=lines,
            context={"allowed_company_ids": [company, *(c for c in self._companies if c != company)]},
        )
        return made

    def bot(self, *groups: str) -> tuple[str, str]:
        """Make a user with some groups in every company of this firm; give its login and API key."""
        login = self.name("bot").replace(" ", ".")
        wanted = [self._group(name) for name in ("base.group_user", *groups)]
        user = self.create(
            "res.users",
            name=login,
            login=login,
            company_id=self._companies[0],
            company_ids=[[6, 0, self._companies]],
            group_ids=[[6, 0, wanted]],
        )
        code = (
            "key = env(user=env.context['for_user'])['res.users.apikeys'].sudo()._generate('rpc', 'test', None)\n"
            "action = {'type': 'ir.actions.act_window_close', 'infos': key}"
        )
        users = self.find("ir.model", ("model", "=", "res.users"))
        action = self.create("ir.actions.server", name=self.name("key"), model_id=users, state="code", code=code)
        try:
            answer = self.call("ir.actions.server", "run", ids=[action], context={"for_user": user})
        finally:
            self.call("ir.actions.server", "unlink", ids=[action])
        return login, answer["infos"]

    def _group(self, name: str) -> int:
        module, _, xml_id = name.partition(".")
        found: tuple[str, int] = self.call("ir.model.data", "check_object_reference", module=module, xml_id=xml_id)
        return found[1]

    def archive(self, employee: int, departure: dt.date | None = None) -> None:
        self.call(
            "hr.employee",
            "write",
            ids=[employee],
            vals={"active": False, "departure_date": str(departure or "") or False},
        )


def _berlin(day: dt.date) -> dict[str, str]:
    zone = ZoneInfo("Europe/Berlin")
    start = dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)
    end = dt.datetime.combine(day, dt.time(23, 59, 59), zone).astimezone(dt.UTC)
    return {"date_from": f"{start:%Y-%m-%d %H:%M:%S}", "date_to": f"{end:%Y-%m-%d %H:%M:%S}"}
