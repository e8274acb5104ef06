"""Faults of the settings are reported once for the whole fleet, not once a message."""

import datetime as dt

from store.redis_store import RedisStore, text
from store.timestamps import to_micros

REPEAT_AFTER = dt.timedelta(days=1)
"""An alarm that was not ended is raised again after this time."""

# prefix; name, what, now, how long an alarm is not repeated
_RAISE = """
local P = KEYS[1]
local name, what, now, repeats = unpack(ARGV)
local raised = tonumber(redis.call('HGET', P .. ':alarms', name) or '0')
if raised > tonumber(now) - tonumber(repeats) and raised <= tonumber(now) then return 0 end
redis.call('HSET', P .. ':alarms', name, now)
redis.call('XADD', P .. ':audit', '*',
  'at', now, 'who', 'purser', 'action', 'alarm', 'what', name, 'note', what, 'facts', '{}')
return 1
"""


class Alarms:
    """What was reported to people and is not over."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._raise = store.script(_RAISE)

    def is_first(self, name: str, what: str) -> bool:
        """Write an alarm to the audit trail. Return False when the fleet has raised it within the last day."""
        args = [
            text(name),
            text(what[:500]),
            to_micros(self._store.now()),
            REPEAT_AFTER // dt.timedelta(microseconds=1),
        ]
        with self._store.reach(self._key):
            return bool(self._raise(keys=[self._store.prefix], args=args))

    def end(self) -> None:
        """Forget all alarms: their cause is gone, and whatever comes is new."""
        with self._store.reach(self._key) as client:
            client.delete(self._key)

    @property
    def _key(self) -> str:
        return self._store.key("alarms")
