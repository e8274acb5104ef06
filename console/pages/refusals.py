"""What Odoo or the rules said no to, kept apart from failures: who must decide, since when, and what is at risk."""

from dataclasses import dataclass

from config.policy.loader import Policies
from console.pages.base_handler import BasePageHandler
from console.pages.presentation import formatting
from purser.errors import ConfigurationError
from store import Ledger, RefusalState
from workers.events.refusal_handling import RefusalDetails, describe_refusal, find_refusal, retry

LIMIT = 50


@dataclass(frozen=True, slots=True)
class RefusalsView:
    """One look at the refusals."""

    told: tuple[RefusalDetails, ...]
    next: str | None
    open: int


def build_view(ledger: Ledger, policies: Policies, state: RefusalState, after: str | None) -> RefusalsView:
    """Read a page of refusals."""
    page = ledger.refusals.page(after=after, limit=LIMIT, state=state)
    return RefusalsView(
        tuple(describe_refusal(ledger, policies, one) for one in page.items), page.next, ledger.refusals.count()
    )


class RefusalsPage(BasePageHandler):
    """The refusals."""

    tab = "refusals"

    async def get(self) -> None:
        """Show them."""
        state = RefusalState.CLOSED if self.word("state") == "closed" else RefusalState.OPEN
        view = await self.aside(build_view, self.ledger, self.fleet.policies, state, self.word("after") or None)
        self.show("refusals.html", view=view, state=state, RefusalState=RefusalState, clean=self.clean)


class RefusalPage(BasePageHandler):
    """One refusal."""

    tab = "refusals"

    async def get(self) -> None:
        """Show it with the change that was refused."""
        key = self.word("key")
        told = await self.aside(find_refusal, self.ledger, self.fleet.policies, key)
        if told is None:
            raise ConfigurationError(f"no refusal has the key {formatting.plain(key)}")
        change = formatting.pretty(self.clean.value(dict(told.entry.change)))
        self.show("refusal.html", told=told, change=change, RefusalState=RefusalState, clean=self.clean)

    async def post(self) -> None:
        """Close it, or try it again."""
        key, note = self.word("key"), self.note()
        if self.word("act") == "retry":
            again = await self.aside(retry, self.fleet, key, who=self.person.name, note=note)
            self.go("/refusals", f"Tried again: {again.ending}. {self.clean.text(again.why)}".rstrip())
            return
        closed = await self.aside(self.ledger.refusals.close, key, who=self.person.name, note=note)
        self.go("/refusals", "Closed." if closed else "Nothing was closed: somebody settled it already.")
