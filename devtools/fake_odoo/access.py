"""Who may do what with which record: rights of groups on models, rules on rows, fields kept for some."""

import functools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from devtools.fake_odoo import domain as domains
from devtools.fake_odoo.odoo_errors import AccessError
from devtools.fake_odoo.schema import Field
from devtools.fake_odoo.tables import Row
from odoo_client.apply.preconditions import READERS_POST

if TYPE_CHECKING:
    from devtools.fake_odoo.recordset import RecordSet

MODES = {"read": "r", "write": "w", "create": "c", "unlink": "u"}
_VERBS = {"r": "access", "w": "modify", "c": "create", "u": "delete"}
_WORDS = {letter: word for word, letter in MODES.items()}


def is_free(records: "RecordSet") -> bool:
    """Return whether no right of a group is asked for: the twin's administrator has them all."""
    return records.is_sudo or "base.group_system" in records.groups


def may_model(records: "RecordSet", model: str, mode: str, *, public: bool = False) -> bool:
    """Return whether the caller's groups may do this with the model; everybody reads an employee's public profile."""
    if is_free(records) or (public and (model, mode) == ("hr.employee", "r")):
        return True
    known = records.schema.groups
    return any(mode in known[name].access.get(model, "") for name in (*records.groups, "") if name in known)


def check_model(records: "RecordSet", model: str, mode: str, *, public: bool = False) -> None:
    """Refuse what the caller's groups may not do with the model."""
    spec = records.model(model)
    if not may_model(records, model, mode, public=public):
        raise AccessError(f"You are not allowed to {_VERBS[mode]} '{spec.label}' ({model}) records.")


def may_field(records: "RecordSet", field: Field) -> bool:
    """Return whether the caller may know a field."""
    return not field.group or is_free(records) or field.group in records.groups


def check_fields(records: "RecordSet", model: str, names: Iterable[str]) -> None:
    """Refuse fields that are kept for a group the caller is not in."""
    known = records.model(model).fields
    for name in names:
        field = known.get(name.partition(".")[0])
        if field is not None and not may_field(records, field):
            label = records.model(model).label
            raise AccessError(f'You do not have enough rights to access the field "{name}" on {label} ({model}).')


def hidden(records: "RecordSet", model: str, mode: str) -> AccessError:
    """Say that a record is out of the caller's reach."""
    who = f"{records.name('res.users', records.uid)} (id={records.uid})"
    what = f"{records.model(model).label} ({model})"
    return AccessError(f"Sorry, {who} doesn't have '{_WORDS[mode]}' access to:\n- {what}")


def visible(records: "RecordSet", model: str, mode: str) -> domains.Test | None:
    """Build the test of what the caller may reach of a model; None where it is everything."""
    if records.is_sudo:
        return None
    is_open = {"mail.activity": _activity_is_open, "mail.message": _message_is_open}.get(model)
    if is_open is not None:
        return None if is_free(records) else functools.partial(is_open, records, mode)
    companies = list(records.companies)
    words = {"@uid": records.uid, "@partner": records.user.get("partner_id", 0)}
    words |= {"@companies": companies, "@companies_or_none": [*companies, False]}
    mine = [(group, domain) for group, modes, domain in records.schema.rules.get(model, ()) if mode in modes]
    tests = [domains.test(records.sudo, model, _filled(domain, words)) for group, domain in mine if not group]
    if not is_free(records):
        any_of = [
            domains.test(records.sudo, model, _filled(domain, words))
            for group, domain in mine
            if group in records.groups
        ]
        if any_of:
            tests.append(lambda row: any(test(row) for test in any_of))
    return (lambda row: all(test(row) for test in tests)) if tests else None


def _filled(value: Any, words: Mapping[str, Any]) -> Any:
    """Put the caller in the place of `@uid` and the like."""
    if isinstance(value, list):
        return [_filled(item, words) for item in value]
    return words.get(value, value) if isinstance(value, str) else value


def may_record(records: "RecordSet", model: Any, id: Any, mode: str) -> bool:  # noqa: A002
    """Return whether the record is there and the caller may do this with it."""
    row = records.store.get(model, id) if model in records.schema.models else None
    if row is None or not may_model(records, model, mode):
        return False
    test = records.visible(model, mode)
    return test is None or test(row)


def _activity_is_open(records: "RecordSet", mode: str, row: Row) -> bool:
    """An activity is its assignee's, and its maker may change it; others need the same right on the document."""
    if row.get("user_id") == records.uid or (row.get("create_uid") == records.uid and mode != "r"):
        return True
    return records.may_record(row["res_model"], row["res_id"], "r" if mode == "r" else "w")


def _message_is_open(records: "RecordSet", mode: str, row: Row) -> bool:
    """A message is its author's; others need its document."""
    if mode in "ru" and row.get("author_id") == records.user.get("partner_id"):
        return True
    return may_record(
        records, row["model"], row["res_id"], "r" if mode == "r" or row["model"] in READERS_POST else "w"
    )
