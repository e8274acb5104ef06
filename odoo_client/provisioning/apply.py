"""What the plan says is made in Odoo, each record with its external id in one call, and taken away by that id."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from odoo_client.apply import bulk_load
from odoo_client.apply.bulk_load import LoadBatch, Loaded
from odoo_client.client import OdooClient
from odoo_client.provisioning.current_state import CONTACT, CurrentStateReader, InstalledRecord
from odoo_client.provisioning.desired_state import MODULE, DesiredRecord
from odoo_client.provisioning.plan import CurrentState, ExistingRecord, PlannedAction, PlannedRecord, make_plan
from odoo_client.transport.request import Request
from purser.errors import Refusal

_QUIET = {"no_reset_password": True, "mail_create_nosubscribe": True, "tracking_disable": True}
_ORDER = ("ir.actions.server", "base.automation", "res.groups", "res.users")
"""In this order things are taken away: what names another goes before it."""


def apply_plan(
    admin: OdooClient, wanted: Sequence[DesiredRecord], *, force: bool = False
) -> tuple[PlannedRecord, ...]:
    """See that everything wanted stands; give what was done with each. Killed half way, it is run again.

    Records of a model are made in one call: at each new rule all workers of Odoo load their models anew.
    """
    finder = CurrentStateReader(admin)
    ids, records = finder.known(wanted).ids, finder.records(wanted)
    done: list[PlannedRecord] = []
    for _, run in itertools.groupby(wanted, lambda one: one.model):
        items = make_plan(list(run), CurrentState(records=records, ids=ids), force=force)
        make = [item for item in items if item.do is PlannedAction.MAKE]
        for item, id_ in zip(make, _load(admin, make), strict=True):
            records[item.wanted.name] = ExistingRecord(id=id_, values=item.values)
        for item in items:
            _mend(admin, item)
        done += items
    late = [item.wanted for item in done if item.do is PlannedAction.MAKE and _is_late(item)]
    for item in make_plan(late, CurrentState(records=records, ids=ids), force=force):
        _mend(admin, item)
    return tuple(done)


def _is_late(item: PlannedRecord) -> bool:
    """Return whether a record was made without a value that names a later one."""
    return bool(item.wanted.values.keys() - item.values.keys())


def _mend(admin: OdooClient, item: PlannedRecord) -> None:
    if item.do is PlannedAction.MEND and item.id is not None and item.values:
        _send(admin, item.wanted.model, "write", [item.id], vals=_commands(item.values))


def _commands(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return lists of ids as the command that sets them; commands stay."""
    return {
        name: [[6, 0, value]] if isinstance(value, list) and not any(isinstance(v, list) for v in value) else value
        for name, value in values.items()
    }


def _load(admin: OdooClient, items: Sequence[PlannedRecord]) -> list[int]:
    """Make records of one model, each and its external id at once, so that none is ever left without a name."""
    made: list[int] = []
    cells = [dict(_cell(name, value) for name, value in item.values.items()) for item in items]
    for columns, run in itertools.groupby(zip(items, cells, strict=True), lambda pair: tuple(pair[1])):
        rows = [(item, [f"{MODULE}.{item.wanted.name}", *row.values()]) for item, row in run]
        model = rows[0][0].wanted.model
        batch = LoadBatch(model=model, columns=("id", *columns), rows=[row for _, row in rows], context=_QUIET)
        for (item, _), result in zip(rows, bulk_load.bulk_load(admin, batch), strict=True):
            if not isinstance(result, Loaded):
                raise Refusal(f"{item.wanted.what} could not be made: {result.reason}")
            made.append(result.id)
    return made


def _cell(name: str, value: Any) -> tuple[str, str]:
    match value:
        case bool():
            return name, "1" if value else "0"
        case list():
            return f"{name}/.id", ",".join(map(str, value))
        case int():
            return f"{name}/.id", str(value)
        case _:
            return name, str(value)


# ------------------------------------------------------------------------------ taking away --


def installed_records(admin: OdooClient) -> tuple[InstalledRecord, ...]:
    """Return what stands of ours, in the order in which it is taken away."""
    found = CurrentStateReader(admin).standing()
    order = {model: place for place, model in enumerate(_ORDER)}
    return tuple(sorted(found, key=lambda one: (order.get(one.model, -1), one.name)))


def remove(admin: OdooClient, standing: Sequence[InstalledRecord]) -> None:
    """Take records away, and their external ids. Users are archived, for what they wrote is theirs."""
    for model, run in itertools.groupby(standing, lambda one: one.model):
        those = list(run)
        ids = [one.id for one in those]
        if model == "res.users":
            _send(admin, model, "write", ids, vals={"active": False})
        elif there := _send(admin, model, "search", domain=[["id", "in", ids]], active_test=False):
            _send(admin, model, "unlink", there)
        names = [name for one in those for name in (one.name, f"{one.name}_{CONTACT.replace('.', '_')}")]
        left = _send(admin, "ir.model.data", "search", domain=[["module", "=", MODULE], ["name", "in", names]])
        if left:
            _send(admin, "ir.model.data", "unlink", left)


# ------------------------------------------------------------------------------------ keys --

_KEY = (
    "key = env(user=env.context['purser_user'])['res.users.apikeys'].sudo()._generate("
    "'rpc', 'purser', datetime.datetime.now() + datetime.timedelta(days=env.context['purser_days']))\n"
    "action = {'type': 'ir.actions.act_window_close', 'infos': key}"
)


def make_key(admin: OdooClient, login: str, *, days: int) -> str:
    """Make an API key of a user, by code that runs in Odoo once: no method of the API makes one."""
    groups = CurrentStateReader(admin).dialect(()).groups
    model = _send(admin, "ir.model", "search", domain=[["model", "=", "res.users"]])
    system = _send(admin, "ir.model.data", "check_object_reference", module="base", xml_id="group_system")[1]
    user = _send(admin, "res.users", "search", domain=[["login", "=", login]])
    if not user:
        raise Refusal(f"there is no user {login}: `purser odoo setup` makes it")
    one = DesiredRecord(name="make_key", model="ir.actions.server", what="action that makes a key")
    values: dict[str, Any] = {
        "name": "Purser: make a key",
        "model_id": model[0],
        "state": "code",
        "code": _KEY,
        groups: [system],
    }
    (id_,) = _load(admin, [PlannedRecord(wanted=one, do=PlannedAction.MAKE, values=values)])
    action = InstalledRecord(one.name, one.model, id_)
    try:
        context = {"purser_user": user[0], "purser_days": days}
        request = Request(model="ir.actions.server", method="run", ids=(action.id,), context=context)
        return str(admin.send(request)["infos"])
    finally:
        remove(admin, [action])


def try_hook(admin: OdooClient, hook: InstalledRecord, model: str) -> bool:
    """Let a webhook tell of some record, as if it had changed; False where there is none to tell of.

    Odoo posts before it answers, and does not say what came of it: that is for the other end to tell.
    """
    some = _send(admin, model, "search", domain=[], limit=1, order="id desc", active_test=False)
    if some:
        context = {"active_model": model, "active_id": some[0], "active_ids": some}
        admin.send(Request(model=hook.model, method="run", ids=(hook.id,), context=context))
    return bool(some)


def _send(
    admin: OdooClient,
    model: str,
    method: str,
    ids: Sequence[int] | None = None,
    *,
    active_test: bool = True,
    **arguments: Any,
) -> Any:
    context = {} if active_test else {"active_test": False}
    request = Request(
        model=model, method=method, ids=None if ids is None else tuple(ids), arguments=arguments, context=context
    )
    return admin.send(request)
