"""What leaves the process in a log or a report holds no secret and no personal data.

Three nets, each for what the others miss: values under a telling key, secrets known from the settings wherever they
stand, and what looks like a secret or a person inside a text (`password=...`, `user:pass@host`, an e-mail address).
A name in free text without a key beside it cannot be told from other words: do not write it there.

Every text comes from somebody else. The cost is proportional to its length whatever it holds, and a text is cut
before it is searched: each pattern here looks at a character a constant number of times.
"""

import dataclasses
import datetime as dt
import enum
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from pydantic import BaseModel

SECRET = "<secret>"  # noqa: S105 - what stands in its place
PERSONAL = "<personal>"
MAX_TEXT_LENGTH = 60_000
"""Characters of one text that are shown; the rest is counted."""
MAX_TOTAL_CHARACTERS = 240_000
"""Characters of all texts of one value together."""
_DEPTH = 8
_SHORTEST = 4
"""A shorter secret stands in ordinary words; cutting it out would shred the text and so show what it is."""
_MARGIN = 1000
"""Characters behind the cut that are searched as well, so that no secret is cut before it is recognised."""

_SECRETIVE = r"(?:password|passwd|passphrase|api[-_]?key|token|secret|authorization|cookie|credentials?|dsn)"
_SECRET_KEY = re.compile(_SECRETIVE, re.IGNORECASE)
_PERSON_KEYS = frozenset(
    {"name", "street", "street2", "vat", "iban", "birthday", "summary", "note", "body", "feedback"}
    | {
        f"{whose}_name"
        for whose in (
            *("display", "complete", "subject", "partner", "employee", "customer", "contact", "user", "manager"),
            *("first", "last", "full"),
        )
    }
)
_PERSON_WORDS = frozenset({"mail", "email", "phone", "mobile", "login"})
"""Words that make a key personal wherever they stand in it, such as `email_from`."""

_QUOTE = r"""\\*+["']"""  # as it stands in JSON, in Python, and in either of them quoted once more
_SECRET_HEAD = re.compile(
    rf"{_SECRETIVE}(?:{_QUOTE})?+\s*+[:=]\s*+(?:(?:bearer|basic)\s++)?(?P<quote>{_QUOTE})?+", re.IGNORECASE
)
_PERSON_HEAD = re.compile(rf"(?<![\w.])(?P<key>\w++)(?:{_QUOTE}\s*+[:=]|=)\s*+(?P<quote>{_QUOTE})?+")
_UNQUOTED = re.compile(r"""[^\s,;&)}\]"']++""")
_CLOSING = re.compile(r"""(?<!\\)\\*+["']""")
_BEARER = re.compile(r"(?P<before>\b(?:bearer|basic)\s++)[\w.~+/=-]{8,}+", re.IGNORECASE)
_SERVER = re.compile(r"(?P<scheme>\b(?:amqps?|rediss?|redis\+socket|sentinel|unix)://)[^\s'\"]++", re.IGNORECASE)
_NEXT_SERVER = re.compile(r"(?<=[;,])(?=[a-z][a-z0-9+]{1,20}://)", re.IGNORECASE)
_USERINFO = re.compile(r"://@*+(?:[^\s/'\"@]++@++)++")
_MAILBOX = re.compile(r"(?<![\w.%+-])[\w.%+-]++@(?P<host>[\w.-]*[\w-]\.[^\W\d_]{2,}+)")
_PHONE = re.compile(r"(?<![\w+])(?:\+|00)[1-9](?:[ ()/.-]{0,2}\d){7,13}+(?![\w:])")
"""A number with its country code; any other number may be an id."""


@dataclasses.dataclass(frozen=True)
class Redactor:
    """Gives values as they may be shown."""

    secrets: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    hosts: frozenset[str] = frozenset()
    """Machines whose `worker@host` is the name of a process and no e-mail address."""
    hides_people: bool = True
    longest_text: int | None = MAX_TEXT_LENGTH
    """Characters of one text that are shown; None shows all of it."""

    @classmethod
    def of(cls, secrets: Iterable[str], *, hosts: Iterable[str] = ()) -> "Redactor":
        """Build one that knows these secrets; the longest goes first, for one may hold another."""
        known = sorted({one for one in secrets if len(one) >= _SHORTEST}, key=len, reverse=True)
        return cls(tuple(known), frozenset(host.lower() for host in hosts))

    def for_insiders(self) -> "Redactor":
        """Return one that hides secrets alone, for a page behind the login: whoever edits a name must see it."""
        return dataclasses.replace(self, hides_people=False, longest_text=None)

    def text(self, text: str) -> str:
        """Return a text without what must not be shown, cut to `longest_text` characters."""
        return self._clean(text) if self.longest_text is None else self.excerpt(text, self.longest_text)

    def excerpt(self, text: str, limit: int) -> str:
        """Return the first `limit` characters of a text as they may be shown, and how long it is if it is longer."""
        return self._clean(text) if len(text) <= limit else f"{self.head(text, limit)} ... {len(text):,} characters"

    def head(self, text: str, limit: int) -> str:
        """Return the first `limit` characters of a text as they may be shown.

        What is searched reaches behind the cut, and as much is dropped from the end: half a secret is never shown.
        """
        margin = max(_MARGIN, *map(len, self.secrets[:1]), 0)
        if len(text) <= limit + margin:
            return self._clean(text)[:limit]
        shown = self._clean(text[: limit + margin])
        return shown[: max(0, len(shown) - margin)][:limit]

    def _clean(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, SECRET)
        if "://" in text:
            text = _SERVER.sub(_server, text)
            text = _USERINFO.sub(f"://{SECRET}@", text)
        text = _replaced(text, _SECRET_HEAD, lambda _: True, SECRET)
        text = _BEARER.sub(rf"\g<before>{SECRET}", text)
        if not self.hides_people:
            return text
        text = _replaced(text, _PERSON_HEAD, lambda head: is_personal(head["key"]), PERSONAL)
        text = _PHONE.sub(PERSONAL, text)
        return _MAILBOX.sub(self._mailbox, text) if "@" in text else text

    def _mailbox(self, found: re.Match[str]) -> str:
        return found[0] if found["host"].lower() in self.hosts else PERSONAL

    def entry(self, key: object, value: Any) -> Any:
        """Return the value that stands under a key."""
        return _RedactionWalk(self).entry(key, value, 0)

    def value(self, value: Any) -> Any:
        """Return any value as plain data that may be shown: what has no plain form, as redacted text."""
        return _RedactionWalk(self).value(value, 0)


