"""Controls and automations are data next to a plain function; a mistake in one stops the process at start."""

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from purser.cadence import Cadence
from purser.changes import Change
from purser.effects import NO_EFFECTS, Effects, effects_of
from purser.errors import ConfigurationError
from purser.findings import Ref, Severity, Verdict
from purser.naming import did_you_mean, is_wire_name
from purser.queries import Aggregate, Read, Row, Snapshot

Scan = Callable[..., Iterator[Verdict]]


class FollowUpEvent(Protocol):
    """A fact that follows from another, as an automation gives it: an instance of a class of `events`."""

    type: ClassVar[str]

    @property
    def record(self) -> Ref:
        """Name the record that the fact is about."""

    @property
    def identity(self) -> str:
        """Name the fact: told again, it is the same one."""


React = Callable[..., Iterator[Change | FollowUpEvent]]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One value a firm may set: its type and the house view."""

    type: Any
    default: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """A rule that should hold, with what it reads, how often, and who answers for it."""

    name: str
    rule: str
    """The rule itself, in a sentence: the first line of the function's docstring, or of its module's."""
    title: str
    """What people see in front of a summary, such as 'Missing timesheet'."""
    reads: tuple[Read, ...]
    every: Cadence
    severity: Severity
    owner: str
    """The role that answers for the rule being kept, such as 'pmo'. Policies name its members."""
    asks: tuple[str, ...]
    """The audiences its findings can name besides roles, nearest first: ('employee', 'manager')."""
    asked_on_return: tuple[str, ...] = ()
    """Those of the audiences who alone can mend a finding: somebody absent is asked on return, if that is soon."""
    effects: Effects = NO_EFFECTS
    """Where its cases stand: the rights that the bots need derive from it."""
    tunables: Mapping[str, Parameter]
    scan: Scan = field(repr=False)
    source: str

    def __call__(self, snapshot: Snapshot, **tunables: Any) -> Iterator[Verdict]:
        """Judge a snapshot, exactly as the undecorated function would."""
        return self.scan(snapshot, **tunables)


@dataclass(frozen=True, kw_only=True, slots=True)
class Automation:
    """The reaction to an event: decides which changes follow."""

    name: str
    rule: str
    on: type[Any]
    """The fact it reacts to, a class of `events`."""
    also: tuple[type[Any], ...] = ()
    """The facts after which it decides again about the same record, such as that of a cancelled leave."""
    reads: tuple[Read, ...]
    tells: tuple[type[Any], ...] = ()
    """The facts that may follow once its changes are carried out, classes of `events`."""
    effects: Effects = NO_EFFECTS
    """What it may do in Odoo: the rights that the bots need derive from it, and any other change is refused."""
    tunables: Mapping[str, Parameter]
    react: React = field(repr=False)
    source: str

    @property
    def facts(self) -> tuple[type[Any], ...]:
        """Return every fact it reacts to."""
        return (self.on, *self.also)

    @property
    def types(self) -> str:
        """Return the types of those facts, for people."""
        return " or ".join(fact.type for fact in self.facts)

    def __call__(self, event: Any, snapshot: Snapshot, **tunables: Any) -> Iterator[Change | FollowUpEvent]:
        """Decide, exactly as the undecorated function would."""
        return self.react(event, snapshot, **tunables)


def control(
    name: str,
    *,
    title: str,
    reads: Sequence[Read],
    every: Cadence,
    severity: Severity,
    owner: str,
    asks: Sequence[str] = (),
    asked_on_return: Sequence[str] = (),
    activity_on: Sequence[str] = (),
    notes_on: Sequence[str] = (),
) -> Callable[[Scan], Control]:
    """Declare a control. Its keyword-only parameters are its tunables, their defaults the house view.

    `activity_on` names the models whose records carry its activities, `notes_on` those whose records carry its cases
    as notes. The rights that the bots need derive from them, and a finding that asks elsewhere stops the run.
    """

    def declare(function: Scan) -> Control:
        where = f"control {name!r}"
        return Control(
            name=_name(where, name),
            rule=_rule(where, function),
            title=title,
            reads=_reads(where, reads),
            every=every,
            severity=severity,
            owner=owner,
            asks=tuple(asks),
            asked_on_return=tuple(asked_on_return),
            effects=effects_of(where, activity_on=activity_on, notes_on=notes_on),
            tunables=tunables_of(where, function, positional=1),
            scan=function,
            source=function.__module__,
        )

    return declare


def automation(
    name: str,
    *,
    on: type[Any],
    also: Sequence[type[Any]] = (),
    reads: Sequence[Read] = (),
    tells: Sequence[type[Any]] = (),
    creates: Sequence[str] = (),
    writes: Sequence[str] = (),
    activity_on: Sequence[str] = (),
    notes_on: Sequence[str] = (),
    operations: Sequence[str] = (),
) -> Callable[[React], Automation]:
    """Declare an automation: a function from an event and a snapshot to changes, and to facts that follow from them.

    `also` names the facts after which the same function decides again, to close what it opened where the cause went
    away (see `purser.todos`).
    `creates`, `writes`, `activity_on` and `notes_on` name the models whose records it makes, changes, or puts
    activities and notes on, `operations` the business operations it runs. The rights that the bots need derive from
    them, and a change that they do not name is not carried out.
    Missing data, or whatever else a person must settle first, is `raise Refusal(...)`: nothing is changed then.
    """

    def declare(function: React) -> Automation:
        where = f"automation {name!r}"
        return Automation(
            name=_name(where, name),
            rule=_rule(where, function),
            on=on,
            also=tuple(also),
            reads=_reads(where, reads),
            tells=tuple(tells),
            effects=effects_of(
                where,
                creates=creates,
                writes=writes,
                activity_on=activity_on,
                notes_on=notes_on,
                operations=operations,
            ),
            tunables=tunables_of(where, function, positional=2),
            react=function,
            source=function.__module__,
        )

    return declare


def check_tunables(declared: Control | Automation, given: Mapping[str, Any]) -> None:
    """Raise ConfigurationError when `given` names a tunable that `declared` does not have."""
    for unknown in given.keys() - declared.tunables.keys():
        raise ConfigurationError(
            f"`{declared.name}`: tunable `{unknown}` is unknown.{did_you_mean(unknown, declared.tunables)}"
        )


def _name(where: str, name: str) -> str:
    if not is_wire_name(name):
        raise ConfigurationError(f"{where}: a name is lower-case words with hyphens, such as 'unbilled-work'")
    return name


def _rule(where: str, function: Callable[..., Any]) -> str:
    text = inspect.getdoc(function) or inspect.getdoc(inspect.getmodule(function)) or ""
    if not text:
        raise ConfigurationError(f"{where}: say the rule in one sentence, as the docstring of the function")
    return text.splitlines()[0].strip()


def _reads(where: str, reads: Sequence[Read]) -> tuple[Read, ...]:
    for read in reads:
        if not is_read(read):
            raise ConfigurationError(f'{where}: reads holds {read!r}, which is no Row or Group with a model="..."')
    if len(set(reads)) != len(reads):
        raise ConfigurationError(f"{where}: reads names the same class twice")
    return tuple(reads)


def is_read(read: object) -> bool:
    """Return whether this can be read: a Row or Group with a model."""
    return isinstance(read, type) and issubclass(read, (Row, Aggregate)) and hasattr(read, "model")


def tunables_of(where: str, function: Callable[..., Any], *, positional: int) -> Mapping[str, Parameter]:
    """Read the tunables of a declared function: its keyword-only parameters."""
    hints = typing.get_type_hints(function, include_extras=True)
    found: dict[str, Parameter] = {}
    parameters = list(inspect.signature(function).parameters.values())
    if [p.kind for p in parameters[:positional]] != [inspect.Parameter.POSITIONAL_OR_KEYWORD] * positional:
        raise ConfigurationError(
            f"{where}: the function takes {positional} positional argument(s), then keyword-only tunables"
        )
    for parameter in parameters[positional:]:
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY or parameter.default is inspect.Parameter.empty:
            raise ConfigurationError(
                f"{where}: `{parameter.name}` must be keyword-only and have a default, to be a tunable"
            )
        if parameter.name not in hints:
            raise ConfigurationError(f"{where}: tunable `{parameter.name}` needs a type")
        found[parameter.name] = Parameter(hints[parameter.name], parameter.default)
    return MappingProxyType(found)
