"""How long a firm keeps letters that are settled, and above which value an edit takes a second person."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from types import MappingProxyType

from config.policy.problems import ProblemCollector
from config.policy.yaml_positions import YamlNode
from purser.findings import Money

MIN_RETENTION_DAYS, MAX_RETENTION_DAYS = 7, 3650
_KEYS = ("retention_days", "second_person_above")


@dataclass(frozen=True, kw_only=True, slots=True)
class LetterPolicy:
    """What a firm says of its dead letters."""

    retention_days: int = 90
    """Days after which a settled letter is buried. A dead one never is."""
    second_person_above: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))
    """By currency, the sum at stake above which an edit waits for a second person; empty: one is enough."""

    @property
    def retention(self) -> dt.timedelta:
        """Return how long a settled letter is kept."""
        return dt.timedelta(days=self.retention_days)

    def needs_second_person(self, money: Iterable[Money] | None) -> bool:
        """Return whether an edit that touches this money takes two people; None is an amount that nobody knows.

        Where a limit is set, an unknown amount takes two, and so does a currency without a limit: nobody has said how
        much of it is little.
        """
        if not self.second_person_above:
            return False
        if money is None:
            return True
        sums: dict[str, Decimal] = {}
        for one in money:
            sums[one.currency] = sums.get(one.currency, Decimal(0)) + abs(one.amount)
        return any(total > self.second_person_above.get(name, Decimal(0)) for name, total in sums.items())

    def told(self) -> dict[str, object]:
        """Return what the firm says, for a hash or a listing; where it says nothing of its own, nothing."""
        house = LetterPolicy()
        days = {} if self.retention_days == house.retention_days else {"retention_days": self.retention_days}
        above = {"second_person_above": dict(self.second_person_above)} if self.second_person_above else {}
        return {**days, **above}


def read_letters(report: ProblemCollector, at: YamlNode | None) -> LetterPolicy:
    """Read `dead_letters:` of a policy file."""
    house = LetterPolicy()
    given = {} if at is None else report.mapping(at, "dead_letters", _KEYS)
    above_at = given.get("second_person_above")
    what = "dead_letters: second_person_above"
    above = {
        currency: report.read(one, f"{what}: {currency}", _amount, Decimal(0))
        for currency, one in ({} if above_at is None else report.mapping(above_at, what)).items()
        if _is_currency(report, one, currency, what)
    }
    days = report.read(given.get("retention_days"), "dead_letters: retention_days", _days, house.retention_days)
    return LetterPolicy(retention_days=days, second_person_above=MappingProxyType(above))


def _is_currency(report: ProblemCollector, at: YamlNode, name: str, what: str) -> bool:
    if len(name) == 3 and name.isalpha() and name.isupper() and name.isascii():
        return True
    report.add(at, f"{what}: `{name}` is no currency: write its ISO code, such as EUR")
    return False


def _days(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not MIN_RETENTION_DAYS <= value <= MAX_RETENTION_DAYS:
        raise ValueError(
            f"write days as a whole number from {MIN_RETENTION_DAYS} to {MAX_RETENTION_DAYS}, not {value!r}"
        )
    return value


def _amount(value: object) -> Decimal:
    try:
        amount = Decimal(str(value)) if isinstance(value, (int, float, str)) else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if isinstance(value, bool) or not amount.is_finite() or amount < 0:
        raise ValueError(f"write an amount, such as 10000, not {value!r}")
    return amount
