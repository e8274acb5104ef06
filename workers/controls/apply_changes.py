"""Carry out a chunk of a scan's changes, so that doing it again adds nothing, and remember what came of it."""

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from odoo_client import BATCH_SIZE, ChangeOutcome, ChangeStatus, failed_in, held_back, touches_money
from purser.cases import CaseRecord
from purser.changes import Change, Ensure, change_key, dump_changes
from purser.engine.reconcile import PlannedStep
from store import RefusalRecord
from workers.context import WorkerContext

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplyResult:
    """What became of a chunk."""

    done: int = 0
    already: int = 0
    refused: int = 0
    conflicts: int = 0
    superseded: bool = False
    reasons: tuple[tuple[str, str], ...] = ()
    """The key and the reason of each change that was refused or in conflict."""


def apply_steps(
    fleet: WorkerContext, *, control: str, slot: dt.datetime, steps: Sequence[PlannedStep], batch: int = 100
) -> ApplyResult:
    """Apply one chunk, unless a later run of its control was completed since; at most `batch` changes a call.

    Raises Transient (and UnknownOutcome) for the runner to try again: every change is safe to repeat.
    """
    fleet.check_home()
    if _superseded(fleet, control, slot):
        return ApplyResult(superseded=True)
    leading = [step for step in steps if not step.only_after]
    done = _carry_out(fleet, leading, batch)
    there = {change_key(outcome.change) for _, outcome in done if outcome.status in _THERE}
    done += _carry_out(fleet, [step for step in steps if step.only_after in there], batch)
    if not _superseded(fleet, control, slot):  # a later scan knows better what to remember
        fleet.ledger.cases.put([memory for step, outcome in done if (memory := _learnt(step, outcome))])
    return settle(fleet, f"control {control}", [outcome for _, outcome in done])


_THERE = (ChangeStatus.DONE, ChangeStatus.ALREADY)


def _superseded(fleet: WorkerContext, control: str, slot: dt.datetime) -> bool:
    last = fleet.ledger.slots.last_completed(control)
    if last is None or slot >= last:
        return False
    log.info("chunk superseded", control=control, slot=slot.isoformat(), by=last.isoformat())
    return True


def _carry_out(
    fleet: WorkerContext, steps: Sequence[PlannedStep], batch: int
) -> list[tuple[PlannedStep, ChangeOutcome]]:
    changing = [step for step in steps if step.change is not None]
    outcomes = apply_changes(fleet, [step.change for step in changing if step.change is not None], batch)
    return list(zip(changing, outcomes, strict=True))


def apply_changes(
    fleet: WorkerContext, changes: Sequence[Change], batch: int = BATCH_SIZE
) -> tuple[ChangeOutcome, ...]:
    """Carry changes out in order, each as the bot that has the rights for it; one outcome each.

    A change that needs one of another bot's is not carried out where that one failed.
    """
    done: list[ChangeOutcome] = []
    for is_billing, run in itertools.groupby(changes, touches_money):
        bot = fleet.billing if is_billing else fleet.change
        failed, every = failed_in(done), list(run)
        untold = {id(one): outcome for one in every if (outcome := held_back(one, failed))}
        carrying = [one for one in every if id(one) not in untold]
        carried = iter(bot.apply(carrying, batch) if carrying else ())
        done += [untold.get(id(one)) or next(carried) for one in every]
    return tuple(done)


def _learnt(step: PlannedStep, outcome: ChangeOutcome) -> CaseRecord | None:
    if step.memory is None or outcome.status not in _THERE:
        return None
    if isinstance(step.change, Ensure) and outcome.ref is not None:
        return replace(step.memory, activity=outcome.ref.id)
    return step.memory


def settle(fleet: WorkerContext, task: str, outcomes: Sequence[ChangeOutcome]) -> ApplyResult:
    """Count outcomes, and put every refusal where a person finds it."""
    for outcome in outcomes:
        if outcome.status is ChangeStatus.REFUSED:
            key = change_key(outcome.change)
            now = fleet.now()
            fleet.ledger.refusals.add(
                RefusalRecord(
                    id=key,
                    task=task,
                    what=key,
                    why=outcome.reason,
                    change=dump_changes([outcome.change])[0],
                    first_at=now,
                    last_at=now,
                )
            )
            log.warning("change refused", task=task, key=key)  # why is in the list: Odoo's words may name people
        elif outcome.status is ChangeStatus.CONFLICT:
            log.info("change in conflict", task=task, key=change_key(outcome.change))
    count = [outcome.status for outcome in outcomes].count
    return ApplyResult(
        done=count(ChangeStatus.DONE),
        already=count(ChangeStatus.ALREADY),
        refused=count(ChangeStatus.REFUSED),
        conflicts=count(ChangeStatus.CONFLICT),
        reasons=tuple(
            (change_key(one.change), one.reason)
            for one in outcomes
            if one.status in (ChangeStatus.REFUSED, ChangeStatus.CONFLICT)
        ),
    )
