"""What the demo saw is told as it happens, and once more as a table; programs get the same facts."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from console.output import clean, format_value
from devtools.demo.environment import DemoEnvironment
from devtools.demo.scenario import ScenarioStep, StepOutcome
from purser.findings import Money

_LONG = frozenset({"asked", "controls", "differences"})


class DemoReporter:
    """Tells people what happens. On a terminal the step that runs moves; elsewhere every step is a plain line."""

    def __init__(self, *, to_stderr: bool) -> None:
        self._console = Console(stderr=to_stderr, highlight=False)
        if not self._console.is_terminal:
            self._console = Console(stderr=to_stderr, highlight=False, width=160)
        self._running: Status | None = None
        self._step = ""

    def line(self, words: str, style: str = "") -> None:
        """Print one line."""
        self._console.print(Text(clean(words), style=style), soft_wrap=True)

    def begins(self, step: ScenarioStep) -> None:
        """Say what is tried now."""
        self._step = f"{step.name}: {step.promise}"
        if self._console.is_terminal:
            self._running = Status(Text(self._step), console=self._console, spinner="line")
            self._running.start()
        else:
            self.line(f"... {self._step}")

    def progress(self, words: str) -> None:
        """Say how far it has come; plain lines leave that out."""
        if self._running is not None:
            self._running.update(Text(f"{self._step} ({words})" if words else self._step))

    def ended(self, claim: StepOutcome) -> None:
        """Say what came of it."""
        self.close()
        mark, style = ("ok ", "green") if claim.observed else ("NOT OBSERVED", "bold red")
        self._console.print(Text.assemble((mark, style), f" {claim.promise} ({claim.seconds:.1f} s)"))
        if claim.observed and claim.name == "cases are open":
            self._cases(claim.facts)
        elif told := _in_words(claim):
            self.line(f"    {told}", "dim")
        if not claim.observed:
            self.line("    seen: " + _short(claim.facts), "red")

    def close(self) -> None:
        """Let the moving line go."""
        if self._running is not None:
            self._running.stop()
            self._running = None

    def summary(self, claims: Sequence[StepOutcome], seconds: float) -> None:
        """Print every claim, observed or not."""
        rows = (
            (claim.name, claim.promise, "yes" if claim.observed else "NO", f"{claim.seconds:.1f}") for claim in claims
        )
        self.line("")
        self._table(("claim", "what it says", "observed", "seconds"), rows, right={"seconds"})
        seen = sum(claim.observed for claim in claims)
        self.line(f"{seen} of {len(claims)} observed in {seconds:.1f} s")

    def addresses(self, stage: DemoEnvironment) -> None:
        """Say where everything is while it is kept."""
        told = stage.settings
        lines = (
            "",
            f"Flower   {stage.flower_url} (login {told.flower_user}, password {stage.flower_password})",
            f"Twin     {stage.twin.url} (database {stage.twin.db}, user admin, API key {stage.twin.admin_key})",
            f"Commands purser --env-file {stage.env_file} cases list",
            f"Logs     {stage.home / 'logs'}",
            "Ctrl-C   ends everything and removes it",
        )
        for one in lines:
            self.line(one)

    def _cases(self, facts: Mapping[str, Any]) -> None:
        rows = [
            (
                one["control"],
                one["about"],
                one["asked"] or "a note on it",
                _hours(one["hours_at_risk"]),
                _amounts({one["money_at_risk"].currency: one["money_at_risk"].amount})
                if one["money_at_risk"]
                else "-",
            )
            for one in facts["asked"]
        ]
        right = {"hours at risk", "money at risk"}
        self._table(("control", "about", "asked", "hours at risk", "money at risk"), rows, right=right)
        sums = [
            (name, one["cases"], _hours(one["hours_at_risk"]), _amounts(one["money_at_risk"]))
            for name, one in facts["controls"].items()
        ]
        total = ("together", facts["cases"], _hours(facts["hours_at_risk"]), _amounts(facts["money_at_risk"]))
        self._table(("control", "cases", "hours at risk", "money at risk"), [*sums, total], right={"cases", *right})
        self.line(f"    {facts['as_known']} of {facts['known_by_hand']} as counted by hand, to the cent", "dim")

    def _table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: set[str]) -> None:
        grid = Table(box=box.ASCII2 if self._console.options.ascii_only else box.SIMPLE_HEAD, show_edge=False)
        for column in columns:
            grid.add_column(column, justify="right" if column in right else "left", overflow="fold")
        for row in rows:
            grid.add_row(*(Text(format_value(cell)) for cell in row))
        self._console.print(grid)


def _in_words(claim: StepOutcome) -> str:
    """Say the facts of a step in a sentence or two."""
    words = _WORDS.get(claim.name, "")
    try:
        return words.format_map({name: format_value(value) for name, value in claim.facts.items()})
    except (KeyError, IndexError):
        return ""


_WORDS = {
    "the fleet is up": "{employees} employees in the twin; server: {server}; without its login Flower says "
    "{flower_to_a_stranger}",
    "twice is once": "{findings} findings again, {changes} changes, {activities_after} activities as before",
    "closed by proof": "{who} entered {hours_entered} h; {closed_after_seconds} s later Odoo shows: {feedback}",
    "won deal": "told {told} times: {customers} customer, {projects} project, {kick_off_activities} activities",
    "poison": "{pushed} pushed, {letters} letters ({reasons}); the worker is the same process",
    "dead letter": "{attempts}; replayed twice: {replayed}; {projects} project; "
    "{cases_closed_without_the_right} cases closed while the right was missing",
    "killed worker": "killed with {there_when_killed} of {expected} done; in the end {there_in_the_end}, "
    "doubled {doubled}, missing {missing}, new dead letters {new_dead_letters}; "
    "complete {complete_after_seconds} s after the kill",
    "accounts": "{cases_in_the_ledger} cases = {open_activities_in_odoo} activities + {notes_in_odoo} note, "
    "{rpc_calls} RPC calls in all",
}


def _short(facts: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name}={format_value(value)}" for name, value in facts.items() if name not in _LONG or value == []
    )


def _hours(hours: Decimal) -> str:
    return f"{hours:,.2f}" if hours else "-"


def _amounts(money: Mapping[str, Decimal]) -> str:
    return " + ".join(str(Money(amount, currency)) for currency, amount in money.items()) or "-"