class _RedactionWalk:
    """Goes through one value, and stops when it has shown as much as one value may show."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._left: float = float("inf") if redactor.longest_text is None else MAX_TOTAL_CHARACTERS

    def entry(self, key: object, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(key, str) and is_secretive(key):
            return SECRET
        if self._redactor.hides_people and isinstance(key, str) and is_personal(key):
            return PERSONAL
        return self.value(value, depth)

    def value(self, value: Any, depth: int) -> Any:
        self._left -= 1
        match value:
            case enum.Enum():
                return self.value(value.value, depth)
            case None | bool() | int() | float():
                return value
            case str():
                return self._text(value)
            case dt.datetime() | dt.date() | dt.time():
                return value.isoformat()
            case bytes() | bytearray():
                return f"<{len(value)} bytes>"
        if depth >= _DEPTH:
            return f"<{type(value).__name__}>"
        return self._nested(value, depth + 1)

    def _text(self, text: str) -> str:
        if self._left <= 0:
            return f"<{len(text):,} characters>"
        self._left -= min(len(text), MAX_TEXT_LENGTH)
        return self._redactor.text(text)

    def _nested(self, value: Any, depth: int) -> Any:
        match value:
            case Mapping():
                items = self._affordable(value.items())
                return {self._text(str(key)): self.entry(key, one, depth) for key, one in items}
            case AbstractSet():
                return sorted((self.value(one, depth) for one in self._affordable(value)), key=str)
            case list() | tuple():
                return [self.value(one, depth) for one in self._affordable(value)]
            case BaseModel():
                return {name: self.entry(name, one, depth) for name, one in value}
        if dataclasses.is_dataclass(value) and not isinstance(value, type) and "__str__" not in vars(type(value)):
            fields = dataclasses.fields(value)
            return {field.name: self.entry(field.name, getattr(value, field.name), depth) for field in fields}
        return self._text(str(value))

    def _affordable(self, items: Iterable[Any]) -> Iterator[Any]:
        for one in items:
            if self._left <= 0:
                return
            yield one


def is_secretive(key: str) -> bool:
    """Return whether what stands under a key is a secret."""
    return _SECRET_KEY.search(key) is not None


def is_personal(key: str) -> bool:
    """Return whether what stands under a key is about a person."""
    name = key.lower()
    return name in _PERSON_KEYS or not _PERSON_WORDS.isdisjoint(name.split("_"))


def _replaced(text: str, head: re.Pattern[str], counts: Callable[[re.Match[str]], bool], mask: str) -> str:
    """Replace the value behind each `head` that counts."""
    parts, at, start = [], 0, 0
    while (found := head.search(text, start)) is not None:
        start = found.end()
        end = _value_end(text, found["quote"], start) if counts(found) else None
        if end is not None:
            parts += [text[at : start - len(found["quote"] or "")], mask]
            at = start = end
    return "".join((*parts, text[at:]))


def _value_end(text: str, quote: str | None, start: int) -> int | None:
    """Return where a value ends that begins at `start`; None where there is no value.

    A quote within the value has more backslashes before it than the one that opened it, by a number that follows from
    how often the whole was quoted. A value whose quote is never closed takes the rest of the text: it was cut.
    """
    if quote is None:
        plain = _UNQUOTED.match(text, start)
        return None if plain is None else plain.end()
    escapes = len(quote) - 1
    step = 1 << escapes.bit_length()
    for found in _CLOSING.finditer(text, start):
        more = len(found[0]) - 1 - escapes
        if found[0][-1] == quote[-1]:
            if more < 0:  # the string around the value ends here
                return found.start()
            if more % step or not more // step % 2:
                return found.end()
    return len(text)


def _server(found: re.Match[str]) -> str:
    """Mask the account in an address of a broker, whatever stands in its password; several may follow each other."""
    return "".join(map(_masked_node, _NEXT_SERVER.split(found[0])))


def _masked_node(url: str) -> str:
    scheme, _, rest = url.partition("://")
    _, at, host = rest.rpartition("@")
    return f"{scheme}://{SECRET}@{host}" if at else url
