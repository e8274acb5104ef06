"""How often a message was begun again without an end: what tells a poison from bad luck."""

import datetime as dt

from store.redis_store import RedisStore, as_unreadable

RETENTION = dt.timedelta(days=7)


class DeliveryCounts:
    """Counts of redelivered messages. A message that ends leaves its count to lapse."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def count(self, message_id: str) -> int:
        """Count one more redelivery; give how many there were. A count that cannot be read begins anew."""
        key = self._key(message_id)
        count = self._store.read_or(0, self._counted, key)
        if not count:
            self.forget(message_id)
            count = self._counted(key)
        return count

    def _counted(self, key: str) -> int:
        with self._store.reach(key) as client, as_unreadable(key):
            pipe = client.pipeline(transaction=True)
            pipe.incr(key).expire(key, RETENTION)
            return int(pipe.execute()[0])

    def forget(self, message_id: str) -> None:
        """Begin anew: a replay is a first delivery."""
        key = self._key(message_id)
        with self._store.reach(key) as client:
            client.delete(key)

    def _key(self, message_id: str) -> str:
        return self._store.key("deliveries", message_id)
