"""What an operator pauses stays so until it is resumed or its time is up, and everybody sees it within a second."""

import datetime as dt

import pytest
import redis

from purser.errors import Transient
from store import Ledger, PauseCache
from tests.contract.store.making import START, Clock, key_ending

HOUR = dt.timedelta(hours=1)


class Ticks:
    """A stopwatch that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def board(ledger: Ledger, ticks: Ticks) -> PauseCache:
    return PauseCache(ledger.pauses, 1.0, monotonic=ticks)


def pause(ledger: Ledger, target: str = "queue:apply", until: dt.datetime | None = None) -> None:
    ledger.pauses.pause(target, who="ada", note="month end", until=until)


def test_a_pause_lasts_until_it_is_resumed_and_both_are_audited(ledger: Ledger, clock: Clock) -> None:
    pause(ledger)
    clock.pass_(days=400)
    (kept,) = ledger.pauses.all()
    assert (kept.target, kept.who, kept.note, kept.at, kept.until) == ("queue:apply", "ada", "month end", START, None)

    assert ledger.pauses.resume("queue:apply", who="bob", note="closed the books") is True

    assert ledger.pauses.all() == ()
    told = [(one.who, one.action, one.what, one.note) for one in ledger.audit.tail()]
    assert told == [
        ("ada", "pause", "queue:apply", "month end"),
        ("bob", "resume", "queue:apply", "closed the books"),
    ]


def test_what_is_not_paused_cannot_be_resumed(ledger: Ledger) -> None:
    assert ledger.pauses.resume("all", who="bob", note="x") is False
    assert ledger.audit.tail() == ()


def test_a_pause_with_an_end_vanishes_by_itself(ledger: Ledger, client: redis.Redis, clock: Clock) -> None:
    pause(ledger, until=START + HOUR)
    clock.pass_(minutes=59)
    assert [one.until for one in ledger.pauses.all()] == [START + HOUR]
    clock.pass_(minutes=1)
    assert ledger.pauses.resume("queue:apply", who="bob", note="x") is False
    pause(ledger, until=START + 2 * HOUR)
    clock.pass_(hours=1)
    assert ledger.pauses.all() == ()
    assert not [key for key in client.keys("*") if b"pauses" in key]


def test_pausing_anew_replaces_the_end(ledger: Ledger, clock: Clock) -> None:
    pause(ledger, until=START + HOUR)
    pause(ledger)
    clock.pass_(hours=2)
    assert [one.until for one in ledger.pauses.all()] == [None]

    pause(ledger, until=clock.moment + HOUR)
    clock.pass_(hours=1)
    assert ledger.pauses.all() == ()


@pytest.mark.parametrize("target", ["", "apply", "queue:", "worker:x", "All", "control: "])
def test_what_is_no_target_is_turned_away(ledger: Ledger, target: str) -> None:
    with pytest.raises(ValueError, match="nothing to pause"):
        pause(ledger, target)
    assert ledger.pauses.all() == ()


def test_a_pause_needs_a_name_a_reason_and_a_future(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="who"):
        ledger.pauses.pause("all", who=" ", note="x")
    with pytest.raises(ValueError, match="note"):
        ledger.pauses.pause("all", who="ada", note="")
    with pytest.raises(ValueError, match="past"):
        pause(ledger, until=START)
    with pytest.raises(ValueError, match="time zone"):
        pause(ledger, until=dt.datetime(2030, 1, 1))  # noqa: DTZ001 - the point of the test
    assert ledger.pauses.all() == ()


def test_a_damaged_pause_is_said_to_be_one(ledger: Ledger, client: redis.Redis) -> None:
    pause(ledger)
    client.hset(key_ending(client, ":pauses"), "queue:apply", b"{")
    assert ledger.pauses.all() == ()
    assert [name.rpartition(" ")[2] for name in ledger.unreadable()] == ["queue:apply"]


# ----------------------------------------------------------------------------------- the board --


def test_the_board_finds_what_holds_any_of_the_targets_back(ledger: Ledger, board: PauseCache) -> None:
    pause(ledger, "control:unbilled-work")
    blocked = board.blocking({"all", "queue:scans", "control:unbilled-work"})
    assert blocked is not None
    assert blocked.target == "control:unbilled-work"
    assert board.blocking({"all", "queue:scans", "control:stale-drafts"}) is None
    assert board.blocking(()) is None


def test_of_several_pauses_the_board_gives_the_longest(ledger: Ledger, board: PauseCache, ticks: Ticks) -> None:
    pause(ledger, "all", START + HOUR)
    pause(ledger, "queue:apply", START + 2 * HOUR)
    targets = {"all", "queue:apply", "control:x"}
    longest = board.blocking(targets)
    assert longest is not None
    assert longest.target == "queue:apply"

    pause(ledger, "control:x")
    ticks.now += 1
    longest = board.blocking(targets)
    assert longest is not None
    assert longest.target == "control:x"


def test_the_board_reads_once_a_second_at_most(ledger: Ledger, board: PauseCache, ticks: Ticks) -> None:
    assert board.blocking({"all"}) is None
    pause(ledger, "all")
    ticks.now += 0.99
    assert board.blocking({"all"}) is None
    ticks.now += 0.01
    assert board.blocking({"all"}) is not None


def test_a_pause_ends_on_the_board_between_two_readings(ledger: Ledger, clock: Clock, ticks: Ticks) -> None:
    board = PauseCache(ledger.pauses, 3600, monotonic=ticks)
    pause(ledger, "all", START + dt.timedelta(seconds=10))
    assert board.blocking({"all"}) is not None
    ticks.now += 9
    assert board.blocking({"all"}) is not None
    ticks.now += 1
    assert board.blocking({"all"}) is None


def test_while_the_ledger_is_away_the_last_pauses_count(
    ledger: Ledger, board: PauseCache, ticks: Ticks, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause(ledger, "all")
    assert board.blocking({"all"}) is not None

    def away() -> None:
        raise Transient("the ledger is away")

    monkeypatch.setattr(ledger.pauses, "read", away)
    ticks.now += 60

    assert board.blocking({"all"}) is not None
    with pytest.raises(Transient):
        PauseCache(ledger.pauses, monotonic=ticks).blocking({"all"})
