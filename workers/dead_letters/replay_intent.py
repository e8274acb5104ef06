"""What a dead letter asks for, read with today's code: the changes of a chunk, or what an automation decides now.

Nothing is written, and no letter raises: what cannot be read or asked says so.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kombu.serialization import loads
from pydantic import ValidationError

from events.cloudevent import read_event
from events.event import Event
from purser.declarations import Automation
from purser.engine.predictions import PredictedOutcome
from purser.engine.reconcile import PlannedStep
from purser.errors import ConfigurationError, Misconfigured, Permanent, PurserError, Refusal, Snooze, Transient
from store import DeadLetter
from workers.context import WorkerContext, odoo_binding_of
from workers.controls.run import due_slot, load_steps
from workers.dead_letters.replay_one import is_message
from workers.events.react import AutomationDecision, decide
from workers.messages import PARAMETERS, by_name

OF_A_CHUNK = (
    PredictedOutcome.APPLY,
    PredictedOutcome.UNKNOWN,
    PredictedOutcome.CONFLICT,
    PredictedOutcome.REFUSED,
    PredictedOutcome.DONE,
)
"""The changes of a chunk end each for itself: that one would be applied is the news."""

OF_A_DECISION = (
    PredictedOutcome.UNKNOWN,
    PredictedOutcome.CONFLICT,
    PredictedOutcome.APPLY,
    PredictedOutcome.REFUSED,
    PredictedOutcome.DONE,
)
"""One conflict sends an automation back to decide again, and in the end its message back to the dead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayIntent:
    """What a letter asks for. With `fate` that is all there is to say; otherwise its changes decide."""

    letter: DeadLetter
    fate: PredictedOutcome | None = None
    why: str = ""
    steps: tuple[PlannedStep, ...] = ()
    gravest: Sequence[PredictedOutcome] = OF_A_CHUNK
    """The fate of a letter is the first of these that one of its changes has."""
    decided: bool = False
    """An automation was asked, which cost calls of its own."""


AWAY = (Transient, Snooze, Misconfigured)
"""What keeps Odoo from being asked about anything."""


class _UnreadableLetter(Exception):
    """The words in which a letter cannot be read."""


