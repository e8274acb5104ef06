"""The ledger is one object: a Redis, and the things the fleet remembers in it."""

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from purser.errors import ConfigurationError, Permanent, Snooze
from store.audit_log import AuditLog
from store.controls.case_store import CaseStore
from store.controls.run_store import ControlRunStore
from store.controls.slot_store import SlotStore
from store.dead_letters.filters import DeadLetterFilter
from store.dead_letters.letter_store import DeadLetterStore
from store.dead_letters.model import DeadLetterState
from store.feed_cursors import FeedCursorStore
from store.fleet.alarms import Alarms
from store.fleet.odoo_limiter import LimiterConfig, OdooLimiter
from store.fleet.pauses import Pauses
from store.fleet.worker_heartbeats import WorkerHeartbeats
from store.odoo_binding import OdooBinding
from store.outbound.delivery_attempts import DeliveryAttemptLog
from store.outbound.webhook_queue import WebhookQueue
from store.queueing.delayed_messages import DelayedMessages
from store.queueing.delivery_counts import DeliveryCounts
from store.queueing.inbox import Inbox
from store.queueing.seen_events import SeenEvents
from store.redis_health import RedisHealth, health_of
from store.redis_store import RedisStore
from store.refusal_store import RefusalState, RefusalStore
from store.replay.replay_store import ReplayStore
from store.replay.runner_store import ReplayRunnerStore
from store.timestamps import Now
from store.webhook_tokens import HookTokens


class Ledger:
    """What the fleet remembers. Without `now` the clock is the server's, which all workers share."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        prefix: str = "purser",
        now: Now | None = None,
        stale_replay_after: dt.timedelta = dt.timedelta(minutes=5),
    ) -> None:
        self._store = RedisStore(client, prefix=prefix, now=now)
        self._now = now
        self.letters = DeadLetterStore(self._store, stale_after=stale_replay_after)
        self.replays = ReplayStore(self._store)
        self.replaying = ReplayRunnerStore(self._store)
        self.delayed = DelayedMessages(self._store)
        self.slots = SlotStore(self._store)
        self.runs = ControlRunStore(self._store)
        self.cases = CaseStore(self._store)
        self.events = SeenEvents(self._store)
        self.inbox = Inbox(self._store)
        self.deliveries = DeliveryCounts(self._store)
        self.outbound = WebhookQueue(self._store)
        self.sendings = DeliveryAttemptLog(self._store)
        self.refusals = RefusalStore(self._store)
        self.audit = AuditLog(self._store)
        self.alarms = Alarms(self._store)
        self.home = OdooBinding(self._store)
        self.hooks = HookTokens(self._store)
        self.pauses = Pauses(self._store)
        self.crew = WorkerHeartbeats(self._store)
        self.cursors = FeedCursorStore(self._store)

    @classmethod
    def connect(cls, url: str, *, prefix: str = "purser", now: Now | None = None) -> "Ledger":
        """Make a ledger for `redis://`, `rediss://`, `unix://` or `sentinel://`. Connects with the first use.

        Sentinels are `sentinel://host:port;sentinel://host:port/db?master=name`.
        """
        patience = {
            "socket_timeout": 5,
            "socket_connect_timeout": 3,
            "health_check_interval": 30,
            "retry": Retry(ConstantBackoff(0.1), 1, supported_errors=_ONCE_MORE),
        }
        make = _behind_sentinels if url.startswith("sentinel://") else redis.Redis.from_url
        try:
            client = make(url, **patience)
        except ValueError as error:
            raise ConfigurationError(
                f"PURSER_LEDGER_URL: {error}. Write redis://, rediss://, unix:// or sentinel://"
            ) from error
        return cls(client, prefix=prefix, now=now)

    def gate(self, name: str, bounds: LimiterConfig | None = None, *, who: str = "Odoo") -> OdooLimiter:
        """Return the gate before an Odoo or another side, shared by all who name it alike."""
        return OdooLimiter(self._store, name, bounds, now=self._now, who=who)

    def unreadable(self, *, limit: int = 500) -> dict[str, str]:
        """Read what is kept, of each kind `limit` entries at most, and return what cannot be read: why, by key.

        Such an entry was changed by hand, or a newer Purser wrote it. It stays as it is, and spoils no other.
        """
        with self._store.collecting(is_told=True) as found:
            for read in self._readers(limit):
                try:
                    read()
                except Permanent as problem:  # a whole list is damaged, not an entry of it
                    found.setdefault(getattr(problem, "key", "") or str(problem), str(problem))
                except Snooze:
                    pass  # it was reported
        return dict(sorted(found.items()))

    @contextlib.contextmanager
    def collecting_unreadable(self) -> Iterator[dict[str, str]]:
        """Yield what the readers leave out because it cannot be read, while this is entered: why, by key."""
        with self._store.collecting(is_told=True) as found:
            yield found

    def _readers(self, limit: int) -> Iterator[Callable[[], object]]:
        yield self.home.known
        yield self.pauses.all
        yield self.crew.all
        yield self.cursors.all
        yield self.hooks.rules
        yield self.outbound.switched_off
        yield self.letters.graves
        for state in DeadLetterState:
            yield partial(self.letters.page, DeadLetterFilter(state=state), limit=limit)
        for refusal_state in RefusalState:
            yield partial(self.refusals.page, limit=limit, state=refusal_state)
        yield partial(self.delayed.page, limit=limit)
        yield partial(self.inbox.page, limit=limit)
        yield partial(self.replays.page, limit=limit)
        yield partial(self.runs.page, limit=limit)
        yield partial(self.audit.tail, limit)
        for control in self.cases.counts():
            yield partial(self.cases.of, control, open_only=True)
            yield partial(self.slots.last_done, control)

    def now(self) -> dt.datetime:
        """Return the present by the clock that all workers share."""
        return self._store.now()

    @property
    def address(self) -> str:
        """Where it is, without user and password."""
        return self._store.address

    def health(self) -> RedisHealth:
        """Ask the server how it is; never raises for one that is away."""
        return health_of(self._store)

    def close(self) -> None:
        """Give the connections back."""
        self._store.client.close()


def _behind_sentinels(url: str, **patience: Any) -> redis.Redis:
    """Connect to the master that the sentinels name, now and after each failover."""
    parts = [urlsplit(one) for one in url.split(";")]
    first, master = parts[0], dict(parse_qsl(parts[-1].query)).get("master")
    if not master:
        raise ValueError("the sentinels are not told which master: add ?master=name")
    account = {
        name: unquote(value) for name, value in (("username", first.username), ("password", first.password)) if value
    }
    db = int(parts[-1].path.strip("/") or 0)
    addresses = [(part.hostname or "localhost", part.port or 26379) for part in parts]
    sentinel = Sentinel(addresses, **patience)  # type: ignore[no-untyped-call]
    made: redis.Redis = sentinel.master_for(master, db=db, **account, **patience)  # type: ignore[no-untyped-call]
    return made


_ONCE_MORE = (redis.ConnectionError, redis.TimeoutError)
