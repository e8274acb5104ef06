"""Who may send events over HTTP: each source has secrets of its own, several while they are exchanged."""

from dataclasses import dataclass, field

from config.security.signing_keys import read_keys
from purser.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class EventSource:
    """A source and the keys it signs with."""

    source: str
    keys: tuple[bytes, ...] = field(repr=False)

    def speaks_for(self, source: str) -> bool:
        """Return whether the sender may use a source: `/crm` speaks for `/crm` and `/crm/eu`, not for `/crmx`."""
        return source == self.source or source.startswith(f"{self.source}/")


def read_senders(text: str) -> tuple[EventSource, ...]:
    """Read `/crm whsec_... whsec_...; /billing whsec_...` (`read_keys`). ConfigurationError says what is wrong."""
    senders = tuple(EventSource(name.rstrip("/"), keys) for name, keys in read_keys(text).items())
    if any(not one.source for one in senders):
        raise ConfigurationError("the source `/` is named, which would speak for everybody")
    _no_two_alike("source", [one.source for one in senders])
    _no_two_alike("secret", [key for one in senders for key in one.keys])
    return senders


def _no_two_alike(what: str, values: list[str] | list[bytes]) -> None:
    if len(set(values)) < len(values):
        raise ConfigurationError(f"the same {what} stands in two places: each {what} belongs to one sender, once")
