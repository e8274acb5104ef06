"""Dead letters by what went wrong, then one by one: what it carried, what was tried, whence it came, what to do."""

from collections.abc import Mapping
from dataclasses import dataclass

from config.console_users import edit_role_problem
from config.observability.redaction import Redactor
from config.queues import QUEUES
from console.output import count
from console.pages.base_handler import BasePageHandler
from console.pages.presentation import formatting, payloads, runbook_links
from purser.errors import ConfigurationError
from purser.findings import Ref
from store import DeadLetter, DeadLetterFilter, DeadLetterGroup, DeadLetterState, Ledger, Page
from workers.dead_letters.replay_one import is_message

LIMIT = 50
SIMILAR = 6
RELATED = 20
WORDS = (
    *("state", "queue", "task", "reason", "error", "fingerprint"),
    *("correlation", "subject", "since", "until", "text"),
)
STATES = (DeadLetterState.DEAD, DeadLetterState.REPLAYED, DeadLetterState.DISCARDED, DeadLetterState.SUPERSEDED)


@dataclass(frozen=True, slots=True)
class DeadLetterGroupsView:
    """Letters by what went wrong."""

    groups: tuple[DeadLetterGroup, ...]
    counts: Mapping[DeadLetterState, int]
    running: int


@dataclass(frozen=True, slots=True)
class DeadLettersView:
    """A page of letters."""

    page: Page[DeadLetter]
    count: int | None
    """How many match; None where counting would read every letter."""
    counts: Mapping[DeadLetterState, int]


@dataclass(frozen=True, slots=True)
class DeadLetterView:
    """One letter, and what stands around it."""

    letter: DeadLetter
    payload: payloads.PayloadView
    event: payloads.EventView | None
    subjects: tuple[Ref, ...]
    similar: tuple[DeadLetter, ...]
    alike: int
    related: tuple[DeadLetter, ...]
    """Those that began with the same message."""
    advice: runbook_links.Advice
    can_replay: bool


def build_groups_view(ledger: Ledger, wanted: DeadLetterFilter) -> DeadLetterGroupsView:
    """Read the groups."""
    running = sum(one.ended is None for one in ledger.replays.page(limit=20).items)
    return DeadLetterGroupsView(ledger.letters.groups(wanted), _counts(ledger), running)


def build_letters_view(ledger: Ledger, wanted: DeadLetterFilter, after: str | None) -> DeadLettersView:
    """Read a page of letters."""
    page = ledger.letters.page(wanted, after=after, limit=LIMIT)
    return DeadLettersView(page, None if wanted.text else ledger.letters.count(wanted), _counts(ledger))


def build_letter_view(ledger: Ledger, letter_id: str, clean: Redactor) -> DeadLetterView | None:
    """Read one letter and what stands around it."""
    letter = ledger.letters.get(letter_id)
    if letter is None:
        return None
    alike = DeadLetterFilter(fingerprint=letter.fingerprint)
    similar = ledger.letters.page(alike, limit=SIMILAR + 1).items
    related: list[DeadLetter] = []
    if letter.correlation_id:
        for state in DeadLetterState:
            kin = DeadLetterFilter(state=state, correlation=letter.correlation_id)
            related += ledger.letters.page(kin, limit=RELATED).items
    return DeadLetterView(
        letter=letter,
        payload=payloads.payload_view(letter.body, clean),
        event=payloads.event_of(letter),
        subjects=tuple(ref for ref in map(_ref, letter.subjects) if ref is not None),
        similar=tuple(one for one in similar if one.id != letter_id)[:SIMILAR],
        alike=ledger.letters.count(alike),
        related=tuple(one for one in related if one.id != letter_id),
        advice=runbook_links.runbook_advice(letter),
        can_replay=letter.state is DeadLetterState.DEAD and is_message(letter),
    )


def _counts(ledger: Ledger) -> dict[DeadLetterState, int]:
    return {state: ledger.letters.count(DeadLetterFilter(state=state)) for state in STATES}


def _ref(subject: str) -> Ref | None:
    try:
        return Ref.parse(subject)
    except ValueError:
        return None


class BaseDeadLetterHandler(BasePageHandler):
    """A page about letters: its filter is in its address."""

    tab = "dead"

    def wanted(self) -> DeadLetterFilter:
        """Read the filter from the address or form."""
        return DeadLetterFilter.read(self.words(*WORDS))

    def as_typed(self) -> dict[str, str]:
        """Return the filter in the words that were typed: `24h` stays 24 hours ago when the link is opened later."""
        return self.words(*WORDS)

    async def selection(self) -> tuple[list[str], str]:
        """Return the ids that are meant and the words for them: the ticked ones, or all that match the filter."""
        if self.word("all"):
            wanted = self.wanted()
            ids = await self.aside(lambda: list(self.ledger.letters.ids(wanted)))
            told = " ".join(f"{name}={value}" for name, value in wanted.words().items())
            return ids, told or "all dead letters"
        ids = self.chosen()
        return ids, f"letter {ids[0]}" if len(ids) == 1 else f"{len(ids)} ticked letters"


class DeadLetterGroupsPage(BaseDeadLetterHandler):
    """Dead letters by what went wrong."""

    async def get(self) -> None:
        """Show them."""
        view = await self.aside(build_groups_view, self.ledger, self.wanted())
        filter_ = self.as_typed()
        self.show("groups.html", view=view, typed=filter_, clean=self.clean, states=STATES, queues=QUEUES)


class DeadLettersPage(BaseDeadLetterHandler):
    """Dead letters one by one."""

    async def get(self) -> None:
        """Show them."""
        after = self.word("after")
        view = await self.aside(build_letters_view, self.ledger, self.wanted(), after or None)
        self.show(
            "letters.html",
            view=view,
            typed=self.as_typed(),
            after=after,
            clean=self.clean,
            states=STATES,
            queues=QUEUES,
            here=self.request.uri,
            DeadLetterState=DeadLetterState,
        )

    async def post(self) -> None:
        """Plan a replay of what is meant, discard it or restore it."""
        act = self.word("act")
        if act == "plan":
            words_ = {"all": "1", **self.as_typed()} if self.word("all") else {"id": self.chosen()}
            self.redirect(formatting.link_many("/dead/plan", words_), status=303)
            return
        if act not in ("discard", "restore"):
            raise ConfigurationError(f"act={act!r} is none of plan, discard, restore")
        note = self.note()
        ids, _ = await self.selection()
        work = self.ledger.letters.discard if act == "discard" else self.ledger.letters.restore
        changed = await self.aside(work, ids, who=self.person.name, note=note)
        done = "discarded: restorable until retention ends" if act == "discard" else "dead again"
        said = f"{count(len(changed), 'letter')} {done}."
        if len(changed) < len(ids):
            said += f" {len(ids) - len(changed)} left as they are: somebody was faster."
        self.go(self.back(formatting.link("/dead/letters", **self.as_typed())), said)


class DeadLetterPage(BaseDeadLetterHandler):
    """One letter."""

    async def get(self) -> None:
        """Show it."""
        letter_id = self.word("id")
        view = await self.aside(build_letter_view, self.ledger, letter_id, self.clean)
        if view is None:
            raise ConfigurationError(f"no letter has the id {formatting.plain(letter_id)}")
        self.show(
            "letter.html",
            view=view,
            letter=view.letter,
            clean=self.clean,
            DeadLetterState=DeadLetterState,
            no_edit=await self.aside(edit_role_problem, self.fleet.settings, self.person.name, view.letter.task),
            back=self.back("/dead"),
        )
