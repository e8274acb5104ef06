"""Limits on money, as a policy sets them: one number in the firm's own currency, or one number for each currency."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated

from pydantic import Field, StringConstraints

from purser.findings import Money

CURRENCY = r"^[A-Z]{3}$"
"""An ISO 4217 code."""

Amount = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
MoneyLimit = Amount | Mapping[Annotated[str, StringConstraints(pattern=CURRENCY)], Amount]
"""A tunable: `10000` counts in the firm's own currency, `{EUR: 10000, USD: 11000}` in those that are named.

What it says of any other currency is not known: `limit_in` gives None, and the reader takes the strict side.
"""


def limit_in(limit: MoneyLimit, currency: str, own_currency: str | None) -> Decimal | None:
    """Return the limit for amounts in a currency, None where the policy names none.

    `own_currency` is that of the firm; None where its companies keep their books in several.
    """
    if isinstance(limit, Mapping):
        return limit.get(currency)
    return limit if currency == own_currency else None


def is_above(money: Money, limit: Decimal | None) -> bool:
    """Return whether an amount is above a limit. Without a limit every amount above zero is."""
    return money.amount > (Decimal(0) if limit is None else limit)


def reaches(money: Money, limit: Decimal | None) -> bool:
    """Return whether an amount is at least a limit. A limit of zero, or none, means more than nothing."""
    return money.amount > 0 and money.amount >= (Decimal(0) if limit is None else limit)


def is_credited_in_full(charged: Decimal, credited: Decimal) -> bool:
    """Return whether credit notes leave nothing of an invoice; both amounts without tax, in its currency."""
    return credited > 0 and credited >= charged
