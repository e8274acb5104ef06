"""Which changes of which models Odoo tells the gateway at once, and how such an address looks."""

import re
from collections.abc import Set
from dataclasses import dataclass

PATH = "/hooks/odoo/"
_TOKEN = re.compile(re.escape(PATH) + r"([A-Za-z0-9_-]{20,})$")


_LEAF = re.compile(
    r"""[(\[]\s*['"](\w+)(?:\.[\w.]+)?['"]\s*,\s*"""
    r"""['"](?:[=!<>?]+|(?:not )?(?:in|any)!?|(?:not )?=?i?like|(?:child|parent)_of)['"]\s*,"""
)
ALL = "[]"
"""The domain of a rule that is about every record of its model."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AutomationRule:
    """An automation rule: the fields whose change triggers it, and the records it is about.

    Odoo evaluates the domain of a rule while a record is still being created, whenever a stored field is computed. A
    computed field in the domain is computed at that moment, from values that are not final, and stored. So a domain
    names plain columns only. The trigger is compared, not computed, but plain columns are preferred there too.
    Source: Odoo 19 base_automation/models/base_automation.py, `make_compute_field_value` and `_filter_post`.
    """

    name: str
    """How the gateway knows it."""
    model: str
    title: str
    fields: tuple[str, ...]
    domain: str = ALL
    instead_fields: tuple[str, ...] = ()
    """The trigger for an Odoo that has none of `fields`."""
    earlier: tuple[str, ...] = ()
    """Domains that earlier releases wrote. Set-up replaces them without being forced."""

    def domain_for(self, known: Set[str], computed: Set[str] = frozenset()) -> str:
        """Return the domain for an Odoo with these fields: all records where it would name a computed field."""
        named = domain_fields(self.domain)
        return self.domain if named <= known and not named & computed else ALL

    def fields_for(self, known: Set[str]) -> tuple[str, ...]:
        """Return the trigger fields that this Odoo has."""
        there = tuple(name for name in self.fields if name in known)
        return there or tuple(name for name in self.instead_fields if name in known)


def domain_fields(domain: str) -> frozenset[str]:
    """Return the fields of the rule's own model that the text of a domain names, quotes of both kinds."""
    return frozenset(_LEAF.findall(domain))


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookTarget:
    """Where a rule posts to, and whether with a token that is to take the place of another."""

    url: str
    is_new: bool = False


RULES = (
    AutomationRule(
        name="opportunities",
        model="crm.lead",
        title="opportunity won or lost",
        fields=("stage_id", "active", "probability", "date_closed"),  # Odoo compares what the caller wrote
        domain="[('date_closed', '!=', False)]",
        earlier=(
            "[('won_status', 'in', ['won', 'lost'])]",
            "['|', ('active', '=', False), ('stage_id.is_won', '=', True)]",
        ),
    ),
    AutomationRule(
        name="orders",
        model="sale.order",
        title="order signed or confirmed",
        fields=("state", "signed_on", "subscription_state"),
        domain="['|', ('state', '=', 'sale'), ('signed_on', '!=', False)]",
    ),
    AutomationRule(
        name="projects",
        model="project.project",
        title="project created",
        fields=("is_template",),
        domain="[('is_template', '=', False)]",
    ),
    AutomationRule(
        name="milestones",
        model="project.milestone",
        title="milestone reached",
        fields=("is_reached",),
        domain="[('is_reached', '=', True)]",
    ),
    AutomationRule(
        name="tasks",
        model="project.task",
        title="change request approved",
        fields=("state",),
        earlier=("[('state', '=', '03_approved')]",),
    ),
    AutomationRule(
        name="invoices",
        model="account.move",
        title="invoice posted, paid or disputed",
        fields=("state", "payment_state"),
        domain="[('move_type', 'in', ['out_invoice', 'out_refund']), ('state', '=', 'posted')]",
    ),
    AutomationRule(
        name="expenses",
        model="hr.expense",
        title="expense submitted or refused",
        fields=("approval_state",),
        domain="[('approval_state', 'in', ['submitted', 'refused'])]",
        instead_fields=("state",),
        earlier=("[('state', 'in', ['submitted', 'refused'])]",),
    ),
    AutomationRule(
        name="purchases",
        model="purchase.order",
        title="purchase approved",
        fields=("state",),
        domain="[('state', '=', 'purchase')]",
    ),
    AutomationRule(
        name="leaves",
        model="hr.leave",
        title="time off approved or cancelled",
        fields=("state",),
        domain="[('state', 'in', ['validate', 'refuse', 'cancel'])]",
    ),
    AutomationRule(
        name="absences",
        model="resource.calendar.leaves",
        title="absence entered",
        fields=("resource_id", "date_from", "date_to"),
        domain="[('resource_id', '!=', False)]",
    ),
    AutomationRule(
        name="employments",
        model="hr.version",
        title="employment changed",
        fields=("department_id", "job_id", "resource_calendar_id", "date_version", "employee_id"),
        domain="[('employee_id', '!=', False)]",
    ),
    AutomationRule(
        name="departures",
        model="hr.employee",
        title="employee departed",
        fields=("active",),
        earlier=("[('active', '=', False)]",),
    ),
    AutomationRule(
        name="timesheets",
        model="hr_timesheet.sheet",
        title="timesheet submitted or approved",
        fields=("state",),
        domain="[('state', 'in', ['confirm', 'done'])]",
    ),
    AutomationRule(
        name="tickets",
        model="helpdesk.ticket",
        title="support case escalated or resolved",
        fields=("priority", "stage_id"),
    ),
)
"""Each is made where its model is installed. Those of add-ons were written down, not tried."""


def address(gateway: str, token: str) -> str:
    """Return the address a rule posts to."""
    return f"{gateway.rstrip('/')}{PATH}{token}"


def token_in(url: str) -> str:
    """Return the token of an address, '' where it is none of ours."""
    found = _TOKEN.search(url)
    return found[1] if found else ""


def masked(url: str) -> str:
    """Return an address without its token."""
    token = token_in(url)
    return url.replace(token, "***") if token else url
