"""Letters go to another ledger and come back whole, grow old and are buried, and an older Purser's are found too."""

import datetime as dt
import json
from dataclasses import replace
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings

from purser.errors import ConfigurationError
from store import DeadLetter, DeadLetterFilter, DeadLetterState, Ledger, Tombstone
from tests.contract.store.dead_letters.test_letter_store import letters
from tests.contract.store.making import START, Clock, delayed, fresh, key_ending, letter

ADA = {"who": "ada", "note": "why"}


def carried(ledger: Ledger, wanted: DeadLetterFilter) -> list[dict[str, Any]]:
    return [json.loads(json.dumps(told)) for told in ledger.letters.export(wanted)]


@given(kept=letters)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_exported_letter_is_the_same_letter_in_another_ledger(client: redis.Redis, kept: DeadLetter) -> None:
    here, there = fresh(client), fresh(client)
    here.letters.store(kept)
    here.letters.edit(kept.id, body=b"\xff edited", expects=0, **ADA)
    here.letters.propose(kept.id, body=b"proposed", expects=1, **ADA)

    (told,) = carried(here, DeadLetterFilter())

    assert there.letters.put(told) is True
    assert there.letters.put(told) is False
    assert there.letters.page().items == here.letters.page().items
    begun = there.letters.begin_replay(kept.id)
    assert begun is not None
    assert begun.body == b"\xff edited"


@pytest.mark.parametrize("state", [DeadLetterState.DISCARDED, DeadLetterState.SUPERSEDED, DeadLetterState.REPLAYED])
def test_a_settled_letter_stays_settled_where_it_is_imported(ledger: Ledger, client: redis.Redis, state: str) -> None:
    there = fresh(client)
    ledger.letters.store(letter("m1", covers="scan/x"))
    if state == DeadLetterState.DISCARDED:
        ledger.letters.discard(["m1"], **ADA)
    elif state == DeadLetterState.SUPERSEDED:
        ledger.letters.supersede("scan/x", before=START + dt.timedelta(hours=1), by="run 7")
    else:
        begun = ledger.letters.begin_replay("m1")
        assert begun is not None
        ledger.letters.finish_replay(begun, **ADA)

    (told,) = carried(ledger, DeadLetterFilter(state=DeadLetterState(state)))
    there.letters.put(told)

    assert there.letters.page(DeadLetterFilter(state=DeadLetterState(state))).items == (ledger.letters.get("m1"),)


def test_what_was_being_replayed_elsewhere_is_dead_here(ledger: Ledger, client: redis.Redis) -> None:
    there = fresh(client)
    ledger.letters.store(letter("m1"))
    ledger.letters.begin_replay("m1")

    (told,) = carried(ledger, DeadLetterFilter(state=DeadLetterState.REPLAYING))
    there.letters.put(told)

    assert there.letters.count() == 1


def test_an_import_leaves_alone_what_is_known_or_waits(ledger: Ledger, client: redis.Redis) -> None:
    there = fresh(client)
    for name in ("m1", "m2", "m3"):
        ledger.letters.store(letter(name))
    there.letters.store(letter("m1", message="mine"))
    there.delayed.park(delayed("m2"))

    assert [there.letters.put(told) for told in carried(ledger, DeadLetterFilter())] == [True, False, False]

    assert there.delayed.count() == 1
    assert sorted(one.message for one in there.letters.page().items) == ["mine", "sale.order 7 is locked"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2}, "its format is 2"),
        ({"body": "%%%"}, "no exported letter"),
        ({"id": ""}, "needs the id"),
        ({"id": 7}, "7 is no text"),
        ({"stored_at": "2026-01-01"}, "no time zone"),
        ({"state": "gone"}, "gone"),
        ({"headers": None}, "no exported letter"),
    ],
)
def test_what_is_no_exported_letter_is_a_mistake(ledger: Ledger, change: dict[str, Any], says: str) -> None:
    ledger.letters.store(letter("m1"))
    (told,) = carried(ledger, DeadLetterFilter())

    with pytest.raises(ConfigurationError, match=says):
        ledger.letters.put({**told, **change})
    for name in set(told) - {"format"}:
        with pytest.raises(ConfigurationError, match=name):
            ledger.letters.put({key: value for key, value in told.items() if key != name})


# ----------------------------------------------------------------------------------- graves --


def test_what_was_settled_long_ago_is_buried_and_a_stone_with_counts_stays(ledger: Ledger, clock: Clock) -> None:
    for n in range(5):
        ledger.letters.store(letter(f"m{n}", minute=n))
    clock.pass_(days=1)
    ledger.letters.discard(["m0", "m1"], **ADA)
    clock.pass_(days=9)
    ledger.letters.discard(["m2"], **ADA)

    buried = ledger.letters.bury(START + dt.timedelta(days=5))

    one = letter()
    assert buried == (
        Tombstone(
            day=clock().date(),
            state=DeadLetterState.DISCARDED,
            task=one.task,
            error=one.error,
            reason=one.reason,
            fingerprint=one.fingerprint,
            count=2,
            first=START,
            last=START + dt.timedelta(minutes=1),
        ),
    )
    assert ledger.letters.graves() == buried
    assert [ledger.letters.get(f"m{n}") is None for n in range(5)] == [True, True, False, False, False]
    assert (ledger.letters.count(), ledger.letters.count(DeadLetterFilter(state=DeadLetterState.DISCARDED))) == (2, 1)
    last = ledger.audit.tail()[-1]
    assert (last.who, last.action, last.facts) == ("purser", "dead.bury", {"count": 2})


