"""Who may do what with which record: rights of groups on models, rules on rows, fields kept for some."""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from odoo_client.twin import domain as domains
from odoo_client.twin.refusals import NotAllowed, Wrong
from odoo_client.twin.schema import Field
from odoo_client.twin.store import Row

if TYPE_CHECKING:
    from odoo_client.twin.records import Records

MODES = {"read": "r", "write": "w", "create": "c", "unlink": "u"}
_VERBS = {"r": "access", "w": "modify", "c": "create", "u": "delete"}
_WORDS = {letter: word for word, letter in MODES.items()}
READERS_POST = frozenset({"account.move", "project.task", "hr.leave", "hr.employee", "hr.version"})
"""Whoever reads these may also write into their chatter, and put an activity for himself on them."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What a rule may depend on."""

    uid: int
    partner: int
    companies: list[int | bool]

    @property
    def companies_or_none(self) -> list[int | bool]:
        """The companies, and no company."""
        return [*self.companies, False]


Rule = tuple[str, str, str, list[Any] | Callable[[Caller], list[Any]]]
"""Model, group (none: everybody), modes, and the domain of what may be reached."""
_PUBLIC = ["employees", "portal"]


def _of_company(*models: str) -> list[Rule]:
    return [(model, "", "rwcu", lambda who: [["company_id", "in", who.companies]]) for model in models]


def _of_company_or_none(*models: str) -> list[Rule]:
    return [(model, "", "rwcu", lambda who: [["company_id", "in", who.companies_or_none]]) for model in models]


def _everything(group: str, modes: str, *models: str) -> list[Rule]:
    return [(model, group, modes, []) for model in models]


def _own_or_nobodys(group: str, modes: str, **fields: str) -> list[Rule]:
    return [
        (
            model.replace("_", "."),
            group,
            modes,
            lambda who, name=name: ["|", [name, "=", who.uid], [name, "=", False]],  # type: ignore[misc]
        )
        for model, name in fields.items()
    ]


def _task(who: Caller) -> list[Any]:
    return [
        *("|", "&", ["project_id", "!=", False]),
        *("|", ["project_id.privacy_visibility", "in", _PUBLIC]),
        ["project_id.message_partner_ids", "in", [who.partner]],
        *("|", ["message_partner_ids", "in", [who.partner]], ["user_ids", "in", [who.uid]]),
    ]


def _timesheet(who: Caller) -> list[Any]:
    return [
        ["project_id", "!=", False],
        *("|", ["project_id.privacy_visibility", "in", _PUBLIC]),
        *("|", ["message_partner_ids", "in", [who.partner]], ["partner_id", "=", who.partner]),
    ]


def _expense_of_team(who: Caller) -> list[Any]:
    return [
        *("|", ["employee_id.user_id", "=", who.uid], "|", ["employee_id.parent_id.user_id", "=", who.uid]),
        *("|", ["employee_id.expense_manager_id", "=", who.uid], ["manager_id", "=", who.uid]),
    ]


_USER, _SALES, _ALL_SALES = (
    "base.group_user",
    "sales_team.group_sale_salesman",
    "sales_team.group_sale_salesman_all_leads",
)
_PROJECTS, _PROJECT_USER = "project.group_project_manager", "project.group_project_user"
_EXPENSES = "hr_expense.group_hr_expense_team_approver"
_BOOKS_READ, _BOOKS = "account.group_account_readonly", "account.group_account_invoice"
_SALE_MOVES, _BUY_MOVES = ["out_invoice", "out_refund"], ["in_invoice", "in_refund", "in_receipt"]

