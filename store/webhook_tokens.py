"""A rule in Odoo posts to an address with a token in it; of the token only its digest is kept here.

A rule has two live tokens at most: the newest, and the one before it until the rule in Odoo names the new one.
"""

import datetime as dt
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from store.redis_store import DAMAGE, RedisStore, checked, named, pairs, shown, text, unreadable
from store.timestamps import from_micros, to_micros


@dataclass(frozen=True, kw_only=True, slots=True)
class HookRule:
    """A rule in Odoo that may post here."""

    rule: str
    models: tuple[str, ...]
    """Of whose records it may speak."""
    digests: tuple[str, ...] = field(repr=False)
    """The SHA-256 of its live tokens, the newest first."""
    heard: dt.datetime | None = None
    """When it last posted."""


# ---------------------------------------------------------------------------- server side --

# prefix; rule, digest, models. 0: the token is another rule's.
_ADD = """
local P = KEYS[1]
local rule, digest, models = unpack(ARGV)
local key, tokens = P .. ':hook:' .. rule, P .. ':hooks:tokens'
local owner = redis.call('HGET', tokens, digest)
if owner and owner ~= rule then return 0 end
local was = redis.call('HMGET', key, 'new', 'old')
if was[1] ~= digest then
  if was[2] and was[2] ~= digest then redis.call('HDEL', tokens, was[2]) end
  if was[1] then redis.call('HSET', key, 'old', was[1]) end
  redis.call('HSET', key, 'new', digest)
  redis.call('HSET', tokens, digest, rule)
end
redis.call('HSET', key, 'models', models)
redis.call('SADD', P .. ':hooks', rule)
return 1
"""

# prefix; digest. Gives the rule and what is kept of it.
_FIND = """
local P = KEYS[1]
local rule = redis.call('HGET', P .. ':hooks:tokens', ARGV[1])
if not rule then return false end
return {rule, redis.call('HGETALL', P .. ':hook:' .. rule)}
"""

# prefix; digest
_REVOKE = """
local P = KEYS[1]
local digest = ARGV[1]
local rule = redis.call('HGET', P .. ':hooks:tokens', digest)
if not rule then return 0 end
redis.call('HDEL', P .. ':hooks:tokens', digest)
local key = P .. ':hook:' .. rule
local was = redis.call('HMGET', key, 'new', 'old')
if was[1] == digest then
  if was[2] then redis.call('HSET', key, 'new', was[2]) else redis.call('HDEL', key, 'new') end
end
redis.call('HDEL', key, 'old')
return 1
"""

# prefix; rule. Gives how many tokens it had.
_DROP = """
local P = KEYS[1]
local rule = ARGV[1]
local key, gone = P .. ':hook:' .. rule, 0
for _, digest in ipairs({'new', 'old'}) do
  local one = redis.call('HGET', key, digest)
  if one then gone = gone + redis.call('HDEL', P .. ':hooks:tokens', one) end
end
redis.call('DEL', key)
redis.call('SREM', P .. ':hooks', rule)
return gone
"""

# prefix; rule, the moment. A rule that was dropped meanwhile stays so.
_HEARD = """
local key = KEYS[1] .. ':hook:' .. ARGV[1]
if redis.call('EXISTS', key) == 0 then return 0 end
redis.call('HSET', key, 'heard', ARGV[2])
return 1
"""


# --------------------------------------------------------------------------------- tokens --


class HookTokens:
    """The rules in Odoo that may post here, by the digests of their tokens."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._add = store.script(_ADD)
        self._find = store.script(_FIND)
        self._revoke = store.script(_REVOKE)
        self._drop = store.script(_DROP)
        self._heard = store.script(_HEARD)

    def add(self, rule: str, digest: str, models: Sequence[str]) -> None:
        """Let a rule post with a token and speak of these models. Its newest two tokens count."""
        args = [text(_named(rule)), _checked(digest), json.dumps(sorted(set(models)))]
        with self._store.reach(self._key(rule)):
            if not self._add(keys=[self._store.prefix], args=args):
                raise ValueError(f"this token belongs to another rule than {rule!r}: make a new one")

    def find(self, digest: str) -> HookRule | None:
        """Return the rule whose token this is."""
        with self._store.reach(self._store.key("hooks", "tokens")):
            found = self._find(keys=[self._store.prefix], args=[_checked(digest)])
        return None if found is None else _read(self._key(shown(found[0])), shown(found[0]), pairs(found[1]))

    def rules(self) -> tuple[HookRule, ...]:
        """Return all rules, by name."""
        index = self._store.key("hooks")
        with self._store.reach(index) as client:
            names = sorted(shown(name) for name in client.smembers(index))
            pipe = client.pipeline(transaction=False)
            for name in names:
                pipe.hgetall(self._key(name))
            kept = self._store.answers_of(pipe) if names else []
        rows = ((name, one) for name, one in zip(names, kept, strict=True) if one)
        return tuple(self._store.readable(self._rule, rows))

    def revoke(self, digest: str) -> bool:
        """Let one token count no more; False when it does not anyway."""
        with self._store.reach(self._store.key("hooks", "tokens")):
            return bool(self._revoke(keys=[self._store.prefix], args=[_checked(digest)]))

    def drop(self, rule: str) -> int:
        """Forget a rule; give how many live tokens it had."""
        with self._store.reach(self._key(rule)):
            return int(self._drop(keys=[self._store.prefix], args=[text(_named(rule))]))

    def heard(self, rule: str, at: dt.datetime) -> None:
        """Remember when a rule posted."""
        with self._store.reach(self._key(rule)):
            self._heard(keys=[self._store.prefix], args=[text(_named(rule)), to_micros(at)])

    def _rule(self, rule: str, raw: Any) -> HookRule:
        return _read(self._key(rule), rule, named(checked(raw, self._key(rule))))

    def _key(self, rule: str) -> str:
        return self._store.key("hook", rule)


_DIGEST = re.compile(r"[0-9a-f]{64}")


def _checked(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise ValueError("a token is kept as its SHA-256, in 64 hexadecimal digits")
    return digest


def _named(rule: str) -> str:
    if not rule.strip():
        raise ValueError("a rule has a name")
    return rule


def _read(key: str, rule: str, raw: dict[str, bytes]) -> HookRule:
    try:
        return HookRule(
            rule=rule,
            models=tuple(map(str, json.loads(raw["models"]))),
            digests=tuple(raw[name].decode() for name in ("new", "old") if name in raw),
            heard=from_micros(raw["heard"]) if "heard" in raw else None,
        )
    except DAMAGE as error:
        raise unreadable(key, error) from error


def token_digest(token: str) -> str:
    """Return what is kept of a token; whatever stands in an address has one."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
