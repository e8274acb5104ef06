"""The things a firm deals in, each defined once: where it lives in Odoo, and who has the last word on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from purser.errors import ConfigurationError

SYSTEM_OF_RECORD = "Odoo"
"""Where Odoo and anybody else differ, Odoo is right."""

ODOO = "/odoo"
"""The source of what Odoo tells of itself, by webhook or change feed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BusinessObject:
    """One thing the firm deals in. A model of Odoo belongs to one of them, and so do the facts about its records."""

    name: str
    says: str
    models: tuple[str, ...]
    master: str = ""
    """The model among them whose records are master data: they change now and then, and transactions lean on them."""
    system_of_record: str = SYSTEM_OF_RECORD


OBJECTS: Mapping[str, BusinessObject] = MappingProxyType(
    {
        one.name: one
        for one in (
            BusinessObject(
                name="customer",
                says="Who the firm works for, and who else it deals with.",
                models=("res.partner",),
                master="res.partner",
            ),
            BusinessObject(
                name="engagement",
                says="What the firm is asked to do, from the first talk until it is won or lost.",
                models=("crm.lead",),
            ),
            BusinessObject(
                name="contract",
                says="What was agreed, with a customer or a supplier, and until when.",
                models=("sale.order", "purchase.order"),
            ),
            BusinessObject(
                name="project",
                says="The work on an engagement, with its milestones and tasks.",
                models=("project.project", "project.milestone", "project.task"),
            ),
            BusinessObject(
                name="resource",
                says="Who does the work, with their time, absence, plans and expenses.",
                models=("hr.employee", "hr.leave", "hr_timesheet.sheet", "planning.slot", "hr.expense"),
                master="hr.employee",
            ),
            BusinessObject(
                name="invoice",
                says="What a customer owes, until it is paid.",
                models=("account.move",),
            ),
            BusinessObject(
                name="support case",
                says="What a customer needs help with.",
                models=("helpdesk.ticket",),
            ),
        )
    }
)
"""Every object by its name."""

_OF_MODEL = MappingProxyType({model: one for one in OBJECTS.values() for model in one.models})


def object_of(model: str) -> BusinessObject:
    """Return the object that the records of a model are part of. ConfigurationError when no object has it."""
    if model not in _OF_MODEL:
        raise ConfigurationError(
            f"the model {model!r} is part of no object: add it to one of events/business_objects.py"
        )
    return _OF_MODEL[model]
