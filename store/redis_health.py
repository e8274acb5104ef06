"""Whether our Redis can be trusted with what must not be lost: facts, which `doctor` judges."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from purser.errors import PurserError
from store.redis_store import RedisStore


@dataclass(frozen=True, kw_only=True, slots=True)
class RedisHealth:
    """What the server says of itself. None: it does not say."""

    address: str
    is_reachable: bool
    problem: str = ""
    """Why it is not reachable."""
    server: str = ""
    version: str = ""
    has_append_only_file: bool | None = None
    eviction: str | None = None
    """The maxmemory policy; anything but noeviction may drop letters."""
    used_memory: int | None = None
    max_memory: int | None = None
    """0: no limit."""
    persistence_errors: tuple[str, ...] = ()


_PERSISTENCE = ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")


def health_of(store: RedisStore) -> RedisHealth:
    """Ask the server. An unreachable one is an answer, not an error."""
    try:
        with store.reach("its health") as client:
            info = client.info()
    except PurserError as error:
        return RedisHealth(address=store.address, is_reachable=False, problem=str(error))
    return _read(store.address, info)


def _read(address: str, info: Mapping[str, Any]) -> RedisHealth:
    return RedisHealth(
        address=address,
        is_reachable=True,
        server=str(info.get("server_name", "redis")),
        version=str(info.get("valkey_version") or info.get("redis_version") or ""),
        has_append_only_file=bool(info["aof_enabled"]) if "aof_enabled" in info else None,
        eviction=str(info["maxmemory_policy"]) if "maxmemory_policy" in info else None,
        used_memory=int(info["used_memory"]) if "used_memory" in info else None,
        max_memory=int(info["maxmemory"]) if "maxmemory" in info else None,
        persistence_errors=tuple(f"{name}: {info[name]}" for name in _PERSISTENCE if info.get(name, "ok") != "ok"),
    )
