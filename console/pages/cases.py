"""Open cases: which control found them, who is asked, how long they stand and what is at risk."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from decimal import Decimal

from config.policy.loader import Policies
from console.pages.base_handler import BasePageHandler
from console.pages.presentation import formatting
from console.pages.presentation.user_names import UserNameCache
from purser.cases import CaseRecord
from purser.errors import ConfigurationError
from purser.findings import Money, Severity
from store import Ledger
from workers.context import WorkerContext

LIMIT = 50
_FILTER = ("control", "owner", "severity", "subject")
_SORTS = ("age", "money", "hours", "severity")
_BADNESS = {one: place for place, one in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class CaseTotals:
    """What the open cases of one control (or of all) come to."""

    control: str
    title: str
    count: int
    oldest: dt.date | None
    hours: Decimal
    money: tuple[Money, ...]

    @classmethod
    def of(cls, control: str, title: str, cases: Sequence[CaseRecord]) -> "CaseTotals":
        """Add up."""
        return cls(
            control,
            title,
            len(cases),
            min((case.opened_on for case in cases), default=None),
            sum((case.hours for case in cases), Decimal(0)),
            formatting.total(case.money for case in cases if case.money is not None),
        )


@dataclass(frozen=True, slots=True)
class CasesView:
    """One look at the open cases."""

    whole: CaseTotals
    sums: tuple[CaseTotals, ...]
    owners: tuple[tuple[int | None, int], ...]
    """Who is asked how often, the most first."""
    matching: int
    cases: tuple[CaseRecord, ...]
    place: int
    more: bool


def build_view(ledger: Ledger, policies: Policies, wanted: Mapping[str, str]) -> CasesView:
    """Read the open cases, and give those that are wanted. Reads all of them: some ten thousand are fine."""
    by_control = {name: tuple(ledger.cases.of(name, open_only=True).values()) for name in ledger.cases.counts()}
    every = [case for cases in by_control.values() for case in cases]
    titles = {name: policy.control.title for name, policy in policies.controls.items()}
    sums = [CaseTotals.of(name, titles.get(name, ""), cases) for name, cases in by_control.items() if cases]
    found = sorted((case for case in every if _matches(case, wanted)), key=_order(wanted.get("sort", "")))
    place = _number(wanted.get("from", "0"), "from")
    return CasesView(
        whole=CaseTotals.of("", "", every),
        sums=tuple(sorted(sums, key=lambda one: (-one.count, one.control))),
        owners=_owners(every),
        matching=len(found),
        cases=tuple(found[place : place + LIMIT]),
        place=place,
        more=len(found) > place + LIMIT,
    )


def step_label(policies: Policies, case: CaseRecord) -> str:
    """Return how far up its ladder a case is."""
    policy = policies.controls.get(case.key.control)
    if policy is None or case.rung >= len(policy.ladder):
        return f"rung {case.rung + 1}"
    return f"{policy.ladder[case.rung].ask} ({case.rung + 1} of {len(policy.ladder)})"


def _matches(case: CaseRecord, wanted: Mapping[str, str]) -> bool:
    owner = wanted.get("owner", "")
    return (
        wanted.get("control", case.key.control) == case.key.control
        and wanted.get("severity", case.severity) == case.severity
        and wanted.get("subject", str(case.key.subject)) == str(case.key.subject)
        and (not owner or (case.user_id is None if owner == "nobody" else case.user_id == _number(owner, "owner")))
    )


def _order(sort: str) -> "_CaseSortKey":
    return _CaseSortKey(sort if sort in _SORTS else "age")


@dataclass(frozen=True, slots=True)
class _CaseSortKey:
    """Sorts cases: by what was asked for, then the oldest first."""

    sort: str

    def __call__(self, case: CaseRecord) -> tuple[Decimal | int, dt.date, str]:
        first: Decimal | int = 0
        if self.sort == "money":
            first = -(case.money.amount if case.money else Decimal(0))
        elif self.sort == "hours":
            first = -case.hours
        elif self.sort == "severity":
            first = -_BADNESS[case.severity]
        return first, case.opened_on, str(case.key)


def _owners(cases: Iterable[CaseRecord]) -> tuple[tuple[int | None, int], ...]:
    count: dict[int | None, int] = {}
    for case in cases:
        count[case.user_id] = count.get(case.user_id, 0) + 1
    return tuple(sorted(count.items(), key=lambda pair: (-pair[1], pair[0] or 0)))


def _number(given: str, what: str) -> int:
    if not given.isdecimal() or len(given) > 9:
        raise ConfigurationError(f"{what}={given!r} is no number")
    return int(given)


class CasesPage(BasePageHandler):
    """The open cases."""

    tab = "cases"

    def initialize(self, fleet: WorkerContext, executor: Executor, names: UserNameCache | None = None) -> None:
        """Take who knows people's names, too."""
        super().initialize(fleet, executor)
        self.names = names or UserNameCache(fleet)

    async def get(self) -> None:
        """Show them."""
        wanted = self.words(*_FILTER, "sort", "from")
        view = await self.aside(build_view, self.ledger, self.fleet.policies, wanted)
        names = await self.aside(self.names.of, [user for user, _ in view.owners])
        today = dt.datetime.now(self.fleet.policies.timezone).date()
        self.show(
            "cases.html",
            view=view,
            wanted=wanted,
            is_filtered=bool(self.words(*_FILTER)),
            age=lambda day: max((today - day).days, 0),
            named=lambda user: "nobody" if user is None else formatting.plain(names.get(user, f"user {user}")),
            rung=lambda case: step_label(self.fleet.policies, case),
            sorts=_SORTS,
            severities=tuple(reversed(Severity)),
            limit=LIMIT,
        )