RULES: tuple[Rule, ...] = (
    *_of_company("sale.order", "sale.order.line", "purchase.order", "purchase.order.line", "account.move"),
    *_of_company("account.move.line", "account.analytic.line", "hr.expense", "hr.version"),
    *_of_company_or_none("resource.resource", "resource.calendar.leaves", "project.task", "project.project"),
    *_of_company_or_none("crm.lead", "hr.department"),
    (
        "hr.employee",
        "",
        "rwcu",
        lambda who: [
            *("|", ["company_id", "in", who.companies_or_none]),
            *("|", ["parent_id.user_id", "=", who.uid], ["user_id", "=", who.uid]),
        ],
    ),
    ("project.milestone", "", "rwcu", lambda who: [["project_id.company_id", "in", who.companies_or_none]]),
    ("res.company", _USER, "rwcu", lambda who: [["id", "in", who.companies]]),
    ("res.company", "base.group_erp_manager", "rwcu", []),
    ("res.users.apikeys", _USER, "rwcu", lambda who: [["user_id", "=", who.uid]]),
    # projects: a private one is seen by its followers, and by those who manage projects
    (
        "project.project",
        _USER,
        "rwcu",
        lambda who: ["|", ["privacy_visibility", "in", _PUBLIC], ["message_partner_ids", "in", [who.partner]]],
    ),
    *_everything(_PROJECTS, "rwcu", "project.project", "project.milestone"),
    (
        "project.milestone",
        _USER,
        "rwcu",
        lambda who: [
            *("|", ["project_id.privacy_visibility", "in", _PUBLIC]),
            *("|", ["project_id.message_partner_ids", "in", [who.partner]], ["project_id.user_id", "=", who.uid]),
        ],
    ),
    ("project.task", _USER, "r", _task),
    ("project.task", _USER, "rwcu", lambda who: [["project_id", "=", False], ["user_ids", "in", [who.uid]]]),
    ("project.task", _PROJECT_USER, "wcu", _task),
    ("project.task", _PROJECT_USER, "rwcu", [["project_id.privacy_visibility", "in", _PUBLIC]]),
    (
        "project.task",
        _PROJECTS,
        "rwcu",
        lambda who: ["|", ["project_id", "!=", False], ["user_ids", "in", [who.uid]]],
    ),
    # time
    ("account.analytic.line", _BOOKS, "rwcu", [["project_id", "=", False]]),
    ("account.analytic.line", _BOOKS_READ, "r", [["project_id", "=", False]]),
    (
        "account.analytic.line",
        "hr_timesheet.group_hr_timesheet_user",
        "rwcu",
        lambda who: [["user_id", "=", who.uid], *_timesheet(who)],
    ),
    ("account.analytic.line", "hr_timesheet.group_hr_timesheet_approver", "rwcu", _timesheet),
    ("account.analytic.line", _PROJECTS, "rwcu", [["project_id", "!=", False]]),
    (
        "account.analytic.line",
        "hr_timesheet.group_timesheet_manager",
        "rwcu",
        [["project_id", "!=", False]],
    ),
    # sales
    *_own_or_nobodys(_SALES, "rwcu", sale_order="user_id", crm_lead="user_id", sale_order_line="salesman_id"),
    *_everything(_ALL_SALES, "rwcu", "sale.order", "sale.order.line", "crm.lead"),
    (
        "sale.order.line",
        _PROJECTS,
        "r",
        [
            *(["state", "=", "sale"], ["is_service", "=", True]),
            *("|", ["project_id", "!=", False], ["task_id", "!=", False]),
        ],
    ),
    # books
    *_everything(_BOOKS, "rwcu", "account.move", "account.move.line"),
    *_everything(_BOOKS_READ, "r", "account.move", "account.move.line"),
    ("account.move", "purchase.group_purchase_user", "rwcu", [["move_type", "in", _BUY_MOVES]]),
    ("account.move.line", "purchase.group_purchase_user", "rwcu", [["move_type", "in", _BUY_MOVES]]),
    ("account.move", _EXPENSES, "rwcu", [["expense_ids", "!=", False]]),
    ("account.move.line", _EXPENSES, "rwcu", [["expense_id", "!=", False]]),
    ("account.move", _ALL_SALES, "rwcu", [["move_type", "in", _SALE_MOVES]]),
    ("account.move.line", _ALL_SALES, "rwcu", [["move_type", "in", _SALE_MOVES]]),
    (
        "account.move",
        _SALES,
        "rwcu",
        lambda who: [
            *(["move_type", "in", _SALE_MOVES], "|", ["invoice_user_id", "=", who.uid]),
            ["invoice_user_id", "=", False],
        ],
    ),
    # expenses
    *_everything("hr_expense.group_hr_expense_user", "rwcu", "hr.expense"),
    *_everything("account.group_account_user", "rwcu", "hr.expense"),
    ("hr.expense", _EXPENSES, "rwcu", _expense_of_team),
    ("hr.expense", _USER, "r", lambda who: [["employee_id.user_id", "=", who.uid]]),
    ("hr.expense", _USER, "wcu", lambda who: [["employee_id.user_id", "=", who.uid], ["state", "=", "draft"]]),
    *_everything("hr.group_hr_manager", "rwcu", "hr.version"),
)


def is_free(records: "Records") -> bool:
    """Say whether no right of a group is asked for: the twin's administrator has them all."""
    return records.is_sudo or "base.group_system" in records.groups


