"""Every attempt to send an event out leaves a line with its answer and its time, and never what was sent.

The last thirty days are kept, 20,000 lines of each subscription at most; how many went is counted. This is a log:
what could not be delivered is a dead letter or a refusal, and those are not trimmed.
"""

import datetime as dt
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from store.redis_store import DAMAGE, RedisStore, as_unreadable, named, text, unreadable
from store.timestamps import from_micros, to_micros

RETENTION = dt.timedelta(days=30)
MAX_ATTEMPTS_KEPT = 20_000


class DeliveryResult(enum.StrEnum):
    """How an attempt ended."""

    DELIVERED = "delivered"
    FAILED = "failed"
    THROTTLED = "throttled"
    """The receiver asked for patience."""
    GONE = "gone"
    """The receiver wants no more."""
    LEFT_OUT = "left out"
    """Not tried: the subscription is switched off."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryAttempt:
    """One attempt. Number 0 is a test by hand."""

    subscription: str
    message: str
    """The id under which the receiver knows it, whichever attempt it is."""
    source: str
    event_id: str
    type: str
    subject: str
    at: dt.datetime
    attempt: int
    outcome: DeliveryResult
    status: int | None = None
    seconds: float = 0.0
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeliveryStats:
    """What became of all that was sent to one subscription."""

    delivered: int = 0
    failed: int = 0
    """Attempts, not messages."""
    left_out: int = 0
    trimmed: int = 0
    """Lines of the log that went because they were old or too many."""
    failing_since: dt.datetime | None = None
    last_at: dt.datetime | None = None
    last_status: int | None = None
    last_outcome: DeliveryResult | None = None
    last_why: str = ""


_SENDING = TypeAdapter(DeliveryAttempt)

# subscription, when, the line, is it to be counted, how it ended, status, why, lines up to when go, how many stay
_RECORD = """
local P = KEYS[1]
local name, at, line, counts, outcome, status, why, oldest, most = unpack(ARGV)
local log, tally = P .. ':outbound:log:' .. name, P .. ':outbound:tally:' .. name
redis.call('ZADD', log, at, line)
local gone = redis.call('ZREMRANGEBYSCORE', log, '-inf', oldest)
local extra = redis.call('ZCARD', log) - tonumber(most)
if extra > 0 then
  for _, old in ipairs(redis.call('ZRANGE', log, 0, extra - 1)) do gone = gone + redis.call('ZREM', log, old) end
end
if gone > 0 then redis.call('HINCRBY', tally, 'trimmed', gone) end
if counts == '0' then return end
redis.call('HSET', tally, 'last_at', at, 'last_status', status, 'last_outcome', outcome, 'last_why', why)
if outcome == 'delivered' then
  redis.call('HINCRBY', tally, 'delivered', 1)
  redis.call('HDEL', tally, 'failing_since')
elseif outcome == 'left out' then
  redis.call('HINCRBY', tally, 'left_out', 1)
else
  redis.call('HINCRBY', tally, 'failed', 1)
  redis.call('HSETNX', tally, 'failing_since', at)
end
"""


class DeliveryAttemptLog:
    """The attempts, by subscription."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._record = store.script(_RECORD)

    def record(self, sending: DeliveryAttempt) -> None:
        """Write an attempt down. The same one again changes nothing but the count."""
        args = [
            *(
                text(sending.subscription),
                to_micros(sending.at),
                _SENDING.dump_json(sending),
                int(sending.attempt > 0),
            ),
            *(sending.outcome.value, "" if sending.status is None else sending.status, text(sending.why)),
            *(to_micros(self._store.now() - RETENTION), MAX_ATTEMPTS_KEPT),
        ]
        self._store.read_or(None, self._write, self._log(sending.subscription), args)

    def _write(self, key: str, args: list[Any]) -> None:
        """Write a line; a log that is damaged is reported, and the message that was sent is not sent again for it."""
        with self._store.reach(key), as_unreadable(key):
            self._record(keys=[self._store.prefix], args=args)

    def latest(
        self, subscription: str, *, limit: int = 50, since: dt.datetime | None = None
    ) -> tuple[DeliveryAttempt, ...]:
        """Return attempts, the newest first."""
        key = self._log(subscription)
        bottom = "-inf" if since is None else to_micros(since)
        with self._store.reach(key) as client:
            found: list[bytes] = self._store.read_or([], self._kept, client, key, bottom, limit)
        return tuple(self._store.readable(_read, ((key, raw) for raw in found)))

    def _kept(self, client: Any, key: str, bottom: str | int, limit: int) -> list[bytes]:
        with as_unreadable(key):
            return list(client.zrevrangebyscore(key, "+inf", bottom, start=0, num=limit))

    def tally(self, subscription: str) -> DeliveryStats:
        """Count what became of all; nothing is known where the counts cannot be read."""
        return self._store.read_or(DeliveryStats(), self._counted, self._store.key("outbound", "tally", subscription))

    def _counted(self, key: str) -> DeliveryStats:
        with self._store.reach(key) as client, as_unreadable(key):
            raw = named(client.hgetall(key))
        try:
            return _tally(raw)
        except DAMAGE as error:
            raise unreadable(key, error) from error

    def _log(self, subscription: str) -> str:
        return self._store.key("outbound", "log", subscription)


def _read(key: str, raw: bytes) -> DeliveryAttempt:
    try:
        return _SENDING.validate_json(raw)
    except DAMAGE as error:
        raise unreadable(key, error) from error


def _tally(raw: Mapping[str, bytes]) -> DeliveryStats:
    return DeliveryStats(
        delivered=int(raw.get("delivered", 0)),
        failed=int(raw.get("failed", 0)),
        left_out=int(raw.get("left_out", 0)),
        trimmed=int(raw.get("trimmed", 0)),
        failing_since=from_micros(raw["failing_since"]) if "failing_since" in raw else None,
        last_at=from_micros(raw["last_at"]) if "last_at" in raw else None,
        last_status=int(raw["last_status"]) if raw.get("last_status") else None,
        last_outcome=DeliveryResult(raw["last_outcome"].decode()) if "last_outcome" in raw else None,
        last_why=raw.get("last_why", b"").decode(),
    )
