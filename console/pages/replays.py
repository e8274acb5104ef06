"""A replay is begun after its plan was seen, watched while it runs, and held, resumed or ended by whoever may."""

from dataclasses import dataclass
from typing import Any

from console.output import count
from console.pages.base_handler import BasePageHandler
from console.pages.dead_letters import BaseDeadLetterHandler
from console.pages.presentation import formatting
from purser.errors import ConfigurationError
from store import DeadLetter, Ledger, Page, Replay, ReplayStage, ReplayState
from store.replay.replay_store import MAX_RATE, MIN_RATE
from workers.dead_letters import replay_runner

LIMIT = 50
FAILED = 50
"""So many of the letters that failed again are shown."""
RATE = 10.0
LIVE = (ReplayState.RUNNING, ReplayState.PAUSED)
"""What may change while it is looked at."""
_STAGES = {
    ReplayStage.CANARY: "trying one",
    ReplayStage.SAMPLE: "trying one in twenty",
    ReplayStage.REST: "sending the rest",
}


@dataclass(frozen=True, slots=True)
class ReplayView:
    """One replay, and the letters that failed again."""

    replay: Replay
    failed: tuple[DeadLetter, ...]
    failed_count: int


def build_view(ledger: Ledger, replay_id: str) -> ReplayView | None:
    """Read one."""
    replay = ledger.replays.get(replay_id)
    if replay is None:
        return None
    ids = ledger.replays.failed(replay_id)
    letters = (ledger.letters.get(one) for one in ids[::-1][:FAILED])
    return ReplayView(replay, tuple(one for one in letters if one is not None), len(ids))


def replay_facts(replay: Replay) -> dict[str, Any]:
    """Return what the script of the page shows while a replay goes on."""
    ended = replay.done + replay.refused + replay.failed + replay.skipped
    return {
        "state": str(replay.state),
        "why": formatting.plain(replay.why),
        "stage": _STAGES[replay.stage] if replay.state in LIVE else "",
        "total": replay.total,
        "sent": replay.sent,
        "done": replay.done,
        "refused": replay.refused,
        "failed": replay.failed,
        "waiting": replay.waiting,
        "skipped": replay.skipped,
        "left": max(replay.total - replay.sent - replay.skipped, 0),
        "percent": 100 * ended // replay.total if replay.total else 100,
        "live": replay.state in LIVE or replay.out > 0,
    }


class ReplaysPage(BasePageHandler):
    """The replays, and where one is begun."""

    tab = "dead"

    async def get(self) -> None:
        """Show them."""
        page: Page[Replay] = await self.aside(self.ledger.replays.page, after=self.word("after") or None, limit=LIMIT)
        self.show("replays.html", page=page, told=replay_facts, after=self.word("after"))


class StartReplayPage(BaseDeadLetterHandler):
    """Begins a replay."""

    async def post(self) -> None:
        """Begin it with what was planned."""
        note, rate = self.note(), self._rate()
        ids, what = await self.selection()
        made = await self.aside(
            replay_runner.start,
            self.fleet,
            ids,
            who=self.person.name,
            note=note,
            what=what,
            rate=rate,
            careful=self.word("careful") == "1",
            to_unread_queue=self.word("to_unread_queue") == "1",
        )
        self.go(
            formatting.link("/dead/replay", id=made.id), f"The replay of {count(made.total, 'letter')} has begun."
        )

    def _rate(self) -> float:
        given = self.word("rate") or str(RATE)
        try:
            rate = float(given)
        except ValueError:
            raise ConfigurationError(f"rate: {given!r} is no number of letters per second") from None
        if not MIN_RATE <= rate <= MAX_RATE:
            raise ConfigurationError(f"rate: {given} is not between {MIN_RATE:g} and {MAX_RATE:g} letters per second")
        return rate


class ReplayPage(BasePageHandler):
    """One replay."""

    tab = "dead"

    async def get(self) -> None:
        """Show how far it is; as JSON to the script of the page."""
        replay_id = self.word("id")
        if self.word("as") == "json":
            replay = await self.aside(self.ledger.replays.get, replay_id)
            self.answer({"state": "gone", "live": False} if replay is None else replay_facts(replay))
            return
        view = await self.aside(build_view, self.ledger, replay_id)
        if view is None:
            raise ConfigurationError(
                f"no replay has the id {formatting.plain(replay_id)}: those that ended are kept for 90 days"
            )
        self.show(
            "replay.html",
            view=view,
            replay=view.replay,
            told=replay_facts(view.replay),
            clean=self.clean,
            ReplayState=ReplayState,
        )

    async def post(self) -> None:
        """Pause it, let it go on, or end it."""
        acts = self.ledger.replays
        known = {"pause": acts.pause, "resume": acts.resume, "cancel": acts.cancel}
        act, replay_id = self.word("act"), self.word("id")
        if act not in known:
            raise ConfigurationError(f"act={act!r} is none of {', '.join(known)}")
        changed = await self.aside(known[act], replay_id, who=self.person.name, note=self.note())
        done = {"pause": "Paused.", "resume": "It goes on.", "cancel": "Cancelled: what was not sent stays dead."}
        said = done[act] if changed else "Nothing was changed: it is not in a state for this any more."
        self.go(formatting.link("/dead/replay", id=replay_id), said)
