"""The Odoo of the drill: the twin, which takes orders for trouble, or a real one. Both are entered as a bot.

What stands in it is counted by the texts people see, never by our own keys.
"""

import contextlib
import datetime as dt
import html
import random
import re
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from config.settings import BotRole, Settings
from devtools.fake_odoo import FakeOdoo
from devtools.fake_odoo.odoo_errors import BadRequest
from odoo_client import OdooClient, OdooConnection, connect
from odoo_client.transport.request import Request
from purser.findings import Period
from workers.context import connection_for

LATENCY = 0.02
"""Seconds a request to the twin takes at most, on top of its work: as long as an idle Odoo needs, so that a process
that is killed is often killed in the middle of one."""

BOT = "drill-bot@example.com"
BOT_GROUPS = (
    "base.group_user",
    "hr.group_hr_user",
    "project.group_project_manager",
    "sales_team.group_sale_salesman_all_leads",
    "hr_expense.group_hr_expense_user",
    "account.group_account_readonly",
)
_TAGS = re.compile(r"<[^>]*>")


class FaultyFakeOdoo(FakeOdoo):
    """A twin that takes its time, and loses races against itself on order."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self.latency = LATENCY
        self._rng = rng
        self._order = threading.Lock()
        self._races = 0

    def lose_races(self, times: int) -> None:
        """Let the next writing requests fail as PostgreSQL lets them when two transactions meet."""
        with self._order:
            self._races += times

    @contextlib.contextmanager
    def keys_refused(self) -> Iterator[None]:
        """Refuse every API key while the block lasts, as after somebody has deleted or replaced them."""
        kept = self._keys
        self._keys = {}
        try:
            yield
        finally:
            self._keys = kept

    @property
    def races_left(self) -> int:
        """Return how many are still to be lost."""
        return self._races

    def run(
        self, uid: int, model: str, method: str, ids: Any, positional: Sequence[Any], named: Mapping[str, Any]
    ) -> Any:
        """Run one request of a user, after a moment."""
        self.stopping.wait(self._rng.uniform(0, self.latency))
        with self._order:
            is_lost = self._races > 0 and method in ("load", "write", "create")
            self._races -= is_lost
        if is_lost:
            raise BadRequest(
                "could not serialize access due to concurrent update", "psycopg2.errors.SerializationFailure"
            )
        return super().run(uid, model, method, ids, positional, named)


class OdooTarget:
    """One Odoo: seeds what the load is about, and counts what came of it."""

    def __init__(self, access: OdooConnection, twin: FaultyFakeOdoo | None = None) -> None:
        self.access = access
        self.twin = twin
        self.client: OdooClient = connect(access)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def answers(self) -> bool:
        """Return whether Odoo answers this bot."""
        return self.client.ping().accepted

    # ------------------------------------------------------------------------------ seeding --

    def place(self, name: str) -> int:
        """Make the project on which the changes of one fault stand."""
        return self._create("project.project", [{"name": name}])[0]

    def deals(self, names: Sequence[str], *, won: bool = True) -> list[int]:
        """Make opportunities of companies that nobody knows yet, won or not."""
        values = [{"name": name, "type": "opportunity", "partner_name": f"Customer {name}"} for name in names]
        made: list[int] = []
        for start in range(0, len(values), 200):
            made += self._create("crm.lead", values[start : start + 200])
        if won and made:
            self.win(made)
        return made

    def win(self, leads: Sequence[int]) -> None:
        """Let opportunities be won."""
        stage = self._search("crm.stage", [["is_won", "=", True]], ["name"])[0]["id"]
        self._call("crm.lead", "write", ids=leads, vals={"stage_id": stage, "probability": 100, **self._status()})

    def _status(self) -> dict[str, str]:
        return {} if self.twin is None else {"won_status": "won"}  # Odoo computes it, the twin computes nothing

    def people(self, names: Sequence[str]) -> list[int]:
        """Hire people who began last Monday week and have not entered an hour. For the twin alone."""
        if self.twin is None:
            raise NotImplementedError("people are hired in the twin only")
        since = Period.week_of(dt.datetime.now(dt.UTC).date()).first - dt.timedelta(weeks=1)
        calendar = self._calendar(self.twin)
        fixed = {"resource_calendar_id": calendar, "tz": "UTC", "date_version": since.isoformat()}
        return [self.twin.seed("hr.employee", {"name": name, **fixed}) for name in names]

    def _calendar(self, twin: FakeOdoo) -> int:
        name = "Drill, 40 h"
        found = twin.rows("resource.calendar", [["name", "=", name]], ["name"])
        if found:
            return int(found[0]["id"])
        hours = ((8.0, 12.0, "morning"), (13.0, 17.0, "afternoon"))
        lines = [
            {"name": part, "dayofweek": str(day), "hour_from": first, "hour_to": last, "day_period": part}
            for day in range(5)
            for first, last, part in hours
        ]
        values = {"name": name, "tz": "UTC", "attendance_ids": [[0, 0, line] for line in lines]}
        return twin.seed("resource.calendar", values)

    # ----------------------------------------------------------------------------- counting --

    def on_place(self, place: int) -> Iterator[str]:
        """Yield the text of every task and note that stands on a project, as often as it stands there."""
        for row in self._search("project.task", [["project_id", "=", place]], ["name"]):
            yield f"task {row['name']}"
        on = [["model", "=", "project.project"], ["res_id", "=", place]]
        for row in self._search("mail.message", on, ["body"]):
            yield f"note {_text(row['body'])}"

    def of_deals(self, names: Sequence[str]) -> Iterator[str]:
        """Yield what won opportunities of these names have led to."""
        for name in self._named("res.partner", [f"Customer {name}" for name in names]).values():
            yield f"customer {name}"
        projects = self._named("project.project", names)
        for name in projects.values():
            yield f"project {name}"
        on = [["res_model", "=", "project.project"], ["res_id", "in", list(projects)]]
        for row in self._search("mail.activity", on, ["res_id", "summary"]) if projects else ():
            yield f"activity {row['summary']} on {projects[row['res_id']]}"

    def of_people(self, employees: Mapping[int, str]) -> Iterator[str]:
        """Yield whom of these employees somebody was asked about, ended asks included."""
        on = [["res_model", "=", "hr.employee"], ["res_id", "in", list(employees)]]
        for row in self._search("mail.activity", on, ["res_id"]) if employees else ():
            yield f"ask about {employees[row['res_id']]}"

    # ------------------------------------------------------------------------------ calling --

    def _named(self, model: str, names: Sequence[str]) -> dict[int, str]:
        if not names:
            return {}
        return {row["id"]: row["name"] for row in self._search(model, [["name", "in", list(names)]], ["name"])}

    def _search(self, model: str, domain: list[Any], fields: list[str]) -> list[dict[str, Any]]:
        named = {"domain": domain, "fields": fields, "load": "", "order": "id"}
        request = Request(
            model=model, method="search_read", arguments=named, context={"active_test": False}, reads=True
        )
        found: list[dict[str, Any]] = self.client.send(request)
        return found

    def _create(self, model: str, values: list[dict[str, Any]]) -> list[int]:
        quiet = {"tracking_disable": True, "mail_create_nosubscribe": True}
        made = self.client.send(Request(model=model, method="create", arguments={"vals_list": values}, context=quiet))
        return list(made)

    def _call(self, model: str, method: str, *, ids: Sequence[int], **arguments: Any) -> Any:
        return self.client.send(Request(model=model, method=method, ids=tuple(ids), arguments=arguments))


def _text(body: str) -> str:
    return html.unescape(_TAGS.sub("", body or ""))


@contextlib.contextmanager
def slowed(office: OdooTarget, seconds: float) -> Iterator[None]:
    """Let the twin take up to so many seconds for a request, so that work is under way at any instant."""
    if office.twin is None:
        yield
        return
    office.twin.latency = seconds
    try:
        yield
    finally:
        office.twin.latency = LATENCY


@contextlib.contextmanager
def opened(told: Settings | None, rng: random.Random) -> Iterator[OdooTarget]:
    """Yield the Odoo of these settings, or a twin of the drill's own."""
    if told is not None:
        office = OdooTarget(connection_for(told, BotRole.CHANGE))
        try:
            yield office
        finally:
            office.close()
        return
    twin = FaultyFakeOdoo(rng)
    key = secrets.token_hex(20)
    twin.add_user(BOT, key, BOT_GROUPS, name="Drill")
    with twin:
        office = OdooTarget(OdooConnection(url=twin.url, db=twin.db, login=BOT, api_key=key), twin)
        try:
            yield office
        finally:
            office.close()
