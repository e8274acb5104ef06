"""What every new Odoo database holds: a company, its currency, units, groups, activity types, the administrator."""

from typing import TYPE_CHECKING, Any

from odoo_client.twin import writing

if TYPE_CHECKING:
    from odoo_client.twin.records import Records

_UNITS: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("product_uom_unit", 1, {"name": "Units"}),
    ("product_uom_hour", 4, {"name": "Hours"}),
    ("product_uom_day", 5, {"name": "Days", "relative_uom_id": 4, "relative_factor": 8.0, "factor": 8.0}),
    ("product_uom_minute", 6, {"name": "Minutes", "relative_uom_id": 4, "factor": 0.0166667}),
)
_TYPES = (
    ("mail.mail_activity_data_email", 1, "Email"),
    ("mail.mail_activity_data_call", 2, "Call"),
    ("mail.mail_activity_data_meeting", 3, "Meeting"),
    ("mail.mail_activity_data_todo", 4, "To-Do"),
    ("mail.mail_activity_data_upload_document", 5, "Document"),
    ("mail.mail_activity_data_warning", 6, "Exception"),
)
_SUBTYPES = (
    ("mail.mt_comment", "Discussions", False),
    ("mail.mt_note", "Note", True),
    ("mail.mt_activities", "Activities", True),
)
_COUNTRIES = (("be", "Belgium"), ("de", "Germany"), ("fr", "France"), ("nl", "Netherlands"), ("us", "United States"))
_STAGES = (("New", 1, False), ("Qualified", 2, False), ("Proposition", 3, False), ("Won", 70, True))
_CURRENCIES = (("USD", "$"), ("EUR", "€"))
_MODULES = {"hr", "project", "sale", "crm", "account", "purchase", "hr_expense", "hr_timesheet", "sale_timesheet"}


def lay(records: "Records") -> None:
    """Fill an empty store."""
    for name in sorted(records.schema.models):
        xid = f"{name.split('.')[0]}.model_{name.replace('.', '_')}"
        put(records, "ir.model", {"name": records.model(name).label, "model": name}, xid=_model_xid(name, xid))
    for name in sorted(records.schema.groups):
        if name:
            put(records, "res.groups", {"name": records.schema.groups[name].label}, xid=name)
    for code, symbol in _CURRENCIES:
        values = {"name": code, "symbol": symbol, "decimal_places": 2, "rounding": 0.01}
        put(records, "res.currency", values, xid=f"base.{code}")
    for xid, id_, values in _UNITS:
        put(records, "uom.uom", values, xid=f"uom.{xid}", id_=id_)
    for xid, id_, label in _TYPES:
        put(records, "mail.activity.type", {"name": label}, xid=xid, id_=id_)
    for xid, label, is_internal in _SUBTYPES:
        put(records, "mail.message.subtype", {"name": label, "internal": is_internal}, xid=xid)
    for code, label in _COUNTRIES:
        put(records, "res.country", {"name": label, "code": code.upper()}, xid=f"base.{code}")
    for place, (label, sequence, is_won) in enumerate(_STAGES, 1):
        put(
            records,
            "crm.stage",
            {"name": label, "sequence": sequence, "is_won": is_won},
            xid=f"crm.stage_lead{place}",
        )
    for name in sorted(_MODULES):
        put(records, "ir.module.module", {"name": name, "state": "installed"})
    put(records, "res.partner", {"name": "My Company", "is_company": True}, xid="base.main_partner")
    put(records, "res.company", {"name": "My Company", "partner_id": 1}, xid="base.main_company")
    calendar = put(
        records, "resource.calendar", {"name": "Standard 40 hours/week"}, xid="resource.resource_calendar_std"
    )
    _week(records, calendar)
    writing.write(records, "res.company", [1], {"resource_calendar_id": calendar})
    root = put(
        records, "res.users", {"name": "OdooBot", "login": "__system__", "active": False}, xid="base.user_root"
    )
    writing.write(records, "res.users", [root], {"company_ids": [[6, 0, [1]]]})


def _week(records: "Records", calendar: int) -> None:
    halves = (("morning", 8.0, 12.0), ("lunch", 12.0, 13.0), ("afternoon", 13.0, 17.0))
    for day in range(5):
        for part, first, last in halves:
            values = {"dayofweek": str(day), "hour_from": first, "hour_to": last, "day_period": part}
            hours = {"duration_hours": last - first, "duration_days": 0.0 if part == "lunch" else 0.5}
            named = {"name": f"{part} {day}", "calendar_id": calendar}
            put(records, "resource.calendar.attendance", {**named, **values, **hours})
    writing.write(
        records, "resource.calendar", [calendar], {"hours_per_week": 40.0, "full_time_required_hours": 40.0}
    )


def put(
    records: "Records", model: str, values: dict[str, Any], *, xid: str = "", id_: int = 0, stamps: bool = True
) -> int:
    """Make one record, under this external id and with this id where given."""
    if id_:
        records.store.reserve(model, id_)
    new = writing.create(records, model, values, stamps=stamps)
    if xid:
        module, _, name = xid.partition(".")
        row = {"module": module, "name": name, "model": model, "res_id": new}
        writing.create(records, "ir.model.data", row)
    return new


_MODULE_OF = {
    "account.analytic.line": "analytic",
    "account.analytic.account": "analytic",
    "hr.expense": "hr_expense",
    "hr.leave": "hr_holidays",
}


def _model_xid(name: str, usual: str) -> str:
    module = _MODULE_OF.get(name) or ("base" if name.startswith(("res.", "ir.")) else usual.split(".")[0])
    return f"{module}.model_{name.replace('.', '_')}"
