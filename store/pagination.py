"""A long index is read page by page, and a page stays right while others write."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

BATCH = 500


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items, and where the next page begins (None: this was the last)."""

    items: tuple[T, ...]
    next: str | None = None
    unreadable: tuple[str, ...] = ()
    """Why entries that belong on this page are left out: each names its key."""


@dataclass(frozen=True, order=True, slots=True)
class PageCursor:
    """A place in an index, by its moment and, where moments are equal, by id."""

    score: int
    id: bytes

    def __str__(self) -> str:
        return f"{self.score}:{self.id.decode()}"

    @classmethod
    def parse(cls, cursor: str) -> "PageCursor":
        """Read what a page gave as `next`; ValueError if it is anything else."""
        score, colon, name = cursor.partition(":")
        if not colon or not score.lstrip("-").isdecimal():
            raise ValueError(f"{cursor!r} is no place in a list: pass what the page before gave as `next`")
        return cls(int(score), name.encode())


def newest_first(
    client: Any, index: str, *, others: tuple[str, ...] = (), after: str | None, since: int | None = None
) -> Iterator[PageCursor]:
    """Walk a sorted set from a cursor back in time, leaving out what is not also in every index of `others`."""
    bottom = "-inf" if since is None else since

    def read(last: PageCursor | None, skip: int) -> list[Any]:
        top = "+inf" if last is None else last.score
        found: list[Any] = client.zrevrangebyscore(index, top, bottom, start=skip, num=BATCH, withscores=True)
        return found

    return _walk(client, read, lambda mark, last: mark < last, others, after)


def earliest_first(
    client: Any, index: str, *, others: tuple[str, ...] = (), after: str | None
) -> Iterator[PageCursor]:
    """Walk a sorted set from a cursor on in time, leaving out what is not also in every index of `others`."""

    def read(last: PageCursor | None, skip: int) -> list[Any]:
        bottom = "-inf" if last is None else last.score
        found: list[Any] = client.zrangebyscore(index, bottom, "+inf", start=skip, num=BATCH, withscores=True)
        return found

    return _walk(client, read, lambda mark, last: mark > last, others, after)


def _walk(
    client: Any,
    read: Callable[[PageCursor | None, int], list[Any]],
    is_further: Callable[[PageCursor, PageCursor], bool],
    others: tuple[str, ...],
    after: str | None,
) -> Iterator[PageCursor]:
    last = None if after is None else PageCursor.parse(after)
    skip = 0
    while True:
        marks = [PageCursor(int(score), name) for name, score in read(last, skip)]
        fresh = [mark for mark in marks if last is None or is_further(mark, last)]
        yield from _also_in(client, others, fresh)
        if len(marks) < BATCH:
            return
        tail = marks[-1]
        ties = sum(mark.score == tail.score for mark in marks)
        skip = skip + ties if last is not None and last.score == tail.score else ties
        last = tail if last is None or is_further(tail, last) else last


def _also_in(client: Any, others: tuple[str, ...], marks: list[PageCursor]) -> Iterator[PageCursor]:
    if not others or not marks:
        yield from marks
        return
    pipe = client.pipeline(transaction=False)
    for index in others:
        pipe.zmscore(index, [mark.id for mark in marks])
    for mark, *scores in zip(marks, *pipe.execute(), strict=True):
        if all(score is not None for score in scores):
            yield mark


def narrowest(client: Any, indexes: list[str]) -> tuple[str, tuple[str, ...]]:
    """Return the index with the fewest members, and the others."""
    if len(indexes) == 1:
        return indexes[0], ()
    pipe = client.pipeline(transaction=False)
    for index in indexes:
        pipe.zcard(index)
    sizes = dict(zip(indexes, pipe.execute(), strict=True))
    first, *others = sorted(indexes, key=lambda index: int(sizes[index]))
    return first, tuple(others)


def checked_limit(limit: int) -> int:
    """Return `limit`, or raise ValueError: a page holds 1 to 10,000 items."""
    if not 1 <= limit <= 10_000:
        raise ValueError(f"a page holds 1 to 10000 items, not {limit}")
    return limit


def chunks(items: Sequence[T], size: int = BATCH) -> list[Sequence[T]]:
    """Cut items into parts that one round trip carries."""
    return [items[i : i + size] for i in range(0, len(items), size)]
