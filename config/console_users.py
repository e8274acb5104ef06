"""Who may enter the pages, and what each may do there, stands in one file of names, roles and hashed passwords.

    anna: {role: editor, password: scrypt$15$8$1$...}

`purser people hash` makes the hash. A password is checked slowly on purpose; whoever checks one remembers the answer.
"""

import binascii
import enum
import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from config.policy.problems import ProblemCollector
from config.policy.yaml_positions import YamlNode, load_yaml
from config.settings import Settings
from purser.errors import ConfigurationError

_COST, _BLOCK, _LANES = 15, 8, 1
"""2^15 rounds over blocks of 1 KiB: about 32 MiB and a tenth of a second for each guess."""
_MOST_MEMORY = 256 * 1024 * 1024


class ConsoleRole(enum.IntEnum):
    """What a person may do; each may what those before may."""

    VIEWER = 1
    """Sees every page."""
    OPERATOR = 2
    """Replays, discards, restores, cancels, closes refusals."""
    EDITOR = 3
    """Edits the payload of a dead letter."""

    def __str__(self) -> str:
        return self.name.lower()

    @classmethod
    def read(cls, word: object) -> "ConsoleRole":
        """Read what a file says; ValueError names what there is."""
        try:
            return cls[str(word).upper()]
        except KeyError:
            raise ValueError(f"{word!r} is none of {', '.join(map(str, cls))}") from None


@dataclass(frozen=True, slots=True)
class ConsoleUser:
    """Somebody who may enter."""

    name: str
    rank: ConsoleRole

    def may(self, rank: ConsoleRole) -> bool:
        """Return whether this person may what a rank may."""
        return self.rank >= rank


@dataclass(frozen=True, slots=True)
class ConsoleUsers:
    """Everybody who may enter, by name."""

    known: Mapping[str, ConsoleUser]
    _hashes: Mapping[str, str] = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> "ConsoleUsers":
        """Read the file that PURSER_PEOPLE names. Raises ConfigurationError: all that is wrong, with its line."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ConfigurationError(
                f"the file of people {path} cannot be read: {reason}. PURSER_PEOPLE names it"
            ) from None
        return cls.parse(text, source=str(path))

    @classmethod
    def parse(cls, text: str, *, source: str) -> "ConsoleUsers":
        """Read the text of the file. Raises ConfigurationError: all that is wrong, with its line."""
        report = ProblemCollector(source)
        try:
            root, doubled = load_yaml(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f"{source}:{mark.line + 1}" if mark else source
            raise ConfigurationError(
                f"{where}: no YAML: {getattr(error, 'problem', None) or 'it cannot be read'}"
            ) from None
        for key in doubled:
            report.add(key, f"`{key.value}` stands here twice: keep one")
        entries = report.mapping(root, "the file of people")
        if not entries and not report.problems:
            report.add(root, "nobody may enter: write a line such as `anna: {role: editor, password: scrypt$...}`")
        read = {name: _entry(report, name, at) for name, at in entries.items()}
        if report.problems:
            lines = (f"- {problem}" for _, problem in sorted(report.problems))
            raise ConfigurationError("\n".join(["the file of people has problems:", *lines]))
        return cls(
            {name: ConsoleUser(name, rank) for name, (rank, _) in read.items()},
            {name: hashed for name, (_, hashed) in read.items()},
        )

    def check(self, name: str, password: str) -> ConsoleUser | None:
        """Return the person whose login this is. As slow for a name nobody has as for a wrong password."""
        fits = _fits(password, self._hashes.get(name, _NOBODYS))
        return self.known.get(name) if fits else None


def hash_password(password: str) -> str:
    """Return what the file of people holds in place of a password."""
    salt = secrets.token_bytes(16)
    parts = (_COST, _BLOCK, _LANES, _coded(salt), _coded(_scrypt(password, salt, _COST, _BLOCK, _LANES)))
    return "$".join(("scrypt", *map(str, parts)))


def edit_role_problem(settings: Settings, who: str, task: str) -> str:
    """Return why a person may not edit the payload of a task's message; '' when they may.

    Without a file of people there is one login, an editor, and whoever has the fleet's settings on a command line.
    """
    if task not in settings.editable_tasks:
        return f"messages of {task or 'no task'} are not to be edited here: PURSER_EDITABLE names those that are"
    if settings.people is None:
        return ""
    person = ConsoleUsers.load(settings.people).known.get(who)
    if person is None:
        return f"{who} is not in the file that PURSER_PEOPLE names"
    return "" if person.may(ConsoleRole.EDITOR) else f"{who} is {_a(person.rank)}: editing takes an editor"


def _a(rank: ConsoleRole) -> str:
    return f"an {rank}" if str(rank)[0] in "aeiou" else f"a {rank}"


def _entry(report: ProblemCollector, name: str, at: YamlNode) -> tuple[ConsoleRole, str]:
    entry = report.mapping(at, f"`{name}`", ("role", "password"))
    if not name or ":" in name or not name.isprintable():
        report.add(at, f"`{name}` cannot be a login: no colon, nothing that does not print")
    for missing in [key for key in ("role", "password") if key not in entry]:
        report.add(at, f"`{name}`: `{missing}` is missing")
    rank = report.read(entry.get("role"), f"`{name}`: role", ConsoleRole.read, ConsoleRole.VIEWER)
    return rank, report.read(entry.get("password"), f"`{name}`: password", _checked_hash, "")


def _checked_hash(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("scrypt$"):
        raise ValueError("write the hash that `purser people hash` makes, never the password itself")
    _parts(value)
    return value


def _parts(hashed: str) -> tuple[int, int, int, bytes, bytes]:
    try:
        _, cost, block, lanes, salt, key = hashed.split("$")
        parts = int(cost), int(block), int(lanes), b64decode(salt, validate=True), b64decode(key, validate=True)
    except (ValueError, binascii.Error):
        raise ValueError("this is no whole hash: copy the line that `purser people hash` makes") from None
    n, r, p, salted, keyed = parts
    memory = 128 * r * (2**n + p) if 10 <= n <= 20 and 1 <= r <= 32 and 1 <= p <= 16 else _MOST_MEMORY + 1
    if memory > _MOST_MEMORY or len(salted) < 8 or len(keyed) < 16:
        raise ValueError("this hash was not made by `purser people hash`")
    return parts


def _fits(password: str, hashed: str) -> bool:
    cost, block, lanes, salt, key = _parts(hashed)
    return hmac.compare_digest(_scrypt(password, salt, cost, block, lanes), key)


def _scrypt(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    told = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(told, salt=salt, n=2**cost, r=block, p=lanes, maxmem=2 * _MOST_MEMORY, dklen=32)


def _coded(data: bytes) -> str:
    return b64encode(data).decode()


_NOBODYS = f"scrypt${_COST}${_BLOCK}${_LANES}${_coded(bytes(16))}${_coded(bytes(32))}"
