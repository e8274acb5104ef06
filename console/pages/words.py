"""Moments, amounts and links as a page shows them: short first, the whole of it on a second look."""

import datetime as dt
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from tornado.escape import url_escape, xhtml_escape

from console.output import clean, count
from purser.model import Money

NONE = '<span class="value-missing">–</span>'
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def span(seconds: float) -> str:
    """Say how long something is, in its largest unit, and in two where the first is small."""
    whole = round(abs(seconds))
    for size, unit in _UNITS:
        if whole >= size or size == 1:
            first, rest = divmod(whole, size)
            smaller = next(((s, u) for s, u in _UNITS if s < size), None)
            if smaller and first < 3 and rest >= smaller[0]:
                return f"{first} {unit} {rest // smaller[0]} {smaller[1]}"
            return f"{first} {unit}"
    return "0 s"


def relative(moment: dt.datetime, now: dt.datetime) -> str:
    """Say how far a moment is from now."""
    seconds = (now - moment).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"{span(seconds)} ago" if seconds > 0 else f"in {span(seconds)}"


def exact(moment: dt.datetime) -> str:
    """Give a moment to the second, in UTC."""
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


def when(moment: dt.datetime | None, now: dt.datetime) -> str:
    """Show a moment: how long ago, and exactly on a second look. HTML."""
    if moment is None:
        return NONE
    told = xhtml_escape(relative(moment, now))
    return f'<time datetime="{moment.astimezone(dt.UTC).isoformat()}" title="{exact(moment)}">{told}</time>'


def both(moment: dt.datetime | None, now: dt.datetime) -> str:
    """Show a moment exactly, and how long ago. HTML."""
    if moment is None:
        return NONE
    return f"{when(moment, now)} <small class='text-body-secondary'>{exact(moment)}</small>"


def money(amount: Money | None) -> str:
    """Show an amount with its currency. HTML."""
    return NONE if amount is None else xhtml_escape(f"{amount.amount:,.2f} {amount.currency}")


def monies(amounts: Iterable[Money]) -> str:
    """Show the sum of amounts for each currency, the largest first. HTML."""
    sums = total(amounts)
    return "<br>".join(money(one) for one in sums) if sums else NONE


def total(amounts: Iterable[Money]) -> tuple[Money, ...]:
    """Sum amounts by currency, the largest first: nothing here knows a rate."""
    sums: dict[str, Decimal] = {}
    for one in amounts:
        sums[one.currency] = sums.get(one.currency, Decimal(0)) + one.amount
    largest = sorted(sums.items(), key=lambda pair: -pair[1])
    return tuple(Money(value, currency) for currency, value in largest if value)


def hours(amount: Decimal) -> str:
    """Show hours. HTML."""
    return f"{amount:,.2f}" if amount else NONE


def days(number: int) -> str:
    """Say how many days."""
    return count(number, "day")


def plain(value: Any) -> str:
    """Give text that is safe to show: control codes as escapes, and whatever is no text as one."""
    return clean(str(value).encode("utf-8", "backslashreplace").decode())


def link(path: str, **words: Any) -> str:
    """Spell an address of ours; words that are empty are left out."""
    told = {name: str(value) for name, value in words.items() if value not in (None, "")}
    return f"{path}?{urlencode(told)}" if told else path


def below(path: str, *names: str) -> str:
    """Spell an address under a path; a name may hold anything."""
    return "/".join((path, *(url_escape(name, plus=False).replace("/", "%2F") for name in names)))


def with_words(words: Mapping[str, str], **changed: Any) -> dict[str, str]:
    """Give the words of an address with some of them changed; an empty one goes."""
    told = {**words, **{name: str(value) for name, value in changed.items() if value is not None}}
    return {name: value for name, value in told.items() if value}
