"""The ledger is one object: a Redis, and the things the fleet remembers in it."""

import datetime as dt

import redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from ledger.audit import Audit
from ledger.cases import Cases
from ledger.clock import Now
from ledger.crew import Crew
from ledger.delayed import DelayedSet
from ledger.deliveries import Deliveries
from ledger.events import SeenEvents
from ledger.gate import Bounds, Gate
from ledger.health import Health, health_of
from ledger.home import Home
from ledger.inbox import Inbox
from ledger.letters import Letters
from ledger.pauses import Pauses
from ledger.refusals import Refusals
from ledger.runs import Runs
from ledger.slots import Slots
from ledger.store import Store
from purser.errors import Mistake


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
        self._store = Store(client, prefix=prefix, now=now)
        self._now = now
        self.letters = Letters(self._store, stale_after=stale_replay_after)
        self.delayed = DelayedSet(self._store)
        self.slots = Slots(self._store)
        self.runs = Runs(self._store)
        self.cases = Cases(self._store)
        self.events = SeenEvents(self._store)
        self.inbox = Inbox(self._store)
        self.deliveries = Deliveries(self._store)
        self.refusals = Refusals(self._store)
        self.audit = Audit(self._store)
        self.home = Home(self._store)
        self.pauses = Pauses(self._store)
        self.crew = Crew(self._store)

    @classmethod
    def connect(cls, url: str, *, prefix: str = "purser", now: Now | None = None) -> "Ledger":
        """Make a ledger for `redis://`, `rediss://` or `unix://`. Connects with the first use."""
        try:
            client = redis.Redis.from_url(
                url,
                socket_timeout=5,
                socket_connect_timeout=3,
                health_check_interval=30,
                retry=Retry(ConstantBackoff(0.1), 1, supported_errors=_ONCE_MORE),
            )
        except ValueError as error:
            raise Mistake(f"PURSER_LEDGER_URL: {error}. Write redis://, rediss:// or unix://") from error
        return cls(client, prefix=prefix, now=now)

    def gate(self, name: str, bounds: Bounds | None = None) -> Gate:
        """Give the gate before an Odoo, shared by all who name it alike."""
        return Gate(self._store, name, bounds, now=self._now)

    def now(self) -> dt.datetime:
        """Give the present by the clock that all workers share."""
        return self._store.now()

    @property
    def address(self) -> str:
        """Where it is, without user and password."""
        return self._store.address

    def health(self) -> Health:
        """Ask the server how it is; never raises for one that is away."""
        return health_of(self._store)

    def close(self) -> None:
        """Give the connections back."""
        self._store.client.close()


_ONCE_MORE = (redis.ConnectionError, redis.TimeoutError)
