"""Who may send events over HTTP: each source has secrets of its own, several while they are exchanged."""

import re
from dataclasses import dataclass, field

from events.signature import PREFIX, read_secret
from purser.errors import Mistake

MOST_SECRETS = 5
"""Live secrets of one source; an exchange takes two."""


@dataclass(frozen=True, slots=True)
class Sender:
    """A source and the keys it signs with."""

    source: str
    keys: tuple[bytes, ...] = field(repr=False)

    def speaks_for(self, source: str) -> bool:
        """Say whether events of this source are its own: `/crm` speaks for `/crm` and `/crm/eu`, not for `/crmx`."""
        return source == self.source or source.startswith(f"{self.source}/")


def read_senders(text: str) -> tuple[Sender, ...]:
    """Read `/crm whsec_... whsec_...; /billing whsec_...`, one entry a line or with `;` between; `#` begins a remark.

    Mistake names the entry by its number: whatever stands in it may be a secret.
    """
    lines = [line.partition("#")[0].split() for line in re.split(r"[\n;]", text)]
    senders = [_sender(number, words) for number, words in enumerate([words for words in lines if words], start=1)]
    if not senders:
        raise Mistake(f"nobody is named: write a source and its secrets, such as `/crm {PREFIX}...`")
    _no_two_alike("source", [one.source for one in senders])
    _no_two_alike("secret", [key for one in senders for key in one.keys])
    return tuple(senders)


def secrets_in(text: str) -> tuple[str, ...]:
    """Give every secret in such a text, for whoever keeps them out of logs."""
    return tuple(word for word in re.split(r"[\s;]+", text) if word.startswith(PREFIX))


def _sender(number: int, words: list[str]) -> Sender:
    source, *secrets = words
    if source.startswith(PREFIX):
        raise Mistake(f"entry {number} begins with a secret: the source stands first, as in `/crm {PREFIX}...`")
    if not source.rstrip("/"):
        raise Mistake(f"entry {number} names the source `/`, which would speak for everybody")
    if not 1 <= len(secrets) <= MOST_SECRETS:
        raise Mistake(f"entry {number} has {len(secrets)} secrets: 1 to {MOST_SECRETS} stand behind the source")
    try:
        return Sender(source.rstrip("/"), tuple(map(read_secret, secrets)))
    except Mistake as error:
        raise Mistake(f"entry {number}: {error}") from None


def _no_two_alike(what: str, values: list[str] | list[bytes]) -> None:
    if len(set(values)) < len(values):
        raise Mistake(f"the same {what} stands in two places: each {what} belongs to one sender, once")
