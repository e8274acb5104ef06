"""What the receipt action can do, by name: the same list that stands in its text."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from purser.changes import Change, RunOperation
from purser.errors import Permanent
from purser.naming import did_you_mean


@dataclass(frozen=True, slots=True)
class UndoneReceipt:
    """How one sees of a record that what was done was undone since: a field has this value."""

    field: str
    value: str | bool
    why: str = ""
    """What a refusal says then; '' where the operation is carried out again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerOperation:
    """One business operation."""

    on: str
    """The model it is done on."""
    makes: str
    """The model of the record that its key names afterwards."""
    prefixes: tuple[str, ...]
    """How its keys begin."""
    touches_money: bool = False
    """It is the billing bot's."""
    undone: tuple[UndoneReceipt, ...] = ()
    """When its receipt does not say done any more, although the record is there."""
    undone_by_credit: bool = False
    """Posted credit notes over the whole amount undo it as well, reconciled with the invoice or not."""


OPERATIONS: Mapping[str, ServerOperation] = MappingProxyType(
    {
        "milestone.reach": ServerOperation(
            on="project.milestone",
            makes="project.milestone",
            prefixes=("milestone/",),
            undone=(
                UndoneReceipt(
                    "is_reached", value=False, why="was reached for this before, and somebody has taken it back"
                ),
            ),
        ),
        "order.draft-invoice": ServerOperation(
            on="sale.order",
            makes="account.move",
            prefixes=("order/",),
            touches_money=True,
            undone=(UndoneReceipt("state", "cancel"), UndoneReceipt("payment_state", "reversed")),
            undone_by_credit=True,
        ),
        "project.from-template": ServerOperation(
            on="project.project",
            makes="project.project",
            prefixes=("opportunity/", "order/"),
            undone=(UndoneReceipt("active", value=False, why="is archived: take it out of the archive"),),
        ),
    }
)


def operation(name: str) -> ServerOperation:
    """Return an operation by name; Permanent where there is none of this name."""
    found = OPERATIONS.get(name)
    if found is None:
        raise Permanent(f"`{name}` is no operation of the receipt action.{did_you_mean(name, OPERATIONS)}")
    return found


def touches_money(change: Change) -> bool:
    """Return whether a change is for the billing bot to carry out."""
    return (
        isinstance(change, RunOperation)
        and change.operation in OPERATIONS
        and OPERATIONS[change.operation].touches_money
    )
