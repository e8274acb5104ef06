"""What a control or an automation may do in Odoo, as its declaration says: the rights of the bots derive from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from purser.changes import CallMethod, Change, CloseActivity, Ensure, Key, PostNote, RunOperation, Update
from purser.errors import ConfigurationError
from purser.findings import Finding, Ref

ACTIVITY = "mail.activity"


@dataclass(frozen=True, kw_only=True, slots=True)
class Effects:
    """The models by what is done to their records, and the business operations."""

    creates: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    """Models whose records are changed."""
    activity_on: tuple[str, ...] = ()
    """Models whose records carry activities. Odoo lets nobody put one on a record that he may not write."""
    notes_on: tuple[str, ...] = ()
    """Models whose records carry notes. Reading a record is enough for that."""
    operations: tuple[str, ...] = ()
    """Operations of the receipt action, such as `order.draft-invoice`."""

    def rights(self) -> Iterator[tuple[str, str]]:
        """Yield each model with the right that a bot needs on it: `create`, `write` or `read`."""
        yield from ((model, "create") for model in self.creates)
        yield from ((model, "write") for model in (*self.writes, *self.activity_on))
        yield from ((model, "read") for model in self.notes_on)

    def change_problem(self, change: Change) -> str | None:
        """Return what the declaration would have to say for this change, or None where it says so."""
        wanted = _wanted(change)
        if wanted is None or wanted[1] in getattr(self, wanted[0]):
            return None
        return f'{wanted[0]}=("{wanted[1]}",)'

    def finding_problem(self, finding: Finding) -> str | None:
        """Return what the declaration would have to say for the case of this finding, or None where it says so."""
        on = finding.desk
        if on is not None:
            return None if on.model in self.activity_on else f'activity_on=("{on.model}",)'
        model = finding.subject.model
        return None if model in self.notes_on else f'notes_on=("{model}",)'


NO_EFFECTS = Effects()


def effects_of(where: str, **given: Sequence[str]) -> Effects:
    """Return the effects that a declaration names. Raises ConfigurationError where one is not a sequence of texts."""
    for name, value in given.items():
        if isinstance(value, str) or not all(value):
            raise ConfigurationError(f'{where}: {name} is a tuple of names, such as ("sale.order",), not {value!r}')
    return Effects(**{name: tuple(value) for name, value in given.items()})


def _wanted(change: Change) -> tuple[str, str] | None:
    """Return the part of a declaration that must name this change, and the name; None where any may do it."""
    match change:
        case CloseActivity():
            return None  # what it closes is an activity of its own
        case RunOperation():
            return "operations", change.operation
        case PostNote():
            return "notes_on", change.on.model
        case Ensure() if change.model == ACTIVITY:
            return "activity_on", _activity_model(change)
        case Ensure():
            return "creates", change.model
        case Update() | CallMethod():
            return "writes", change.ref.model


def _activity_model(change: Ensure) -> str:
    model, on = change.values.get("res_model"), change.values.get("res_id")
    return on.model if isinstance(on, (Key, Ref)) else str(model)
