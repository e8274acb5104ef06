"""What a replay would do to the business is shown before it is begun; a large plan is made beside the loop."""

import datetime as dt
import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from config.settings import BotRole
from console.pages.dead_letters import BaseDeadLetterHandler
from console.pages.presentation import formatting
from console.pages.replays import RATE
from purser.engine.predictions import PredictedOutcome
from purser.errors import ConfigurationError
from store import DeadLetter, DeadLetterFilter
from store.replay.replay_store import MAX_RATE, MIN_RATE
from workers.broker.queue_readers import QueueReaders
from workers.context import WorkerContext
from workers.dead_letters.replay_preview import ReplayPreview, preview_replay

MAX_LETTERS = 10_000
"""So many letters are planned at most; a replay may take more."""
LIMIT = 25
PAGE_WAIT_SECONDS = 1.5
"""Seconds for which a page waits for its plan before it says how far it is."""
_KEPT = 4
_STALE = 300.0
_FRESH = 5.0
"""So long a plan that is asked for anew is the one that was just made: the page looks again by itself."""
_BATCH = 500
_TICKED = 500


@dataclass
class PreviewJob:
    """A plan that is being made, or was."""

    begun: dt.datetime
    since: float
    planned: int = 0
    result: "Future[ReplayPreview]" = field(default_factory=Future)

    def is_older_than(self, seconds: float) -> bool:
        """Return whether it ended longer ago than this."""
        return self.result.done() and time.monotonic() - self.since > seconds


class PreviewWorker:
    """Makes one plan after the other, so that Odoo is asked by one page at a time, and keeps the latest few."""

    def __init__(self, fleet: WorkerContext) -> None:
        self._fleet = fleet
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="plans")
        self._jobs: dict[str, PreviewJob] = {}

    def job(self, key: str, letters: Callable[[], Iterator[DeadLetter]], *, anew: bool) -> PreviewJob:
        """Return the preview of a selection, begun now if there is none. Raises ConfigurationError."""
        known = self._jobs.get(key)
        if known is not None and not known.is_older_than(_FRESH if anew else _STALE):
            return known
        self._jobs.pop(key, None)
        for old in [name for name, one in self._jobs.items() if one.result.done()][: len(self._jobs) - _KEPT + 1]:
            del self._jobs[old]
        if len(self._jobs) >= _KEPT:
            raise ConfigurationError(f"{_KEPT} plans are being made already: wait for one of them")
        job = self._jobs[key] = PreviewJob(dt.datetime.now(dt.UTC), time.monotonic())
        job.result = self._thread.submit(self._make, job, letters)
        return job

    def _make(self, job: PreviewJob, letters: Callable[[], Iterator[DeadLetter]]) -> ReplayPreview:
        def heard(planned: int) -> None:
            job.planned = planned

        try:
            return preview_replay(self._fleet, itertools.islice(letters(), MAX_LETTERS), progress=heard)
        finally:
            job.since = time.monotonic()


class ReplayPreviewPage(BaseDeadLetterHandler):
    """What replaying a selection would do."""

    def initialize(self, fleet: WorkerContext, executor: Executor, planner: PreviewWorker | None = None) -> None:
        """Take who plans, too."""
        super().initialize(fleet, executor)
        self.planner = planner or PreviewWorker(fleet)

    async def get(self) -> None:
        """Show it, or how far it is."""
        ids = list(dict.fromkeys(self.get_arguments("id", strip=False)))
        if len(ids) > _TICKED:
            raise ConfigurationError(f"{len(ids)} letters are ticked: choose more than {_TICKED} by a filter")
        if not ids and not self.word("all"):
            raise ConfigurationError("say which letters: by their ids, or all=1 with a filter")
        typed = {"id": ids} if ids else {"all": "1", **self.as_typed()}
        wanted = self.wanted()
        self.fleet.settings.odoo(BotRole.AUDIT)  # says at once what is not set
        job = self.planner.job(
            formatting.link_many("", typed),
            lambda: self._these(ids) if ids else self._all(wanted),
            anew=not self.get_arguments("from"),
        )
        made = await self.aside(_patiently, job)
        selection = formatting.link_many("/dead/plan", typed)
        if made is None:
            count = len(ids) if ids else await self.aside(self.ledger.letters.count, wanted)
            self.set_header("Refresh", "1")
            self.show("planning.html", planned=job.planned, count=min(count, MAX_LETTERS))
            return
        total = len(made.letters)
        if total >= MAX_LETTERS and not ids:
            total = await self.aside(self.ledger.letters.count, wanted)
        letter_ids = [one.id for one in made.letters]
        no_reader = await self.aside(lambda: QueueReaders.now(self.ledger).problem_with(self.ledger, letter_ids))
        fate = self.word("fate")
        unreadable = made.counts.get(PredictedOutcome.UNREADABLE, 0)
        reasons = Counter(one.why for one in made.letters if one.fate is PredictedOutcome.UNREADABLE)
        self.show(
            "plan.html",
            plan=made,
            job=job,
            ids=ids,
            typed=self.as_typed(),
            selection=selection,
            fate=fate,
            fates=[one for one in PredictedOutcome if made.counts.get(one)],
            place=(place := _number(self.word("from"))),
            chosen=(chosen := [one for one in made.letters if fate in ("", one.fate)]),
            limit=LIMIT,
            total=total,
            unreadable=unreadable,
            no_reader=no_reader,
            readable=total > unreadable,
            reasons=reasons.most_common(),
            field_value=self._value,
            clean_text=self.clean.for_insiders().text,
            rate=RATE,
            bounds=(MIN_RATE, MAX_RATE),
            until=self.as_typed().get("until") or formatting.second_after(job.begun),
            shown=chosen[place : place + LIMIT],
        )

    def _value(self, name: str, value: Any) -> str:
        """Show a field of Odoo: its secrets masked, its people not, for they are what is decided about."""
        shown = self.fleet.redactor.for_insiders().entry(name, value)
        if shown is True:
            return "yes"
        return "empty" if shown in (None, False, "") else formatting.plain(shown)[:300]

    def _these(self, ids: list[str]) -> Iterator[DeadLetter]:
        for one in ids:
            letter = self.ledger.letters.get(one)
            if letter is not None:
                yield letter

    def _all(self, wanted: DeadLetterFilter) -> Iterator[DeadLetter]:
        after = None
        while True:
            page = self.ledger.letters.page(wanted, after=after, limit=_BATCH)
            yield from page.items
            if page.next is None:
                return
            after = page.next


def _patiently(job: PreviewJob) -> ReplayPreview | None:
    try:
        return job.result.result(timeout=PAGE_WAIT_SECONDS)
    except TimeoutError:
        if job.result.done():
            raise
        return None


def _number(given: str) -> int:
    return int(given) if given.isdecimal() and len(given) < 9 else 0
