"""Compare what should be open with what is open, and give the difference. Pure, so a lost run heals at the next.

What a scan did not examine is not judged: absence is no proof. A case ends only when a scan examined its key and
found the rule kept (closed), when the rule no longer speaks about it or its subject is gone (withdrawn).
"""

import datetime as dt
import html
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from purser.cases import ENDED_STATES, Case, CaseKey, CaseRecord, CaseState, EscalationStep, FeedbackMarker
from purser.changes import Change, CloseActivity, PostNote, Update, activity
from purser.errors import Permanent
from purser.findings import Compliant, Exempt, Finding, Ref, Severity, Verdict

BULK_CLOSE_LIMIT = 20
"""A run that would end more than this many cases, and more than half of them, holds: see `ReconcilePlan.held`."""

_SUMMARY_LENGTH = 240


@dataclass(frozen=True, kw_only=True, slots=True)
class Availability:
    """Who of those whom findings and roles name may be asked today, as `res.users` ids."""

    absent: frozenset[int] = frozenset()
    unreachable: frozenset[int] = frozenset()
    """Archived users and customers with a login."""
    stand_ins: Mapping[int, int] = field(default_factory=dict)
    """The manager of somebody absent, where the manager may be asked and is there."""


EVERYBODY = Availability()


@dataclass(frozen=True, kw_only=True, slots=True)
class EscalationPolicy:
    """Whom to ask and when: the parts of a policy that reconciling depends on."""

    control: str
    title: str
    rule: str
    severity: Severity
    ladder: Sequence[EscalationStep]
    roles: Mapping[str, Sequence[int]]
    """The `res.users` ids of each role."""
    today: dt.date
    working_days: frozenset[int] = frozenset(range(5))
    asked_on_return: frozenset[str] = frozenset()
    """The audiences who alone can mend what is found: somebody absent is asked on return, if that is soon."""
    availability: Availability = EVERYBODY


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """One change and what to remember of the case once it is carried out. No change: remember at once."""

    change: Change | None
    memory: CaseRecord | None
    only_after: str = ""
    """The business key of the change without which this one must not happen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconcilePlan:
    """What a run would do. `held` means: nothing of it, a person must look first."""

    opened: tuple[PlannedStep, ...] = ()
    escalated: tuple[PlannedStep, ...] = ()
    refreshed: tuple[PlannedStep, ...] = ()
    closed: tuple[PlannedStep, ...] = ()
    withdrawn: tuple[PlannedStep, ...] = ()
    unverified: tuple[CaseKey, ...] = ()
    postponed: tuple[CaseKey, ...] = ()
    """Findings whose person is absent and is asked on return."""
    held: str = ""

    def steps(self) -> tuple[PlannedStep, ...]:
        """Return every step in the order to carry it out: ask first, close after."""
        return (*self.opened, *self.escalated, *self.refreshed, *self.closed, *self.withdrawn)


def reconcile(
    house: EscalationPolicy,
    verdicts: Iterable[Verdict],
    cases: Mapping[CaseKey, Case],
    *,
    gone: frozenset[Ref] = frozenset(),
    release_hold: bool = False,
) -> ReconcilePlan:
    """Return the plan that brings the cases in line with what a scan said.

    Raises Permanent when a control judged one subject and period twice.
    """
    steps: dict[str, list[PlannedStep]] = {
        name: [] for name in ("opened", "escalated", "refreshed", "closed", "withdrawn")
    }
    judged: set[CaseKey] = set()
    postponed: list[CaseKey] = []
    for verdict in verdicts:
        key = CaseKey(house.control, verdict.subject, verdict.period)
        if key in judged:
            raise Permanent(f"control `{house.control}` judged {key.subject} {key.period or ''} twice in one scan")
        judged.add(key)
        case = cases.get(key)
        match verdict:
            case Finding() if (case is None or case.state in ENDED_STATES) and _waits_for_return(house, verdict):
                postponed.append(key)
            case Finding():
                _found(house, key, verdict, case, steps)
            case Compliant():
                steps["closed"] += _end(house, case, FeedbackMarker.KEPT, "A new scan found the rule kept.")
            case Exempt(reason=reason):
                steps["withdrawn"] += _end(house, case, FeedbackMarker.WITHDRAWN, reason)
    unverified = []
    for key, case in sorted(cases.items()):
        if key in judged or case.state in ENDED_STATES:
            continue
        if key.subject in gone:
            steps["withdrawn"] += _end(house, case, FeedbackMarker.WITHDRAWN, "The record is gone.")
        else:
            unverified.append(key)
    ended = len({s.memory.key for s in steps["closed"] + steps["withdrawn"] if s.memory is not None})
    running = sum(case.state not in ENDED_STATES for case in cases.values())
    if ended > BULK_CLOSE_LIMIT and ended * 2 > running and not release_hold:
        held = f"it would end {ended} of {running} open cases at once: look first, then release the hold"
        return ReconcilePlan(unverified=tuple(unverified), postponed=tuple(postponed), held=held)
    return ReconcilePlan(
        opened=tuple(steps["opened"]),
        escalated=tuple(steps["escalated"]),
        refreshed=tuple(steps["refreshed"]),
        closed=tuple(steps["closed"]),
        withdrawn=tuple(steps["withdrawn"]),
        unverified=tuple(unverified),
        postponed=tuple(postponed),
    )


def _found(
    house: EscalationPolicy, key: CaseKey, finding: Finding, case: Case | None, steps: dict[str, list[PlannedStep]]
) -> None:
    if case is None:
        steps["opened"].append(_ask(house, key, finding, episode=0, start=0))
        return
    steps["escalated"] += _tidy(case, f"Asked further up. {FeedbackMarker.ESCALATED}")
    if case.state in ENDED_STATES:
        steps["opened"].append(_ask(house, key, finding, episode=case.episode + 1, start=0))
    elif case.memory is not None and case.memory.note:
        pass  # a note asks nobody, so there is nobody to ask next
    elif case.state is CaseState.ESCALATED:
        steps["escalated"].append(_ask(house, key, finding, episode=case.episode, start=case.rung + 1, case=case))
    elif _next_is_due(house, case) and (passed := _pass_on(house, key, finding, case)):
        steps["escalated"] += passed
    elif case.state is CaseState.OPEN and case.activity is not None:
        steps["refreshed"] += _refresh(house, finding, case, case.activity)


def _pass_on(house: EscalationPolicy, key: CaseKey, finding: Finding, case: Case) -> list[PlannedStep]:
    asked = _ask(house, key, finding, episode=case.episode, start=case.rung + 1, case=case)
    if case.state is CaseState.QUIET or case.activity is None:
        return [asked]
    if asked.memory is None or asked.memory.user_id == case.user_id:
        return []  # nobody further up: whoever is asked stays asked
    if asked.memory.user_id in house.availability.absent:
        return []  # nobody further up is there today: whoever is asked stays asked
    feedback = f"Passed on to the next rung of the ladder. {FeedbackMarker.ESCALATED}"
    close = CloseActivity(activity=case.activity, feedback=feedback, key=key.rung(case.episode, case.rung))
    return [asked, PlannedStep(close, None, only_after=key.rung(case.episode, asked.memory.rung))]


def _tidy(case: Case, feedback: str) -> list[PlannedStep]:
    """Close what earlier rungs left open."""
    return [
        PlannedStep(CloseActivity(activity=ask.activity, feedback=feedback, key=ask.key), None) for ask in case.stale
    ]


def _next_is_due(house: EscalationPolicy, case: Case) -> bool:
    last = len(house.ladder) - 1
    if case.rung >= last and case.state is CaseState.OPEN:
        return False  # the last one asked stays asked
    wait = house.ladder[min(case.rung + 1, last)].after
    return working_days(case.asked_on, house.today, house.working_days) >= max(wait, 1)


def working_days(start: dt.date, end: dt.date, weekdays: frozenset[int]) -> int:
    """Count the working days after `start` up to and including `end`."""
    days = (end - start).days
    if days <= 0:
        return 0
    weeks, rest = divmod(days, 7)
    return weeks * len(weekdays) + sum((start.weekday() + i) % 7 in weekdays for i in range(1, rest + 1))


def _deadline(house: EscalationPolicy, rung: int) -> dt.date:
    """The day the next rung is asked; the last rung has until tomorrow."""
    wait = house.ladder[rung + 1].after if rung + 1 < len(house.ladder) else 1
    day = house.today
    while working_days(house.today, day, house.working_days) < max(wait, 1):
        day += dt.timedelta(days=1)
    return day


def _person(house: EscalationPolicy, finding: Finding, start: int, before: int | None) -> tuple[int, int | None]:
    """Find the first rung from `start` on with somebody to ask, who was not the one asked before.

    Who is absent today is passed over for their manager and for later rungs. Where nobody is there, the first stays.
    """
    last = len(house.ladder) - 1
    absent: tuple[int, int] | None = None
    for rung in range(start, last + 1):
        for who in _candidates(house.ladder[rung].ask, house, finding):
            if who == before:
                continue
            if who not in house.availability.absent:
                return rung, who
            absent = absent or (rung, who)
            stand_in = house.availability.stand_ins.get(who)
            if stand_in is not None and stand_in != before:
                return rung, stand_in
    if absent is not None:
        return absent
    return max(start, last), next(iter(_candidates(house.ladder[last].ask, house, finding)), before)


def _candidates(ask: str, house: EscalationPolicy, finding: Finding) -> Sequence[int]:
    """Return whom a rung names and who may be asked, in the order in which to ask them; a role takes turns."""
    members: Sequence[int]
    if ask in finding.asks:
        members = (finding.asks[ask],)
    else:
        members = house.roles.get(ask, ())
        turn = finding.subject.id % len(members) if members else 0
        members = (*members[turn:], *members[:turn])
        present = [one for one in members if one not in house.availability.absent]
        members = (*present, *(one for one in members if one in house.availability.absent))
    return [one for one in members if one not in house.availability.unreachable]


def _waits_for_return(house: EscalationPolicy, finding: Finding) -> bool:
    """Return whether a finding waits for somebody absent who alone can mend it.

    It waits no longer than that person would have had to answer before the next one is asked.
    """
    for rung, step in enumerate(house.ladder):
        if candidates := _candidates(step.ask, house, finding):
            if step.ask not in house.asked_on_return or candidates[0] not in house.availability.absent:
                return False
            further = house.ladder[rung + 1 :]
            passed = working_days(finding.since, house.today, house.working_days)
            return bool(further) and passed < max(further[0].after, 1)
    return False


def _passed_over(house: EscalationPolicy, finding: Finding, start: int, who: int | None) -> str:
    """Return why somebody else is asked than the ladder names first, '' where nobody was passed over."""
    absent = house.availability.absent
    if who in absent:
        return "Everybody who could be asked is absent today: this waits for your return."
    passed = []
    for step in house.ladder[start:]:
        candidates = _candidates(step.ask, house, finding)
        if who in candidates:
            break
        passed += [step.ask] if any(one in absent for one in candidates) else []
        if any(house.availability.stand_ins.get(one) == who for one in candidates if one in absent):
            break
    return f"Asked in the place of somebody who is absent today: {', '.join(passed)}." if passed else ""


def _ask(
    house: EscalationPolicy, key: CaseKey, finding: Finding, *, episode: int, start: int, case: Case | None = None
) -> PlannedStep:
    rung, who = _person(house, finding, start, case.user_id if case is not None else None)
    text = summary(house, finding)
    memory = CaseRecord(
        key=key,
        episode=episode,
        rung=rung,
        state=CaseState.OPEN,
        asked_on=house.today,
        opened_on=case.memory.opened_on if case is not None and case.memory is not None else house.today,
        severity=finding.severity or house.severity,
        note=finding.desk is None,
        user_id=who,
        text=text,
        subject_name=finding.subject_name,
        hours=finding.hours_at_risk,
        money=finding.money_at_risk,
    )
    name = key.rung(episode, rung)
    if finding.desk is None:
        return PlannedStep(PostNote(on=finding.subject, key=name, body=text), memory)
    body = _body(house, finding, _passed_over(house, finding, start, who))
    deadline = _deadline(house, rung)
    return PlannedStep(
        activity(key=name, on=finding.desk, summary=text, note=body, user_id=who, deadline=deadline), memory
    )


def _refresh(house: EscalationPolicy, finding: Finding, case: Case, activity_id: int) -> list[PlannedStep]:
    text = summary(house, finding)
    memory = case.memory or replace(_recalled(house, case), text=text if case.text == text else "")
    current = replace(  # Odoo is right: it may show open again, or further up, what we remember otherwise
        memory,
        state=CaseState.OPEN,
        episode=case.episode,
        rung=case.rung,
        activity=case.activity,
        user_id=case.user_id,
        ended_on=None,
        hours=finding.hours_at_risk,
        money=finding.money_at_risk,
        severity=finding.severity or house.severity,
        subject_name=finding.subject_name,
    )
    if case.text != memory.text or text == case.text:
        # A person has rewritten it, or it reads well already: only what we remember moves.
        return [] if current == case.memory else [PlannedStep(None, current)]
    change = Update(
        ref=Ref("mail.activity", activity_id),
        expect={"summary": case.text},
        values={"summary": text, "note": _body(house, finding)},
    )
    return [PlannedStep(change, replace(current, text=text))]


def _end(house: EscalationPolicy, case: Case | None, mark: FeedbackMarker, why: str) -> list[PlannedStep]:
    if case is None:
        return []
    tidied = _tidy(case, f"{why} {mark}")
    if case.state in ENDED_STATES:
        return tidied
    memory = replace(
        case.memory or _recalled(house, case),
        episode=case.episode,
        rung=case.rung,
        activity=case.activity,
        state=CaseState.CLOSED if mark is FeedbackMarker.KEPT else CaseState.WITHDRAWN,
        ended_on=house.today,
    )
    name = case.key.rung(case.episode, case.rung)
    change: Change | None = None
    if case.state is CaseState.OPEN and memory.note:
        change = PostNote(on=case.key.subject, key=f"{name}/ended", body=f"{house.title}: {why}")
    elif case.state is CaseState.OPEN and case.activity is not None:
        change = CloseActivity(activity=case.activity, feedback=f"{why} {mark}", key=name)
    return [PlannedStep(change, memory), *tidied]


def _recalled(house: EscalationPolicy, case: Case) -> CaseRecord:
    """Make a lost memory anew from what Odoo shows."""
    return CaseRecord(
        key=case.key,
        episode=case.episode,
        rung=case.rung,
        state=case.state,
        asked_on=case.asked_on,
        opened_on=case.asked_on,
        severity=house.severity,
        activity=case.activity,
        user_id=case.user_id,
        text=case.text,
    )


def summary(house: EscalationPolicy, finding: Finding) -> str:
    """Return the line a person reads in a list of activities."""
    text = f"{house.title}: {finding.summary}"
    return text if len(text) <= _SUMMARY_LENGTH else text[: _SUMMARY_LENGTH - 1] + "…"


def _body(house: EscalationPolicy, finding: Finding, passed_over: str = "") -> str:
    lines = [house.rule, f"Since {finding.since}."]
    if passed_over:
        lines.append(passed_over)
    if finding.hours_at_risk:
        lines.append(f"Hours at risk: {finding.hours_at_risk:,.2f}")
    if finding.money_at_risk is not None:
        lines.append(f"Money at risk: {finding.money_at_risk}")
    lines.append("This activity closes by itself once the rule is kept; marking it done does not.")
    escape: Callable[[str], str] = html.escape
    return "".join(f"<p>{escape(line)}</p>" for line in lines)
