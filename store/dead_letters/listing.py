"""Letters are listed and counted by what a filter says, and a list stays right while others write.

A text has no index: what the letters carry is read, newest first. That takes a while where few letters hold it, so a
page of it may end before it is full, and its `next` goes on from there.
"""

import datetime as dt
import time
from collections.abc import Iterator

from store.dead_letters.filters import DEAD_LETTERS, DeadLetterFilter
from store.dead_letters.groups import DeadLetterGrouping
from store.dead_letters.model import DeadLetter
from store.dead_letters.scan import SCAN_SCRIPT, ScanRequest
from store.pagination import Page, PageCursor, checked_limit
from store.redis_store import RedisStore, shown

TIMEOUT_SECONDS = 0.2
"""Seconds after which a page of a text ends although it is not full."""

# how many are wanted, nothing; then as for WALK
_FIND = (
    SCAN_SCRIPT
    + """
local wanted, found = tonumber(ARGV[1]), {}
local ended = walk(function(id, at)
  found[#found + 1] = id
  found[#found + 1] = at
  return #found < 2 * wanted
end)
return {ended, score, last, found}
"""
)


class DeadLetterListing(DeadLetterGrouping):
    """The letters as lists."""

    def __init__(self, store: RedisStore, *, stale_after: dt.timedelta = dt.timedelta(minutes=5)) -> None:
        super().__init__(store, stale_after=stale_after)
        self._find = store.script(_FIND)

    def page(
        self,
        filter: DeadLetterFilter = DEAD_LETTERS,  # noqa: A002 - it is one
        *,
        after: str | None = None,
        limit: int = 50,
    ) -> Page[DeadLetter]:
        """Return letters, the newest first; `after` is what the page before gave as `next`.

        A page of a text may hold fewer than `limit`, even none, and have a next one: it ends after `TIMEOUT_SECONDS`.
        """
        checked_limit(limit)
        cursor = None if after is None else PageCursor.parse(after)
        way = self._way(filter)
        until = time.monotonic() + TIMEOUT_SECONDS if way.forms else None
        marks: list[PageCursor] = []
        while True:
            found, cursor = self._some(way, cursor, limit + 1 - len(marks))
            marks += found
            if cursor is None or len(marks) > limit or (until is not None and time.monotonic() > until):
                break
        if len(marks) > limit:
            cursor = marks[limit - 1]
        with self._store.collecting() as unread:
            letters = self._read_many(shown(mark.id) for mark in marks[:limit])
        items = tuple(letter for letter in letters if letter.state is filter.state)  # it may have moved meanwhile
        return Page(items, None if cursor is None else str(cursor), tuple(unread.values()))

    def ids(self, filter: DeadLetterFilter = DEAD_LETTERS) -> Iterator[str]:  # noqa: A002
        """Walk the ids of all that match, the newest first: each once, though they may leave the list meanwhile."""
        way, cursor = self._way(filter), None
        while True:
            found, cursor = self._some(way, cursor, way.at_once)
            for mark in found:
                yield shown(mark.id)
            if cursor is None:
                return

    def count(self, filter: DeadLetterFilter = DEAD_LETTERS) -> int:  # noqa: A002
        """Count the letters that match. With a text every letter is read: a second or two for 100,000."""
        way = self._way(filter)
        if way.others or way.forms:
            return sum(kind.count for kind in self._kinds_of(filter))
        with self._store.reach(way.index) as client:
            return int(client.zcount(way.index, way.since or "-inf", f"({way.till}" if way.till else "+inf"))

    # -- helpers

    def _some(
        self, way: ScanRequest, after: PageCursor | None, wanted: int
    ) -> tuple[list[PageCursor], PageCursor | None]:
        """Return what one step finds, and from where to go on; None at the end."""
        size = way.at_once if way.others or way.forms else min(way.at_once, wanted)
        with self._store.reach(way.index):
            args = way.args(wanted, "", after=after, size=size)
            ended, score, last, found = self._find(keys=[self._store.prefix], args=args)
        marks = [PageCursor(int(at), name) for name, at in zip(found[::2], found[1::2], strict=True)]
        return marks, None if ended or not score else PageCursor(int(score), last)
