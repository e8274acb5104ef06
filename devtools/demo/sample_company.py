"""A believable firm stands in the twin, and what each control must find in it is written down by hand, beside it.

Nothing here computes a finding: the seeds are one list, the findings another, and the demo compares what the fleet
finds with the second. Every date is relative to the day it is seeded, and none is near a limit of a policy.
"""

import datetime as dt
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from devtools.fake_odoo import FakeOdoo
from purser import Money, Period, Ref
from purser.cases import CaseKey

NAME = "Halvorsen & Reed Consulting"
ZONE = ZoneInfo("Europe/Stockholm")
BOT = "purser-bot@example.com"
BOT_GROUPS = (
    "base.group_user",
    "hr.group_hr_user",
    "project.group_project_manager",
    "sales_team.group_sale_salesman_all_leads",
    "hr_expense.group_hr_expense_user",
    "account.group_account_readonly",
)
SALES_RIGHT = "sales_team.group_sale_salesman_all_leads"
RATE = 120
"""What a missing hour is worth, by the policy of the firm: EUR."""

MISSING, UNBILLED, DRAFTS = "missing-timesheets", "unbilled-work", "stale-drafts"
CONTROLS = (MISSING, UNBILLED, DRAFTS)

_STAFF_GROUPS = ("base.group_user", "hr_timesheet.group_hr_timesheet_user")
_WEEKS = 4
_FULL, _PART, _FLEXIBLE = "Full time, 40 h", "Part time, 24 h", "Flexible, 32 h"
_DAYS: Mapping[str, Sequence[float]] = {_FULL: (8, 8, 8, 8, 8), _PART: (8, 8, 8), _FLEXIBLE: (8, 8, 8, 8)}
"""What people of a calendar log from Monday on."""


@dataclass(frozen=True, slots=True)
class _SampleEmployee:
    name: str
    boss: str = "Marcus Reed"
    calendar: str = _FULL
    has_user: bool = True

    @property
    def login(self) -> str:
        return f"{self.name.split()[0].lower()}@example.com"


_PEOPLE = (
    _SampleEmployee("Astrid Halvorsen", boss=""),
    _SampleEmployee("Marcus Reed", boss="Astrid Halvorsen"),
    _SampleEmployee("Priya Raman", boss="Astrid Halvorsen"),
    _SampleEmployee("Elena Kovacs", boss="Astrid Halvorsen"),
    _SampleEmployee("Jonas Weber", boss="Astrid Halvorsen"),
    _SampleEmployee("Nora Dahl"),
    _SampleEmployee("Ibrahim Sayed"),
    _SampleEmployee("Lea Fontaine", calendar=_PART),
    _SampleEmployee("Tomasz Zielinski", calendar=_FLEXIBLE),
    _SampleEmployee("Yusuf Demir"),
    _SampleEmployee("Greta Olsen"),
    _SampleEmployee("Ruth Adeyemi"),
    _SampleEmployee("Samuel Brandt"),
    _SampleEmployee("Ines Moreau", has_user=False),
)

EXEMPT, PMO, BILLING, SALES, LATE = (
    "astrid@example.com",
    "priya@example.com",
    "elena@example.com",
    "jonas@example.com",
    "nora@example.com",
)

# Week 1 is the last one that has ended, week 4 the oldest in view. The Wednesday of week 2 is a public holiday.
_HOLIDAY = (2, 2)
_LOGGED: Mapping[tuple[str, int], Sequence[float]] = {
    ("Nora Dahl", 1): (),
    ("Ibrahim Sayed", 2): (),
    ("Lea Fontaine", 3): (8, 8, 1.5),
    ("Tomasz Zielinski", 1): (8, 8, 4),
    ("Yusuf Demir", 1): (8, 8, 8, 6),  # Friday afternoon off, and nothing entered for the morning
    ("Greta Olsen", 3): (),  # on leave all week
    ("Samuel Brandt", 4): (8, 8, 8, 8, 7.75),  # within the tolerance
    ("Ruth Adeyemi", 2): (),  # not yet here
    ("Ruth Adeyemi", 3): (),
    ("Ruth Adeyemi", 4): (),
    ("Ines Moreau", 4): (),
}
_SHORT: Sequence[tuple[str, int, str, str]] = (
    # who, week, hours missing, who is asked
    ("Nora Dahl", 1, "40", "Nora Dahl"),
    ("Ibrahim Sayed", 2, "32", "Ibrahim Sayed"),
    ("Lea Fontaine", 3, "6.50", "Lea Fontaine"),
    ("Tomasz Zielinski", 1, "12", "Tomasz Zielinski"),
    ("Yusuf Demir", 1, "6", "Yusuf Demir"),
    ("Ines Moreau", 4, "40", "Marcus Reed"),  # she has no user: her manager is asked
)


