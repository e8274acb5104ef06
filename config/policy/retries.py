"""How long a firm's fleet waits: which failure of which task is tried again how often, and what stands still when."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from config.policy.problems import ProblemCollector
from config.policy.yaml_positions import YamlNode
from purser import errors
from purser.cadence import Freeze
from purser.engine.retry import RetryPolicy
from purser.errors import Conflict, PurserError, Throttled, Transient, UnknownOutcome
from purser.naming import did_you_mean

TASKS = ("scan", "apply", "accept", "react", "look", "feed", "deliver")
ANY = "*"
RETRIED: Mapping[str, type[PurserError]] = MappingProxyType(
    {
        one.__name__: one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, (Transient, Conflict))
    }
)
"""The errors a policy can name: those that are tried again."""

DEFAULT_RETRIES = RetryPolicy()
_HOUSE_BY_ERROR: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        Conflict.__name__: {"base": 0.5, "cap": 60.0},
        UnknownOutcome.__name__: {"base": 2.0},
        Throttled.__name__: {"attempts": 30},
    }
)
_HOUSE_BY_TASK: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {"deliver": (5.0, 5 * 60.0, 30 * 60.0, 2 * 3600.0, 5 * 3600.0, 10 * 3600.0)}
)
"""The waits of a task that does not double them: a receiver is tried over most of a day, and not hammered."""
_UNITS = {"s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?) ?([a-z]*?)s?")

Given = Mapping[str, float]
"""Some of attempts, base and cap."""


@dataclass(frozen=True, slots=True)
class RetryPolicies:
    """The retry policies of a firm, by task and by error."""

    by_task: Mapping[str, Given] = field(default_factory=dict)
    by_error: Mapping[tuple[str, str], Given] = field(default_factory=dict)
    """By task and name of the error."""

    def told(self) -> dict[str, object]:
        """Return what the firm has said, for a hash or a listing; what it left to the house view is not in it."""
        by_error = {f"{task}/{error}": dict(given) for (task, error), given in self.by_error.items()}
        return {**{task: dict(given) for task, given in self.by_task.items()}, **by_error}

    def of(self, task: str, error: type[BaseException]) -> RetryPolicy:
        """Return the policy of one failure: what is said of task and error counts before what is said of the task,
        that before what is said of every task, and the house view fills in the rest. A subclass of an error is
        covered by what is said of the error."""
        names = [kind.__name__ for kind in reversed(error.__mro__) if kind.__name__ in RETRIED]
        house = _merged(_HOUSE_BY_ERROR.get(name, {}) for name in names)
        said: list[Given] = []
        for scope in (ANY, task):
            said.append(self.by_task.get(scope, {}))
            said += [self.by_error.get((scope, name), {}) for name in names]
        firm = _merged(said)
        waits = _HOUSE_BY_TASK.get(task, ())
        if waits and not {"base", "cap"} & firm.keys():
            attempts = {"attempts": len(waits) + 1.0} | house | firm
            return replace(
                DEFAULT_RETRIES, attempts=int(attempts["attempts"]), base=waits[0], cap=waits[-1], waits=waits
            )
        return _policy(house | firm)


def _merged(said: Iterable[Given]) -> dict[str, float]:
    """Return all that is said, the later word where two say something of the same."""
    merged: dict[str, float] = {}
    for one in said:
        merged |= one
    return merged


def _policy(given: Given) -> RetryPolicy:
    base, cap = given.get("base", DEFAULT_RETRIES.base), given.get("cap", DEFAULT_RETRIES.cap)
    if "cap" not in given:
        cap = max(base, cap)
    elif base > cap:
        base = cap  # each was right where it stood: the nearer one counts
    return replace(DEFAULT_RETRIES, attempts=int(given.get("attempts", DEFAULT_RETRIES.attempts)), base=base, cap=cap)


def checked(given: Given) -> Given:
    """Return the values of one place in a policy, or raise ValueError where they do not fit each other."""
    RetryPolicy(
        attempts=int(given.get("attempts", DEFAULT_RETRIES.attempts)),
        base=given.get("base", min(DEFAULT_RETRIES.base, given.get("cap", DEFAULT_RETRIES.cap))),
        cap=given.get("cap", max(DEFAULT_RETRIES.cap, given.get("base", DEFAULT_RETRIES.base))),
    )
    return given


def seconds(value: object) -> float:
    """Read a duration: a number of seconds, or such as `30 s`, `10 min`, `2 hours`. ValueError says what is wrong."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"write seconds, or such as `30 s`, `10 min`, `2 h`, not {value!r}")
    if isinstance(value, str):
        found = _DURATION.fullmatch(value.strip().lower())
        unit = found[2] if found else ""
        factor = _UNITS.get(unit or "s")
        if found is None or factor is None:
            raise ValueError(f"write seconds, or such as `30 s`, `10 min`, `2 h`, not {value!r}")
        number = float(found[1]) * factor
    else:
        number = float(value)
    if not 0 < number < float("inf"):
        raise ValueError(f"a wait is longer than nothing, not {value!r}")
    return number


