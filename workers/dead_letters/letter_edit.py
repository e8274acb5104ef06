"""A dead letter is mended by somebody who may, into something its task can read; where much is at stake, by two.

An edit changes what a message asks for, never which message it is: the event's own id, the control and its slot stay,
for the ledger waits for them under these names.
"""

import enum
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from config.console_users import edit_role_problem
from events.cloudevent import read_event
from purser.errors import ConfigurationError, Permanent
from purser.formats.strict_json import read_json
from store import DeadLetter, DeadLetterState, Edit
from workers.context import WorkerContext
from workers.controls.run import load_steps
from workers.dead_letters.amounts_at_risk import AmountAtRisk, amount_at_risk
from workers.dead_letters.letter_factory import subjects_of
from workers.dead_letters.replay_one import is_message
from workers.messages import PARAMETERS, by_name

log = structlog.get_logger(__name__)


class EditStatus(enum.StrEnum):
    """What became of an edit."""

    DONE = "done"
    """The letter carries it now."""
    PROPOSED = "proposed"
    """It waits for a second person."""
    MOVED = "moved"
    """The letter is not as it was seen: look again."""
    FORBIDDEN = "forbidden"
    """Whoever asks may not."""
    UNFIT = "unfit"
    """Its task could not read it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EditResult:
    """The answer to an edit: how it ended, the letter as it is now, and what is wrong."""

    ending: EditStatus
    letter: DeadLetter | None
    problems: tuple[str, ...] = ()
    stake: AmountAtRisk | None = field(default_factory=AmountAtRisk)
    """The larger of what was at stake before and after; None where that is unknown."""


# ------------------------------------------------------------------------------- the acts --


def edit(fleet: WorkerContext, letter_id: str, body: bytes, *, expects: int, who: str, note: str) -> EditResult:
    """Let a dead letter carry `body`, the whole of a message's body: see `body_with`.

    `expects` is how many edits its author saw. ValueError without a name or a reason.
    """
    letter = fleet.ledger.letters.get(letter_id)
    if letter is None:
        return EditResult(ending=EditStatus.MOVED, letter=None, problems=(f"no letter has the id {letter_id}",))
    if moved := _moved(letter, expects):
        return EditResult(ending=EditStatus.MOVED, letter=letter, problems=(moved,))
    if why := edit_role_problem(fleet.settings, who, letter.task):
        return EditResult(ending=EditStatus.FORBIDDEN, letter=letter, problems=(why,))
    problems = check(fleet, letter, body)
    if problems:
        return EditResult(ending=EditStatus.UNFIT, letter=letter, problems=problems)
    return _carry_out(fleet, letter, body, expects=expects, who=who, note=note)


def revert(fleet: WorkerContext, letter_id: str, *, expects: int, who: str, note: str) -> EditResult:
    """Undo the last edit: itself one more edit. It need not fit the task, for what was received may not have."""
    letter = fleet.ledger.letters.get(letter_id)
    if letter is None or not letter.edits:
        return EditResult(ending=EditStatus.MOVED, letter=letter, problems=("there is no edit to undo",))
    if moved := _moved(letter, expects):
        return EditResult(ending=EditStatus.MOVED, letter=letter, problems=(moved,))
    if why := edit_role_problem(fleet.settings, who, letter.task):
        return EditResult(ending=EditStatus.FORBIDDEN, letter=letter, problems=(why,))
    return _carry_out(fleet, letter, letter.edits[-1].before, expects=expects, who=who, note=note)


def approve(fleet: WorkerContext, letter_id: str, *, who: str, note: str, seen: Edit | None = None) -> EditResult:
    """Let a proposed edit count, as somebody else than its author; `seen` is the proposal that was looked at."""
    letter = fleet.ledger.letters.get(letter_id)
    if letter is None or letter.proposal is None:
        return EditResult(ending=EditStatus.MOVED, letter=letter, problems=("no edit waits here",))
    if why := edit_role_problem(fleet.settings, who, letter.task):
        return EditResult(ending=EditStatus.FORBIDDEN, letter=letter, problems=(why,))
    try:
        approved = fleet.ledger.letters.approve(letter_id, who=who, note=note, seen=seen)
    except ValueError as error:
        return EditResult(ending=EditStatus.FORBIDDEN, letter=letter, problems=(str(error),))
    if approved is None:
        return EditResult(
            ending=EditStatus.MOVED, letter=letter, problems=("another edit waits here by now: look again",)
        )
    log.info("edit approved", letter=letter_id, task=letter.task, who=who)
    return EditResult(ending=EditStatus.DONE, letter=approved, stake=amount_at_risk(approved))


def _moved(letter: DeadLetter, expects: int) -> str:
    if letter.state is not DeadLetterState.DEAD:
        return f"the letter is {letter.state}, not dead: only dead ones are edited"
    if len(letter.edits) != expects:
        return "somebody edited it meanwhile: look again"
    return ""


def _carry_out(
    fleet: WorkerContext, letter: DeadLetter, body: bytes, *, expects: int, who: str, note: str
) -> EditResult:
    before, after = amount_at_risk(letter), amount_at_risk(replace(letter, body=body))
    limits = fleet.policies.dead_letters
    asks_two = any(limits.needs_second_person(None if one is None else one.money) for one in (before, after))
    stake = None if before is None or after is None else max(before, after, key=_size)
    if letter.proposal is not None:
        told = f"an edit of {letter.proposal.who} waits for a second person: approve or withdraw it first"
        return EditResult(ending=EditStatus.MOVED, letter=letter, problems=(told,), stake=stake)
    letters = fleet.ledger.letters
    act = letters.propose if asks_two else letters.edit
    subjects = subjects_of(letter.task, _values(letter, body) or {})
    changed = act(letter.id, body=body, expects=expects, who=who, note=note, subjects=subjects)
    if changed is None:
        told = "somebody edited or settled it meanwhile: look again"
        return EditResult(ending=EditStatus.MOVED, letter=letters.get(letter.id), problems=(told,), stake=stake)
    ending = EditStatus.PROPOSED if asks_two else EditStatus.DONE
    log.info("letter edited", letter=letter.id, task=letter.task, who=who, ending=ending)
    return EditResult(ending=ending, letter=changed, stake=stake)


def _size(stake: AmountAtRisk) -> tuple[Decimal, Decimal]:
    return sum((abs(money.amount) for money in stake.money), Decimal(0)), stake.hours


# --------------------------------------------------------------------------- what is edited --


def text_of(letter: DeadLetter) -> str:
    """Return what a person edits: the values of the task by name, as JSON; '' when they cannot be read."""
    values = _values(letter, letter.body)
    return "" if values is None else json.dumps(values, indent=2, ensure_ascii=False)


def body_with(letter: DeadLetter, text: str) -> bytes:
    """Return the body of a letter with other values, as `text_of` returns them. Raises ValueError for no object."""
    values = read_json(text, halves=True)
    if not isinstance(values, dict):
        raise ValueError("write a JSON object: the values of the task by name")
    try:
        embed = read_json(letter.body, halves=True)[2]
    except (ValueError, LookupError, TypeError, RecursionError):
        embed = None
    return json.dumps([[], values, embed], ensure_ascii=False).encode("utf-8", "backslashreplace")


def check(fleet: WorkerContext, letter: DeadLetter, body: bytes) -> tuple[str, ...]:
    """Say everything that keeps a letter from carrying `body`, without the values: they may be personal."""
    if not is_message(letter):
        return ("its bytes are no task message, so there is nothing to edit: find who sends them, then discard it",)
    if letter.content_type != "application/json":
        return (f"it is {letter.content_type or 'of no known kind'}: only JSON can be edited",)
    if body == letter.body:
        return ("nothing is changed",)
    reader = _READERS.get(letter.task)
    if reader is None:
        return (f"the task `{letter.task}` is not known to this release, so an edit could not be checked",)
    values = _values(letter, body)
    if values is None:
        return ("it is no body of a task: `[[], {the values by name}, null]` in JSON",)
    return (*reader(fleet, values), *_changed_names(letter, values))


def _values(letter: DeadLetter, body: bytes) -> dict[str, Any] | None:
    """Return the values by name; None when this is no body, or gives more by their place than its task takes."""
    try:
        args, values, embed = read_json(body, halves=True)
    except (ValueError, TypeError, RecursionError):
        return None
    if not isinstance(args, list) or not isinstance(values, dict) or not isinstance(embed, (dict, type(None))):
        return None
    return None if len(args) > len(PARAMETERS.get(letter.task, ())) else by_name(letter.task, args, values)


_NAMES = (("control",), ("slot",), ("run",), ("automation",), ("subscription",), ("event", "id"), ("event", "source"))
"""What says which message it is."""


def _changed_names(letter: DeadLetter, values: Mapping[str, Any]) -> Iterator[str]:
    known = _values(letter, letter.original) or {}
    for path in _NAMES:
        was = _at(known, path)
        if was is not None and _at(values, path) != was:
            yield f"`{'.'.join(path)}` says which message it is: an edit does not change it"


def _at(values: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


# ------------------------------------------------------------------------ what a task reads --


class _MessageValues(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ScanMessage(_MessageValues):
    control: str
    release_hold: bool = False


class ApplyMessage(_MessageValues):
    control: str
    slot: AwareDatetime
    run: str
    steps: list[Any]


class AcceptMessage(_MessageValues):
    event: dict[str, Any]


class FeedMessage(_MessageValues):
    watch: str


class LookMessage(_MessageValues):
    model: str
    id: int


class ReactMessage(_MessageValues):
    automation: str
    event: dict[str, Any]


class _Deliver(_MessageValues):
    subscription: str
    event: dict[str, Any]


def _scan(fleet: WorkerContext, values: Mapping[str, Any]) -> Iterator[str]:
    yield from _fits(ScanMessage, values)
    yield from _is_known(fleet.policies.control, values.get("control"))


def _apply(fleet: WorkerContext, values: Mapping[str, Any]) -> Iterator[str]:
    yield from _fits(ApplyMessage, values)
    yield from _is_known(fleet.policies.control, values.get("control"))
    if isinstance(values.get("steps"), list):
        try:
            load_steps(values["steps"])
        except ValidationError as error:
            yield from (f"steps: {told}" for told in _told(error))


def _accept(fleet: WorkerContext, values: Mapping[str, Any]) -> Iterator[str]:
    yield from _fits(AcceptMessage, values)
    yield from _event(values)


def _feed(fleet: WorkerContext, values: Mapping[str, Any]) -> Iterator[str]:
    yield from _fits(FeedMessage, values)
    yield from _is_known(fleet.policies.watch, values.get("watch"))


def _look(fleet: WorkerContext, values: Mapping[str, Any]) -> Iterator[str]:
    yield from _fits(LookMessage, values)
    model = values.get("model")
    if isinstance(model, str) and not any(True for _ in fleet.catalogue.looking_at(model)):
        yield f"model: no watch looks at `{model}`"


def _react(fleet: WorkerContext, values: Mapping[str, Any]) -> Iterator[str]:
    yield from _fits(ReactMessage, values)
    yield from _is_known(fleet.catalogue.automation, values.get("automation"))
    problems = list(_event(values))
    yield from problems
    name = values.get("automation")
    if problems or not isinstance(values.get("event"), dict):
        return
    if isinstance(name, str) and name in fleet.catalogue.automations:
        automation, found = fleet.catalogue.automation(name), values["event"].get("type")
        if found not in {fact.type for fact in automation.facts}:
            yield f"event.type: automation `{name}` reacts to {automation.types}, not to {found}"


def _deliver(fleet: WorkerContext, values: Mapping[str, Any]) -> Iterator[str]:
    yield from _fits(_Deliver, values)
    yield from _is_known(fleet.policies.subscription, values.get("subscription"))
    yield from _event(values)


_READERS: Mapping[str, Callable[[WorkerContext, Mapping[str, Any]], Iterator[str]]] = {
    "purser.scan": _scan,
    "purser.apply": _apply,
    "purser.feed": _feed,
    "purser.look": _look,
    "purser.accept": _accept,
    "purser.react": _react,
    "purser.deliver": _deliver,
}


def _fits(model: type[_MessageValues], values: Mapping[str, Any]) -> Iterator[str]:
    try:
        model.model_validate(values)
    except ValidationError as error:
        yield from _told(error)


def _is_known(find: Callable[[str], object], name: Any) -> Iterator[str]:
    if isinstance(name, str):
        try:
            find(name)
        except ConfigurationError as error:
            yield str(error)


def _event(values: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(values.get("event"), dict):
        try:
            read_event(values["event"])
        except Permanent as error:
            yield f"event: {error}"


def _told(error: ValidationError) -> Iterator[str]:
    """Name the places and reasons, never the values."""
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        yield f"{'.'.join(map(str, one['loc'])) or 'the values'}: {one['msg']}"
