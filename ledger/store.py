"""One place knows how our Redis is reached, how its keys are spelt and what its errors mean."""

import contextlib
import datetime as dt
from collections.abc import Iterator
from typing import Any

import redis
from redis import exceptions as fault
from redis.sentinel import SentinelConnectionPool

from ledger.clock import Now, moment_of
from purser.errors import Misconfigured, Mistake, Permanent, PurserError, Transient


class Store:
    """A Redis and a prefix. Scripts build keys from the prefix, so this is one server, not a cluster."""

    def __init__(self, client: redis.Redis, *, prefix: str, now: Now | None = None) -> None:
        kwargs = client.connection_pool.connection_kwargs
        if kwargs.get("decode_responses"):
            raise Mistake("the ledger keeps bytes: give it a Redis client without decode_responses")
        self.client: Any = client  # redis-py types every answer as "now or later"; its `Any` stops here
        self.prefix = prefix
        self.address = address_of(client)
        self._now = now

    def key(self, *parts: str) -> str:
        """Spell a key."""
        return text(":".join((self.prefix, *parts))).decode()

    def now(self) -> dt.datetime:
        """Give the present by the injected clock, else by the server's, which all workers share."""
        if self._now is not None:
            return self._now()
        with self.reach("its clock") as client:
            seconds, micros = client.time()
        return moment_of(int(seconds) * 1_000_000 + int(micros))

    def script(self, text: str) -> Any:
        """Prepare a server-side script, called as `run(keys=..., args=..., client=...)`."""
        return self.client.register_script(text)

    @contextlib.contextmanager
    def reach(self, about: str) -> Iterator[Any]:
        """Give the client; whatever goes wrong comes out in words of `purser.errors`, naming `about`."""
        try:
            yield self.client
        except fault.RedisError as error:
            raise self._translate(error, about) from error

    def _translate(self, error: fault.RedisError, about: str) -> PurserError:
        where = f"ledger at {self.address}, {about}: {error}"
        if isinstance(error, (fault.AuthenticationError, fault.AuthorizationError, fault.NoPermissionError)):
            return Misconfigured(f"{where}. Check the user and password in PURSER_LEDGER_URL")
        if isinstance(error, _PASSING) or str(error).startswith(("MISCONF", "LOADING")):
            return Transient(
                f"{where}. It is tried again; if it stays, see that the server runs and has memory and disk"
            )
        return Permanent(f"{where}. Something else uses this key, or it was damaged: look at it before changing it")


_PASSING = (
    fault.ConnectionError,
    fault.TimeoutError,
    fault.BusyLoadingError,
    fault.ReadOnlyError,
    fault.OutOfMemoryError,
    fault.TryAgainError,
)


def address_of(client: redis.Redis) -> str:
    """Give the URL of a client without its user and password."""
    pool = client.connection_pool
    kwargs = pool.connection_kwargs
    db = kwargs.get("db") or 0
    if isinstance(pool, SentinelConnectionPool):
        return f"sentinel://{pool.service_name}/{db}"
    if "path" in kwargs:
        return f"unix://{kwargs['path']}?db={db}"
    scheme = "rediss" if issubclass(pool.connection_class, redis.SSLConnection) else "redis"
    return f"{scheme}://{kwargs.get('host', 'localhost')}:{kwargs.get('port', 6379)}/{db}"


def unreadable(key: str, error: Exception) -> Permanent:
    """Say that what stands under `key` is not what the ledger writes. Values stay out: they may be personal."""
    return Permanent(
        f"ledger key {key!r} is unreadable ({type(error).__name__}: {_first_line(error)}). "
        "It was changed by hand, or written by a newer Purser: upgrade, or set the key aside"
    )


def _first_line(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"no field {error}"
    return str(error).partition("\n")[0][:200]


def text(value: str) -> bytes:
    """Give UTF-8 that never fails: what UTF-8 cannot hold is written as an escape."""
    return value.encode("utf-8", "backslashreplace")


def pairs(flat: list[bytes]) -> dict[str, bytes]:
    """Read the flat list that a script gives for a hash."""
    names = (name.decode() for name in flat[::2])
    return dict(zip(names, flat[1::2], strict=True))


def named(raw: dict[bytes, bytes]) -> dict[str, bytes]:
    """Give a hash with its field names as text."""
    return {name.decode(): value for name, value in raw.items()}