@dataclass(frozen=True, slots=True)
class ExpectedFinding:
    """One finding as the firm knows it: hours and money at risk, and the user who is asked (None: a note)."""

    hours: Decimal
    money: Money | None
    asked: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleCompany:
    """The firm as it was seeded."""

    bot: int
    bot_key: str = field(repr=False)
    users: Mapping[str, int]
    """User ids by login."""
    employees: Mapping[str, int]
    late_key: str = field(repr=False)
    """The key of the employee who forgot a week."""
    late: CaseKey
    project: int
    leads: tuple[int, int]
    """Two won opportunities of companies that nobody knows yet."""
    known: Mapping[CaseKey, ExpectedFinding]

    def login(self, user: int | None) -> str:
        """Return the login of a user."""
        return next((login for login, uid in self.users.items() if uid == user), "")


def seed(twin: FakeOdoo, now: dt.datetime) -> SampleCompany:
    """Put the firm into an empty twin."""
    return _CompanySeeder(twin, now).firm()


def hire(twin: FakeOdoo, firm: SampleCompany, count: int, now: dt.datetime) -> list[int]:
    """Add people who began on Monday of the last closed week and have not entered an hour."""
    since = Period.week_of(now.astimezone(ZONE).date()).first - dt.timedelta(weeks=1)
    calendar = twin.rows("resource.calendar", [["name", "=", _FULL]], ["id"])[0]["id"]
    return [
        twin.seed(
            "hr.employee",
            {
                "name": f"Associate {number:03}",
                "parent_id": firm.employees["Priya Raman"],
                "resource_calendar_id": calendar,
                "tz": ZONE.key,
                "date_version": since.isoformat(),
            },
        )
        for number in range(1, count + 1)
    ]


