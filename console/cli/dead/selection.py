"""Every command about letters chooses them by the same words, which are those of the pages and of their links."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from console.output import nothing
from purser.errors import ConfigurationError
from store import DeadLetterFilter, DeadLetterState, Ledger

Note = Annotated[str, typer.Option(help="Why, for the audit trail.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="[IDS]...", help="The ids of letters.")]
All = Annotated[bool, typer.Option("--all", help="All of them: instead of ids or a filter.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask at the terminal.")]
ToUnreadQueue = Annotated[
    bool, typer.Option("--to-unread-queue", help="Also to a queue that no worker reads now: what goes there waits.")
]

_WORDS: dict[str, Any] = {
    "task": typer.Option(help="Only this task, such as purser.apply."),
    "queue": typer.Option(help="Only from this queue."),
    "reason": typer.Option(help="Only set aside for this reason."),
    "error": typer.Option(help="Only with an error of this class."),
    "fingerprint": typer.Option("--fingerprint", "--group", help="Only those that failed alike: see `dead groups`."),
    "correlation": typer.Option(help="Only what came of this first message, by its id."),
    "subject": typer.Option(help="Only about this record, such as crm.lead/42."),
    "since": typer.Option(help="Only set aside since then: 30m, 24h, 7d or 2026-01-31T18:00Z."),
    "until": typer.Option(help="Only set aside before then."),
    "text": typer.Option(help="Only what carries this text."),
}


def chosen_by_words(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes `wanted` the options of a filter in its place."""
    signature = inspect.signature(command)
    own = [one for one in signature.parameters.values() if one.name != "wanted"]
    words = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default="", annotation=Annotated[str, option])
        for name, option in _WORDS.items()
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        told = {name: given.pop(name) for name in _WORDS}
        command(wanted=DeadLetterFilter.read(told), **given)

    told: Any = run
    own = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
    told.__signature__ = signature.replace(parameters=[*own, *words])
    told.__annotations__ = {one.name: one.annotation for one in (*own, *words)}
    return run


def require_one_selection(ids: list[str] | None, wanted: DeadLetterFilter, all_: bool) -> None:
    """Raise ConfigurationError unless letters were asked for in one of three ways."""
    if [bool(ids), bool(wanted.words()), all_].count(True) != 1:
        raise ConfigurationError("say which letters: IDS, a filter such as --group FINGERPRINT, or --all")


def choose(
    ledger: Ledger, ids: list[str] | None, wanted: DeadLetterFilter, *, state: DeadLetterState = DeadLetterState.DEAD
) -> list[str]:
    """Return the ids that were asked for; where there is none the command ends."""
    found = list(dict.fromkeys(ids)) if ids else list(ledger.letters.ids(in_state(wanted, state)))
    if not found:
        nothing("no letter matches")
    return found


def in_state(wanted: DeadLetterFilter, state: DeadLetterState) -> DeadLetterFilter:
    """Return the same filter for letters of another state."""
    return DeadLetterFilter.read({**wanted.words(), "state": state.value})
