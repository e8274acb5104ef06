"""One run of one control for one slot: read, judge, reconcile, and send the difference on its way.

    claim the slot -> see the open cases -> snapshot -> scan -> reconcile -> chunks on `apply` -> done mark

A run that is repeated, or killed anywhere and repeated, ends the same: its changes carry business keys, and the
slot's claim is a lease until the done mark is set.
"""

import datetime as dt
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from pydantic import TypeAdapter

from config.policy.loader import ControlPolicy, UnseenCompanies
from odoo_client import OdooClient, find_hiding_rules_in, hidden_from
from purser.cadence import Cadence, Every
from purser.cases import ENDED_STATES, Case, CaseKey, ObservedActivity, merge
from purser.changes import CallMethod, Change, CloseActivity, Ensure, PostNote, RunOperation, Update
from purser.declarations import Control
from purser.engine.reconcile import EVERYBODY, Availability, EscalationPolicy, PlannedStep, ReconcilePlan, reconcile
from purser.errors import ConfigurationError, NotApplicable, Permanent, PurserError, Snooze
from purser.findings import Finding, Ref, Verdict
from purser.queries import Domain, Moment, OpenCaseRef, QueryContext, Row, Snapshot
from schedules.slots import latest_slot, slots_between, stagger
from store import ClaimResult, ControlRun, RunStatus
from tasks.people import PersonIndex
from tasks.queries.availability import ASKING, NAMED
from workers.context import WorkerContext
from workers.controls.unknown_names import unknown_values

log = structlog.get_logger(__name__)

SLOT_LEASE = dt.timedelta(minutes=10)
"""A message that is delivered again re-enters its own claim; only a claim whose message is gone has to lapse."""

SKEW = dt.timedelta(seconds=5)
"""How far two processes may be apart although both follow the ledger's clock, at most a tenth of the cadence: they
ask it every half a minute, and one of them may not have reached it yet."""

LATELY = dt.timedelta(days=400)
"""How far back Odoo is asked for ended activities; what ended before is for the ledger to remember."""

_STEPS: TypeAdapter[tuple[PlannedStep, ...]] = TypeAdapter(tuple[PlannedStep, ...])


