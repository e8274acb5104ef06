"""What a replay would do to the business now is shown before it begins."""

from typing import Annotated, Any

import typer

from config.observability.logging import redactor_of
from config.observability.redaction import Redactor
from console import command_context
from console.cli.dead.selection import All, Ids, choose, chosen_by_words, require_one_selection
from console.output import AsJson, as_json, count, facts, money, plain, print_error, progress, table, text
from purser.engine.predictions import FieldChange
from store import DeadLetter, DeadLetterFilter
from workers.dead_letters.replay_preview import LetterPreview, PlannedChange, ReplayPreview
from workers.dead_letters.replay_preview import preview_replay as make_plan


@chosen_by_words
def plan(
    wanted: DeadLetterFilter,
    ids: Ids = None,
    all_: All = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many letters at most.")] = 10_000,
    fields: Annotated[bool, typer.Option("--fields", help="Show every change, field by field.")] = False,
    json: AsJson = False,
) -> None:
    """Say what replaying letters would do in Odoo now, without doing it: letter by letter and in sum."""
    require_one_selection(ids, wanted, all_)
    with command_context.read_only_context("ledger") as fleet:
        clean = redactor_of(fleet.settings)
        chosen = choose(fleet.ledger, ids, wanted)
        in_turn = chosen if ids else chosen[::-1]  # a replay sends the oldest first
        found = [letter for one in in_turn[:limit] if (letter := fleet.ledger.letters.get(one)) is not None]
        with progress("planned", len(found)) as reached:
            told = make_plan(fleet, found, progress=reached)
    if json:
        as_json(_facts(told, clean))
    else:
        _print(told, found, clean, fields=fields)
    if len(chosen) > limit:
        print_error(f"{limit} of {count(len(chosen), 'letter')}: --limit plans more")


def _print(told: ReplayPreview, letters: list[DeadLetter], clean: Redactor, *, fields: bool) -> None:
    columns = ("id", "task", "fate", "changes", "hours", "money", "why")
    table(columns, (_row(one, clean) for one in told.letters), right={"changes", "hours", "money"})
    if fields:
        for one in told.letters:
            for change in one.changes:
                told_of = f"{one.id}  {change.kind} {change.key or change.model}: {change.fate}"
                text(f"\n{told_of} {clean.text(change.why)}".rstrip())
                for field in change.fields:
                    text(f"    {field.field}: {_value(field, 'now', clean)} -> {_value(field, 'then', clean)}")
    text("")
    facts(
        (
            ("letters", f"{len(letters)}: " + ", ".join(f"{n} {fate}" for fate, n in told.counts.items())),
            ("people told", ", ".join(told.people.values())),
            ("hours", told.hours),
            ("money", ", ".join(map(money, told.money))),
            ("calls of Odoo", told.rpc_calls),
        )
    )


def _row(one: LetterPreview, clean: Redactor) -> tuple[Any, ...]:
    return (
        *(one.id, one.task, one.fate, len(one.changes), one.hours or None),
        *(", ".join(map(money, one.money)) or None, clean.text(one.why)),
    )


def _facts(told: ReplayPreview, clean: Redactor) -> dict[str, Any]:
    return {
        "letters": [_letter(one, clean) for one in told.letters],
        "counts": {fate.value: number for fate, number in told.counts.items()},
        "people": {str(user): name for user, name in told.people.items()},
        "hours": told.hours,
        "money": told.money,
        "rpc_calls": told.rpc_calls,
    }


def _letter(one: LetterPreview, clean: Redactor) -> dict[str, Any]:
    return {
        "id": one.id,
        "task": one.task,
        "fate": one.fate,
        "why": clean.text(one.why),
        "changes": [_change(change, clean) for change in one.changes],
        "notified": one.notified,
        "hours": one.hours,
        "money": one.money,
    }


def _change(change: PlannedChange, clean: Redactor) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "model": change.model,
        "record": None if change.ref is None else str(change.ref),
        "key": change.key,
        "fate": change.fate,
        "why": clean.text(change.why),
        "fields": {one.field: {side: _value(one, side, clean) for side in ("now", "then")} for one in change.fields},
    }


def _value(change: FieldChange, side: str, clean: Redactor) -> Any:
    return plain(clean.entry(change.field, getattr(change, side)))
