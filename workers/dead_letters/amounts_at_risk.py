"""How much of a firm's work a message touches, as far as its payload tells: hours and money of the cases in it."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from pydantic import ValidationError

from purser.cases import CaseKey, CaseRecord
from purser.engine.reconcile import PlannedStep
from purser.findings import Money
from store import DeadLetter
from workers.controls.run import load_steps
from workers.dead_letters.letter_factory import values_in


@dataclass(frozen=True, slots=True)
class AmountAtRisk:
    """What is at risk in the cases of a message; nothing where it names no case."""

    hours: Decimal = Decimal(0)
    money: tuple[Money, ...] = ()
    """One sum for each currency."""


def amount_at_risk(letter: DeadLetter) -> AmountAtRisk | None:
    """Add up what a letter's steps say is at risk; None where nobody knows.

    Only the steps of a control name their cases. What an event leads to depends on what Odoo holds then, and a step
    without a case may change anything.
    """
    if letter.task != "purser.apply":
        return None
    try:
        steps = load_steps(values_in(letter).get("steps", ()))
    except (ValidationError, ValueError):
        return None
    return amount_at_risk_in(steps) if steps and all(step.memory is not None for step in steps) else None


def amount_at_risk_in(steps: Iterable[PlannedStep]) -> AmountAtRisk:
    """Add up steps; several steps of one case count once."""
    cases: dict[CaseKey, CaseRecord] = {}
    for step in steps:
        if step.memory is not None:
            cases[step.memory.key] = step.memory
    sums: dict[str, Decimal] = {}
    for case in cases.values():
        if case.money is not None:
            sums[case.money.currency] = sums.get(case.money.currency, Decimal(0)) + case.money.amount
    money = tuple(Money(amount, currency) for currency, amount in sorted(sums.items()))
    return AmountAtRisk(sum((case.hours for case in cases.values()), Decimal(0)), money)
