"""Which changes of which models Odoo tells the gateway at once, and how such an address looks."""

import re
from collections.abc import Set
from dataclasses import dataclass

PATH = "/hooks/odoo/"
_TOKEN = re.compile(re.escape(PATH) + r"([A-Za-z0-9_-]{20,})$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """An automation rule: the fields whose change wakes it, and the records it is about."""

    name: str
    """How the gateway knows it."""
    model: str
    title: str
    fields: tuple[str, ...]
    domain: str
    instead: str = ""
    """The domain for an Odoo that lacks a field of `domain`. Those were read about, not tried."""
    instead_fields: tuple[str, ...] = ()
    """The fields for it."""

    def domain_for(self, known: Set[str]) -> str:
        """Give the domain for an Odoo with these fields."""
        return self.instead if self._is_older(known) else self.domain

    def fields_for(self, known: Set[str]) -> tuple[str, ...]:
        """Give those of its fields that this Odoo has."""
        fields = self.instead_fields if self._is_older(known) else self.fields
        return tuple(name for name in fields if name in known)

    def _is_older(self, known: Set[str]) -> bool:
        return bool(self.instead) and not set(re.findall(r"\('(\w+)", self.domain)) <= known


@dataclass(frozen=True, kw_only=True, slots=True)
class Hook:
    """Where a rule posts to, and whether with a token that is to take the place of another."""

    url: str
    is_new: bool = False


RULES = (
    Rule(
        name="opportunities",
        model="crm.lead",
        title="opportunity won or lost",
        fields=("won_status",),
        domain="[('won_status', 'in', ['won', 'lost'])]",
        instead="['|', ('active', '=', False), ('stage_id.is_won', '=', True)]",
        instead_fields=("stage_id", "active"),
    ),
    Rule(
        name="orders",
        model="sale.order",
        title="order signed or confirmed",
        fields=("state", "signed_on", "subscription_state"),
        domain="['|', ('state', '=', 'sale'), ('signed_on', '!=', False)]",
    ),
    Rule(
        name="projects",
        model="project.project",
        title="project created",
        fields=("is_template",),
        domain="[('is_template', '=', False)]",
        instead="[]",
    ),
    Rule(
        name="milestones",
        model="project.milestone",
        title="milestone reached",
        fields=("is_reached",),
        domain="[('is_reached', '=', True)]",
    ),
    Rule(
        name="tasks",
        model="project.task",
        title="change request approved",
        fields=("state",),
        domain="[('state', '=', '03_approved')]",
    ),
    Rule(
        name="invoices",
        model="account.move",
        title="invoice posted, paid or disputed",
        fields=("state", "payment_state"),
        domain="[('move_type', 'in', ['out_invoice', 'out_refund']), ('state', '=', 'posted')]",
    ),
    Rule(
        name="expenses",
        model="hr.expense",
        title="expense submitted or refused",
        fields=("state",),
        domain="[('state', 'in', ['submitted', 'refused'])]",
    ),
    Rule(
        name="purchases",
        model="purchase.order",
        title="purchase approved",
        fields=("state",),
        domain="[('state', '=', 'purchase')]",
    ),
    Rule(
        name="leaves",
        model="hr.leave",
        title="time off approved or cancelled",
        fields=("state",),
        domain="[('state', 'in', ['validate', 'refuse', 'cancel'])]",
    ),
    Rule(
        name="absences",
        model="resource.calendar.leaves",
        title="absence entered",
        fields=("resource_id", "date_from", "date_to"),
        domain="[('resource_id', '!=', False)]",
    ),
    Rule(
        name="employments",
        model="hr.version",
        title="employment changed",
        fields=("department_id", "job_id", "resource_calendar_id", "date_version", "employee_id"),
        domain="[('employee_id', '!=', False)]",
    ),
    Rule(
        name="departures",
        model="hr.employee",
        title="employee departed",
        fields=("active",),
        domain="[('active', '=', False)]",
    ),
    Rule(
        name="timesheets",
        model="hr_timesheet.sheet",
        title="timesheet submitted or approved",
        fields=("state",),
        domain="[('state', 'in', ['confirm', 'done'])]",
    ),
    Rule(
        name="tickets",
        model="helpdesk.ticket",
        title="support case escalated or resolved",
        fields=("priority", "stage_id"),
        domain="[]",
    ),
)
"""Each is made where its model is installed. Those of add-ons were written down, not tried."""


def address(gateway: str, token: str) -> str:
    """Give the address a rule posts to."""
    return f"{gateway.rstrip('/')}{PATH}{token}"


def token_in(url: str) -> str:
    """Give the token of an address, '' where it is none of ours."""
    found = _TOKEN.search(url)
    return found[1] if found else ""


def masked(url: str) -> str:
    """Give an address without its token."""
    token = token_in(url)
    return url.replace(token, "***") if token else url