def may_model(records: "Records", model: str, mode: str, *, public: bool = False) -> bool:
    """Say whether the caller's groups may do this with the model."""
    if is_free(records):
        return True
    if public and (model, mode) == ("hr.employee", "r"):
        return True  # everybody reads the public profile
    groups = [records.schema.groups[name] for name in (*records.groups, "") if name in records.schema.groups]
    return any(mode in group.access.get(model, "") for group in groups)


def check_model(records: "Records", model: str, mode: str, *, public: bool = False) -> None:
    """Refuse what the caller's groups may not do with the model."""
    spec = records.model(model)
    if not may_model(records, model, mode, public=public):
        raise NotAllowed(f"You are not allowed to {_VERBS[mode]} '{spec.label}' ({model}) records.")


def may_field(records: "Records", field: Field) -> bool:
    """Say whether the caller may know a field."""
    return not field.group or is_free(records) or field.group in records.groups


def check_fields(records: "Records", model: str, names: Iterable[str], *, in_domain: Any = None) -> None:
    """Refuse fields that are kept for a group the caller is not in."""
    known = records.model(model).fields
    for name in names:
        field = known.get(str(name).partition(".")[0])
        if field is None or may_field(records, field):
            continue
        if model == "hr.employee" and "hr.group_hr_user" not in records.groups:
            if in_domain is not None:
                raise Wrong(f"Invalid field hr.employee.public.{name} in condition {in_domain!r}")
            raise NotAllowed(f"The fields “{name}” are not part of the public profile of an employee.")
        label = records.model(model).label
        raise NotAllowed(f'You do not have enough rights to access the field "{name}" on {label} ({model}).')


def hidden(records: "Records", model: str, mode: str) -> NotAllowed:
    """Say that a record is out of the caller's reach."""
    who = f"{records.name('res.users', records.uid)} (id={records.uid})"
    return NotAllowed(
        f"Sorry, {who} doesn't have '{_WORDS[mode]}' access to:\n- {records.model(model).label} ({model})"
    )


def visible(records: "Records", model: str, mode: str) -> domains.Test | None:
    """Build the test of what the caller may reach of a model; None where it is everything."""
    if records.is_sudo:
        return None
    key = ("visible", model, mode)
    if key not in records.memo:
        records.memo[key] = _visible(records, model, mode)
    found: domains.Test | None = records.memo[key]
    return found


def _visible(records: "Records", model: str, mode: str) -> domains.Test | None:
    if model == "mail.activity":
        return None if is_free(records) else functools.partial(_activity_is_open, records, mode)
    if model == "mail.message":
        return None if is_free(records) else functools.partial(_message_is_open, records, mode)
    who = Caller(records.uid, records.user.get("partner_id", 0), list(records.companies))
    mine = [rule for rule in RULES if rule[0] == model and mode in rule[2]]
    tests = [_rule_test(records, rule, who) for rule in mine if not rule[1]]
    some = [rule for rule in mine if rule[1] and rule[1] in records.groups]
    if some and not is_free(records):
        any_of = [_rule_test(records, rule, who) for rule in some]
        tests.append(lambda row: any(test(row) for test in any_of))
    return (lambda row: all(test(row) for test in tests)) if tests else None


def _rule_test(records: "Records", rule: Rule, who: Caller) -> domains.Test:
    return domains.test(records.sudo, rule[0], domains.parse(rule[3](who) if callable(rule[3]) else rule[3]))


def may_record(records: "Records", model: str, id: int, mode: str) -> bool:  # noqa: A002
    """Say whether the record is there and the caller may do this with it."""
    key = ("record", model, id, mode)
    if key not in records.memo:
        row = records.store.get(model, id) if model in records.schema.models else None
        allowed = row is not None and may_model(records, model, mode)
        test = visible(records, model, mode) if allowed else None
        records.memo[key] = allowed and (test is None or (row is not None and test(row)))
    return bool(records.memo[key])


def _activity_is_open(records: "Records", mode: str, row: Row) -> bool:
    """An activity is its assignee's, and its maker may change it; others need the same right on the document."""
    if row.get("user_id") == records.uid:
        return True
    model, document, is_mine = row.get("res_model"), row.get("res_id"), row.get("create_uid") == records.uid
    if not model or not document or (is_mine and mode != "r"):
        return is_mine
    return may_record(records, model, document, "r" if mode == "r" else "w")


def _message_is_open(records: "Records", mode: str, row: Row) -> bool:
    """A message is its author's; others need its document."""
    model, document = row.get("model"), row.get("res_id")
    if mode in "ru" and row.get("author_id") == records.user.get("partner_id"):
        return True
    if not model or not document:
        return mode == "c"
    return may_record(records, model, document, "r" if mode == "r" or model in READERS_POST else "w")
