"""What would become of a change, or of a whole message, were it carried out now."""

import enum
from dataclasses import dataclass
from typing import Any


class PredictedOutcome(enum.StrEnum):
    """The end that can be foreseen without writing anything."""

    APPLY = "apply"
    DONE = "already done"
    SUPERSEDED = "superseded"
    CONFLICT = "conflict"
    REFUSED = "would be refused"
    UNREADABLE = "unreadable"
    UNKNOWN = "cannot tell"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a record, now and then. A record it points to is written as `model/id`, or by its business key
    or external id where the change names it so."""

    field: str
    now: Any
    then: Any