def test_the_dead_are_never_buried(ledger: Ledger, clock: Clock) -> None:
    ledger.letters.store(letter("m1"))
    ledger.letters.store(letter("m2"))
    ledger.letters.begin_replay("m2")
    clock.pass_(days=4000)

    assert ledger.letters.bury(clock()) == ()

    assert (ledger.letters.count(), ledger.letters.graves(), ledger.audit.tail()) == (2, (), ())


def test_a_day_has_one_stone_for_what_was_alike_however_often_the_digger_comes(ledger: Ledger, clock: Clock) -> None:
    for n in range(1203):
        ledger.letters.store(letter(f"m{n:04}", minute=n))
    ledger.letters.discard([f"m{n:04}" for n in range(1201)], **ADA)
    clock.pass_(minutes=1)
    (first,) = ledger.letters.bury(clock())
    ledger.letters.discard(["m1201", "m1202"], **ADA)
    clock.pass_(minutes=1)

    (second,) = ledger.letters.bury(clock())

    (stone,) = ledger.letters.graves()
    assert (first.count, second.count, stone.count) == (1201, 2, 1203)
    assert (stone.first, stone.last) == (START, START + dt.timedelta(minutes=1202))


def test_nothing_of_a_buried_letter_is_left_but_its_stone(ledger: Ledger, client: redis.Redis, clock: Clock) -> None:
    prefix = ledger.letters._store.prefix
    ledger.letters.store(letter("m1", subjects=("crm.lead/1",), correlation_id="root", covers="scan/x"))
    ledger.letters.edit("m1", body=b"secret", expects=0, **ADA)
    ledger.letters.discard(["m1"], **ADA)
    clock.pass_(days=1)

    ledger.letters.bury(clock())

    keys: Any = client.keys(f"{prefix}:*")
    left = {name.decode().removeprefix(f"{prefix}:").partition(":")[0] for name in keys}
    assert left == {"graves", "grave", "audit"}


# ------------------------------------------------------------------- of an older release --


def test_letters_of_an_older_purser_are_listed_by_what_they_are_about_after_one_pass(
    ledger: Ledger, client: redis.Redis
) -> None:
    """It knew neither the fields nor the lists."""
    prefix = ledger.letters._store.prefix
    for name in ("old", "discarded", "new"):
        ledger.letters.store(letter(name, correlation_id="root", subjects=("crm.lead/1",) if name == "new" else ()))
    ledger.letters.discard(["discarded"], **ADA)
    for name in ("old", "discarded"):
        client.hdel(key_ending(client, f"{prefix}:letter:{name}"), "correlation", "subjects")
    keys: Any = client.keys(f"{prefix}:letters:*")
    for key in keys:
        if any(part in key for part in (b":error:", b":correlation:")):
            client.delete(key)

    assert ledger.letters.page(DeadLetterFilter(error="Permanent")).items == ()
    assert ledger.letters.catch_up(lambda one: (f"crm.lead/{len(one.id)}",)) == 3
    assert ledger.letters.catch_up(lambda one: ("crm.lead/9",)) == 0

    def found(**wanted: Any) -> list[str]:
        return [one.id for one in ledger.letters.page(DeadLetterFilter(**wanted)).items]

    assert found(error="Permanent") == ["old", "new"]
    assert found(correlation="root", subject="crm.lead/3") == ["old"]
    assert found(subject="crm.lead/1") == ["new"]
    assert found(state=DeadLetterState.DISCARDED, subject="crm.lead/9") == ["discarded"]


def test_a_letter_that_an_older_purser_moved_is_found_where_it_is_now(ledger: Ledger, client: redis.Redis) -> None:
    """It left it in the lists that it does not know, and put it into none of them."""
    prefix = ledger.letters._store.prefix
    ledger.letters.store(letter("m1", subjects=("crm.lead/1",)))
    ledger.letters.discard(["m1"], **ADA)
    for narrow in ("error:Permanent", "subject:crm.lead/1"):
        client.zadd(f"{prefix}:letters:dead:{narrow}", {"m1": 1})
        client.zrem(f"{prefix}:letters:discarded:{narrow}", "m1")
    filters = [DeadLetterFilter(error="Permanent"), DeadLetterFilter(subject="crm.lead/1")]
    assert [ledger.letters.page(wanted).items for wanted in filters] == [(), ()]

    assert ledger.letters.catch_up(lambda _: ()) == 1

    assert [ledger.letters.count(wanted) for wanted in filters] == [0, 0]
    for wanted in filters:
        settled = replace(wanted, state=DeadLetterState.DISCARDED)
        assert [one.id for one in ledger.letters.page(settled).items] == ["m1"]


def test_a_cancelled_message_is_found_by_what_it_was_about_once_somebody_has_read_it(ledger: Ledger) -> None:
    """The ledger keeps it and does not read it."""
    ledger.delayed.park(delayed("m1"))
    ledger.delayed.cancel(["m1"], **ADA)

    assert [ledger.letters.catch_up(lambda _: ("crm.lead/1",)) for _ in range(2)] == [1, 0]

    wanted = DeadLetterFilter(state=DeadLetterState.DISCARDED, subject="crm.lead/1")
    assert [one.id for one in ledger.letters.page(wanted).items] == ["m1"]


def test_a_letter_about_no_record_is_read_once(ledger: Ledger) -> None:
    ledger.letters.store(letter("m1"))

    assert [ledger.letters.catch_up(lambda _: ()) for _ in range(2)] == [1, 0]