@dataclass(frozen=True, kw_only=True)
class ControlResult:
    """What a control said of one snapshot, and what it cost to ask."""

    control: Control
    as_of: dt.datetime
    verdicts: tuple[Verdict, ...] = ()
    not_applicable: str = ""
    unseen_companies: int = 0
    """So many companies the reading bot is not in: hours logged there look like missing hours."""
    unknown_names: tuple[str, ...] = ()
    """The names in the policy's values for this control that Odoo does not know, such as `exempt_tags: Partner`."""
    judged_without: tuple[str, ...] = ()
    """What the reading bot may not read, and what that means for the verdicts."""
    rpc_calls: int = 0
    pages: int = 0
    seconds: float = 0.0

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Only the findings, worst first as the control gave them."""
        return tuple(v for v in self.verdicts if isinstance(v, Finding))


@dataclass(frozen=True, kw_only=True)
class ControlRunReport:
    """One run, as the run list and the log tell it."""

    control: str
    slot: dt.datetime
    outcome: RunStatus | None
    """None: the slot was not run, because somebody else runs it or it is done."""
    judged: ControlResult | None = None
    plan: ReconcilePlan = field(default_factory=ReconcilePlan)
    reason: str = ""
    late: float = 0.0
    """Seconds from the due moment to the start."""
    missed: int = 0
    """How many slots before this one nobody ran."""


def evaluate_control(
    client: OdooClient,
    policy: ControlPolicy,
    *,
    as_of: dt.datetime,
    watched: Sequence[OpenCaseRef] = (),
) -> ControlResult:
    """Read what a control asks for and let it judge. Reads only. NotApplicable becomes a value."""
    started, calls, pages = time.perf_counter(), client.calls, client.pages
    verdicts: tuple[Verdict, ...] = ()
    reason = ""
    lacking: tuple[str, ...] = ()
    try:
        snapshot = client.snapshot(policy.control.reads, as_of=as_of, tunables=policy.tunables, watched=watched)
        reason = find_hiding_rules_in(client, snapshot)  # absence is no proof: neither of a leak nor of its end
        verdicts = () if reason else tuple(_declared(policy.control, policy.control(snapshot, **policy.tunables)))
        hidden = hidden_from(client, [read for read in policy.control.reads if snapshot.rows(read)])
        lacking = tuple(f"{one.what}: {one.effect}" for one in hidden)
    except NotApplicable as error:
        reason = str(error)
    return ControlResult(
        control=policy.control,
        as_of=as_of,
        verdicts=verdicts,
        not_applicable=reason,
        rpc_calls=client.calls - calls,
        pages=client.pages - pages,
        seconds=time.perf_counter() - started,
        unseen_companies=_unseen(client, policy),
        judged_without=lacking,
        unknown_names=_unknown_names(client, policy),
    )


def _unknown_names(client: OdooClient, policy: ControlPolicy) -> tuple[str, ...]:
    """Return which names in the values of a control nothing in Odoo bears: they have no effect."""
    found = unknown_values(client, policy.control.tunables, policy.tunables)
    unknown = tuple(f"{value}: {name}" for value, _, name in found)
    if unknown:
        log.warning("names in the policy that Odoo does not know", control=policy.control.name, names=unknown)
    return unknown


def _declared(control: Control, verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
    """Yield verdicts. Raises Permanent for a finding whose case would stand where the declaration does not say."""
    for verdict in verdicts:
        if isinstance(verdict, Finding) and (problem := control.effects.finding_problem(verdict)):
            raise Permanent(f"control `{control.name}`: its declaration must name {problem} for {verdict.subject}")
        yield verdict


def held_for_companies(policy: ControlPolicy, judged: ControlResult) -> str:
    """Return why a run is held because of companies that the reading bot is not in, '' when it is not.

    Odoo does not tell which people log hours in a company out of sight, so nobody can be left out by name.
    """
    if not judged.unseen_companies or policy.unseen_companies is UnseenCompanies.JUDGE:
        return ""
    return (
        f"the reading bot is not in {judged.unseen_companies} of the companies, and hours logged there look like "
        "missing hours: run `purser odoo setup`, or set "
        f"`controls.{policy.control.name}.unseen_companies: judge` if nobody judged here logs hours there"
    )


def without(judged: ControlResult) -> str:
    """Return a sentence that says what a control judged without, '' when it saw all that it reads."""
    return f"judged without {'; without '.join(judged.judged_without)}" if judged.judged_without else ""


def _unseen(client: OdooClient, policy: ControlPolicy) -> int:
    """Return how many companies are out of sight, where a control compares with hours that may be logged in any."""
    if not any(read.model == "account.analytic.line" for read in policy.control.reads):
        return 0
    count = client.unseen_companies()
    if count:
        log.warning("companies out of sight", control=policy.control.name, companies=count)
    return count


class CaseActivity(Row, model="mail.activity", active_test=False):
    """An activity of ours, open or done, as Odoo shows it."""

    user_id: int | None = None
    active: bool
    summary: str | None = None
    feedback: str | None = None
    create_date: Moment

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        """Read what the bot has open or ended lately, and what we remember of a bot before it."""
        lately = scope.today - LATELY
        ended = ["|", ("active", "=", True), ("date_done", ">=", lately)]
        own = ["&", ("create_uid", "=", scope.tunables["bot"]), *ended]
        return ["|", *own, ("id", "in", scope.tunables["remembered"])]


def see_cases(fleet: WorkerContext, control: str, as_of: dt.datetime) -> dict[CaseKey, Case]:
    """Return every case of a control: Odoo's activities by key, completed by the ledger. Two calls, pages aside."""
    client = fleet.change
    memory = fleet.ledger.cases.of(control)
    remembered = sorted(m.activity for m in memory.values() if m.activity is not None and m.state not in ENDED_STATES)
    tunables = {"bot": client.whoami().uid, "remembered": remembered}
    asks: Snapshot = client.snapshot((CaseActivity,), as_of=as_of, tunables=tunables)
    rows = {row.id: row for row in asks.rows(CaseActivity)}
    keys = client.external_ids("mail.activity", sorted(rows)) if rows else {}
    seen = (
        ObservedActivity(
            key=key,
            activity=number,
            active=rows[number].active,
            user_id=rows[number].user_id,
            summary=rows[number].summary or "",
            feedback=rows[number].feedback or "",
            created_on=fleet.local(rows[number].create_date).date(),
        )
        for number, names in keys.items()
        for key in names
    )
    return merge(control, seen, memory)


def due_slot(fleet: WorkerContext, name: str, now: dt.datetime) -> dt.datetime:
    """Return the slot that a run of a control would be for at `now`."""
    return slot_at(fleet, name, fleet.policies.control(name).every, now)


