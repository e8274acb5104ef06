"""The fleet shows what it promises, one claim after the other; each is looked at in Odoo and in the ledger.

A step gives what it saw, whether or not that is what was promised: nothing is taken for granted from the step before,
and nothing counts because a log says so.
"""

import collections
import datetime as dt
import json
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from devtools.demo import sample_company as firms
from devtools.demo.environment import DemoEnvironment, DemoEnvironmentStopped
from devtools.demo.sample_company import ExpectedFinding
from odoo_client.transport.request import Request
from purser.cases import CaseKey, CaseRecord, CaseState, FeedbackMarker
from purser.errors import PurserError
from store import ControlRun, DeadLetterState, RunStatus
from workers.dead_letters.replay_one import ReplayStatus, replay

EXTRA = 400
"""How many people join for the burst: four messages of a hundred changes each."""

_SLOW_ANSWER = 1.5
_WHO = "purser demo"


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step saw, and whether it is what was promised."""

    observed: bool
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScenarioStep:
    """One promise and how it is tested."""

    name: str
    promise: str
    run: Callable[[DemoEnvironment], StepResult]


@dataclass(frozen=True, kw_only=True, slots=True)
class StepOutcome:
    """What became of a promise."""

    name: str
    promise: str
    observed: bool
    facts: Mapping[str, Any]
    seconds: float


def run_scenario(
    stage: DemoEnvironment, begins: Callable[[ScenarioStep], None], ended: Callable[[StepOutcome], None]
) -> Iterator[StepOutcome]:
    """Run the steps. When the fleet does not even come up, the rest would prove nothing and is left out."""
    for step in STEPS:
        begins(step)
        began = time.monotonic()
        seen = _seen(step, stage)
        claim = StepOutcome(
            name=step.name,
            promise=step.promise,
            observed=seen.observed,
            facts=seen.facts,
            seconds=round(time.monotonic() - began, 1),
        )
        ended(claim)
        yield claim
        if step.run is start and not seen.observed:
            return


def _seen(step: ScenarioStep, stage: DemoEnvironment) -> StepResult:
    try:
        return step.run(stage)
    except DemoEnvironmentStopped:
        raise
    except PurserError as error:
        return StepResult(False, {"seen": f"{type(error).__name__}: {error}"})


# -------------------------------------------------------------------------------- the fleet --


def start(stage: DemoEnvironment) -> StepResult:
    """Workers answer a ping, and Flower turns away who does not know its login."""
    workers = stage.watch(
        stage.workers,
        lambda seen: {"front", "bulk"} <= seen,
        within=40,
        show=lambda seen: f"answering: {_list(seen)}",
    )
    flower = stage.watch(stage.flower_says, lambda codes: codes == (401, 200), within=20)
    processes = sorted(stage.supervisor.pids)
    facts = {
        "server": stage.server.kind,
        "processes": processes,
        "workers_answering": sorted(workers),
        "flower_to_a_stranger": flower[0],
        "flower_with_the_login": flower[1],
        "employees": len(stage.firm.employees),
    }
    is_up = {"front", "bulk"} <= workers and {"front", "bulk", "beat", "flower"} <= set(processes)
    return StepResult(is_up and flower == (401, 200), facts)


# ----------------------------------------------------------------------------- the controls --


def open_cases(stage: DemoEnvironment) -> StepResult:
    """Beat has ticked by itself; nobody asked for a scan."""
    known = stage.firm.known
    cases = stage.watch(
        stage.open_cases,
        lambda seen: _figures(seen) == known,
        within=30,
        show=lambda seen: f"{len(seen)} cases, {len(known)} known by hand",
    )
    right = [key for key in known if _known(cases.get(key)) == known[key]]
    on_desks = [key for key, case in cases.items() if _is_on_its_desk(stage, case)]
    controls = {}
    for control in firms.CONTROLS:
        mine = [case for key, case in cases.items() if key.control == control]
        controls[control] = {
            "cases": len(mine),
            "hours_at_risk": sum((case.hours for case in mine), Decimal(0)),
            "money_at_risk": _money(mine),
        }
    facts = {
        "cases": len(cases),
        "known_by_hand": len(known),
        "as_known": len(right),
        "on_the_right_desk": len(on_desks),
        "hours_at_risk": sum((case.hours for case in cases.values()), Decimal(0)),
        "money_at_risk": _money(cases.values()),
        "controls": controls,
        "asked": [_told(stage, case) for _, case in sorted(cases.items())],
        "differences": sorted(str(key) for key in known.keys() ^ cases.keys()),
    }
    return StepResult(len(right) == len(known) == len(cases) == len(on_desks), facts)


def second_tick(stage: DemoEnvironment) -> StepResult:
    """The scans that begin now find what the first have opened."""
    before = _picture(stage)
    began = dt.datetime.now(dt.UTC)

    def later() -> dict[str, list[ControlRun]]:
        return {c: [run for run in stage.runs(c) if run.started > began] for c in firms.CONTROLS}

    runs = stage.watch(
        later,
        lambda seen: all(seen.values()),
        within=20,
        show=lambda seen: f"scanned again: {_list(name for name, found in seen.items() if found)}",
    )
    stage.watch(stage.is_quiet, bool, within=10)
    changes = sum(_changes(run) for found in runs.values() for run in found)
    after = _picture(stage)
    facts = {
        "scans": {control: len(found) for control, found in runs.items()},
        "findings": sum(found[0].findings for found in runs.values() if found),
        "changes": changes,
        "activities_before": len(before[0]),
        "activities_after": len(after[0]),
        "anything_touched_in_odoo": before != after,
    }
    return StepResult(all(runs.values()) and not changes and before == after, facts)


def proof(stage: DemoEnvironment) -> StepResult:
    """The employee enters the week over RPC, with a key of her own."""
    firm, key = stage.firm, stage.firm.late
    case = stage.open_cases().get(key)
    if case is None or key.period is None:
        return StepResult(False, {"case": str(key), "seen": "the case is not open"})
    lines = [
        {
            "name": "Consulting, entered late",
            "project_id": firm.project,
            "employee_id": key.subject.id,
            "date": (key.period.first + dt.timedelta(days=day)).isoformat(),
            "unit_amount": 8.0,
        }
        for day in range(5)
    ]
    with stage.door(firms.LATE, firm.late_key) as door:
        door.send(Request(model="account.analytic.line", method="create", arguments={"vals_list": lines}))
    began = time.monotonic()

    def ended() -> tuple[CaseState, dict[str, Any]]:
        memory = stage.ledger.cases.of(key.control).get(key)
        found = stage.activities(["id", "=", case.activity])
        return (memory.state if memory else CaseState.OPEN), (found[0] if found else {})

    def is_closed(seen: tuple[CaseState, dict[str, Any]]) -> bool:
        return seen[0] is CaseState.CLOSED and seen[1].get("active") is False

    state, activity = stage.watch(ended, is_closed, within=20)
    feedback = str(activity.get("feedback") or "")
    facts = {
        "case": str(key),
        "who": firms.LATE,
        "hours_entered": 40,
        "state": state,
        "activity_is_done": activity.get("active") is False,
        "feedback": feedback,
        "closed_after_seconds": round(time.monotonic() - began, 1),
    }
    return StepResult(is_closed((state, activity)) and FeedbackMarker.of(feedback) is FeedbackMarker.KEPT, facts)


# ------------------------------------------------------------------------------- the events --


def won_deal(stage: DemoEnvironment) -> StepResult:
    """A person tells it with `purser events emit`; then the same message again, then the same news once more."""
    lead, told = stage.firm.leads[0], str(uuid.uuid4())
    seen_before = stage.twin.requests["crm.lead/search_read"]
    codes = [_emit(stage, lead, told).wait()]
    first = stage.watch(lambda: _outcome(stage, lead), _WHOLE.__eq__, within=20)
    again = [_emit(stage, lead, told), _emit(stage, lead, str(uuid.uuid4()))]
    codes += [process.wait() for process in again]

    def heard() -> tuple[int, bool]:
        """Return how often an automation looked at a deal, and whether the repeated message was known."""
        looks = stage.twin.requests["crm.lead/search_read"] - seen_before
        return looks, stage.said("front", "event seen before")

    looks, repeated = stage.watch(heard, lambda seen: seen[0] >= 2 and seen[1], within=20)
    stage.watch(stage.is_quiet, bool, within=10)
    last = _outcome(stage, lead)
    facts = {
        "told": len(codes),
        "reacted": looks,
        "repeated_message_known": repeated,
        "customers": last[0],
        "projects": last[1],
        "kick_off_activities": last[2],
        "after_the_first_telling": list(first),
    }
    return StepResult(first == last == _WHOLE and looks == 2 and repeated and not any(codes), facts)


_WHOLE = (1, 1, 3)
"""One customer, one project, three kick-off activities."""


def _emit(stage: DemoEnvironment, lead: int, event: str) -> "subprocess.Popen[bytes]":
    data = json.dumps({"opportunity_id": lead})
    note = ("--note", _WHO)
    return stage.purser("events", "emit", "opportunity.won.v1", "--data", data, "--id", event, *note)


def _outcome(stage: DemoEnvironment, lead: int) -> tuple[int, int, int]:
    """Count the customers, projects and kick-off activities that came of an opportunity."""
    (deal,) = stage.twin.rows("crm.lead", [["id", "=", lead]], ["name", "partner_id", "partner_name"])
    customers = [row["id"] for row in stage.twin.rows("res.partner", [["name", "=", deal["partner_name"]]], ["name"])]
    projects = [row["id"] for row in stage.twin.rows("project.project", [["name", "=", deal["name"]]], ["name"])]
    todo = stage.activities(["res_model", "=", "project.project"], ["res_id", "in", projects])
    is_linked = customers == [deal["partner_id"]]
    return len(customers) if is_linked or not customers else 0, len(projects), len(todo)


# ----------------------------------------------------------------------------- dead letters --


def poison(stage: DemoEnvironment) -> StepResult:
    """Bytes that no worker can read are kept as they came, and the worker that met them goes on."""
    worker, before = stage.pid("front"), stage.letters()
    unknown = {"id": str(uuid.uuid4()), "task": "purser.nothing", "lang": "py"}
    raws = (b"\xff\xfe\x00 no message at all", b'{"half": "a message"', _message(unknown, [[], {}, {}]))
    for raw in raws:
        stage.push("events", raw)

    def new() -> list[Any]:
        return [letter for id_, letter in stage.letters().items() if id_ not in before]

    letters = stage.watch(new, lambda seen: len(seen) >= len(raws), within=15)
    stage.watch(stage.is_quiet, bool, within=10)
    kept = {letter.body for letter in letters}
    facts = {
        "pushed": len(raws),
        "letters": len(letters),
        "bytes_kept_as_they_came": sum(raw in kept for raw in raws[:2]),
        "reasons": sorted(letter.reason for letter in letters),
        "worker_lives": worker == stage.pid("front") != 0,
    }
    is_kept = facts["bytes_kept_as_they_came"] == 2 and len(letters) == len(raws)
    return StepResult(bool(is_kept and facts["worker_lives"]), facts)


def dead_letter(stage: DemoEnvironment) -> StepResult:
    """Odoo is busy once, then the bot lacks a right: a letter. With the right given back it is replayed, once."""
    lead, before = stage.firm.leads[1], stage.letters()
    open_before = len(stage.open_cases())
    _give_right(stage, given=False)
    try:
        stage.twin.faults.answer(502, only="crm.lead/search_read")
        _emit(stage, lead, str(uuid.uuid4())).wait()

        def dead() -> list[Any]:
            return [one for id_, one in stage.letters().items() if id_ not in before and one.task == "purser.react"]

        letters = stage.watch(dead, bool, within=25)
        blind = stage.watch(
            lambda: stage.runs(firms.UNBILLED)[:1],
            lambda runs: bool(runs) and runs[0].outcome is RunStatus.NOT_APPLICABLE,
            within=10,
        )
        closed_blindly = open_before - len(stage.open_cases())
        nothing_yet = _outcome(stage, lead)
    finally:
        _give_right(stage, given=True)
    if not letters:
        return StepResult(False, {"letters": 0, "outcome": list(nothing_yet)})
    (letter,) = letters
    tries = [replay(stage.fleet, [letter.id], who=_WHO, note="the right was given back")[0].status for _ in "12"]
    stage.watch(lambda: _outcome(stage, lead), _WHOLE.__eq__, within=20)
    stage.watch(stage.is_quiet, bool, within=10)
    last, now = _outcome(stage, lead), stage.ledger.letters.get(letter.id)
    facts = {
        "letter": letter.id,
        "reason": letter.reason,
        "attempts": [attempt.error for attempt in letter.attempts],
        "scan_without_the_right": blind[0].outcome if blind else "none",
        "cases_closed_without_the_right": closed_blindly,
        "before_the_replay": list(nothing_yet),
        "replayed": [str(status) for status in tries],
        "letter_is_now": now.state if now else "gone",
        "customers": last[0],
        "projects": last[1],
        "kick_off_activities": last[2],
    }
    is_once = tries == [ReplayStatus.REPLAYED, ReplayStatus.NOT_DEAD] and nothing_yet == (0, 0, 0) and last == _WHOLE
    is_told = len(letter.attempts) == 2 and letter.reason == "permanent failure"
    is_settled = now is not None and now.state is DeadLetterState.REPLAYED and not closed_blindly
    return StepResult(bool(is_once and is_told and is_settled and blind), facts)


def _give_right(stage: DemoEnvironment, *, given: bool) -> None:
    names = [name for name in firms.BOT_GROUPS if given or name != firms.SALES_RIGHT]
    rows = [
        stage.twin.rows("ir.model.data", [["module", "=", m], ["name", "=", n]], ["res_id"])
        for m, n in (name.split(".") for name in names)
    ]
    stage.twin.update("res.users", stage.firm.bot, {"group_ids": [[6, 0, [found[0]["res_id"] for found in rows]]]})


def _message(headers: dict[str, Any], body: Any) -> bytes:
    """Build a message as a careless producer would."""
    properties = {
        "delivery_tag": str(uuid.uuid4()),
        "delivery_info": {"exchange": "", "routing_key": "events"},
        "delivery_mode": 2,
    }
    return json.dumps(
        {
            "body": json.dumps(body),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": headers,
            "properties": properties,
        }
    ).encode()


# ---------------------------------------------------------------------------- a killed worker --


def killed_worker(stage: DemoEnvironment) -> StepResult:
    """The worker dies when Odoo has committed one batch and not answered, and has begun another."""
    letters, worker = len(stage.letters()), stage.pid("bulk")
    stage.twin.faults.delay(_SLOW_ANSWER, after_commit=True, only="mail.activity/load")
    stage.twin.faults.delay(_SLOW_ANSWER, only="mail.activity/load")
    people = firms.hire(stage.twin, stage.firm, EXTRA, dt.datetime.now(dt.UTC))

    def there() -> int:
        return len(stage.activities(["res_model", "=", "hr.employee"], ["res_id", "in", people]))

    at_kill = stage.watch(there, bool, within=20)
    stage.kill("bulk")
    began = time.monotonic()
    stage.twin.faults.clear()
    stage.watch(lambda: stage.pid("bulk"), lambda pid: pid not in (0, worker), within=10)
    stage.watch(there, lambda n: n >= EXTRA, within=40, show=lambda n: f"{n} of {EXTRA} activities in Odoo")
    stage.watch(stage.workers, lambda seen: "bulk" in seen, within=10)
    took = round(time.monotonic() - began, 1)
    stage.watch(stage.is_quiet, bool, within=20)
    asked = collections.Counter(
        row["res_id"] for row in stage.activities(["res_model", "=", "hr.employee"], ["res_id", "in", people])
    )
    facts = {
        "expected": EXTRA,
        "there_when_killed": at_kill,
        "there_in_the_end": sum(asked.values()),
        "doubled": sum(count > 1 for count in asked.values()),
        "missing": EXTRA - len(asked),
        "worker_before": worker,
        "worker_after": stage.pid("bulk"),
        "new_dead_letters": len(stage.letters()) - letters,
        "queues_are_empty": stage.watch(stage.is_quiet, bool, within=10),
        "complete_after_seconds": took,
    }
    is_exact = sum(asked.values()) == len(asked) == EXTRA
    was_killed = 0 < at_kill < EXTRA and facts["worker_after"] not in (0, worker)
    return StepResult(
        bool(is_exact and was_killed and facts["queues_are_empty"] and not facts["new_dead_letters"]), facts
    )


def accounts(stage: DemoEnvironment) -> StepResult:
    """What the ledger remembers and what Odoo shows are the same, case by case."""

    def both() -> tuple[frozenset[int], frozenset[int], int]:
        cases = stage.open_cases().values()
        ours = frozenset(case.activity for case in cases if case.activity is not None)
        made_by_us = stage.activities(["create_uid", "=", stage.firm.bot], ["active", "=", True])
        theirs = frozenset(row["id"] for row in made_by_us if row["res_model"] != "project.project")
        return ours, theirs, sum(case.note for case in cases)

    ours, theirs, notes = stage.watch(both, lambda seen: seen[0] == seen[1], within=10)
    held = [run.control for control in firms.CONTROLS for run in stage.runs(control) if run.outcome is RunStatus.HELD]
    facts = {
        "cases_in_the_ledger": len(ours) + notes,
        "open_activities_in_odoo": len(theirs),
        "notes_in_odoo": notes,
        "only_in_the_ledger": len(ours - theirs),
        "only_in_odoo": len(theirs - ours),
        "refusals": stage.ledger.refusals.count(),
        "scans_held": len(held),
        "rpc_calls": sum(stage.twin.requests.values()),
    }
    return StepResult(ours == theirs and not facts["refusals"] and not held, facts)


# ------------------------------------------------------------------------------------ looks --


def _list(words: Iterable[str]) -> str:
    return ", ".join(sorted(words)) or "none yet"


def _known(case: CaseRecord | None) -> ExpectedFinding | None:
    return None if case is None else ExpectedFinding(case.hours, case.money, case.user_id)


def _figures(cases: Mapping[CaseKey, CaseRecord]) -> dict[CaseKey, ExpectedFinding | None]:
    return {key: _known(case) for key, case in cases.items()}


def _money(cases: Iterable[CaseRecord]) -> dict[str, Decimal]:
    sums: dict[str, Decimal] = collections.defaultdict(Decimal)
    for case in cases:
        if case.money is not None:
            sums[case.money.currency] += case.money.amount
    return dict(sorted(sums.items()))


def _is_on_its_desk(stage: DemoEnvironment, case: CaseRecord) -> bool:
    """Look whether Odoo shows the case: an open activity of the one who is asked, or a note on the document."""
    subject = case.key.subject
    if case.note:
        on = [["model", "=", subject.model], ["res_id", "=", subject.id], ["subtype_id.internal", "=", True]]
        return len(stage.twin.rows("mail.message", on, ["body"])) == 1
    found = stage.activities(["id", "=", case.activity], ["active", "=", True])
    return [row["user_id"] for row in found] == [case.user_id]


def _told(stage: DemoEnvironment, case: CaseRecord) -> dict[str, Any]:
    return {
        "control": case.key.control,
        "about": case.subject_name,
        "asked": "" if case.note else stage.firm.login(case.user_id),
        "text": case.text,
        "hours_at_risk": case.hours,
        "money_at_risk": case.money,
    }


def _picture(stage: DemoEnvironment) -> tuple[frozenset[tuple[int, str, bool]], int]:
    """Return what Odoo holds of us: every activity with its last change, and the number of messages."""
    rows = stage.activities()
    return frozenset((row["id"], row["write_date"], row["active"]) for row in rows), len(
        stage.twin.rows("mail.message", [], ["model"])
    )


def _changes(run: ControlRun) -> int:
    return run.opened + run.escalated + run.refreshed + run.closed + run.withdrawn


STEPS = (
    ScenarioStep("the fleet is up", "Redis, two workers, beat and Flower run; Flower asks for its login", start),
    ScenarioStep(
        "cases are open", "beat ticks: what is wrong in the firm is on the right desk, and nothing else", open_cases
    ),
    ScenarioStep("twice is once", "the next tick finds the same and changes nothing", second_tick),
    ScenarioStep("closed by proof", "an employee enters the missing week, and her case closes by itself", proof),
    ScenarioStep("won deal", "a won deal becomes a customer and a project, once, however often it is told", won_deal),
    ScenarioStep("poison", "bytes that nobody can read are kept, and stop no worker", poison),
    ScenarioStep(
        "dead letter", "what fails for good is kept, and replayed once when the cause is mended", dead_letter
    ),
    ScenarioStep("killed worker", "kill -9 in mid-work loses nothing and doubles nothing in Odoo", killed_worker),
    ScenarioStep("accounts", "in the end ledger and Odoo agree, case by case", accounts),
)
