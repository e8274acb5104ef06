"""Odoo answers a missing right with fewer rows and no error; what a user's groups hide is known here.

Source: the record rules of Odoo 19, and what bots with these groups were seen to see on a real one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from purser.reads import Snapshot


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Rows of a model that a user does not see without one of the `wide` groups."""

    model: str
    wide: tuple[str, ...]
    effect: str
    narrow: str = ""
    """The group whose rule hides rows. Without one, only a user who sees no row at all is in doubt."""


NARROWINGS = (
    Narrowing(
        "account.analytic.line",
        (
            "hr_timesheet.group_hr_timesheet_approver",
            "hr_timesheet.group_timesheet_manager",
            "project.group_project_manager",
        ),
        "the timesheets of others are hidden",
    ),
    Narrowing(
        "sale.order.line",
        ("sales_team.group_sale_salesman_all_leads",),
        "the rule of project managers hides most order lines",
        narrow="project.group_project_manager",
    ),
)


class Member(Protocol):
    """A user whose groups can be asked."""

    def has_group(self, group: str) -> bool:
        """Say whether the user is in a group."""


def narrowed(user: Member, models: Iterable[str], *, empty: Iterable[str] = ()) -> str:
    """Say what is hidden from a user of these models, '' when nothing is known to be.

    `empty` names the models of which no row was seen: where it matters, groups are asked only then.
    """
    asked, none_seen = set(models), set(empty)
    for one in NARROWINGS:
        in_doubt = user.has_group(one.narrow) if one.narrow and one.model in asked else one.model in none_seen
        if in_doubt and not any(user.has_group(group) for group in one.wide):
            return f"{one.model}: {one.effect}; the user needs {' or '.join(one.wide)}"
    return ""


def narrowed_in(user: Member, snapshot: Snapshot) -> str:
    """Say what is hidden from whoever read a snapshot, '' when nothing is known to be."""
    kinds = snapshot.kinds()
    seen = {kind.model for kind in kinds if snapshot.rows(kind)}
    models = {kind.model for kind in kinds}
    return narrowed(user, models, empty=models - seen)