def slot_at(fleet: WorkerContext, name: str, every: Cadence, now: dt.datetime) -> dt.datetime:
    """Return the latest slot of a cadence, staggered by name, that is due at `now`."""
    ahead = min(SKEW, every.step / 10) if isinstance(every, Every) else SKEW
    return latest_slot(every, now + ahead, fleet.policies.timezone, stagger(name, every))


def slot_lease(fleet: WorkerContext) -> dt.timedelta:
    """Return how long a slot is claimed: longer than any task takes."""
    return max(SLOT_LEASE, dt.timedelta(seconds=2 * fleet.settings.task_time_limit))


def run_slot(fleet: WorkerContext, name: str, *, holder: str, release_hold: bool = False) -> ControlRunReport:
    """Run the latest slot of a control, unless it is done or somebody else runs it."""
    policy = fleet.policies.control(name)
    slots = fleet.ledger.slots
    now, zone, offset = fleet.now(), fleet.policies.timezone, stagger(name, policy.every)
    slot = due_slot(fleet, name, now)
    last = slots.last_done(name)
    claim = slots.claim(name, slot, holder=holder, lease=slot_lease(fleet))
    if claim is not ClaimResult.GRANTED:
        return ControlRunReport(control=name, slot=slot, outcome=None, reason=claim.value)
    late = max(0.0, (now - slot - offset).total_seconds())
    missed = slots_between(policy.every, last, slot, zone) if last is not None else 0
    try:
        run = run_now(
            fleet,
            policy,
            slot=slot,
            run_id=holder,
            trigger="beat",
            release_hold=release_hold,
            late=late,
            missed=missed,
        )
    except Snooze:
        slots.release(name, slot, holder=holder)  # the fleet holds it back: that is no failed run
        raise
    except Exception as error:
        slots.release(name, slot, holder=holder)  # whoever comes next need not wait for the lease
        why = str(error) if isinstance(error, PurserError) else "not foreseen"
        if isinstance(error, SoftTimeLimitExceeded):
            why = "it took longer than its time limit: raise PURSER_TASK_SOFT_TIME_LIMIT"
        failed = ControlRunReport(
            control=name,
            slot=slot,
            outcome=RunStatus.FAILED,
            reason=f"{type(error).__name__}: {why}",
            late=late,
            missed=missed,
        )
        _record(fleet, failed, run_id=holder, trigger="beat", own_calls=0)
        raise
    if slots.done(name, slot, holder=holder, is_completed=run.outcome is RunStatus.COMPLETED):
        _supersede(fleet, run)
    return run


def _supersede(fleet: WorkerContext, run: ControlRunReport) -> None:
    """Settle letters of earlier scans and of their chunks: they ask for nothing that this run has not done.

    A run that was held, or could not judge, has decided no chunk anew.
    """
    older = {"scan": fleet.now()}
    if run.outcome is RunStatus.COMPLETED:
        older["apply"] = run.slot
    for kind, before in older.items():
        cover = f"{kind}/{run.control}"
        gone = fleet.ledger.letters.supersede(cover, before=before, by=f"the scan of {run.slot.isoformat()}")
        if gone:
            log.info("letters superseded", covers=cover, letters=len(gone))


def run_now(
    fleet: WorkerContext,
    policy: ControlPolicy,
    *,
    slot: dt.datetime,
    run_id: str,
    trigger: str,
    release_hold: bool = False,
    late: float = 0.0,
    missed: int = 0,
) -> ControlRunReport:
    """Run a control now and send what follows. `slot` orders its chunks: older ones are dropped."""
    fleet.check_home()
    calls = fleet.change.calls
    run = replace(decide_run(fleet, policy, slot=slot, release_hold=release_hold), late=late, missed=missed)
    if run.outcome is not RunStatus.NOT_APPLICABLE:
        _send(fleet, run, run_id)
    own = fleet.change.calls - calls if fleet.change is not fleet.audit else 0
    _record(fleet, run, run_id=run_id, trigger=trigger, own_calls=own)
    return run


