"""What an event sets off has a name: that of an automation, or `subscription:NAME`. Each gets a message of its own.

The message of an event and a reaction has one id, however often it is sent: the inbox, the lines of what goes out and
the receivers of webhooks know it by that.
"""

import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

from store import Ledger

_SUBSCRIPTION = "subscription:"
"""No automation is called so: its name is words with hyphens."""
_NAMESPACE = uuid.UUID("8d5a4b1e-6a5c-5b53-9a40-6f7b7c0d2e11")


class Reaction(NamedTuple):
    """One event and one thing it sets off."""

    source: str
    event_id: str
    name: str

    @property
    def message_id(self) -> str:
        """The id of its message."""
        return str(uuid.uuid5(_NAMESPACE, f"{len(self.source)}:{self.source}{self.event_id}\n{self.name}"))

    @property
    def subscription(self) -> str:
        """The subscription it is for, '' for an automation."""
        return self.name.removeprefix(_SUBSCRIPTION) if self.name.startswith(_SUBSCRIPTION) else ""


def of_subscription(name: str) -> str:
    """Return the name of the reaction that tells a subscription."""
    return _SUBSCRIPTION + name


def reaction_of(values: Any) -> Reaction | None:
    """Read which reaction the arguments of a task are for; None for a task that is no reaction to an event."""
    event = values.get("event") if isinstance(values, Mapping) else None
    if not isinstance(event, dict):
        return None
    source, event_id = str(event.get("source")), str(event.get("id"))
    match values:
        case {"automation": str(name)}:
            return Reaction(source, event_id, name)
        case {"subscription": str(name)}:
            return Reaction(source, event_id, of_subscription(name))
    return None


def over(ledger: Ledger, reaction: Reaction) -> None:
    """Let the ledger wait for a reaction no longer: it is done, or in somebody's hands. The next in its line goes.

    The line comes first: who is killed in between is still awaited by the inbox, and so comes here again.
    """
    if reaction.subscription:
        following = ledger.outbound.leave(reaction.message_id)
        if following:
            ledger.delayed.wake(following)
    ledger.inbox.done(*reaction)