class IntentReader:
    """Reads letters. What it asks the ledger once it keeps, so a plan is of one moment."""

    def __init__(self, fleet: WorkerContext) -> None:
        self._fleet = fleet
        self._done: dict[str, dt.datetime | None] = {}
        self._home: str | None = None
        self.away: PurserError | None = None
        """Why Odoo cannot be asked: it is not asked again for each letter."""
        self._readers: Mapping[str, Callable[[DeadLetter, Mapping[str, Any]], ReplayIntent]] = {
            "purser.scan": self._scan,
            "purser.apply": self._apply,
            "purser.feed": self._feed,
            "purser.look": self._look,
            "purser.accept": self._accept,
            "purser.react": self._react,
            "purser.deliver": self._deliver,
        }

    def draft(self, letter: DeadLetter) -> ReplayIntent:
        """Read one letter."""
        try:
            return self._readers.get(letter.task, _unknown)(letter, _values(letter))
        except _UnreadableLetter as error:
            return ReplayIntent(letter=letter, fate=PredictedOutcome.UNREADABLE, why=str(error))
        except Exception as error:  # noqa: BLE001 - an automation may raise anything, and the other letters count
            return unreadable_intent(ReplayIntent(letter=letter), error)

    # -------------------------------------------------------------------- one for each task --

    def _scan(self, letter: DeadLetter, values: Mapping[str, Any]) -> ReplayIntent:
        name = _text(values, "control")
        policy = self._fleet.policies.control(name)
        if not policy.enabled:
            return ReplayIntent(
                letter=letter, fate=PredictedOutcome.UNKNOWN, why=f"control `{name}` is switched off in the policy"
            )
        due, last = due_slot(self._fleet, name, self._fleet.now()), self._last_done(name)
        if last is not None and last >= due:
            return ReplayIntent(
                letter=letter, fate=PredictedOutcome.SUPERSEDED, why=f"the scan of {last.isoformat()} is done"
            )
        why = f"the scan of {due.isoformat()} runs and decides anew: {policy.control.rule}"
        return ReplayIntent(letter=letter, fate=PredictedOutcome.APPLY, why=why)

    def _feed(self, letter: DeadLetter, values: Mapping[str, Any]) -> ReplayIntent:
        policy = self._fleet.policies.watch(_text(values, "watch"))
        if not policy.enabled:
            why = f"watch `{policy.watch.name}` is switched off in the policy"
            return ReplayIntent(letter=letter, fate=PredictedOutcome.UNKNOWN, why=why)
        return ReplayIntent(
            letter=letter,
            fate=PredictedOutcome.APPLY,
            why=f"the feed goes on from where it stands: {policy.watch.rule}",
        )

    def _look(self, letter: DeadLetter, values: Mapping[str, Any]) -> ReplayIntent:
        model = _text(values, "model")
        names = [watch.name for watch in self._fleet.catalogue.looking_at(model)]
        if not names:
            return ReplayIntent(letter=letter, fate=PredictedOutcome.UNKNOWN, why=f"no watch looks at `{model}`")
        why = f"the record is read again, and told is what it amounts to by then ({', '.join(names)})"
        return ReplayIntent(letter=letter, fate=PredictedOutcome.APPLY, why=why)

    def _apply(self, letter: DeadLetter, values: Mapping[str, Any]) -> ReplayIntent:
        try:
            steps = load_steps(values.get("steps"))
            slot = dt.datetime.fromisoformat(_text(values, "slot"))
        except ValidationError as error:
            raise _UnreadableLetter(f"its steps do not fit this release: {error.error_count()} mistakes") from None
        except ValueError:
            raise _UnreadableLetter("its slot is no moment") from None
        self._check_home()
        last = self._fleet.ledger.slots.last_completed(_text(values, "control"))
        slot = slot if slot.tzinfo else slot.replace(tzinfo=dt.UTC)
        if last is not None and slot < last:
            why = f"the scan of {last.isoformat()} has decided anew"
            return ReplayIntent(letter=letter, fate=PredictedOutcome.SUPERSEDED, why=why)
        return ReplayIntent(letter=letter, steps=steps)

    def _react(self, letter: DeadLetter, values: Mapping[str, Any]) -> ReplayIntent:
        automation = self._fleet.catalogue.automation(_text(values, "automation"))
        envelope, fact = _event(values)
        if type(fact) not in automation.facts:
            raise _UnreadableLetter(f"`{automation.name}` reacts to {automation.types}, not to {envelope.type}")
        return self._decided(letter, [automation], fact)

    def _accept(self, letter: DeadLetter, values: Mapping[str, Any]) -> ReplayIntent:
        envelope, fact = _event(values)
        if self._fleet.ledger.events.seen(envelope.source, envelope.id):
            return ReplayIntent(letter=letter, fate=PredictedOutcome.DONE, why="the event was accepted before")
        reacting = [
            one
            for one in self._fleet.catalogue.reacting_to(type(fact))
            if self._fleet.policies.automation(one.name).enabled
        ]
        if not reacting:
            return ReplayIntent(
                letter=letter, fate=PredictedOutcome.APPLY, why="it is accepted, and no automation reacts to it"
            )
        why = f"it is accepted, and goes to {', '.join(one.name for one in reacting)}"
        return self._decided(letter, reacting, fact, why)

    def _deliver(self, letter: DeadLetter, values: Mapping[str, Any]) -> ReplayIntent:
        """What goes out changes nothing in Odoo."""
        name = _text(values, "subscription")
        one = self._fleet.policies.subscription(name)
        if not one.enabled or name in self._fleet.ledger.outbound.switched_off():
            return ReplayIntent(
                letter=letter,
                fate=PredictedOutcome.UNKNOWN,
                why=f"subscription `{name}` is switched off: it is left out",
            )
        return ReplayIntent(letter=letter, fate=PredictedOutcome.APPLY, why=f"it is sent to `{name}` at {one.place}")

    def _decided(
        self, letter: DeadLetter, reacting: Sequence[Automation], fact: Event, why: str = ""
    ) -> ReplayIntent:
        """Draft what automations decide. A fact that is told in turn is named, and counts where nothing changes."""
        try:
            decisions = [self._decide(one, fact) for one in reacting]
        except Refusal as no:
            return ReplayIntent(letter=letter, fate=PredictedOutcome.REFUSED, why=str(no), decided=True)
        steps = tuple(PlannedStep(change, None) for one in decisions for change in one.changes)
        told = [f"tells {news.type}" for one in decisions for news in one.facts]
        return ReplayIntent(
            letter=letter,
            fate=PredictedOutcome.APPLY if told and not steps else None,
            steps=steps,
            gravest=OF_A_DECISION,
            decided=True,
            why="; ".join(filter(None, (why, *told))),
        )

    def _decide(self, automation: Automation, fact: Event) -> AutomationDecision:
        if self.away is not None:
            raise self.away
        try:
            return decide(self._fleet, automation, fact)
        except AWAY as error:
            self.away = error
            raise

    def _check_home(self) -> None:
        """Raise Misconfigured as applying would; it must not give the ledger a home, though, as applying does."""
        if self._home is None:
            self._home = self._fleet.ledger.home.known()
        mine = odoo_binding_of(self._fleet.settings)
        if self._home not in ("", mine):
            raise Misconfigured(f"this ledger remembers the cases of {self._home}, and the settings name {mine}")

    def _last_done(self, control: str) -> dt.datetime | None:
        if control not in self._done:
            self._done[control] = self._fleet.ledger.slots.last_done(control)
        return self._done[control]