# ----------------------------------------------------------------------------- the readers --

_RETRY_KEYS = ("attempts", "base", "cap")
_FREEZE_KEYS = ("what", "days_before", "days_after", "months")


def read_retries(report: ProblemCollector, at: YamlNode | None) -> RetryPolicies:
    """Read `retries:` of a policy file."""
    by_task: dict[str, Given] = {}
    by_error: dict[tuple[str, str], Given] = {}
    for task, one in ({} if at is None else report.mapping(at, "retries", (ANY, *TASKS))).items():
        what = f"retries: {task}"
        entries = report.mapping(one, what, (*_RETRY_KEYS, "errors"))
        errors_at = entries.pop("errors", None)
        by_task[task] = _given(report, one, what, entries)
        for name, error in ({} if errors_at is None else report.mapping(errors_at, what, RETRIED)).items():
            inner = f"{what}: {name}"
            by_error[task, name] = _given(report, error, inner, report.mapping(error, inner, _RETRY_KEYS))
    return RetryPolicies(MappingProxyType(by_task), MappingProxyType(by_error))


def _given(report: ProblemCollector, at: YamlNode, what: str, entries: Mapping[str, YamlNode]) -> Given:
    given: dict[str, float] = {}
    if "attempts" in entries:
        given["attempts"] = report.read(entries["attempts"], f"{what}: attempts", _attempts, DEFAULT_RETRIES.attempts)
    for name in ("base", "cap"):
        if name in entries:
            given[name] = report.read(entries[name], f"{what}: {name}", seconds, getattr(DEFAULT_RETRIES, name))
    return report.read(at, what, lambda _: checked(given), {})


def _attempts(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"write a whole number of attempts, at least 1, not {value!r}")
    return value


def read_freezes(report: ProblemCollector, at: YamlNode | None, targets: Collection[str]) -> tuple[Freeze, ...]:
    """Read `freezes:` of a policy file; `targets` are what there is to freeze."""
    return tuple(
        _freeze(report, name, one, targets)
        for name, one in ({} if at is None else report.mapping(at, "freezes")).items()
    )


def _freeze(report: ProblemCollector, name: str, at: YamlNode, targets: Collection[str]) -> Freeze:
    what = f"freeze `{name}`"
    given = report.mapping(at, what, _FREEZE_KEYS)
    if "what" not in given:
        report.add(at, f"{what}: say what stands still, such as `what: [queue:apply]`")
    frozen = [
        report.read(one, f"{what}: what", lambda value: _target(value, targets), "")
        for one in _items(report, given.get("what"), f"{what}: what")
    ]
    months = [
        report.read(one, f"{what}: months", lambda value: _number(value, 1, 12, "a month"), 1)
        for one in _items(report, given.get("months"), f"{what}: months")
    ]
    days = {
        key: report.read(given.get(key), f"{what}: {key}", lambda value: _number(value, 0, 14, "days"), 0)
        for key in ("days_before", "days_after")
    }
    return Freeze(
        name=name,
        what=frozenset(frozen),
        days_before=days["days_before"],
        days_after=days["days_after"],
        months=frozenset(months) or frozenset(range(1, 13)),
    )


def _items(report: ProblemCollector, at: YamlNode | None, what: str) -> Sequence[YamlNode]:
    """Return the items of a list that names at least one thing; left out, none."""
    if at is None:
        return ()
    if at.value == () and not at.is_mapping:
        report.add(at, f"{what}: the list is empty: name something, or leave it out")
    return report.items(at, what)


def _target(value: object, targets: Collection[str]) -> str:
    if not isinstance(value, str) or value not in targets:
        raise ValueError(f"`{value}` is nothing that could stand still.{did_you_mean(str(value), targets)}")
    return value


def _number(value: object, least: int, most: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"write {what} as a whole number from {least} to {most}, not {value!r}")
    return value
