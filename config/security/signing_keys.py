"""Signing secrets by the name of who signs. Several under one name count at once, so that one can be replaced."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from events.signature import PREFIX, read_secret
from purser.errors import ConfigurationError

MAX_SECRETS = 5
"""So many may count at once under one name: an exchange takes two."""


def read_keys(text: str) -> Mapping[str, tuple[bytes, ...]]:
    """Read `crm whsec_new whsec_old; billing whsec_...`, one entry a line or with `;` between; `#` begins a remark.

    Returns the keys of each name, in their order. ConfigurationError names an entry by its number: its text may be a
    secret.
    """
    lines = [line.partition("#")[0].split() for line in re.split(r"[\n;]", text)]
    entries = [_entry(number, words) for number, words in enumerate([words for words in lines if words], start=1)]
    if not entries:
        raise ConfigurationError(f"nobody is named: write a name and its secrets, such as `n8n {PREFIX}...`")
    if len(dict(entries)) < len(entries):
        raise ConfigurationError("the same name stands there twice: write all its secrets behind it once")
    return MappingProxyType(dict(entries))


def secrets_in(text: str) -> tuple[str, ...]:
    """Return every secret in such a text, for whoever keeps them out of logs."""
    return tuple(word for word in re.split(r"[\s;]+", text) if word.startswith(PREFIX))


def _entry(number: int, words: list[str]) -> tuple[str, tuple[bytes, ...]]:
    name, *secrets = words
    if name.startswith(PREFIX):
        raise ConfigurationError(
            f"entry {number} begins with a secret: the name stands first, as in `n8n {PREFIX}...`"
        )
    if not 1 <= len(secrets) <= MAX_SECRETS:
        raise ConfigurationError(
            f"entry {number} has {len(secrets)} secrets: 1 to {MAX_SECRETS} stand behind the name"
        )
    try:
        return name, tuple(map(read_secret, secrets))
    except ConfigurationError as error:
        raise ConfigurationError(f"entry {number}: {error}") from None
