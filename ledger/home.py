"""A ledger remembers the cases of one Odoo database: which one is kept with the first use."""

from ledger.clock import micros
from ledger.settled import who_said, why_said
from ledger.store import Store, text

# prefix; the new home, now, who, note
_ADOPT = """
local P = KEYS[1]
local home, now, who, note = unpack(ARGV)
redis.call('SET', P .. ':home', home)
redis.call('XADD', P .. ':audit', '*',
  'at', now, 'who', who, 'action', 'ledger.adopt', 'what', home, 'note', note, 'facts', '{}')
"""


class Home:
    """The Odoo database a ledger belongs to, by address and name."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._adopt = store.script(_ADOPT)

    def of(self, odoo: str) -> str:
        """Give the Odoo this ledger belongs to; a ledger without one belongs to `odoo` from now on."""
        with self._store.reach(self._key) as client:
            client.set(self._key, text(odoo), nx=True)
            return self.known() or odoo

    def known(self) -> str:
        """Give the Odoo this ledger belongs to, '' while nobody has used it."""
        with self._store.reach(self._key) as client:
            found = client.get(self._key)
        return bytes(found).decode() if found else ""

    def adopt(self, odoo: str, *, who: str, note: str) -> None:
        """Let the ledger belong to another address, audited: the same database has moved."""
        args = [text(odoo), micros(self._store.now()), text(who_said(who)), text(why_said(note))]
        with self._store.reach(self._key):
            self._adopt(keys=[self._store.prefix], args=args)

    @property
    def _key(self) -> str:
        return self._store.key("home")
