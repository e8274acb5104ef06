"""Moments, amounts and links as a page shows them: short first, the whole of it on a second look."""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from tornado.escape import url_escape, xhtml_escape

from config.observability.redaction import Redactor
from console.output import clean as printable
from console.output import count
from purser.findings import Money
from store import ABSENT

Markup = str
"""Text that is HTML already, every value in it escaped: a template shows it raw."""

NONE: Markup = '<span class="value-missing">–</span>'
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def format_duration(seconds: float) -> str:
    """Return how long something is, in its largest unit, and in two where the first is small."""
    whole = round(abs(seconds))
    for size, unit in _UNITS:
        if whole >= size or size == 1:
            first, rest = divmod(whole, size)
            smaller = next(((s, u) for s, u in _UNITS if s < size), None)
            if smaller and first < 3 and rest >= smaller[0]:
                return f"{first} {unit} {rest // smaller[0]} {smaller[1]}"
            return f"{first} {unit}"
    return "0 s"


def format_relative(moment: dt.datetime, now: dt.datetime) -> str:
    """Return how far a moment is from now."""
    seconds = (now - moment).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"{format_duration(seconds)} ago" if seconds > 0 else f"in {format_duration(seconds)}"


def exact(moment: dt.datetime) -> str:
    """Return a moment to the second, in UTC."""
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


def minute(moment: dt.datetime) -> str:
    """Return a moment to the minute, in UTC."""
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M}Z"


def second_after(moment: dt.datetime) -> str:
    """Return the next whole second: what was there at a moment lies before it."""
    return (moment.replace(microsecond=0) + dt.timedelta(seconds=1)).isoformat()


def format_timestamp(moment: dt.datetime | None, now: dt.datetime) -> Markup:
    """Show a moment: how long ago, and exactly on a second look. HTML."""
    if moment is None:
        return NONE
    told = xhtml_escape(format_relative(moment, now))
    return f'<time datetime="{moment.astimezone(dt.UTC).isoformat()}" title="{exact(moment)}">{told}</time>'


def format_pair(moment: dt.datetime | None, now: dt.datetime) -> Markup:
    """Show a moment exactly, and how long ago. HTML."""
    if moment is None:
        return NONE
    return f"{format_timestamp(moment, now)} <small class='text-body-secondary'>{exact(moment)}</small>"


def money(amount: Money | None) -> Markup:
    """Show an amount with its currency. HTML."""
    return NONE if amount is None else xhtml_escape(str(amount))


def monies(amounts: Iterable[Money]) -> Markup:
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


def hours(amount: Decimal) -> Markup:
    """Show hours. HTML."""
    return f"{amount:,.2f}" if amount else NONE


def days(number: int) -> str:
    """Return how many days."""
    return count(number, "day")


def plain(value: Any) -> str:
    """Return text that is safe to show: control codes as escapes, and whatever is no text as one."""
    return printable(str(value).encode("utf-8", "backslashreplace").decode())


def link(path: str, **words: Any) -> str:
    """Spell an address of ours; words that are empty are left out."""
    told = {name: str(value) for name, value in words.items() if value not in (None, "")}
    return link_many(path, told)


def below(path: str, *names: str) -> str:
    """Spell an address under a path; a name may hold anything."""
    return "/".join((path, *(url_escape(name, plus=False).replace("/", "%2F") for name in names)))


def with_words(words: Mapping[str, str], **changed: Any) -> dict[str, str]:
    """Return the words of an address with some of them changed; an empty one goes."""
    told = {**words, **{name: str(value) for name, value in changed.items() if value is not None}}
    return {name: value for name, value in told.items() if value}


def pretty(value: Any) -> str:
    """Return a value as JSON for people to read."""
    return plain(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def strip(marks: Sequence[tuple[str, str]], title: str) -> Markup:
    """Draw a row of small squares, one for each (kind, words). HTML."""
    cells = "".join(
        f'<rect class="pp-{kind}" x="{n * 8}" y="0" width="6" height="16" rx="1.5">'
        f"<title>{xhtml_escape(said)}</title></rect>"
        for n, (kind, said) in enumerate(marks)
    )
    size = f'width="{len(marks) * 8}" height="16"'
    return f'<svg class="pp-strip" role="img" aria-label="{xhtml_escape(title)}" {size}>{cells}</svg>'


def bars(numbers: Sequence[int], title: str) -> Markup:
    """Draw a trend as bars. HTML."""
    top = max(numbers, default=0) or 1
    tall = [max(2, round(28 * number / top)) for number in numbers]
    cells = "".join(
        f'<rect class="{"some" if number else "zero"}" x="{n * 5}" y="{28 - tall[n]}" width="4" height="{tall[n]}"/>'
        for n, number in enumerate(numbers)
    )
    box = f"0 0 {max(len(numbers), 1) * 5} 28"
    return (
        f'<svg class="pp-trend" role="img" aria-label="{xhtml_escape(title)}" viewBox="{box}" '
        f'preserveAspectRatio="none"><title>{xhtml_escape(title)}</title>{cells}</svg>'
    )


def link_many(path: str, told: Mapping[str, Any]) -> str:
    """Spell an address of ours in which a word may stand several times."""
    given = {name: value for name, value in told.items() if value}
    return f"{path}?{urlencode(given, doseq=True, errors='backslashreplace')}" if given else path


def size(number: int) -> str:
    """Return how many bytes."""
    for unit, one in (("MB", 1_000_000), ("kB", 1000)):
        if number >= one:
            return f"{number / one:,.1f} {unit}"
    return count(number, "byte")


def patched(path: str, value: Any, clean: Redactor) -> str:
    """Show a value of an edit, masked by the name it stands under."""
    if value is ABSENT:
        return "not there"
    return plain(json.dumps(clean.entry(path.rpartition("/")[2], value), ensure_ascii=False, default=str))[:500]
