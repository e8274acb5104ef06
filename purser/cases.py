"""A case is a finding's life in Odoo; its key says which control, subject, period, episode and rung it is about.

    case/<control>/<subject>/<period or ->/e<episode>/r<rung>

The part before the episode names the case for good. The episode counts earlier closings by us, the rung counts
how far up the ladder it went. Each rung is an activity of its own (or, without a desk, one note).
"""

import datetime as dt
import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from purser.findings import Money, Period, Ref, Severity


@dataclass(frozen=True, slots=True)
class EscalationStep:
    """One step of a ladder: an audience or role, asked so many working days after the step before."""

    ask: str
    after: int = 0


class CaseState(enum.StrEnum):
    """Where a case stands."""

    OPEN = "open"
    QUIET = "quiet"
    """A person marked it done or cancelled it without a scan having proved anything: quiet until the next rung."""
    ESCALATED = "escalated"
    """We closed a rung to ask the next one, which is not there yet."""
    CLOSED = "closed"
    """A scan examined it and found the rule kept."""
    WITHDRAWN = "withdrawn"
    """The rule no longer speaks about it, or its subject is gone."""


ENDED_STATES = frozenset({CaseState.CLOSED, CaseState.WITHDRAWN})


class FeedbackMarker(enum.StrEnum):
    """How feedback written by us tells a closing by proof from one by a person."""

    KEPT = "[purser:kept]"
    WITHDRAWN = "[purser:withdrawn]"
    ESCALATED = "[purser:escalated]"

    @classmethod
    def of(cls, feedback: str) -> "FeedbackMarker | None":
        """Find our mark in a feedback text."""
        return next((mark for mark in cls if mark.value in feedback), None)


_STATE_OF_MARK = {
    None: CaseState.QUIET,
    FeedbackMarker.KEPT: CaseState.CLOSED,
    FeedbackMarker.WITHDRAWN: CaseState.WITHDRAWN,
    FeedbackMarker.ESCALATED: CaseState.ESCALATED,
}


@dataclass(frozen=True, order=True, slots=True)
class CaseKey:
    """What a case is about: the part of its key that never changes."""

    control: str
    subject: Ref
    period: Period | None = None

    def __str__(self) -> str:
        period = "-" if self.period is None else f"{self.period.first}..{self.period.last}"
        return f"case/{self.control}/{self.subject}/{period}"

    def rung(self, episode: int, rung: int) -> str:
        """Return the business key of one rung's activity or note."""
        return f"{self}/e{episode}/r{rung}"

    @classmethod
    def parse(cls, text: str) -> "CaseKey":
        """Read what `str(key)` wrote; ValueError otherwise."""
        match = _CASE.fullmatch(text)
        if match is None or match["episode"] is not None:
            raise ValueError(f"{text!r} is not the key of a case")
        return cls._of(match)

    @classmethod
    def parse_rung(cls, text: str) -> "tuple[CaseKey, int, int] | None":
        """Read the business key of a rung into case, episode and rung; None if it is something else."""
        match = _CASE.fullmatch(text)
        if match is None or match["episode"] is None:
            return None
        return cls._of(match), int(match["episode"]), int(match["rung"])

    @classmethod
    def _of(cls, match: re.Match[str]) -> "CaseKey":
        period = None
        if match["first"]:
            period = Period(dt.date.fromisoformat(match["first"]), dt.date.fromisoformat(match["last"]))
        return cls(match["control"], Ref(match["model"], int(match["id"])), period)


_CASE = re.compile(
    r"case/(?P<control>[a-z0-9-]+)/(?P<model>[a-z0-9_.]+)/(?P<id>\d+)/"
    r"(?:-|(?P<first>\d{4}-\d\d-\d\d)\.\.(?P<last>\d{4}-\d\d-\d\d))"
    r"(?:/e(?P<episode>\d+)/r(?P<rung>\d+))?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseRecord:
    """What we remember of a case beside Odoo's truth: it saves work and survives a cancelled activity."""

    key: CaseKey
    episode: int
    rung: int
    state: CaseState
    asked_on: dt.date
    opened_on: dt.date
    severity: Severity
    activity: int | None = None
    note: bool = False
    """The case has no desk: it is a note on its subject."""
    user_id: int | None = None
    text: str = ""
    """The summary as we last wrote it."""
    subject_name: str = ""
    hours: Decimal = Decimal(0)
    money: Money | None = None
    ended_on: dt.date | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ObservedActivity:
    """One activity of ours as Odoo shows it now."""

    key: str
    activity: int
    active: bool
    user_id: int | None
    summary: str
    feedback: str
    created_on: dt.date


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A case as it stands now: Odoo's truth, completed by our memory."""

    key: CaseKey
    episode: int
    rung: int
    state: CaseState
    asked_on: dt.date
    activity: int | None = None
    """The activity of the current rung, where Odoo shows it."""
    user_id: int | None = None
    """Who is asked, as Odoo says or, where it says nothing, as we remember."""
    text: str = ""
    memory: CaseRecord | None = None
    stale: tuple[ObservedActivity, ...] = ()
    """Open activities of earlier rungs: their closing was lost on its way."""


def merge(
    control: str, seen: Iterable[ObservedActivity], remembered: Mapping[CaseKey, CaseRecord]
) -> dict[CaseKey, Case]:
    """Return the state of every case of a control, ended ones included. Where the two differ, Odoo is right.

    Odoo cannot tell a cancelled activity (deleted) from one we may no longer see: both are QUIET, and both are
    asked again at the next rung and not before.
    """
    rungs: dict[CaseKey, dict[tuple[int, int], ObservedActivity]] = {}
    for ask in seen:
        parsed = CaseKey.parse_rung(ask.key)
        if parsed is not None and parsed[0].control == control:
            rungs.setdefault(parsed[0], {})[parsed[1:]] = ask
    return {key: _case(key, rungs.get(key, {}), remembered.get(key)) for key in rungs.keys() | remembered.keys()}


def _case(key: CaseKey, rungs: Mapping[tuple[int, int], ObservedActivity], memory: CaseRecord | None) -> Case:
    last = max(rungs, default=(-1, -1))
    if memory is not None and (memory.episode, memory.rung) > last:
        case = _unseen(memory)
    else:
        case = _seen(key, *last, rungs[last], memory)
    return replace(
        case, stale=tuple(a for place, a in rungs.items() if a.active and place != (case.episode, case.rung))
    )


def _seen(key: CaseKey, episode: int, rung: int, ask: ObservedActivity, memory: CaseRecord | None) -> Case:
    same = memory is not None and (memory.episode, memory.rung) == (episode, rung)
    state = CaseState.OPEN if ask.active else _STATE_OF_MARK[FeedbackMarker.of(ask.feedback)]
    if not ask.active and memory is not None and same and memory.state in ENDED_STATES:
        state = memory.state  # done before, proved by a scan later
    return Case(
        key=key,
        episode=episode,
        rung=rung,
        state=state,
        asked_on=memory.asked_on if memory is not None and same else ask.created_on,
        activity=ask.activity,
        user_id=ask.user_id,
        text=ask.summary,
        memory=memory,
    )


def _unseen(memory: CaseRecord) -> Case:
    lost = memory.state is CaseState.OPEN and not memory.note
    return Case(
        key=memory.key,
        episode=memory.episode,
        rung=memory.rung,
        state=CaseState.QUIET if lost else memory.state,
        asked_on=memory.asked_on,
        user_id=memory.user_id,
        text=memory.text,
        memory=memory,
    )
