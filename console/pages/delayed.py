"""Messages that wait to be tried again: why, since when, until when; sent at once or taken off."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from config.queues import QUEUES
from console.output import count
from console.pages.base_handler import BasePageHandler
from console.pages.presentation import formatting
from purser.errors import ConfigurationError
from store import DelayedMessage, DelayKind, Ledger, Page
from workers.dead_letters.capture import cancel

LIMIT = 50
_FILTER = ("task", "queue", "kind")
_BATCH = 500


@dataclass(frozen=True, slots=True)
class DelayedView:
    """One look at what waits."""

    page: Page[DelayedMessage]
    count: int


def build_view(ledger: Ledger, wanted: Mapping[str, str]) -> DelayedView:
    """Read a page of what waits."""
    page = ledger.delayed.page(after=wanted.get("after"), limit=LIMIT, **narrowed(wanted))
    return DelayedView(page, ledger.delayed.count())


def narrowed(wanted: Mapping[str, str]) -> dict[str, Any]:
    """Return a filter as the ledger takes it."""
    told: dict[str, Any] = {name: wanted[name] for name in ("task", "queue") if name in wanted}
    if "kind" in wanted:
        try:
            told["kind"] = DelayKind(wanted["kind"])
        except ValueError:
            raise ConfigurationError(f"kind={wanted['kind']!r} is none of {', '.join(DelayKind)}") from None
    return told


def matching(ledger: Ledger, wanted: Mapping[str, str]) -> list[str]:
    """Return the ids of all that match. They are read before any is changed, so that none is met twice."""
    ids: list[str] = []
    after = None
    while True:
        page = ledger.delayed.page(after=after, limit=_BATCH, **narrowed(wanted))
        ids += [entry.id for entry in page.items]
        if page.next is None:
            return ids
        after = page.next


class DelayedPage(BasePageHandler):
    """What waits."""

    tab = "delayed"

    async def get(self) -> None:
        """Show it."""
        wanted = self.words(*_FILTER, "after")
        view = await self.aside(build_view, self.ledger, wanted)
        now = await self.aside(self.ledger.now)
        self.show(
            "delayed.html",
            view=view,
            wanted=wanted,
            is_filtered=bool(self.words(*_FILTER)),
            present=now,
            queues=QUEUES,
            kinds=tuple(DelayKind),
            clean=self.clean,
        )

    async def post(self) -> None:
        """Send at once, or take off, what was ticked or all that matches."""
        act, note, wanted = self.word("act"), self.note(), self.words(*_FILTER)
        if act not in ("now", "cancel"):
            raise ConfigurationError(f"act={act!r} is neither now nor cancel")
        ids = await self.aside(matching, self.ledger, wanted) if self.word("all") else self.chosen()
        work = self.ledger.delayed.now if act == "now" else partial(cancel, self.ledger)
        changed = await self.aside(work, ids, who=self.person.name, note=note)
        done = "due now" if act == "now" else "cancelled: kept as discarded letters"
        said = f"{count(len(changed), 'message')} {done}."
        if len(changed) < len(ids):
            said += f" {len(ids) - len(changed)} left as they are: gone, or due already."
        self.go(formatting.link("/delayed", **wanted), said)
