"""One place knows how our Redis is reached, how its keys are spelt and what its errors mean."""

import contextlib
import datetime as dt
import enum
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

import redis
import structlog
from redis import exceptions as fault
from redis.sentinel import SentinelConnectionPool

from purser.errors import ConfigurationError, Misconfigured, Permanent, PurserError, Transient
from store.timestamps import Now, from_micros

log = structlog.get_logger(__name__)

T = TypeVar("T")

REPORTED_EVERY = 3600.0
"""Seconds between two reports of the same entry by one process."""

_REMEMBERED = 1000

_collecting: ContextVar[dict[str, str] | None] = ContextVar("unreadable entries", default=None)

_is_told: ContextVar[bool] = ContextVar("a person is told of them", default=False)


class RedisStore:
    """A Redis and a prefix. Scripts build keys from the prefix, so this is one server, not a cluster."""

    def __init__(self, client: redis.Redis, *, prefix: str, now: Now | None = None) -> None:
        kwargs = client.connection_pool.connection_kwargs
        if kwargs.get("decode_responses"):
            raise ConfigurationError("the ledger keeps bytes: give it a Redis client without decode_responses")
        self.client: Any = client  # redis-py types every answer as "now or later"; its `Any` stops here
        self.prefix = prefix
        self.address = address_of(client)
        self._now = now
        self._reported: dict[str, float] = {}

    def key(self, *parts: str) -> str:
        """Spell a key."""
        return text(":".join((self.prefix, *parts))).decode()

    def now(self) -> dt.datetime:
        """Return the present by the injected clock, else by the server's, which all workers share."""
        if self._now is not None:
            return self._now()
        with self.reach("its clock") as client:
            seconds, micros = client.time()
        return from_micros(int(seconds) * 1_000_000 + int(micros))

    def script(self, text: str) -> "LuaScript":
        """Prepare a server-side script, called as `run(keys=..., args=...)`."""
        return LuaScript(self.client, text)

    def run_each(self, script: "LuaScript", calls: Sequence[tuple[Sequence[Any], Sequence[Any]]]) -> list[Any]:
        """Run a script once for each pair of keys and arguments, in one round trip; return one answer each.

        What the server answers with an error is returned as that error, so that one damaged key spoils no other. An
        error that has nothing to do with a key is raised.
        """
        with self.reach("a script") as client:
            pipe = client.pipeline(transaction=False)
            for keys, args in calls:
                script(keys=keys, args=args, client=pipe)
            answers: list[Any] = pipe.execute(raise_on_error=False)
            for i, (keys, args) in enumerate(calls):
                if isinstance(answers[i], fault.NoScriptError):
                    answers[i] = script(keys=keys, args=args)
        self._raise_states_of(answers)
        return answers

    def answers_of(self, pipe: Any) -> list[Any]:
        """Execute a pipeline of reads; an error that concerns only one key is returned as the answer for it."""
        answers: list[Any] = pipe.execute(raise_on_error=False)
        self._raise_states_of(answers)
        return answers

    def _raise_states_of(self, answers: Sequence[Any]) -> None:
        """Raise what an answer says of the server; an error that concerns only its key stays an answer."""
        for answer in answers:
            if isinstance(answer, fault.RedisError) and cause_of(answer) is not FailureCause.OURS:
                raise self._translate(answer, "a pipeline") from answer

    # -- what cannot be read

    def readable(self, read: Callable[..., T], rows: Iterable[Sequence[Any]]) -> Iterator[T]:
        """Yield what `read` makes of each row; an entry that cannot be read is left out and reported, and stays."""
        for row in rows:
            try:
                yield read(*row)
            except UnreadableEntry as problem:
                self.report(problem)

    def read_or(self, default: T, read: Callable[..., T], *row: Any) -> T:
        """Return what `read` makes of one entry; `default`, and a report, when it cannot be read."""
        return next(self.readable(read, [row]), default)

    def report(self, problem: "UnreadableEntry") -> None:
        """Log an entry that cannot be read, at most once an hour for each key, and tell whoever collects them."""
        found = _collecting.get()
        if found is not None:
            found[problem.key] = str(problem)
        if _is_told.get():
            return
        now = time.monotonic()
        said = self._reported.get(problem.key)
        if said is not None and now - said < REPORTED_EVERY:
            return
        if len(self._reported) >= _REMEMBERED:
            self._reported.clear()
        self._reported[problem.key] = now
        log.error("ledger entry cannot be read", key=problem.key, problem=str(problem))

    @contextlib.contextmanager
    def collecting(self, *, is_told: bool = False) -> Iterator[dict[str, str]]:
        """Yield what cannot be read while this is entered, by key: why. It is not logged where a person `is_told`."""
        outer = _collecting.get()
        found: dict[str, str] = {}
        token, told = _collecting.set(found), _is_told.set(is_told or _is_told.get())
        try:
            yield found
        finally:
            _collecting.reset(token)
            _is_told.reset(told)
            if outer is not None:
                outer.update(found)

    @contextlib.contextmanager
    def reach(self, about: str) -> Iterator[Any]:
        """Yield the client; whatever goes wrong comes out in words of `purser.errors`, naming `about`."""
        try:
            yield self.client
        except fault.RedisError as error:
            raise self._translate(error, about) from error

    def _translate(self, error: fault.RedisError, about: str) -> PurserError:
        where = f"ledger at {self.address}, {about}: {error}"
        match cause_of(error):
            case FailureCause.ACCESS:
                return Misconfigured(f"{where}. Check the user, password and rights of PURSER_LEDGER_URL")
            case FailureCause.OURS:
                return Permanent(
                    f"{where}. Something else uses this key, or it was damaged: look at it before changing it"
                )
            case FailureCause.STATE:
                return Transient(
                    f"{where}. It is tried again; if it stays, see that the server runs and has memory and disk"
                )


