"""What declarations read of projects: a milestone with what proves and what pays it, and templates."""

import datetime as dt
import re
from decimal import Decimal
from html import unescape
from typing import Annotated

from purser import OPTIONAL_FIELD, Domain, Many2One, QueryContext, Row
from tasks.queries.crm import WonLead, service_types

OPEN = ("01_in_progress", "02_changes_requested", "03_approved", "04_waiting_normal")
"""The states of a task on which there is still work."""


class ApprovedMilestone(Row, model="project.milestone"):
    """The milestone an event speaks of, as it stands now."""

    name: str
    is_reached: bool = False
    reached_date: dt.date | None = None
    project_id: Many2One
    sale_line_id: Annotated[int | None, OPTIONAL_FIELD] = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read the one milestone of the event."""
        return [("id", "=", scope.event.milestone_id)]


class MilestoneTask(Row, model="project.task"):
    """A task that belongs to the milestone."""

    state: str

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read them all, open and closed."""
        return [("milestone_id", "=", scope.event.milestone_id)]

    @property
    def is_open(self) -> bool:
        """Return whether there is still work on it."""
        return self.state in OPEN


class MilestoneNote(Row, model="mail.message"):
    """What was said about the milestone in its chatter."""

    body: str = ""

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read all: there are a handful."""
        return [("model", "=", "project.milestone"), ("res_id", "=", scope.event.milestone_id)]

    @property
    def text(self) -> str:
        """The words of it, on one line."""
        return " ".join(unescape(re.sub(r"<[^<>]*+>", " ", self.body)).split())


class MilestoneLine(Row, model="sale.order.line", optional=True):
    """The order line that a milestone delivers a share of."""

    order_id: Many2One
    name: str | None = None
    product_uom_qty: Decimal = Decimal(0)
    qty_delivered: Decimal = Decimal(0)
    qty_delivered_method: str | None = None
    qty_invoiced: Decimal = Decimal(0)

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read that of the milestone."""
        lines = [m.sale_line_id for m in scope.snapshot.rows(ApprovedMilestone) if m.sale_line_id is not None]
        return [("id", "in", lines)] if lines else None


class LineMilestone(Row, model="project.milestone", optional=True):
    """A milestone of that line, the one of the event included, with its share."""

    is_reached: bool = False
    quantity_percentage: Decimal = Decimal(0)

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read all of the line, whichever project they are in."""
        lines = [line.id for line in scope.snapshot.rows(MilestoneLine)]
        return [("sale_line_id", "in", lines)] if lines else None


class MilestoneOrder(Row, model="sale.order", optional=True):
    """The order of that line."""

    name: str
    state: str
    user_id: int | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read that of the line."""
        orders = [line.order_id.id for line in scope.snapshot.rows(MilestoneLine)]
        return [("id", "in", orders)] if orders else None

    @property
    def people(self) -> tuple[int | None, ...]:
        """Name whom the order names."""
        return (self.user_id,)


class TemplateTag(Row, model="project.tags", optional=True, translated=True):
    """A tag on projects that is called like a type of service."""

    name: str
    names: frozenset[str] = frozenset()

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those that the templates of this opportunity could bear."""
        wanted = service_types(scope.snapshot, scope.tunables["templates"])
        return [("name", "in", sorted(set(wanted.values())))] if wanted else None


class ProjectRole(Row, model="project.role", optional=True, translated=True):
    """A part that somebody plays in a project, as the tasks of a template name it (since Odoo 19)."""

    name: str
    names: frozenset[str] = frozenset()

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those for which the policy names somebody."""
        roles = sorted(scope.tunables["roles"])
        return [("name", "in", roles)] if roles else None


class ProjectRoleUser(Row, model="res.users"):
    """A colleague whom the policy names, by login, for a role."""

    login: str

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those that are named."""
        logins = sorted(set(scope.tunables["roles"].values()))
        return [("login", "in", logins), ("share", "=", False)] if logins else None


class ProjectTemplate(Row, model="project.project", optional=True, translated=True):
    """A project that others are made from, for a type of service (since Odoo 19)."""

    name: str
    names: frozenset[str] = frozenset()
    is_template: bool = False
    tag_ids: tuple[int, ...] = ()
    date_start: dt.date | None = None
    date: dt.date | None = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain | None:
        """Read those that are called, or tagged, like the type of service of a won opportunity."""
        won = any(lead.won_status == "won" for lead in scope.snapshot.rows(WonLead))
        wanted = service_types(scope.snapshot, scope.tunables["templates"])
        if not won or not wanted:
            return None
        tags = [tag.id for tag in scope.snapshot.rows(TemplateTag)]
        named = ("name", "in", sorted(set(wanted.values())))
        return [("is_template", "=", True), "|", named, ("tag_ids", "in", tags)]
