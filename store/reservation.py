"""A message that a worker holds: where the broker notes that it does, when broker and ledger are one Redis."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MessageReservation:
    """The broker's record of a message in flight: a field of a hash. Whoever takes it off has settled the message.

    A ledger script that is given one first looks whether it still stands (else the message is no longer ours, and
    nothing is written), then writes, then takes it off: so the message is in exactly one place at any instant.
    """

    key: str
    field: str
