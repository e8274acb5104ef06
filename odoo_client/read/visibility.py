"""Odoo answers a missing right with fewer rows and no error; what a user's groups hide is known here.

Source: the record rules of Odoo 19, and what bots with these groups were seen to see on a real one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from odoo_client.connection import FieldInfo
from purser.queries import Aggregate, Row, Snapshot


@dataclass(frozen=True, slots=True)
class HiddenRowsRule:
    """Rows of a model that a user does not see without one of the `wide` groups."""

    model: str
    wide: tuple[str, ...]
    effect: str
    narrow: str = ""
    """The group whose rule hides rows. Without one, only a user who sees no row at all is in doubt."""


NARROWINGS = (
    HiddenRowsRule(
        "account.analytic.line",
        (
            "hr_timesheet.group_hr_timesheet_approver",
            "hr_timesheet.group_timesheet_manager",
            "project.group_project_manager",
        ),
        "the timesheets of others are hidden",
    ),
    HiddenRowsRule(
        "sale.order.line",
        ("sales_team.group_sale_salesman_all_leads",),
        "the rule of project managers hides most order lines",
        narrow="project.group_project_manager",
    ),
)


class GroupMember(Protocol):
    """A user whose groups can be asked."""

    def has_group(self, group: str) -> bool:
        """Return whether the user is in a group."""


def find_hiding_rules(user: GroupMember, models: Iterable[str], *, empty: Iterable[str] = ()) -> str:
    """Return what is hidden from a user of these models, '' when nothing is known to be.

    `empty` names the models of which no row was seen: where it matters, groups are asked only then.
    """
    asked, none_seen = set(models), set(empty)
    for one in NARROWINGS:
        in_doubt = user.has_group(one.narrow) if one.narrow and one.model in asked else one.model in none_seen
        if in_doubt and not any(user.has_group(group) for group in one.wide):
            return f"{one.model}: {one.effect}; the user needs {' or '.join(one.wide)}"
    return ""


def find_hiding_rules_in(user: GroupMember, snapshot: Snapshot) -> str:
    """Return what is hidden from whoever read a snapshot, '' when nothing is known to be."""
    kinds = snapshot.kinds()
    seen = {kind.model for kind in kinds if snapshot.rows(kind)}
    models = {kind.model for kind in kinds}
    return find_hiding_rules(user, models, empty=models - seen)


@dataclass(frozen=True, slots=True)
class RestrictedModel:
    """A field that Odoo shows to a group only, and that reads leave out where it is not shown."""

    what: str
    group: str
    effect: str


GUARDED: Mapping[tuple[str, str], RestrictedModel] = {
    ("hr.version", name): RestrictedModel(
        "contract dates",
        "hr.group_hr_manager",
        "people whose contract is over are asked for hours until they are archived",
    )
    for name in ("contract_date_start", "contract_date_end")
} | {
    ("hr.employee", "departure_date"): RestrictedModel(
        "departure dates", "hr.group_hr_user", "nobody's last day is known"
    ),
    ("hr.employee", "category_ids"): RestrictedModel(
        "tags of employees", "hr.group_hr_user", "no tag exempts anybody"
    ),
    ("hr.employee", "hourly_cost"): RestrictedModel(
        "hourly costs", "hr.group_hr_user", "missing hours have no price"
    ),
}


class RestrictionSummary(Protocol):
    """A user who can be asked which fields of a model they see."""

    def fields(self, model: str) -> Mapping[str, FieldInfo] | None:
        """Return the fields of a model, None where the database has no such model."""


def hidden_from(
    user: RestrictionSummary, reads: Iterable[type[Row] | type[Aggregate]]
) -> tuple[RestrictedModel, ...]:
    """Return what these reads leave out without an error, because Odoo does not show it to this user."""
    hidden: dict[RestrictedModel, None] = {}
    for read in reads:
        known = user.fields(read.model)
        for spec in read.specs() if known else ():
            guarded = GUARDED.get((read.model, spec.field))
            if guarded is not None and spec.if_known and spec.field not in (known or ()):
                hidden[guarded] = None
    return tuple(hidden)
