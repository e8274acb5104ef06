"""What a control says about the firm's work: findings, and what it looked at and found in order."""

import datetime as dt
import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal


class Severity(enum.StrEnum):
    """How bad it is to leave a finding alone."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, order=True, slots=True)
class Ref:
    """One record of the system of record: model and database id."""

    model: str
    id: int

    def __post_init__(self) -> None:
        if not _MODEL.fullmatch(self.model) or self.id <= 0:
            raise ValueError(f"not a record: model {self.model!r}, id {self.id!r}")

    def __str__(self) -> str:
        return f"{self.model}/{self.id}"

    @classmethod
    def parse(cls, text: str) -> "Ref":
        """Read what `str(ref)` wrote; ValueError if it is anything else."""
        model, _, number = text.partition("/")
        if not number.isdecimal():
            raise ValueError(f"{text!r} is not a reference such as 'sale.order/7'")
        return cls(model, int(number))


_MODEL = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")


_DECIMALS: Mapping[str, int] = {
    **dict.fromkeys(("BIF", "BYR", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX"), 0),
    **dict.fromkeys(("UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
"""Source: ISO 4217, list one. Every other currency has two decimals."""


def decimals_of(currency: str) -> int:
    """Return how many decimals amounts in a currency (ISO 4217 code) have."""
    return _DECIMALS.get(currency, 2)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in the currency it was agreed in (ISO 4217 code as Odoo names it)."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        """Return the amount with all decimals of its currency, and the currency: `1,234.500 KWD`."""
        return f"{self.amount:,.{decimals_of(self.currency)}f} {self.currency}"

    @classmethod
    def rounded(cls, amount: Decimal, currency: str) -> "Money":
        """Return an amount rounded half up to the decimals of its currency, as an invoice has it."""
        unit = Decimal(1).scaleb(-decimals_of(currency))
        return cls(amount.quantize(unit, ROUND_HALF_UP), currency)


@dataclass(frozen=True, order=True, slots=True)
class Period:
    """A span of whole days, both ends included."""

    first: dt.date
    last: dt.date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"a period cannot end before it begins: {self.first} to {self.last}")

    @classmethod
    def week_of(cls, day: dt.date) -> "Period":
        """Return the Monday to Sunday that contain `day`."""
        monday = day - dt.timedelta(days=day.weekday())
        return cls(monday, monday + dt.timedelta(days=6))


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One subject that breaks one rule.

    `asks` names who can be asked, by audience ("employee", "manager", ...), as `res.users` ids; the policy's
    ladder picks among them and the policy's roles. `desk` is the record that carries the activity: one that
    its reader may open and the bot may write. Without a desk the case is a note on the subject.
    """

    subject: Ref
    subject_name: str
    summary: str
    since: dt.date
    severity: Severity | None = None
    """Left out, the control's own severity counts."""
    period: Period | None = None
    owner: int | None = None
    """The `res.users` id of whoever answers for the subject."""
    asks: Mapping[str, int] = field(default_factory=dict)
    desk: Ref | None = None
    hours_at_risk: Decimal = Decimal(0)
    money_at_risk: Money | None = None


@dataclass(frozen=True, slots=True)
class Compliant:
    """A subject (and period) that was examined and found in order: proof that closes a case."""

    subject: Ref
    period: Period | None = None


@dataclass(frozen=True, slots=True)
class Exempt:
    """A subject (and period) the rule no longer speaks about, and why: its case is withdrawn."""

    subject: Ref
    reason: str
    period: Period | None = None


Verdict = Finding | Compliant | Exempt
"""What a control may say. What it says nothing about was not examined, and is not judged."""
