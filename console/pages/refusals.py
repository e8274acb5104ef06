"""What Odoo or the rules said no to, kept apart from failures: who must decide, since when, and what is at risk."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from config.policies import Policies
from console.pages import words
from console.pages.handler import PageHandler
from ledger import Ledger, RefusalEntry, RefusalState
from purser.cases import CaseKey, CaseMemory
from purser.errors import Mistake
from purser.model import Ref

LIMIT = 50


@dataclass(frozen=True, slots=True)
class Told:
    """A refusal with what is known about it beside Odoo's words."""

    entry: RefusalEntry
    decides: str
    """The role that answers for it; '' where nobody is named."""
    control: str
    case: CaseMemory | None
    record: Ref | None


@dataclass(frozen=True, slots=True)
class View:
    """One look at the refusals."""

    told: tuple[Told, ...]
    next: str | None
    open: int


def look(ledger: Ledger, policies: Policies, state: RefusalState, after: str | None) -> View:
    """Read a page of refusals."""
    page = ledger.refusals.page(after=after, limit=LIMIT, state=state)
    return View(tuple(tell(ledger, policies, one) for one in page.items), page.next, ledger.refusals.count())


def tell(ledger: Ledger, policies: Policies, entry: RefusalEntry) -> Told:
    """Add who decides, which case it is about, and its record."""
    rung = CaseKey.parse_rung(entry.id)
    if rung is None:
        return Told(entry, "", "", None, _record(entry.change))
    key = rung[0]
    policy = policies.controls.get(key.control)
    case = ledger.cases.among(key.control, [key]).get(key)
    return Told(entry, "" if policy is None else policy.control.owner, key.control, case, key.subject)


def find(ledger: Ledger, policies: Policies, key: str) -> Told | None:
    """Read one."""
    entry = ledger.refusals.get(key)
    return None if entry is None else tell(ledger, policies, entry)


def _record(change: Mapping[str, Any]) -> Ref | None:
    for name in ("ref", "on"):
        told = change.get(name)
        if isinstance(told, Mapping):
            try:
                return Ref(str(told["model"]), int(told["id"]))
            except (KeyError, TypeError, ValueError):
                return None
    return None


class ListPage(PageHandler):
    """The refusals."""

    tab = "refusals"

    async def get(self) -> None:
        """Show them."""
        state = RefusalState.CLOSED if self.word("state") == "closed" else RefusalState.OPEN
        view = await self.aside(look, self.ledger, self.fleet.policies, state, self.word("after") or None)
        self.show("refusals.html", view=view, state=state, RefusalState=RefusalState, clean=self.clean)


class EntryPage(PageHandler):
    """One refusal."""

    tab = "refusals"

    async def get(self) -> None:
        """Show it with the change that was refused."""
        key = self.word("key")
        told = await self.aside(find, self.ledger, self.fleet.policies, key)
        if told is None:
            raise Mistake(f"no refusal has the key {words.plain(key)}")
        change = words.pretty(self.clean.value(dict(told.entry.change)))
        self.show("refusal.html", told=told, change=change, RefusalState=RefusalState, clean=self.clean)

    async def post(self) -> None:
        """Close it."""
        key, note = self.word("key"), self.note()
        closed = await self.aside(self.ledger.refusals.close, key, who=self.person.name, note=note)
        self.go("/refusals", "Closed." if closed else "Nothing was closed: somebody settled it already.")