class _CompanySeeder:
    """Lays the firm out, part by part."""

    def __init__(self, twin: FakeOdoo, now: dt.datetime) -> None:
        self.twin, self.now = twin, now
        self.today = now.astimezone(ZONE).date()
        self.known: dict[CaseKey, ExpectedFinding] = {}
        self.users: dict[str, int] = {}
        self.employees: dict[str, int] = {}
        self.late_key = secrets.token_hex(20)

    def firm(self) -> SampleCompany:
        twin = self.twin
        self.eur, self.usd = (
            twin.rows("res.currency", [["name", "=", name]], ["id"])[0]["id"] for name in ("EUR", "USD")
        )
        twin.update("res.company", 1, {"name": NAME, "currency_id": self.eur})
        self.hour, self.day, self.unit = (
            twin.rows("uom.uom", [["name", "=", name]], ["id"])[0]["id"] for name in ("Hours", "Days", "Units")
        )
        twin.update("uom.uom", self.hour, {"timesheet_widget": "float_time"})
        bot_key = secrets.token_hex(20)
        bot = twin.add_user(BOT, bot_key, BOT_GROUPS, name="Purser")
        self._people(self._calendars())
        self.project = twin.seed("project.project", {"name": "Client work", "privacy_visibility": "employees"})
        self._absences()
        self._timesheets()
        self._unbilled()
        self._drafts()
        late = CaseKey(MISSING, Ref("hr.employee", self.employees["Nora Dahl"]), self.week(1))
        return SampleCompany(
            bot=bot,
            bot_key=bot_key,
            users=self.users,
            employees=self.employees,
            late_key=self.late_key,
            late=late,
            project=self.project,
            leads=(
                self._won("Brightwater Foods", "Plant controlling"),
                self._won("Skyline Rail", "Timetable study"),
            ),
            known=self.known,
        )

    # ------------------------------------------------------------------------------ moments --

    def week(self, number: int) -> Period:
        return Period.week_of(self.today - dt.timedelta(weeks=number))

    def ago(self, days: int) -> str:
        return f"{self.now.astimezone(dt.UTC) - dt.timedelta(days=days):%Y-%m-%d %H:%M:%S}"

    # ------------------------------------------------------------------------------- people --

    def _calendars(self) -> dict[str, int]:
        def fixed(name: str, days: int) -> int:
            halves = ((8.0, 12.0, "morning"), (13.0, 17.0, "afternoon"))
            lines = [
                {"name": part, "dayofweek": str(day), "hour_from": first, "hour_to": last, "day_period": part}
                for day in range(days)
                for first, last, part in halves
            ]
            values = {"name": name, "tz": ZONE.key, "attendance_ids": [[0, 0, line] for line in lines]}
            return self.twin.seed("resource.calendar", values)

        flexible = {
            "name": _FLEXIBLE,
            "tz": ZONE.key,
            "schedule_type": "flexible",
            "flexible_hours": True,
            "hours_per_day": 8.0,
            "hours_per_week": 32.0,
            "full_time_required_hours": 40.0,
        }
        return {
            _FULL: fixed(_FULL, 5),
            _PART: fixed(_PART, 3),
            _FLEXIBLE: self.twin.seed("resource.calendar", flexible),
        }

    def _people(self, calendars: Mapping[str, int]) -> None:
        for person in _PEOPLE:
            if person.has_user:
                key = self.late_key if person.login == LATE else secrets.token_hex(20)
                self.users[person.login] = self.twin.add_user(person.login, key, _STAFF_GROUPS, name=person.name)
            since = self.week(1).first if person.name == "Ruth Adeyemi" else self.today - dt.timedelta(days=900)
            values = {
                "name": person.name,
                "user_id": self.users.get(person.login, False) if person.has_user else False,
                "work_email": person.login,
                "parent_id": self.employees.get(person.boss, False),
                "resource_calendar_id": calendars[person.calendar],
                "tz": ZONE.key,
                "date_version": since.isoformat(),
                "create_date": self.ago(900),
            }
            self.employees[person.name] = self.twin.seed("hr.employee", values)

    def _absences(self) -> None:
        week, weekday = _HOLIDAY
        day = self.week(week).first + dt.timedelta(days=weekday)
        self._away("Founders' Day", None, day, dt.time(), dt.time(23, 59, 59))
        friday = self.week(1).first + dt.timedelta(days=4)
        self._away("Half a day off", "Yusuf Demir", friday, dt.time(13), dt.time(17))
        for number in range(5):
            day = self.week(3).first + dt.timedelta(days=number)
            self._away("Holiday", "Greta Olsen", day, dt.time(), dt.time(23, 59, 59))

    def _away(self, name: str, who: str | None, day: dt.date, first: dt.time, last: dt.time) -> None:
        start, end = (dt.datetime.combine(day, time, ZONE).astimezone(dt.UTC) for time in (first, last))
        values: dict[str, Any] = {
            "name": name,
            "date_from": f"{start:%Y-%m-%d %H:%M:%S}",
            "date_to": f"{end:%Y-%m-%d %H:%M:%S}",
        }
        if who:
            employee = self.twin.rows("hr.employee", [["id", "=", self.employees[who]]], ["resource_id"])[0]
            values["resource_id"] = employee["resource_id"]
        self.twin.seed("resource.calendar.leaves", values)

    # --------------------------------------------------------------------------- timesheets --

    def _timesheets(self) -> None:
        for person in _PEOPLE:
            if person.login == EXEMPT:
                continue
            for number in range(1, _WEEKS + 1):
                usual = list(_DAYS[person.calendar])
                if number == _HOLIDAY[0]:
                    usual[_HOLIDAY[1]] = 0
                for weekday, hours in enumerate(_LOGGED.get((person.name, number), usual)):
                    if hours:
                        self._log(person.name, self.week(number).first + dt.timedelta(days=weekday), hours)
        for who, number, missing, asked in _SHORT:
            short = Decimal(missing)
            self._know(MISSING, "hr.employee", self.employees[who], asked, short, short * RATE, period=number)

    def _log(self, who: str, day: dt.date, hours: float, **more: Any) -> None:
        values = {
            "name": "Consulting",
            "project_id": self.project,
            "employee_id": self.employees[who],
            "date": day.isoformat(),
            "unit_amount": hours,
            "product_uom_id": self.hour,
            **more,
        }
        self.twin.seed("account.analytic.line", values)

    # -------------------------------------------------------------------------------- sales --

    def _unbilled(self) -> None:
        day = self.week(3).first
        erp, line = self._order(
            "Kestrel Logistics", "ERP rollout", self.hour, 60, 150.0, "timesheet", done=42, billed=18
        )
        for row in self.twin.rows(
            "account.analytic.line",
            [
                ["employee_id", "=", self.employees["Ibrahim Sayed"]],
                ["date", ">=", day.isoformat()],
                ["date", "<=", (day + dt.timedelta(days=2)).isoformat()],
            ],
            ["id"],
        ):  # three days of eight hours, long delivered
            values = {"so_line": line, "timesheet_invoice_type": "billable_time"}
            self.twin.update("account.analytic.line", row["id"], values)
        self._know(UNBILLED, "sale.order", erp, "Jonas Weber", Decimal(24), Decimal(3600))

        grid, line = self._order(
            "Ostra Energy", "Grid study", self.unit, 1, 20_000.0, "milestones", done=0.5, billed=0
        )
        for name, reached in (("Interim report", day), ("Final report", None)):
            milestone = {
                "name": name,
                "project_id": self.project,
                "sale_line_id": line,
                "quantity_percentage": 0.5,
                "is_reached": reached is not None,
                "reached_date": reached.isoformat() if reached else False,
            }
            self.twin.seed("project.milestone", milestone)
        self._know(UNBILLED, "sale.order", grid, "Jonas Weber", Decimal(0), Decimal(10_000))

        museum, _ = self._order(
            *("Meridian Museum", "Workshops", self.day, 5, 1_200.0, "manual"), done=5, billed=3, currency=self.usd
        )
        self._know(UNBILLED, "sale.order", museum, "Jonas Weber", Decimal(16), Decimal(2400), currency="USD")

        # Delivered the day before yesterday: within the days of grace, so nobody is asked.
        _, line = self._order("Kestrel Logistics", "Support", self.hour, 20, 140.0, "timesheet", done=6, billed=0)
        recent = self.today - dt.timedelta(days=2)
        self._log("Marcus Reed", recent, 6, so_line=line, timesheet_invoice_type="billable_time")

    def _order(
        self,
        customer: str,
        what: str,
        unit: int,
        quantity: float,
        price: float,
        method: str,
        *,
        done: float,
        billed: float,
        currency: int = 0,
    ) -> tuple[int, int]:
        """Confirm an order of one line, delivered and billed so far; give both ids."""
        order = self._sale(customer, state="sale", days=60, amount=quantity * price, currency=currency)
        self.twin.update("sale.order", order, {"invoice_status": "to invoice"})
        product = self.twin.seed("product.product", {"name": what, "type": "service", "uom_id": unit})
        line = {
            "order_id": order,
            "product_id": product,
            "name": what,
            "product_uom_id": unit,
            "product_uom_qty": quantity,
            "price_unit": price,
            "price_reduce_taxexcl": price,
            "is_service": True,
            "qty_delivered_method": method,
            "qty_delivered": done,
            "qty_invoiced": billed,
            "qty_to_invoice": done - billed,
            "untaxed_amount_to_invoice": (done - billed) * price,
            "invoice_status": "to invoice",
            "create_date": self.ago(60),
        }
        return order, self.twin.seed("sale.order.line", line)

    def _sale(self, customer: str, *, state: str, days: int, amount: float, currency: int = 0, **more: Any) -> int:
        values = {
            "partner_id": self._partner(customer),
            "user_id": self.users[SALES],
            "state": state,
            "currency_id": currency or self.eur,
            "amount_total": amount,
            "date_order": self.ago(days),
            "create_date": self.ago(days),
            **more,
        }
        return self.twin.seed("sale.order", values)

    def _partner(self, name: str) -> int:
        found = self.twin.rows("res.partner", [["name", "=", name]], ["id"])
        return int(found[0]["id"]) if found else self.twin.seed("res.partner", {"name": name, "is_company": True})

    # ------------------------------------------------------------------------------- drafts --

    def _drafts(self) -> None:
        old = self._sale("Ostra Energy", state="sent", days=45, amount=18_500.0)
        self._know(DRAFTS, "sale.order", old, "Jonas Weber", Decimal(0), Decimal(18_500))
        expired = self.today - dt.timedelta(days=10)
        late = self._sale(
            "Kestrel Logistics", state="draft", days=25, amount=7_200.0, validity_date=expired.isoformat()
        )
        self._know(DRAFTS, "sale.order", late, "Jonas Weber", Decimal(0), Decimal(7_200))
        self._sale("Meridian Museum", state="sent", days=3, amount=4_100.0)  # still fresh

        order = self._sale("Meridian Museum", state="sale", days=50, amount=6_400.0, invoice_status="invoiced")
        invoice = self._move("out_invoice", "Meridian Museum", 6_400.0, days=12, invoice_user_id=self.users[SALES])
        self.twin.update("sale.order", order, {"invoice_ids": [[6, 0, [invoice]]]})
        self._know(DRAFTS, "account.move", invoice, "Jonas Weber", Decimal(0), Decimal(6_400))
        self._move("out_invoice", "Ostra Energy", 900.0, days=20, auto_post="at_date")  # posts itself
        bill = self._move("in_invoice", "Nimbus Hosting", 980.0, days=15)
        self._know(DRAFTS, "account.move", bill, "Elena Kovacs", Decimal(0), Decimal(980))

        for what, days, amount in (("Train to the client", 14, 312.40), ("Taxi", 2, 41.0)):
            values = {
                "name": what,
                "employee_id": self.employees["Lea Fontaine"],
                "currency_id": self.eur,
                "total_amount_currency": amount,
                "state": "draft",
                "create_date": self.ago(days),
            }
            expense = self.twin.seed("hr.expense", values)
            if days > 10:
                self._know(DRAFTS, "hr.expense", expense, "Lea Fontaine", Decimal(0), Decimal("312.40"))

    def _move(self, kind: str, partner: str, amount: float, *, days: int, **more: Any) -> int:
        values = {
            "move_type": kind,
            "partner_id": self._partner(partner),
            "state": "draft",
            "currency_id": self.eur,
            "amount_total": amount,
            "create_date": self.ago(days),
            **more,
        }
        return self.twin.seed("account.move", values)

    def _won(self, customer: str, what: str) -> int:
        values = {
            "name": what,
            "type": "opportunity",
            "partner_name": customer,
            "won_status": "won",
            "user_id": self.users[SALES],
        }
        return self.twin.seed("crm.lead", values)

    # ------------------------------------------------------------------------------- answers --

    def _know(
        self,
        control: str,
        model: str,
        id_: int,
        asked: str,
        hours: Decimal,
        money: Decimal,
        *,
        currency: str = "EUR",
        period: int = 0,
    ) -> None:
        login = next(person.login for person in _PEOPLE if person.name == asked)
        key = CaseKey(control, Ref(model, id_), self.week(period) if period else None)
        cent = Decimal("0.01")
        self.known[key] = ExpectedFinding(
            hours.quantize(cent), Money(money.quantize(cent), currency), self.users[login]
        )