_LOADED_AGAIN = 3
"""How often a script is loaded again that the server forgets between loading and running."""


class LuaScript:
    """A server-side script that runs although the server has just forgotten all scripts."""

    def __init__(self, client: Any, text: str) -> None:
        self._registered = client.register_script(text)

    def __call__(self, *, keys: Sequence[Any] = (), args: Sequence[Any] = (), client: Any = None) -> Any:
        """Run it, or add it to a pipeline given as `client`: see `RedisStore.run_each`."""
        if client is not None:
            return self._registered(keys=keys, args=args, client=client)
        for _ in range(_LOADED_AGAIN):
            with contextlib.suppress(fault.NoScriptError):  # forgotten once more between loading and running
                return self._registered(keys=keys, args=args)
        return self._registered(keys=keys, args=args)


# ---------------------------------------------------------------------------------- errors --


class FailureCause(enum.Enum):
    """Why a Redis says no."""

    STATE = "state"
    """The server is in a state that passes: it fails over, loads, is full or busy. The default."""
    ACCESS = "access"
    """It does not accept our user, password or rights."""
    OURS = "ours"
    """The command cannot work on this key, however often it is sent."""


_ACCESS = (fault.AuthenticationError, fault.AuthorizationError, fault.NoPermissionError)
_NO_ACCESS = re.compile(r"NOAUTH|NOPERM|WRONGPASS|DENIED|ACL failure|has no permissions")
_OURS = (
    fault.DataError,
    fault.MovedError,  # the ledger's scripts touch many keys: a cluster cannot run them
    fault.ClusterCrossSlotError,
    fault.ModuleError,
)
_CODE = re.compile(r"(?:^|[\s:]-)(?P<code>[A-Z]{3,})\b")
"""The code of an answer; a Redis before 7 writes that of a command within a script after a minus sign."""
_OUR_CODES = frozenset({"WRONGTYPE", "CROSSSLOT"})
_OUR_WORDS = re.compile(
    r"user_script|Error (?:running|compiling) script|unknown (?:sub)?command|wrong number of arguments|syntax error"
    r"|not an integer|not a (?:valid )?float|out of range|invalid|no such key|wrong kind of value",
    re.IGNORECASE,
)
"""What the server says, after a plain ERR, of a command that it will never accept."""


def cause_of(error: Exception) -> FailureCause:
    """Return why a Redis says no. What is not known to be a fault of ours is a state of the server."""
    told = str(error)
    if isinstance(error, _ACCESS) or _NO_ACCESS.search(told):
        return FailureCause.ACCESS
    if isinstance(error, _OURS):
        return FailureCause.OURS
    if type(error) is not fault.ResponseError:
        return FailureCause.STATE
    codes = {found["code"] for found in _CODE.finditer(told)} - {"ERR"}
    if codes & _OUR_CODES:
        return FailureCause.OURS
    return FailureCause.STATE if codes or not _OUR_WORDS.search(told) else FailureCause.OURS


def address_of(client: redis.Redis) -> str:
    """Return the URL of a client without its user and password."""
    pool = client.connection_pool
    kwargs = pool.connection_kwargs
    db = kwargs.get("db") or 0
    if isinstance(pool, SentinelConnectionPool):
        return f"sentinel://{pool.service_name}/{db}"
    if "path" in kwargs:
        return f"unix://{kwargs['path']}?db={db}"
    scheme = "rediss" if issubclass(pool.connection_class, redis.SSLConnection) else "redis"
    return f"{scheme}://{kwargs.get('host', 'localhost')}:{kwargs.get('port', 6379)}/{db}"


class UnreadableEntry(Permanent):
    """What stands under `key` is not what this release of the ledger writes."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


DAMAGE = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What reading an entry raises that was changed by hand, or written by another release."""


def unreadable(key: str, error: Exception) -> UnreadableEntry:
    """Say that what stands under `key` is not what the ledger writes. Values stay out: they may be personal."""
    return UnreadableEntry(
        f"ledger key {key!r} is unreadable ({type(error).__name__}: {_first_line(error)}). "
        "It was changed by hand, or written by a newer Purser: upgrade, or set the key aside",
        key,
    )


@contextlib.contextmanager
def as_unreadable(key: str) -> Iterator[None]:
    """Raise Unreadable where the server says that a key holds something else than it should."""
    try:
        yield
    except fault.RedisError as error:
        if cause_of(error) is not FailureCause.OURS:
            raise
        raise unreadable(key, error) from error


def shown(name: bytes) -> str:
    """Return a name for people, whatever its bytes are."""
    return name.decode("utf-8", "backslashreplace")


def checked(raw: Any, key: str) -> Any:
    """Return an answer of a pipeline; raise Unreadable for one that is an error."""
    if isinstance(raw, Exception):
        raise unreadable(key, raw)
    return raw


def _first_line(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"no field {error}"
    return str(error).partition("\n")[0][:200]


def text(value: str) -> bytes:
    """Return UTF-8 that never fails: what UTF-8 cannot hold is written as an escape."""
    return value.encode("utf-8", "backslashreplace")


def hash_of(flat: list[bytes]) -> dict[bytes, bytes]:
    """Read the flat list that a script gives for a hash."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def pairs(flat: list[bytes]) -> dict[str, bytes]:
    """Read the flat list that a script gives for a hash, with its field names as text."""
    return named(hash_of(flat))


def named(raw: Mapping[bytes, bytes]) -> dict[str, bytes]:
    """Return a hash with its field names as text; a name that is no text is one nobody asks for."""
    return {shown(name): value for name, value in raw.items()}
