"""Letters are thrown away with a reason, and taken back as long as they are kept."""

from console import command_context
from console.cli.dead.selection import All, DryRun, Ids, Note, Yes, choose, chosen_by_words, require_one_selection
from console.output import FAILED, NOTHING, AsJson, as_json, confirm, count, exit_with, print_error, text
from store import DeadLetterFilter, DeadLetterState


@chosen_by_words
def discard(
    note: Note,
    wanted: DeadLetterFilter,
    ids: Ids = None,
    all_: All = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Settle letters for good. Their bytes stay until retention ends: `dead restore` brings them back."""
    command_context.note_text(note)
    require_one_selection(ids, wanted, all_)
    with command_context.ledger() as ledger:
        chosen = choose(ledger, ids, wanted)
        if dry_run:
            found = (ledger.letters.get(one) for one in chosen)
            gone = tuple(one.id for one in found if one is not None and one.state is DeadLetterState.DEAD)
        else:
            confirm(f"Discard {count(len(chosen), 'letter')}?", unless=yes or bool(ids))
            gone = ledger.letters.discard(chosen, who=command_context.actor_name(), note=note)
    _tell(chosen, gone, "would discard" if dry_run else "discarded", "is no dead letter", json=json)


@chosen_by_words
def restore(
    note: Note,
    wanted: DeadLetterFilter,
    ids: Ids = None,
    all_: All = False,
    yes: Yes = False,
    dry_run: DryRun = False,
    json: AsJson = False,
) -> None:
    """Make letters dead again that were discarded, or, where ids name them, superseded."""
    command_context.note_text(note)
    require_one_selection(ids, wanted, all_)
    with command_context.ledger() as ledger:
        chosen = choose(ledger, ids, wanted, state=DeadLetterState.DISCARDED)
        if dry_run:
            found = (ledger.letters.get(one) for one in chosen)
            there = (DeadLetterState.DISCARDED, DeadLetterState.SUPERSEDED)
            back = tuple(one.id for one in found if one is not None and one.state in there)
        else:
            confirm(f"Restore {count(len(chosen), 'letter')}?", unless=yes or bool(ids))
            back = ledger.letters.restore(chosen, who=command_context.actor_name(), note=note)
    _tell(chosen, back, "would restore" if dry_run else "restored", "is no discarded letter", json=json)


def _tell(chosen: list[str], done: tuple[str, ...], what: str, otherwise: str, *, json: bool) -> None:
    left = [one for one in chosen if one not in set(done)]
    if json:
        as_json([*({"id": one, "status": what} for one in done), *({"id": one, "status": otherwise} for one in left)])
    else:
        for one in done:
            text(f"{what} {one}")
    for one in left:
        print_error(f"{one} {otherwise}: it does not exist, or somebody settled it otherwise")
    if left:
        exit_with(FAILED if done else NOTHING)
