"""What people did to the fleet, and why, stands in one stream that nobody trims."""

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from store.redis_store import DAMAGE, RedisStore, named, shown, text, unreadable
from store.resolution import require_actor
from store.timestamps import from_micros, to_micros


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One act: who did what to which thing, and why. `id` orders the entries and serves as a cursor."""

    id: str
    at: dt.datetime
    who: str
    action: str
    what: str
    note: str
    facts: Mapping[str, Any] = field(default_factory=dict)


_ENTRY = re.compile(r"\d+-\d+")


class AuditLog:
    """The trail. Acts of the ledger itself (discard, replay, closing a refusal) write their own entry."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def append(
        self, *, who: str, action: str, what: str, note: str = "", facts: Mapping[str, Any] | None = None
    ) -> str:
        """Add an act that the ledger does not record by itself; give the id of the entry."""
        fields = {
            "at": to_micros(self._store.now()),
            "who": text(require_actor(who)),
            "action": text(action),
            "what": text(what),
            "note": text(note),
            "facts": json.dumps(dict(facts or {}), default=str),
        }
        with self._store.reach(self._key) as client:
            entry_id: bytes = client.xadd(self._key, fields)
        return entry_id.decode()

    def tail(self, limit: int = 50, *, after: str | None = None) -> tuple[AuditEntry, ...]:
        """Return the last `limit` entries, or the first `limit` after an entry; the oldest of them first."""
        if after is not None and not _ENTRY.fullmatch(after):
            raise ValueError(f"{after!r} is no entry of the audit trail: pass the id of one")
        with self._store.reach(self._key) as client:
            if after is None:
                found = client.xrevrange(self._key, count=limit)[::-1]
            else:
                found = client.xrange(self._key, min=f"({after}", count=limit)
        return tuple(self._store.readable(self._read, found))

    @property
    def _key(self) -> str:
        return self._store.key("audit")

    def _read(self, entry_id: bytes, kept: Mapping[bytes, bytes]) -> AuditEntry:
        try:
            raw = named(kept)
            return AuditEntry(
                id=entry_id.decode(),
                at=from_micros(raw["at"]),
                who=raw["who"].decode(),
                action=raw["action"].decode(),
                what=raw["what"].decode(),
                note=raw["note"].decode(),
                facts=dict(json.loads(raw["facts"])),
            )
        except DAMAGE as error:
            raise unreadable(f"{self._key} {shown(entry_id)}", error) from error