def unreadable_intent(draft: ReplayIntent, error: Exception) -> ReplayIntent:
    """Return a draft whose changes could not be looked at."""
    why = str(error) if isinstance(error, PurserError) else f"not foreseen: {type(error).__name__}"
    return replace(draft, fate=PredictedOutcome.UNKNOWN, why=why, steps=())


def _values(letter: DeadLetter) -> Mapping[str, Any]:
    """Return the arguments of a letter's task by name."""
    if not is_message(letter):
        raise _UnreadableLetter("its bytes are no task message" + (f": {letter.message}" if letter.message else ""))
    names = PARAMETERS.get(letter.task)
    if names is None:
        raise _UnreadableLetter(f"the task `{letter.task}` is not known to this release")
    try:
        body = loads(letter.body, letter.content_type, letter.content_encoding, accept=["application/json"])  # type: ignore[no-untyped-call]
        args, kwargs, _ = body
        values = by_name(letter.task, args, kwargs)
    except Exception as error:  # noqa: BLE001 - codecs raise anything
        raise _UnreadableLetter(f"its body cannot be read: {type(error).__name__}") from None
    if len(args) > len(names) or not values.keys() <= set(names):
        raise _UnreadableLetter(f"its arguments do not fit: {letter.task} takes {', '.join(names)}")
    return values


def _text(values: Mapping[str, Any], name: str) -> str:
    found = values.get(name)
    if not isinstance(found, str) or not found:
        raise _UnreadableLetter(f"its argument `{name}` is missing or no text")
    return found


def _event(values: Mapping[str, Any]) -> Any:
    try:
        return read_event(values.get("event") or {})
    except (Permanent, ConfigurationError) as error:
        raise _UnreadableLetter(str(error)) from None


def _unknown(letter: DeadLetter, values: Mapping[str, Any]) -> ReplayIntent:
    raise _UnreadableLetter(f"the task `{letter.task}` is not known to this release")
