"""What the plan says is made in Odoo, each record with its external id in one call, and taken away by that id."""

from collections.abc import Mapping, Sequence
from typing import Any

from odoo_client import importing
from odoo_client.client import OdooClient
from odoo_client.importing import Batch, Loaded
from odoo_client.setup.finding import Finder, Looked
from odoo_client.setup.plan import Do, Found, Item, Known, plan
from odoo_client.setup.wanted import MODULE, Wanted
from odoo_client.wire import Request
from purser.errors import Refusal

_QUIET = {"no_reset_password": True, "mail_create_nosubscribe": True, "tracking_disable": True}
_LAST = ("base.automation", "ir.actions.server", "res.groups", "res.users")
"""In this order things are taken away: who is named by another goes after it."""


def carry_out(admin: OdooClient, wanted: Sequence[Wanted], *, force: bool = False) -> tuple[Item, ...]:
    """See that everything wanted stands; give what was done with each. Killed half way, it is run again."""
    finder = Finder(admin)
    ids, records = finder.known(wanted).ids, finder.records(wanted)
    done: list[Item] = []
    for one in wanted:
        item = _judged(one, Known(records=records, ids=ids), force=force)
        if item.do is Do.MAKE:
            id_ = _load(admin, one, item.values)
            records[one.name] = Found(id=id_, values=item.values)
        _mend(admin, item)
        done.append(item)
    made = [item.wanted for item in done if item.do is Do.MAKE and _is_late(item)]
    for one in made:
        _mend(admin, _judged(one, Known(records=records, ids=ids), force=force))
    return tuple(done)


def _judged(one: Wanted, known: Known, *, force: bool) -> Item:
    (item,) = plan([one], known, force=force)
    return item


def _is_late(item: Item) -> bool:
    """Say whether a record was made without a value that names a later one."""
    return bool(item.wanted.values.keys() - item.values.keys())


def _mend(admin: OdooClient, item: Item) -> None:
    if item.do is Do.MEND and item.id is not None and item.values:
        _send(admin, item.wanted.model, "write", [item.id], vals=_commands(item.values))


def _commands(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give lists of ids as the command that sets them; commands stay."""
    return {
        name: [[6, 0, value]] if isinstance(value, list) and not any(isinstance(v, list) for v in value) else value
        for name, value in values.items()
    }


def _load(admin: OdooClient, one: Wanted, values: Mapping[str, Any]) -> int:
    """Make a record and its external id at once, so that none is ever left without a name."""
    cells = dict(_cell(name, value) for name, value in values.items())
    row = [f"{MODULE}.{one.name}", *cells.values()]
    (made,) = importing.load(admin, Batch(model=one.model, columns=("id", *cells), rows=[row], context=_QUIET))
    if not isinstance(made, Loaded):
        raise Refusal(f"{one.what} could not be made: {made.reason}")
    return made.id


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


def standing(admin: OdooClient) -> tuple[Looked, ...]:
    """Give what stands of ours, in the order in which it is taken away."""
    found = Finder(admin).standing()
    order = {model: place for place, model in enumerate(_LAST)}
    return tuple(sorted(found, key=lambda one: (order.get(one.model, -1), one.name)))


def remove(admin: OdooClient, looked: Sequence[Looked]) -> None:
    """Take records away. Users are archived, for what they wrote is theirs; their external id goes."""
    for one in looked:
        if one.model == "res.users":
            _send(admin, one.model, "write", [one.id], vals={"active": False})
            names = _send(admin, "ir.model.data", "search", domain=[["module", "=", MODULE], ["name", "=", one.name]])
            _send(admin, "ir.model.data", "unlink", names)
            continue
        there = _send(admin, one.model, "search", domain=[["id", "=", one.id]], active_test=False)
        if there:
            _send(admin, one.model, "unlink", there)


# ------------------------------------------------------------------------------------ keys --

_KEY = (
    "key = env(user=env.context['purser_user'])['res.users.apikeys'].sudo()._generate("
    "'rpc', 'purser', datetime.datetime.now() + datetime.timedelta(days=env.context['purser_days']))\n"
    "action = {'type': 'ir.actions.act_window_close', 'infos': key}"
)


def make_key(admin: OdooClient, login: str, *, days: int) -> str:
    """Make an API key of a user, by code that runs in Odoo once: no method of the API makes one."""
    groups = Finder(admin).dialect(()).groups
    model = _send(admin, "ir.model", "search", domain=[["model", "=", "res.users"]])
    system = _send(admin, "ir.model.data", "check_object_reference", module="base", xml_id="group_system")[1]
    user = _send(admin, "res.users", "search", domain=[["login", "=", login]])
    if not user:
        raise Refusal(f"there is no user {login}: `purser odoo setup` makes it")
    one = Wanted(name="make_key", model="ir.actions.server", what="action that makes a key")
    values = {"name": "Purser: make a key", "model_id": model[0], "state": "code", "code": _KEY, groups: [system]}
    action = Looked(one.name, one.model, _load(admin, one, values))
    try:
        context = {"purser_user": user[0], "purser_days": days}
        request = Request(model="ir.actions.server", method="run", ids=(action.id,), context=context)
        return str(admin.send(request)["infos"])
    finally:
        remove(admin, [action])


def try_hook(admin: OdooClient, hook: Looked, model: str) -> bool:
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
