"""Secrets that sign events over HTTP, by name. Several under one name count at once, so that one can be replaced."""

import json
from collections.abc import Mapping
from types import MappingProxyType

from events.signature import read_secret
from purser.errors import Mistake
from purser.words import is_wire_name

MOST = 5
"""So many may count at once under one name: a rotation takes two."""


def secrets_in(text: str) -> Mapping[str, tuple[str, ...]]:
    """Read `{"name": "whsec_...", "other": ["whsec_new", "whsec_old"]}`; the first of several is the newest.

    ValueError says what is wrong. No value stands in a message.
    """
    try:
        told = json.loads(text, object_pairs_hook=_once)
    except (json.JSONDecodeError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise ValueError('write JSON: {"name": "whsec_..."}, or a list of secrets where several count')
    return MappingProxyType({name: _several(name, one) for name, one in told.items()})


def keys_in(text: str) -> Mapping[str, tuple[bytes, ...]]:
    """Give the keys behind the secrets of each name."""
    return MappingProxyType({name: tuple(map(read_secret, several)) for name, several in secrets_in(text).items()})


def _several(name: str, told: object) -> tuple[str, ...]:
    if not is_wire_name(name):
        raise ValueError("a name is lower-case words with hyphens, such as `n8n`, and one of these is not")
    given = told if isinstance(told, list) else [told]
    found = tuple(one for one in given if isinstance(one, str))
    if not 1 <= len(found) <= MOST or len(found) < len(given):
        raise ValueError(f"`{name}`: write one secret as a text, or a list of at most {MOST}")
    for one in found:
        try:
            read_secret(one)
        except Mistake as error:
            raise ValueError(f"`{name}`: {error}") from None
    return found


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    told = dict(pairs)
    if len(told) < len(pairs):
        raise ValueError("a name stands there twice: give it a list of its secrets")
    return told
