"""A file holds one event, a list of events, or one on each line; all of it is checked before any of it is sent."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from events.cloudevent import CloudEvent, read_event
from purser.errors import ConfigurationError, Permanent
from purser.formats.strict_json import InvalidJson, read_json

SHOWN = 20
"""More mistakes than these are counted."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What stands in a file: events in order, each once, and what is wrong with the rest."""

    events: tuple[CloudEvent, ...]
    mistakes: tuple[str, ...] = ()
    repeated: int = 0
    """How many say word for word what an earlier one says."""


def read_batch(text: str, *, name: str) -> Batch | None:
    """Read several events; None where the text is a single one, however it is laid out."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        lines = list(_lines(text))
        return _batch(lines, name, "line") if any(_is_object(line) for _, line in lines) else None
    if isinstance(whole, list):
        _check(text, name)
        return _batch([(n, json.dumps(one)) for n, one in enumerate(whole, 1)], name, "event")
    return None


def _check(text: str, name: str) -> None:
    """Raise ConfigurationError for a name given twice or a value that is no JSON: rewriting would lose it."""
    try:
        read_json(text)
    except InvalidJson as error:
        raise ConfigurationError(f"{name} is not JSON: {error}") from None


def refuse(batch: Batch) -> None:
    """Raise ConfigurationError with all that is wrong."""
    if not batch.mistakes:
        return
    count = len(batch.mistakes)
    more = [f"- and {count - SHOWN} more"] if count > SHOWN else []
    head = f"nothing was sent: {count} of the events cannot be accepted. --partial sends the others"
    raise ConfigurationError("\n".join([head, *(f"- {one}" for one in batch.mistakes[:SHOWN]), *more]))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _batch(raw: Sequence[tuple[int, str]], name: str, unit: str) -> Batch:
    events: dict[tuple[str, str], tuple[int, CloudEvent]] = {}
    mistakes: list[str] = []
    repeated = 0
    for number, one in raw:
        where = f"{name}, {unit} {number}"
        try:
            event = read_event(one)[0]
        except Permanent as error:
            mistakes.append(f"{where}: {error}")
            continue
        first, known = events.setdefault((event.source, event.id), (number, event))
        if first == number:
            continue
        if known == event:
            repeated += 1
        else:
            mistakes.append(f"{where}: another event of this source has the same id, in {unit} {first}")
    return Batch(tuple(event for _, event in events.values()), tuple(mistakes), repeated)
