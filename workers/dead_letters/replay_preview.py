"""What a replay would do to the business now is known before it begins: every letter is judged by reading Odoo alone.

Letters are looked at many at a time, and judged in the order given, each on what those before it would leave.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from events.event import Event
from odoo_client import OdooClient, Preview, Previewer
from purser.changes import (
    CallMethod,
    Change,
    CloseActivity,
    Ensure,
    PostNote,
    RecordLink,
    RunOperation,
    Update,
    change_key,
)
from purser.engine.predictions import FieldChange, PredictedOutcome
from purser.engine.reconcile import PlannedStep
from purser.errors import PurserError
from purser.findings import Money, Ref
from store import DeadLetter
from workers.context import WorkerContext
from workers.dead_letters.replay_intent import AWAY, IntentReader, ReplayIntent, unreadable_intent
from workers.events.react import AutomationDecision

BATCH_SIZE = 1000
"""So many letters are looked at together."""

DECISIONS_AT_ONCE = 50
"""So many, where automations must be asked, which takes longer."""

_HOLDS = (PredictedOutcome.APPLY, PredictedOutcome.DONE, PredictedOutcome.UNKNOWN)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedChange:
    """One change, what would become of it, and what it would do to its record field by field."""

    kind: str
    model: str
    ref: Ref | None
    """The record, where it is there."""
    key: str
    fate: PredictedOutcome
    fields: tuple[FieldChange, ...] = ()
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LetterPreview:
    """What replaying one letter would do."""

    id: str
    task: str
    fate: PredictedOutcome
    why: str = ""
    changes: tuple[PlannedChange, ...] = ()
    notified: tuple[int, ...] = ()
    """The `res.users` ids of those who would get something to do, or be told that something is theirs now."""
    hours: Decimal = Decimal(0)
    money: tuple[Money, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayPreview:
    """What replaying letters would do, one by one and in sum."""

    letters: tuple[LetterPreview, ...]
    counts: Mapping[PredictedOutcome, int]
    people: Mapping[int, str]
    """Who would be notified: the display name of each `res.users` id, as far as it may be seen."""
    hours: Decimal
    money: tuple[Money, ...]
    rpc_calls: int


def preview_replay(
    fleet: WorkerContext, letters: Iterable[DeadLetter], *, progress: Callable[[int], None] | None = None
) -> ReplayPreview:
    """Plan a replay. `progress` hears how many letters are planned.

    A letter that cannot be told about says why, be it that Odoo is away.
    """
    clients = _clients(fleet)
    calls = sum(client.calls for client in clients)
    planner = _PreviewBuilder(fleet)
    planned: list[LetterPreview] = []
    for page in planner.pages(letters):
        planned += [planner.judged(draft) for draft in planner.learnt(page)]
        if progress is not None:
            progress(len(planned))
    people = _people(fleet, {user for one in planned for user in one.notified})
    return ReplayPreview(
        letters=tuple(planned),
        counts=Counter(one.fate for one in planned),
        people=people,
        hours=sum((one.hours for one in planned), Decimal(0)),
        money=_sum(money for one in planned for money in one.money),
        rpc_calls=sum(client.calls for client in clients) - calls,
    )


def predict(fleet: WorkerContext, decision: AutomationDecision) -> tuple[PlannedChange, ...]:
    """Return what carrying out a decision would do now. Raises what Odoo says when it cannot be asked."""
    changes = (_planned(preview) for preview in fleet.change.preview(decision.changes))
    return (*changes, *(_told(fact) for fact in decision.facts))


def _told(fact: Event) -> PlannedChange:
    """Show a fact that would be told among the changes it follows from."""
    return PlannedChange(
        kind="tell",
        model=fact.record.model,
        ref=fact.record,
        key=fact.identity,
        fate=PredictedOutcome.APPLY,
        fields=tuple(FieldChange(name, None, value) for name, value in fact.model_dump(exclude_none=True).items()),
        why=f"tells {fact.type}",
    )


def _clients(fleet: WorkerContext) -> list[OdooClient]:
    return [fleet.audit] if fleet.audit is fleet.change else [fleet.audit, fleet.change]


class _PreviewBuilder:
    """Takes letters page by page: read, learnt about, judged."""

    def __init__(self, fleet: WorkerContext) -> None:
        self._drafter = IntentReader(fleet)
        self._previewer = fleet.change.previewer()

    def pages(self, letters: Iterable[DeadLetter]) -> Iterator[list[ReplayIntent]]:
        """Read letters."""
        page: list[ReplayIntent] = []
        decided = 0
        for letter in letters:
            page.append(self._drafter.draft(letter))
            decided += page[-1].decided
            if len(page) == BATCH_SIZE or decided == DECISIONS_AT_ONCE:
                yield page
                page, decided = [], 0
        if page:
            yield page

    def learnt(self, drafts: list[ReplayIntent]) -> list[ReplayIntent]:
        """Read what judging takes. A draft that spoils the reading is found by halving, and takes no other along."""
        changes = [step.change for one in drafts for step in one.steps if step.change is not None]
        try:
            if changes and self._drafter.away is not None:
                raise self._drafter.away
            self._previewer.learn(changes)
        except AWAY as error:
            self._drafter.away = error
            return [unreadable_intent(one, error) if one.steps else one for one in drafts]
        except Exception as error:  # noqa: BLE001 - whatever one letter brings about, the others count
            if len(drafts) == 1:
                return [unreadable_intent(drafts[0], error)]
            middle = len(drafts) // 2
            return self.learnt(drafts[:middle]) + self.learnt(drafts[middle:])
        return drafts

    def judged(self, draft: ReplayIntent) -> LetterPreview:
        """Return what would become of a letter."""
        try:
            judged = [] if draft.fate else _carried_out(self._previewer, draft.steps)
        except PurserError as error:
            draft, judged = unreadable_intent(draft, error), []
        letter = draft.letter
        if draft.fate is not None:
            return LetterPreview(id=letter.id, task=letter.task, fate=draft.fate, why=draft.why)
        fates = Counter(preview.fate for _, preview in judged)
        applied = [(step, preview) for step, preview in judged if preview.fate is PredictedOutcome.APPLY]
        memories = [step.memory for step, _ in applied if step.memory is not None]
        return LetterPreview(
            id=letter.id,
            task=letter.task,
            fate=next((one for one in draft.gravest if fates[one]), PredictedOutcome.DONE),
            why="; ".join(filter(None, (draft.why, _mixed(fates, judged)))),
            changes=tuple(_planned(preview) for _, preview in judged),
            notified=tuple(sorted({user for _, preview in applied if (user := _asks(preview)) is not None})),
            hours=sum((memory.hours for memory in memories), Decimal(0)),
            money=_sum(memory.money for memory in memories),
        )


def _carried_out(previewer: Previewer, steps: Sequence[PlannedStep]) -> list[tuple[PlannedStep, Preview]]:
    """Judge steps as they are applied: what must come after another only where that one is there."""
    done = [(step, previewer.judge(step.change)) for step in steps if step.change is not None and not step.only_after]
    there = {change_key(preview.change) for _, preview in done if preview.fate in _HOLDS}
    followers = [step for step in steps if step.only_after in there]
    return done + [(step, previewer.judge(step.change)) for step in followers if step.change is not None]


def _mixed(fates: Mapping[PredictedOutcome, int], judged: Sequence[tuple[PlannedStep, Preview]]) -> str:
    if not judged:
        return "nothing is to be changed"
    if len(fates) > 1:
        return ", ".join(f"{fates[fate]} {fate}" for fate in PredictedOutcome if fates[fate])
    return judged[0][1].why if len(judged) == 1 else ""


def _planned(preview: Preview) -> PlannedChange:
    change = preview.change
    return PlannedChange(
        kind=change.kind,
        model=_model(change),
        ref=preview.ref,
        key=change_key(change),
        fate=preview.fate,
        fields=preview.fields,
        why=preview.why,
    )


def _model(change: Change) -> str:
    match change:
        case Ensure(model=model):
            return model
        case Update(ref=ref) | CallMethod(ref=ref) | PostNote(on=ref) | RunOperation(on=ref):
            return ref.model
        case CloseActivity():
            return "mail.activity"


def _asks(preview: Preview) -> int | None:
    """Return who would have something to do that was not theirs: Odoo tells them, or shows it in their list."""
    change = preview.change
    if not isinstance(change, (Ensure, Update)) or all(field.field != "user_id" for field in preview.fields):
        return None
    user = change.values.get("user_id")
    return user.ref.id if isinstance(user, RecordLink) and user.ref.model == "res.users" else None


def _people(fleet: WorkerContext, users: set[int]) -> Mapping[int, str]:
    try:
        return fleet.change.names("res.users", sorted(users)) if users else {}
    except PurserError:
        return {}


def _sum(amounts: Iterable[Money | None]) -> tuple[Money, ...]:
    by_currency: dict[str, Decimal] = defaultdict(Decimal)
    for one in amounts:
        if one is not None:
            by_currency[one.currency] += one.amount
    return tuple(Money(amount, currency) for currency, amount in sorted(by_currency.items()))
