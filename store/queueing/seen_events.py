"""An event that was fanned out is recognised for thirty days. It saves work; correctness never depends on it."""

import datetime as dt
import hashlib
from collections.abc import Sequence

from store.controls.slot_store import BUSY, RELEASE, ClaimResult, lease_of
from store.redis_store import RedisStore, text

RETENTION = dt.timedelta(days=30)
SENT_RETENTION = dt.timedelta(days=3)
"""How long a sent event is remembered: longer than the sweep of a change feed looks back."""

# lease key, mark key; holder, now, until, milliseconds to keep
_CLAIM = (
    BUSY
    + """
local lease, mark = KEYS[1], KEYS[2]
local holder, now, lapses, keep = unpack(ARGV)
if redis.call('EXISTS', mark) == 1 then return 'done' end
if is_busy(lease, holder, now, lapses) then return 'busy' end
redis.call('HSET', lease, 'holder', holder, 'until', lapses)
redis.call('PEXPIRE', lease, keep)
return 'granted'
"""
)


class SeenEvents:
    """Which events, by source and id, are being accepted or were."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._claim = store.script(_CLAIM)
        self._release = store.script(RELEASE)

    def claim(self, source: str, event_id: str, *, holder: str, lease: dt.timedelta) -> ClaimResult:
        """Ask to accept an event. The same holder may ask again, which renews the lease."""
        key = self._lease(source, event_id)
        args = [holder, *lease_of(self._store.now(), lease)]
        with self._store.reach(key):
            return ClaimResult(self._claim(keys=[key, self._mark(source, event_id)], args=args).decode())

    def mark(self, source: str, event_id: str) -> None:
        """Remember that all that follows from an event was published."""
        key = self._mark(source, event_id)
        with self._store.reach(key) as client:
            pipe = client.pipeline(transaction=True)
            pipe.set(key, b"1", ex=RETENTION)
            pipe.delete(self._lease(source, event_id))
            pipe.execute()

    def seen(self, source: str, event_id: str) -> bool:
        """Return whether an event was marked in the last thirty days."""
        key = self._mark(source, event_id)
        with self._store.reach(key) as client:
            return bool(client.exists(key))

    def known(self, events: Sequence[tuple[str, str]], *, prolong: bool = True) -> tuple[bool, ...]:
        """Say of each event, by source and id, whether it was marked: all in one round trip.

        Whoever asks still meets it, so those that were are remembered for another thirty days (`prolong`).
        """
        if not events:
            return ()
        with self._store.reach("the events that were seen") as client:
            pipe = client.pipeline(transaction=False)
            for source, event_id in events:
                mark = self._mark(source, event_id)
                _ = pipe.expire(mark, RETENTION) if prolong else pipe.exists(mark)
            return tuple(bool(found) for found in pipe.execute())

    def mark_sent(self, events: Sequence[tuple[str, str]]) -> None:
        """Remember for three days that events, by source and id, were handed to the broker."""
        if not events:
            return
        with self._store.reach("the events that were sent") as client:
            pipe = client.pipeline(transaction=False)
            for source, event_id in events:
                pipe.set(self._sent(source, event_id), b"1", ex=SENT_RETENTION)
            pipe.execute()

    def sent(self, events: Sequence[tuple[str, str]]) -> tuple[bool, ...]:
        """Return of each event, by source and id, whether it was handed to the broker in the last three days."""
        if not events:
            return ()
        with self._store.reach("the events that were sent") as client:
            pipe = client.pipeline(transaction=False)
            for source, event_id in events:
                pipe.exists(self._sent(source, event_id))
            return tuple(bool(found) for found in pipe.execute())

    def release(self, source: str, event_id: str, *, holder: str) -> bool:
        """Return an event back unmarked; False when `holder` does not hold it."""
        key = self._lease(source, event_id)
        with self._store.reach(key):
            return bool(self._release(keys=[key], args=[holder]))

    def _mark(self, source: str, event_id: str) -> str:
        return self._store.key("event", "seen", digest(source, event_id))

    def _sent(self, source: str, event_id: str) -> str:
        return self._store.key("event", "sent", digest(source, event_id))

    def _lease(self, source: str, event_id: str) -> str:
        return self._store.key("event", "lease", digest(source, event_id))


def digest(source: str, event_id: str) -> str:
    """Name an event. Both come from outside and may be long; the length keeps two pairs from meeting in one name."""
    return hashlib.sha256(text(f"{len(source)}:{source}{event_id}")).hexdigest()
