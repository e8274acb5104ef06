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

from ledger.alarms import Alarms
from ledger.audit import Audit
from ledger.cases import Cases
from ledger.clock import Now
from ledger.crew import Crew
from ledger.cursors import Cursors
from ledger.delayed import DelayedSet
from ledger.deliveries import Deliveries
from ledger.events import SeenEvents
from ledger.filters import LetterFilter
from ledger.gate import Bounds, Gate
from ledger.health import Health, health_of
from ledger.home import Home
from ledger.hooks import HookTokens
from ledger.inbox import Inbox
from ledger.letter import LetterState
from ledger.letters import Letters
from ledger.outbound import Outbound
from ledger.pauses import Pauses
from ledger.refusals import Refusals, RefusalState
from ledger.replaying import Replaying
from ledger.replays import Replays
from ledger.runs import Runs
from ledger.sendings import Sendings
from ledger.slots import Slots
from ledger.store import Store
from purser.errors import Mistake, Permanent, Snooze


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
        self.replays = Replays(self._store)
        self.replaying = Replaying(self._store)
        self.delayed = DelayedSet(self._store)
        self.slots = Slots(self._store)
        self.runs = Runs(self._store)
        self.cases = Cases(self._store)
        self.events = SeenEvents(self._store)
        self.inbox = Inbox(self._store)
        self.deliveries = Deliveries(self._store)
        self.outbound = Outbound(self._store)
        self.sendings = Sendings(self._store)
        self.refusals = Refusals(self._store)
        self.audit = Audit(self._store)
        self.alarms = Alarms(self._store)
        self.home = Home(self._store)
        self.hooks = HookTokens(self._store)
        self.pauses = Pauses(self._store)
        self.crew = Crew(self._store)
        self.cursors = Cursors(self._store)

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
            raise Mistake(f"PURSER_LEDGER_URL: {error}. Write redis://, rediss://, unix:// or sentinel://") from error
        return cls(client, prefix=prefix, now=now)

    def gate(self, name: str, bounds: Bounds | None = None, *, who: str = "Odoo") -> Gate:
        """Give the gate before an Odoo or another side, shared by all who name it alike."""
        return Gate(self._store, name, bounds, now=self._now, who=who)

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
        """Give what the readers leave out because it cannot be read, while this is entered: why, by key."""
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
        for state in LetterState:
            yield partial(self.letters.page, LetterFilter(state=state), limit=limit)
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