def decide_run(
    fleet: WorkerContext, policy: ControlPolicy, *, slot: dt.datetime, release_hold: bool = False
) -> ControlRunReport:
    """Return what a run of a control would do now. Reads only: Odoo, and the cases in the store."""
    name, as_of = policy.control.name, fleet.local_now()
    if not policy.enabled:
        raise ConfigurationError(f"control `{name}` is switched off in the policy (controls.{name}.enabled)")
    cases = see_cases(fleet, name, as_of)
    watched = [
        OpenCaseRef(key.subject, key.period) for key, case in sorted(cases.items()) if case.state not in ENDED_STATES
    ]
    judged = evaluate_control(fleet.audit, policy, as_of=as_of, watched=watched)
    if judged.not_applicable:
        return ControlRunReport(
            control=name, slot=slot, outcome=RunStatus.NOT_APPLICABLE, judged=judged, reason=judged.not_applicable
        )
    held = "" if release_hold else held_for_companies(policy, judged)
    plan = ReconcilePlan(held=held) if held else _plan(fleet, policy, judged, cases, release_hold=release_hold)
    outcome = RunStatus.HELD if plan.held else RunStatus.COMPLETED
    reason = plan.held or " ".join(filter(None, (_misspelt(judged), without(judged))))
    return ControlRunReport(control=name, slot=slot, outcome=outcome, judged=judged, plan=plan, reason=reason)


def _misspelt(judged: ControlResult) -> str:
    if not judged.unknown_names:
        return ""
    return f"Odoo knows no such name, so it has no effect: {', '.join(judged.unknown_names)}. Correct the policy."


def _plan(
    fleet: WorkerContext,
    policy: ControlPolicy,
    judged: ControlResult,
    cases: Mapping[CaseKey, Case],
    *,
    release_hold: bool,
) -> ReconcilePlan:
    """Reconcile. Where somebody would be asked, look first who may be asked today, and choose again."""
    house = _house(fleet, policy, judged.as_of)
    gone = _gone(fleet, house.control, judged.verdicts, cases)
    plan = reconcile(house, judged.verdicts, cases, gone=gone, release_hold=release_hold)
    asked = {step.memory.key for step in (*plan.opened, *plan.escalated) if step.memory is not None}
    named = {
        user
        for finding in judged.findings
        if CaseKey(house.control, finding.subject, finding.period) in asked
        for user in finding.asks.values()
    }
    if not asked:
        return plan
    named |= {user for rung in house.ladder for user in house.roles.get(rung.ask, ())}
    availability = _availability(fleet, named, judged.as_of)
    if availability == EVERYBODY:
        return plan
    plan = reconcile(
        replace(house, availability=availability), judged.verdicts, cases, gone=gone, release_hold=release_hold
    )
    if plan.postponed:
        log.info("absent people are asked on return", control=house.control, findings=len(plan.postponed))
    return plan


def _availability(fleet: WorkerContext, users: Collection[int], as_of: dt.datetime) -> Availability:
    """Read who of these users may be asked, who is absent today, and who stands in for them."""
    if not users:
        return EVERYBODY
    people = PersonIndex(fleet.audit.snapshot(ASKING, as_of=as_of, tunables={NAMED: sorted(users)}))
    absent = {user for user in users if people.may_be_asked(user) and people.is_absent(user)}
    return Availability(
        absent=frozenset(absent),
        unreachable=frozenset(user for user in users if not people.may_be_asked(user)),
        stand_ins={user: manager for user in absent if (manager := people.stand_in(user)) is not None},
    )


def _house(fleet: WorkerContext, policy: ControlPolicy, as_of: dt.datetime) -> EscalationPolicy:
    logins = sorted({login for rung in policy.ladder for login in fleet.policies.roles.get(rung.ask, ())})
    users = fleet.change.users(logins) if logins else {}
    if unknown := [login for login in logins if login not in users]:
        log.warning("logins in roles that no active user has", control=policy.control.name, logins=unknown)
    return EscalationPolicy(
        control=policy.control.name,
        title=policy.control.title,
        rule=policy.control.rule,
        severity=policy.severity,
        ladder=policy.ladder,
        roles={
            role: tuple(users[login] for login in members if login in users)
            for role, members in fleet.policies.roles.items()
        },
        today=fleet.local(as_of).date(),
        working_days=fleet.policies.working_days,
        asked_on_return=frozenset(policy.control.asked_on_return),
    )


def _gone(
    fleet: WorkerContext, control: str, verdicts: Iterable[Verdict], cases: Mapping[CaseKey, Case]
) -> frozenset[Ref]:
    """Ask Odoo which subjects of unjudged open cases exist no more; usually there are none to ask about."""
    judged = {CaseKey(control, v.subject, v.period) for v in verdicts}
    missing = {key.subject for key, case in cases.items() if case.state not in ENDED_STATES and key not in judged}
    return fleet.audit.gone(sorted(missing)) if missing else frozenset()


