"""What leaves the process in a log or a report holds no secret and no personal data.

Three nets, each for what the others miss: values under a telling key, secrets known from the settings wherever they
stand, and what looks like a secret or a person inside a text (`password=...`, `user:pass@host`, an e-mail address).
A name in free text without a key beside it cannot be told from other words: do not write it there.
"""

import dataclasses
import datetime as dt
import enum
import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from pydantic import BaseModel

SECRET = "<secret>"  # noqa: S105 - what stands in its place
PERSONAL = "<personal>"
_DEPTH = 8
_SHORTEST = 4
"""A shorter secret stands in ordinary words; cutting it out would shred the text and so show what it is."""

_SECRETIVE = r"password|passwd|passphrase|api[-_]?key|token|secret|authorization|cookie|credentials?|dsn"
_PERSONLY = (
    r"(?:(?:display|complete|subject|partner|employee|customer|contact|user|manager|first|last|full)_?)?name"
    r"|(?:\w+_)?(?:e?mail|phone|mobile|login)(?:_\w+)?|street2?|vat|iban|birthday|summary|note|body|feedback"
)
_SECRET_KEY = re.compile(rf".*(?:{_SECRETIVE}).*", re.IGNORECASE | re.DOTALL)
_PERSON_KEY = re.compile(_PERSONLY, re.IGNORECASE)

_QUOTE = r"""\\*["']"""  # as it stands in JSON, in Python, and in either of them quoted once more
_VALUE = rf"""(?:(?P<quote>{_QUOTE})(?:(?!(?P=quote)).)*(?P=quote)|[^\s,;&)}}\]"']+)"""
_SECRET_PAIR = re.compile(
    rf"(?P<before>\b(?:\w*[-_])?(?:{_SECRETIVE})(?:{_QUOTE})?\s*[:=]\s*(?:(?:bearer|basic)\s+)?){_VALUE}",
    re.IGNORECASE | re.DOTALL,
)
_PERSON_PAIR = re.compile(
    rf"(?P<before>(?<![\w.])(?:{_PERSONLY})(?:{_QUOTE}\s*[:=]|=)\s*){_VALUE}", re.IGNORECASE | re.DOTALL
)
_BEARER = re.compile(r"(?P<before>\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}", re.IGNORECASE)
_USERINFO = re.compile(r"(?P<before>\b[a-z][a-z0-9+.-]{0,20}://)[^\s/'\"]*@", re.IGNORECASE)
_EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]+@(?P<host>[\w-]+(?:\.[\w-]+)*\.[a-z]{2,})", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Redactor:
    """Gives values as they may be shown."""

    secrets: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    hosts: frozenset[str] = frozenset()
    """Machines whose `worker@host` is the name of a process and no e-mail address."""
    hides_people: bool = True

    @classmethod
    def of(cls, secrets: Iterable[str], *, hosts: Iterable[str] = ()) -> "Redactor":
        """Build one that knows these secrets; the longest goes first, for one may hold another."""
        known = sorted({one for one in secrets if len(one) >= _SHORTEST}, key=len, reverse=True)
        return cls(tuple(known), frozenset(host.lower() for host in hosts))

    def for_insiders(self) -> "Redactor":
        """Give one that hides secrets alone, for a page behind the login: whoever edits a name must see it."""
        return dataclasses.replace(self, hides_people=False)

    def text(self, text: str) -> str:
        """Give a text without what must not be shown."""
        for secret in self.secrets:
            text = text.replace(secret, SECRET)
        text = _USERINFO.sub(rf"\g<before>{SECRET}@", text)
        text = _SECRET_PAIR.sub(rf"\g<before>{SECRET}", text)
        text = _BEARER.sub(rf"\g<before>{SECRET}", text)
        if not self.hides_people:
            return text
        text = _PERSON_PAIR.sub(rf"\g<before>{PERSONAL}", text)
        return _EMAIL.sub(lambda m: m[0] if m["host"].lower() in self.hosts else PERSONAL, text)

    def entry(self, key: object, value: Any, depth: int = 0) -> Any:
        """Give the value that stands under a key."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(key, str) and _SECRET_KEY.fullmatch(key):
            return SECRET
        if self.hides_people and isinstance(key, str) and _PERSON_KEY.fullmatch(key):
            return PERSONAL
        return self.value(value, depth)

    def value(self, value: Any, depth: int = 0) -> Any:
        """Give any value as plain data that may be shown: what has no plain form, as redacted text."""
        match value:
            case enum.Enum():
                return self.value(value.value, depth)
            case None | bool() | int() | float():
                return value
            case str():
                return self.text(value)
            case dt.datetime() | dt.date() | dt.time():
                return value.isoformat()
            case bytes() | bytearray():
                return f"<{len(value)} bytes>"
        if depth >= _DEPTH:
            return f"<{type(value).__name__}>"
        return self._nested(value, depth + 1)

    def _nested(self, value: Any, depth: int) -> Any:
        match value:
            case Mapping():
                return {self.text(str(key)): self.entry(key, one, depth) for key, one in value.items()}
            case AbstractSet():
                return sorted((self.value(one, depth) for one in value), key=str)
            case list() | tuple():
                return [self.value(one, depth) for one in value]
            case BaseModel():
                return {name: self.entry(name, one, depth) for name, one in value}
        if dataclasses.is_dataclass(value) and not isinstance(value, type) and "__str__" not in vars(type(value)):
            return {f.name: self.entry(f.name, getattr(value, f.name), depth) for f in dataclasses.fields(value)}
        return self.text(str(value))
