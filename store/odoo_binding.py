"""A ledger remembers the cases of one Odoo database: which one is kept with the first use."""

from purser.errors import Snooze
from store.redis_store import DAMAGE, RedisStore, UnreadableEntry, as_unreadable, text, unreadable
from store.resolution import require_actor, require_reason
from store.timestamps import to_micros

UNKNOWN_FOR = 60.0
"""Seconds after which work is tried again while nobody can read which Odoo this ledger belongs to."""

# prefix; the new home, now, who, note
_ADOPT = """
local P = KEYS[1]
local home, now, who, note = unpack(ARGV)
redis.call('SET', P .. ':home', home)
redis.call('XADD', P .. ':audit', '*',
  'at', now, 'who', who, 'action', 'ledger.adopt', 'what', home, 'note', note, 'facts', '{}')
"""


class OdooBinding:
    """The Odoo database a ledger belongs to, by address and name."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._adopt = store.script(_ADOPT)

    def of(self, odoo: str) -> str:
        """Return the Odoo this ledger belongs to; a ledger without one belongs to `odoo` from now on.

        Snooze where that cannot be read: cases of one Odoo must not be written into another, and no message is at
        fault. It all waits until a person has said which Odoo it is.
        """
        with self._store.reach(self._key) as client:
            client.set(self._key, text(odoo), nx=True)
        try:
            return self.known() or odoo
        except UnreadableEntry as problem:
            self._store.report(problem)
            raise Snooze(
                f"{problem}. If it belongs to {odoo}, say `purser ledger adopt`", after=UNKNOWN_FOR
            ) from None

    def known(self) -> str:
        """Return the Odoo this ledger belongs to, '' while nobody has used it."""
        with self._store.reach(self._key) as client, as_unreadable(self._key):
            found = client.get(self._key)
        try:
            return bytes(found).decode() if found else ""
        except DAMAGE as error:
            raise unreadable(self._key, error) from error

    def adopt(self, odoo: str, *, who: str, note: str) -> None:
        """Let the ledger belong to another address, audited: the same database has moved."""
        args = [text(odoo), to_micros(self._store.now()), text(require_actor(who)), text(require_reason(note))]
        with self._store.reach(self._key):
            self._adopt(keys=[self._store.prefix], args=args)

    @property
    def _key(self) -> str:
        return self._store.key("home")