def chunks(steps: Iterable[PlannedStep], size: int) -> Iterator[tuple[PlannedStep, ...]]:
    """Cut steps that change Odoo into pieces that one call can carry out: asking first, closing last.

    A step that must come after another one travels with it, which costs that piece a second call.
    """
    followers: dict[str, list[PlannedStep]] = defaultdict(list)
    leaders = []
    for step in steps:
        if step.only_after:
            followers[step.only_after].append(step)
        elif step.change is not None:
            leaders.append((_alike(step.change), step))
    leaders.sort(key=lambda pair: pair[0])
    for _, pairs in groupby(leaders, key=lambda pair: pair[0]):
        chunk: list[PlannedStep] = []
        for _, step in pairs:
            together = [step, *followers.get(getattr(step.change, "key", ""), ())]
            if len(chunk) + len(together) > size:
                yield tuple(chunk)
                chunk = []
            chunk += together
        yield tuple(chunk)


def _alike(change: Change) -> tuple[int, str]:
    """Changes of the same order and text may share a call."""
    match change:
        case Ensure(model=model, values=values):
            return 0, f"{model} {values.get('res_model', '')}"
        case PostNote():
            return 1, ""
        case Update(ref=ref):
            return 2, ref.model
        case CallMethod(ref=ref, method=method):
            return 3, f"{ref.model} {method}"
        case CloseActivity(feedback=feedback):
            return 4, feedback
        case RunOperation(operation=operation):
            return 5, operation


def dump_steps(steps: Sequence[PlannedStep]) -> list[dict[str, Any]]:
    """Return the JSON-ready form of steps, as they travel on the `apply` queue."""
    dumped: list[dict[str, Any]] = _STEPS.dump_python(tuple(steps), mode="json")
    return dumped


def load_steps(data: object) -> tuple[PlannedStep, ...]:
    """Read what `dump_steps` wrote; pydantic.ValidationError says where it is wrong."""
    return _STEPS.validate_python(data)


def _send(fleet: WorkerContext, run: ControlRunReport, run_id: str) -> None:
    steps = run.plan.steps()
    for chunk in chunks(steps, fleet.settings.chunk_size):
        fleet.publish(
            "purser.apply",
            {"control": run.control, "slot": run.slot.isoformat(), "run": run_id, "steps": dump_steps(chunk)},
            label=f"{run.control}, {len(chunk)} {chunk[0].change.kind if chunk[0].change else ''} changes",
        )
    fleet.ledger.cases.put([step.memory for step in steps if step.change is None and step.memory is not None])


def _record(fleet: WorkerContext, run: ControlRunReport, *, run_id: str, trigger: str, own_calls: int) -> None:
    judged, plan = run.judged, run.plan
    record = ControlRun(
        id=run_id,
        control=run.control,
        slot=run.slot,
        started=judged.as_of.astimezone(dt.UTC) if judged else fleet.now(),
        seconds=judged.seconds if judged else 0.0,
        as_of=judged.as_of.astimezone(dt.UTC) if judged else fleet.now(),
        trigger=trigger,
        outcome=run.outcome or RunStatus.COMPLETED,
        examined=len(judged.verdicts) if judged else 0,
        findings=len(judged.findings) if judged else 0,
        opened=len(plan.opened),
        escalated=sum(step.memory is not None for step in plan.escalated),
        refreshed=len(plan.refreshed),
        closed=len(plan.closed),
        withdrawn=len(plan.withdrawn),
        unverified=len(plan.unverified),
        rpc_calls=(judged.rpc_calls if judged else 0) + own_calls,
        late=round(run.late, 3),
        missed=run.missed,
        policy_hash=fleet.policies.hash,
        code_version=_version(),
        reason=run.reason,
    )
    fleet.ledger.runs.record(record)
    log.info("run ended", **{k: v for k, v in vars_of(record).items() if k not in ("started", "as_of")})


def vars_of(record: ControlRun) -> dict[str, Any]:
    """Return a record's fields as plain values."""
    dumped: dict[str, Any] = TypeAdapter(ControlRun).dump_python(record, mode="json")
    return dumped


def _version() -> str:
    from importlib.metadata import version

    return version("odoo-purser")
