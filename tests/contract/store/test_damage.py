"""An entry that was damaged by hand, or written by a newer release, spoils no other: it is left out, named, kept."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import redis

from purser.errors import Permanent, Snooze
from store import (
    ClaimResult,
    DeadLetterFilter,
    DeadLetterState,
    DelayKind,
    DeliveryAttempt,
    DeliveryResult,
    Ledger,
    NextAction,
    TakeResult,
)
from store.queueing.seen_events import digest
from tests.contract.store.controls.test_case_store import case
from tests.contract.store.controls.test_run_store import run
from tests.contract.store.fleet.test_worker_heartbeats import MEMBER
from tests.contract.store.making import START, Clock, delayed, letter
from tests.contract.store.test_feed_cursors import FEED
from tests.contract.store.test_refusal_store import entry
from tests.contract.store.test_webhook_tokens import ONE, TWO

TEN = dt.timedelta(minutes=10)
NAMES = {"good": 1, "bad": 2}


@dataclass(frozen=True)
class Entry:
    """An entry that is damaged: the end of its key, and the fields that are. `is_shared`: others are in that hash."""

    key: str
    fields: tuple[str, ...]
    is_shared: bool = False


ENTRIES = {
    "pause": Entry(":pauses", ("queue:bad",), is_shared=True),
    "inbox": Entry(":inbox:" + digest("crm", "bad"), ("event", "accepted_at", "wait", "emitted")),
    "what the inbox awaits": Entry(f":inbox:{digest('crm', 'bad')}:todo", ("bad-automation",)),
    "letter": Entry(":letter:bad", ("attempts", "headers", "stored_at", "state", "replays")),
    "edits of a letter": Entry(":letter:bad", ("edits",)),
    "refusal": Entry(":refusal:bad", ("change", "state", "last_at", "count")),
    "switched off": Entry(":outbound:off", ("bad",), is_shared=True),
    "replay": Entry(":replay:bad", ("state", "stage", "created", "rate")),
    "delayed": Entry(":delayed:bad-wait", ("kind", "due", "attempt", "version")),
    "worker": Entry(":crew", ("bad",), is_shared=True),
    "cursor": Entry(":cursors", ("bad",), is_shared=True),
    "case": Entry(":cases:stale-drafts:open", (str(case(2).key),), is_shared=True),
    "run": Entry(":runs:records", ("bad",), is_shared=True),
    "hook": Entry(":hook:bad", ("models", "heard")),
    "slot": Entry(":slots:done", ("bad",), is_shared=True),
    "tally of a subscription": Entry(":outbound:tally:bad", ("delivered", "last_outcome")),
    "kept event": Entry(":outbound:event:" + digest("crm", "bad"), ("event",)),
    "tombstone": Entry("\nbad-task\nPermanent\npermanent failure\nbad", ("state", "count", "first", "day")),
}

DAMAGES = {
    "binary": b"\xff\xfe\x00\x80",
    "another type of JSON": b"[1]",
    "null": b"null",
    "empty": b"",
    "truncated": b'{"target": "qu',
    "of a newer release": b"a word of a release to come",
    "another type of Redis": None,
}


def fill(ledger: Ledger, client: Any) -> None:
    """Write a good and a bad entry of every kind."""
    for name in NAMES:
        ledger.letters.store(letter(f"{name}-old", task=f"{name}-task", fingerprint=name))
    ledger.letters.discard([f"{name}-old" for name in NAMES], who="ada", note="why")
    ledger.letters.bury(START + TEN)
    for name, number in NAMES.items():
        ledger.pauses.pause(f"queue:{name}", who="ada", note="why")
        ledger.inbox.accept("crm", name, {"id": name}, [f"{name}-automation"], again_after=TEN)
        ledger.letters.store(letter(name, task=f"{name}-task", covers="scan/x", slot=START))
        ledger.letters.edit(name, body=b'{"n": 2}', expects=0, who="ada", note="why")
        ledger.refusals.add(entry(name))
        ledger.outbound.switch_off(name, why="gone")
        ledger.outbound.keep("crm", name, {"id": name})
        ledger.sendings.record(sending(name))
        ledger.delayed.park(delayed(f"{name}-wait", queue="apply"))
        ledger.crew.report(replace(MEMBER, name=name))
        ledger.cursors.move(None, replace(FEED, name=name))
        ledger.cases.put([case(number)])
        ledger.runs.record(run(name, minute=number))
        ledger.hooks.add(name, {"good": ONE, "bad": TWO}[name], ["crm.lead"])
        ledger.slots.claim(name, START, holder="w", lease=TEN)
        ledger.slots.done(name, START, holder="w")
        made = ledger.replays.create([name], who="ada", note="why", what="all", rate=10.0)
        for key in [*client.keys(f"{ledger._store.prefix}:replay:{made.id}*")]:
            client.rename(key, key.replace(made.id.encode(), name.encode()))
        client.hset(f"{ledger._store.prefix}:replay:{name}", "id", name)
        for index in ("replays", "replays:running"):
            client.zrem(f"{ledger._store.prefix}:{index}", made.id)
            client.zadd(f"{ledger._store.prefix}:{index}", {name: number})


def sending(name: str) -> DeliveryAttempt:
    return DeliveryAttempt(
        subscription=name,
        message=name,
        source="crm",
        event_id=name,
        type="t",
        subject="s",
        at=START,
        attempt=1,
        outcome=DeliveryResult.DELIVERED,
    )


READERS: dict[str, Callable[[Ledger], Any]] = {
    "pauses": lambda ledger: [one.target.removeprefix("queue:") for one in ledger.pauses.all()],
    "inbox": lambda ledger: [one.id for one in ledger.inbox.page().items],
    "letters": lambda ledger: [one.id for one in ledger.letters.page().items],
    "letters with a text": lambda ledger: [
        one.id for one in ledger.letters.page(DeadLetterFilter(text='"n": 2', state=DeadLetterState.DEAD)).items
    ],
    "groups": lambda ledger: ["good"] * bool(ledger.letters.groups()),
    "groups of a text": lambda ledger: ["good"] * bool(ledger.letters.groups(DeadLetterFilter(text='"n"'))),
    "groups of a queue": lambda ledger: ["good"] * bool(ledger.letters.groups(DeadLetterFilter(queue="apply"))),
    "exported letters": lambda ledger: [one["id"] for one in ledger.letters.export()],
    "refusals": lambda ledger: [one.id for one in ledger.refusals.page().items],
    "switches": lambda ledger: list(ledger.outbound.switched_off()),
    "kept events": lambda ledger: [name for name in NAMES if ledger.outbound.kept("crm", name)],
    "tallies": lambda ledger: [name for name in NAMES if ledger.sendings.tally(name).delivered],
    "sendings": lambda ledger: [one.message for name in NAMES for one in ledger.sendings.latest(name)],
    "replays": lambda ledger: [one.id for one in ledger.replays.page().items],
    "delayed": lambda ledger: [one.id.removesuffix("-wait") for one in ledger.delayed.page().items],
    "delayed of a kind": lambda ledger: [
        one.id.removesuffix("-wait") for one in ledger.delayed.page(kind=DelayKind.RETRY).items
    ],
    "workers": lambda ledger: [one.member.name for one in ledger.crew.all()],
    "cursors": lambda ledger: [one.name for one in ledger.cursors.all()],
    "cases": lambda ledger: ["good" if one.key == case(1).key else "bad" for one in ledger.cases.page().items],
    "cases of a control": lambda ledger: ["good"] * (case(1).key in ledger.cases.of("stale-drafts")),
    "cases by key": lambda ledger: ["good"] * bool(ledger.cases.among("stale-drafts", [case(1).key, case(2).key])),
    "counts": lambda ledger: ["good"] * ("stale-drafts" in ledger.cases.counts()),
    "runs": lambda ledger: [one.id for one in ledger.runs.page().items],
    "hooks": lambda ledger: [one.rule for one in ledger.hooks.rules()],
    "a hook by its token": lambda ledger: ["good"] * (ledger.hooks.find(ONE) is not None),
    "slots": lambda ledger: [name for name in NAMES if ledger.slots.last_done(name)],
    "tombstones": lambda ledger: [one.task.removesuffix("-task") for one in ledger.letters.graves()],
    "audit": lambda ledger: ["good"] * bool(ledger.audit.tail()),
}


def damage(client: Any, ledger: Ledger, found: Entry, value: bytes | None) -> bytes:
    """Damage an entry; give its key."""
    names = client.keys(f"{ledger._store.prefix}:*")
    (key,) = [name for name in names if name.decode().endswith(found.key)]
    if value is None:
        client.delete(key)
        client.set(key, b"mine")
    else:
        for field in found.fields:
            client.hset(key, field, value)
    return bytes(key)


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("kind", ENTRIES)
def test_a_damaged_entry_spoils_no_other(ledger: Ledger, client: Any, clock: Clock, kind: str, how: str) -> None:
    fill(ledger, client)
    found, value = ENTRIES[kind], DAMAGES[how]
    assert [name for name, read in READERS.items() if "good" not in read(ledger)] == []

    key = damage(client, ledger, found, value)

    without = {name for name, read in READERS.items() if "good" not in read(ledger)}
    takes_all_along = found.is_shared and value is None
    assert len(without) <= (4 if kind == "case" else 1) * takes_all_along, without
    ledger.unreadable()

    # what the fleet does with the neighbours works
    assert not takes_all_along or client.get(key) == b"mine"
    clock.pass_(minutes=11)
    assert "good" in [one.id for one in ledger.inbox.lend_stalled()]
    assert ledger.outbound.turn("x", subscription="other", source="crm", event_id="x").next is NextAction.GO
    assert ledger.delayed.now(["bad-wait", "good-wait"], who="ada", note="why") == () or kind == "delayed"
    assert ledger.delayed.move_due() >= 1
    assert ledger.delayed.get("good-wait") is None, "it is on its queue"
    assert ledger.replays.forget_old() == 0
    assert ledger.replaying.hold("good", "w", lease=TEN)
    progress = ledger.replaying.look("good")
    assert (
        ledger.replaying.take("good", "good", "w", stage=progress.replay.stage, quota=1, most_out=1)
        is TakeResult.TAKEN
    )
    ledger.replaying.put_back("good", "good")
    clock.pass_(minutes=11)
    assert "good" in list(ledger.letters.ids())
    other = letter("other", covers="scan/x", slot=START + TEN, minute=30)
    assert ledger.letters.store(other, only_latest=True)
    assert "good" in ledger.letters.restore(["bad", "good"], who="ada", note="why")
    assert "good" in ledger.letters.supersede("scan/x", before=START + TEN, by="a test")
    assert ledger.letters.bury(clock() + TEN)
    assert ledger.letters.get("good") is None
    assert takes_all_along or ledger.slots.claim("good", START + TEN, holder="w", lease=TEN) is ClaimResult.GRANTED
    ledger.sendings.record(sending("bad"))
    assert ledger.deliveries.count("good") == 1
    if kind not in ("edits of a letter", "delayed"):  # of these enough can be read to send and to bury them
        assert client.exists(key), "it stays"


@pytest.mark.parametrize("how", [how for how in DAMAGES if how != "empty"])
def test_an_entry_that_cannot_be_read_is_named(ledger: Ledger, client: Any, how: str) -> None:
    fill(ledger, client)
    assert ledger.unreadable() == {}
    keys = {damage(client, ledger, one, DAMAGES[how]).decode() for kind, one in ENTRIES.items() if not one.is_shared}

    named = {key for name in ledger.unreadable() for key in keys if name == key or name == f"{key}:todo"}

    unread = (":tally:", ":outbound:event:", ":todo")  # as many as there are subscriptions, events: not walked
    read = {key for key in keys if not any(word in key for word in unread)}
    assert read <= named


def test_a_pause_of_which_nothing_can_be_read_holds_nothing_back(ledger: Ledger, client: Any) -> None:
    ledger.pauses.pause("all", who="ada", note="why")
    damage(client, ledger, Entry(":pauses", ("all",)), b"{}")
    assert ledger.pauses.all() == ()
    damage(client, ledger, Entry(":pauses", ()), None)
    assert ledger.pauses.all() == ()


@pytest.mark.parametrize("how", ["binary", "another type of Redis"])
def test_a_home_that_cannot_be_read_makes_all_wait_until_it_is_adopted(ledger: Ledger, client: Any, how: str) -> None:
    ledger.home.of("https://odoo.test (firm)")
    key = f"{ledger._store.prefix}:home"
    client.delete(key)
    if DAMAGES[how] is None:
        client.hset(key, "x", "y")
    else:
        client.set(key, DAMAGES[how])

    with pytest.raises(Snooze, match="purser ledger adopt"):
        ledger.home.of("https://odoo.test (firm)")

    ledger.home.adopt("https://odoo.test (firm)", who="ada", note="damaged by hand")
    assert ledger.home.of("https://odoo.test (firm)") == "https://odoo.test (firm)"


def test_a_count_of_deliveries_that_cannot_be_read_begins_anew(ledger: Ledger, client: redis.Redis) -> None:
    ledger.deliveries.count("m1")
    key = f"{ledger._store.prefix}:deliveries:m1"
    client.set(key, b"x")
    assert ledger.deliveries.count("m1") == 1
    client.delete(key)
    client.hset(key, "a", "b")
    assert ledger.deliveries.count("m1") == 1


def test_who_asks_for_one_entry_is_told_that_it_cannot_be_read(ledger: Ledger, client: Any) -> None:
    fill(ledger, client)
    for kind in ("letter", "refusal", "delayed", "replay", "inbox"):
        damage(client, ledger, ENTRIES[kind], None)
    asked: tuple[Callable[[], object], ...] = (
        lambda: ledger.letters.get("bad"),
        lambda: ledger.refusals.get("bad"),
        lambda: ledger.delayed.get("bad-wait"),
        lambda: ledger.replays.get("bad"),
        lambda: ledger.inbox.get("crm", "bad"),
    )
    for ask in asked:
        with pytest.raises(Permanent, match="unreadable"):
            ask()
