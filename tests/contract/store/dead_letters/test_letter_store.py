"""Letters are kept whole, once, and leave only through a person."""

import datetime as dt
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from purser.errors import Permanent
from store import Attempt, DeadLetter, DeadLetterFilter, DeadLetterState, Ledger, MessageReservation
from tests.contract.store.making import START, Clock, delayed, fresh, key_ending, letter

words = st.text(max_size=20)
moments = st.datetimes(
    min_value=dt.datetime(2020, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=dt.datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(dt.UTC),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
letters = st.builds(
    DeadLetter,
    id=st.text(min_size=1, max_size=40),
    queue=words,
    task=words,
    body=st.binary(max_size=200),
    headers=st.dictionaries(words, json_values, max_size=3),
    properties=st.dictionaries(words, json_values, max_size=3),
    content_type=words,
    content_encoding=words,
    reason=words,
    error=words,
    message=words,
    traceback=words,
    fingerprint=words,
    attempts=st.lists(st.builds(Attempt, moments, words), max_size=4, unique=True).map(tuple),
    correlation_id=st.none() | words,
    subjects=st.lists(st.from_regex(r"[a-z.]{1,9}/[0-9]{1,3}", fullmatch=True), max_size=3, unique=True).map(tuple),
    causation_id=st.none() | words,
    covers=words,
    slot=st.none() | moments,
    first_at=moments,
    stored_at=moments,
    replays=st.just(0),
    state=st.just(DeadLetterState.DEAD),
    settled=st.none(),
    edits=st.just(()),
    proposal=st.none(),
)


def ids(ledger: Ledger, *, after: str | None = None, **wanted: Any) -> list[str]:
    return [found.id for found in ledger.letters.page(DeadLetterFilter(**wanted), after=after).items]


@given(kept=letters)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_letter_comes_back_as_it_was_and_storing_it_twice_is_storing_it_once(
    client: redis.Redis, kept: DeadLetter
) -> None:
    ledger = fresh(client)

    assert ledger.letters.store(kept) is True
    assert ledger.letters.get(kept.id) == kept
    assert ledger.letters.store(kept) is False

    assert ledger.letters.get(kept.id) == kept
    assert ledger.letters.page().items == (kept,)
    assert ledger.letters.count() == 1
    assert [group.count for group in ledger.letters.groups()] == [1]


def test_a_letter_that_fails_again_is_the_same_letter_with_one_more_attempt(ledger: Ledger) -> None:
    first = letter(minute=0, body=b"original", headers={"lang": "py"})
    again = letter(minute=5, body=b"original", headers={}, message="connection lost", reason="attempts spent")
    ledger.letters.store(first)

    ledger.letters.store(again)

    kept = ledger.letters.get("m1")
    assert kept is not None
    assert (kept.body, kept.headers, kept.first_at) == (b"original", {"lang": "py"}, first.first_at)
    assert (kept.reason, kept.message, kept.stored_at) == ("attempts spent", "connection lost", again.stored_at)
    assert kept.attempts == first.attempts + again.attempts
    assert ledger.letters.count() == 1
    assert [group.fingerprint for group in ledger.letters.groups()] == [again.fingerprint]


def test_a_letter_with_headers_json_cannot_hold_is_kept_all_the_same(ledger: Ledger) -> None:
    odd = letter(headers={"at": START, "raw": b"\xff"}, properties={b"key": {1}}, message="lone \udc80 surrogate")

    ledger.letters.store(odd)

    kept = ledger.letters.get("m1")
    assert kept is not None
    assert kept.body == odd.body
    assert kept.headers["at"] == str(START)
    assert kept.message == "lone \\udc80 surrogate"


def test_pages_list_every_letter_once_the_newest_first(ledger: Ledger) -> None:
    for n in range(25):
        ledger.letters.store(letter(f"m{n:02}", minute=n // 10))  # many share a minute

    seen: list[DeadLetter] = []
    cursor = None
    while True:
        page = ledger.letters.page(after=cursor, limit=7)
        seen += page.items
        cursor = page.next
        if cursor is None:
            break

    assert [found.id for found in seen] == [f"m{n:02}" for n in reversed(range(25))]


def test_a_page_goes_on_rightly_when_letters_came_and_went_in_between(ledger: Ledger) -> None:
    for n in range(6):
        ledger.letters.store(letter(f"m{n}", minute=n))
    page = ledger.letters.page(limit=2)

    ledger.letters.store(letter("new", minute=9))
    ledger.letters.discard(["m4", "m2"], who="ada", note="test data")

    assert ids(ledger, after=page.next) == ["m3", "m1", "m0"]


def test_an_index_with_more_ties_than_a_batch_is_read_to_its_end(ledger: Ledger) -> None:
    for n in range(1100):
        ledger.letters.store(letter(f"m{n:04}"))

    first = ledger.letters.page(limit=800)
    second = ledger.letters.page(limit=800, after=first.next)

    assert [found.id for found in first.items + second.items] == [f"m{n:04}" for n in reversed(range(1100))]
    assert second.next is None


def test_filters_narrow_a_page_alone_and_together(ledger: Ledger) -> None:
    ledger.letters.store(letter("a", minute=1, task="scan", queue="scans"))
    ledger.letters.store(letter("b", minute=2, task="scan", queue="scans", reason="attempts spent"))
    ledger.letters.store(letter("c", minute=3, task="apply", reason="attempts spent"))
    kind = letter(task="apply").fingerprint

    assert ids(ledger, task="scan") == ["b", "a"]
    assert ids(ledger, queue="apply") == ["c"]
    assert ids(ledger, reason="attempts spent") == ["c", "b"]
    assert ids(ledger, fingerprint=kind) == ["c"]
    assert ids(ledger, task="scan", reason="attempts spent") == ["b"]
    assert ids(ledger, since=START + dt.timedelta(minutes=2)) == ["c", "b"]
    assert ids(ledger, task="nothing") == []


def test_letters_are_found_by_error_correlation_subject_and_time(ledger: Ledger) -> None:
    ledger.letters.store(letter("a", minute=1, error="Transient", subjects=("crm.lead/1", "crm.lead/2")))
    ledger.letters.store(letter("b", minute=2, correlation_id="root", subjects=("crm.lead/2",)))
    ledger.letters.store(letter("c", minute=3, correlation_id="root", error="Transient"))

    assert ids(ledger, error="Transient") == ["c", "a"]
    assert ids(ledger, correlation="root") == ["c", "b"]
    assert ids(ledger, subject="crm.lead/2") == ["b", "a"]
    assert ids(ledger, subject="crm.lead/1", error="Transient") == ["a"]
    assert ids(ledger, subject="crm.lead/1", correlation="root") == []
    assert ids(ledger, since=START + dt.timedelta(minutes=1), until=START + dt.timedelta(minutes=3)) == ["b", "a"]
    assert ledger.letters.count(DeadLetterFilter(error="Transient")) == 2
    assert ledger.letters.count(DeadLetterFilter(until=START + dt.timedelta(minutes=3))) == 2


@pytest.mark.parametrize("found", ["ACME", "müller", "Müller", 'say "hi"', "100 %", "s00042", "to\nend"])
def test_a_text_is_found_in_what_a_letter_carries_however_it_is_spelt(ledger: Ledger, found: str) -> None:
    told = {
        "client": "Acme",
        "who": "Müller",
        "said": 'say "hi"',
        "part": "100 %",
        "order": "S00042",
        "end": "to\nend",
    }
    ledger.letters.store(letter("ascii", minute=2, body=json.dumps(told).encode()))
    ledger.letters.store(letter("utf-8", minute=1, body=json.dumps(told, ensure_ascii=False).encode()))
    ledger.letters.store(letter("other", body=b"\xff nothing of the kind"))

    assert ids(ledger, text=found) == ["ascii", "utf-8"]
    assert ledger.letters.count(DeadLetterFilter(text=found)) == 2
    assert ids(ledger, text=found, task="another") == []


def test_a_page_of_a_text_that_few_letters_hold_ends_early_and_goes_on(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.dead_letters.scan.TEXT_BATCH_SIZE", 10)
    monkeypatch.setattr("store.dead_letters.listing.TIMEOUT_SECONDS", -1.0)
    for n in range(35):
        ledger.letters.store(letter(f"m{n:02}", minute=n, body=b"needle" if n == 3 else b"hay"))
    wanted, seen, pages, cursor = DeadLetterFilter(text="needle"), [], 0, None

    while pages == 0 or cursor is not None:
        page = ledger.letters.page(wanted, after=cursor)
        seen += [one.id for one in page.items]
        cursor, pages = page.next, pages + 1

    assert (seen, pages) == (["m03"], 4)
    assert list(ledger.letters.ids(wanted)) == ["m03"]


def test_ids_are_walked_once_each_though_their_letters_leave_the_list_meanwhile(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.dead_letters.scan.BATCH_SIZE", 3)
    for n in range(20):
        ledger.letters.store(letter(f"m{n:02}", minute=n // 5))
    seen = []

    for id_ in ledger.letters.ids(DeadLetterFilter(task="apply", queue="apply")):
        seen.append(id_)
        ledger.letters.discard([id_], who="ada", note="test data")
        ledger.letters.store(letter(f"new {id_}", minute=9))

    assert seen == [f"m{n:02}" for n in reversed(range(20))]


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["p", "q"]), st.sampled_from(["ab", "cd"])), max_size=20
    ),
    wanted=st.builds(
        DeadLetterFilter,
        queue=st.sampled_from(["", "p", "q"]),
        task=st.sampled_from(["", "apply"]),
        error=st.sampled_from(["", "Permanent", "other"]),
        since=st.sampled_from([None, START, START + dt.timedelta(minutes=1)]),
        until=st.sampled_from([None, START + dt.timedelta(minutes=3)]),
        text=st.sampled_from(["", "Body 1"]),
    ),
    limit=st.integers(1, 4),
    small=st.booleans(),
)
@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_ids_count_and_groups_of_a_filter_tell_of_the_same_letters(
    client: redis.Redis, rows: list[tuple[int, str, str]], wanted: DeadLetterFilter, limit: int, small: bool
) -> None:
    ledger = fresh(client)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "store.dead_letters.groups.BATCH_SIZE", 2000 if small else 0
        )  # few letters are walked, many intersected
        tell_alike(ledger, rows, wanted, limit)


def tell_alike(ledger: Ledger, rows: list[tuple[int, str, str]], wanted: DeadLetterFilter, limit: int) -> None:
    for n, (minute, queue, message) in enumerate(rows):
        ledger.letters.store(
            letter(f"m{n:02}", minute=minute, queue=queue, message=message, body=b"body %d" % (n % 3))
        )
    expected = [
        f"m{n:02}"
        for minute, n in sorted(((minute, n) for n, (minute, _, _) in enumerate(rows)), reverse=True)
        if wanted.queue in ("", rows[n][1])
        and wanted.error in ("", "Permanent")
        and (wanted.since is None or wanted.since <= START + dt.timedelta(minutes=minute))
        and (wanted.until is None or wanted.until > START + dt.timedelta(minutes=minute))
        and (not wanted.text or n % 3 == 1)
    ]

    paged, cursor = [], None
    while True:
        page = ledger.letters.page(wanted, after=cursor, limit=limit)
        paged += [one.id for one in page.items]
        cursor = page.next
        if cursor is None:
            break

    groups = ledger.letters.groups(wanted)
    assert paged == list(ledger.letters.ids(wanted)) == expected
    assert ledger.letters.count(wanted) == sum(group.count for group in groups) == len(expected)
    assert [sum(group.trend) for group in groups] == [group.count for group in groups]
    for group in groups:
        alike = [id_ for id_ in expected if rows[int(id_[1:])][2] == group.message]
        times = [START + dt.timedelta(minutes=rows[int(id_[1:])][0]) for id_ in alike]
        assert (group.sample, group.count, group.first, group.last) == (alike[0], len(alike), times[-1], times[0])


def test_a_group_shows_how_many_were_set_aside_in_each_of_the_last_hours(ledger: Ledger, clock: Clock) -> None:
    for n, hours in enumerate((0, 1, 1, 23.5, 26)):
        ledger.letters.store(letter(f"m{n}", minute=int(60 * hours), queue="q" if n else "p"))
    clock.pass_(hours=26)

    for wanted, count in ((DeadLetterFilter(), 5), (DeadLetterFilter(queue="q"), 4)):
        (group,) = ledger.letters.groups(wanted)
        assert (len(group.trend), group.count) == (24, count)
        assert {23 - n: many for n, many in enumerate(group.trend) if many} == {0: 1, 2: 1}
    (late,) = ledger.letters.groups(DeadLetterFilter(since=START + dt.timedelta(hours=24)))
    assert (late.count, sum(late.trend)) == (1, 1)


def test_no_more_groups_are_given_than_are_asked_for(ledger: Ledger) -> None:
    for n, word in enumerate(("ab", "cd", "cd", "ef", "ef", "ef")):
        ledger.letters.store(letter(f"m{n}", message=word))

    assert [group.message for group in ledger.letters.groups(limit=2)] == ["ef", "cd"]


@pytest.mark.parametrize("how", ["discarded", "superseded", "cancelled"])
def test_what_was_settled_is_dead_again_in_its_old_place_when_it_is_restored(ledger: Ledger, how: str) -> None:
    for n in range(3):
        ledger.letters.store(letter(f"m{n}", minute=n, **about("scan/x", n)))
    if how == "discarded":
        ledger.letters.discard(["m1"], who="ada", note="test data")
    elif how == "superseded":
        ledger.letters.supersede("scan/x", before=START + dt.timedelta(minutes=90), by="run 7")
    else:
        ledger.delayed.park(delayed("m1"))
        ledger.delayed.cancel(["m1"], who="ada", note="no")

    assert ledger.letters.restore(["m1", "m2", "unknown"], who="bob", note="it was none") == ("m1",)

    kept = ledger.letters.get("m1")
    assert kept is not None
    assert (kept.state, kept.settled) == (DeadLetterState.DEAD, None)
    assert "m1" in ids(ledger)
    assert ids(ledger, state=DeadLetterState.DISCARDED) == []
    last = ledger.audit.tail()[-1]
    assert (last.who, last.action, last.what, last.note) == ("bob", "dead.restore", "m1", "it was none")
    assert ledger.letters.restore(["m1"], who="bob", note="again") == ()


def test_a_letter_whose_message_is_tried_again_is_not_restored(ledger: Ledger, clock: Clock) -> None:
    ledger.letters.store(letter("m1"))
    ledger.delayed.park(delayed("m1"))

    assert ledger.letters.restore(["m1"], who="ada", note="why") == ()
    clock.pass_(minutes=5)
    ledger.delayed.remove(["m1"])
    assert ledger.letters.restore(["m1"], who="ada", note="why") == ()

    assert (ledger.letters.count(), ledger.audit.tail()) == (0, ())


def test_groups_gather_what_failed_alike_the_largest_first(ledger: Ledger) -> None:
    for n in range(3):
        ledger.letters.store(letter(f"m{n}", minute=n, message=f"sale.order {n} is locked"))
    ledger.letters.store(letter("other", message="no such field"))

    locked, other = ledger.letters.groups()

    assert (locked.count, locked.sample, locked.task, locked.error) == (3, "m2", "apply", "Permanent")
    assert (locked.first, locked.last) == (START, START + dt.timedelta(minutes=2))
    assert (other.count, other.sample, other.message) == (1, "other", "no such field")


def test_a_discarded_letter_leaves_the_dead_and_keeps_its_bytes_and_its_reason(ledger: Ledger) -> None:
    ledger.letters.store(letter("m1"))
    ledger.letters.store(letter("m2"))

    gone = ledger.letters.discard(["m1", "unknown"], who="ada", note="test data")

    assert gone == ("m1",)
    assert ids(ledger) == ["m2"]
    assert ids(ledger, state=DeadLetterState.DISCARDED, task="apply") == ["m1"]
    kept = ledger.letters.get("m1")
    assert kept is not None
    assert kept.settled is not None
    assert (kept.body, kept.settled.who, kept.settled.note, kept.settled.at) == (
        b'{"n": 1}',
        "ada",
        "test data",
        START,
    )
    assert [(e.who, e.action, e.what, e.note) for e in ledger.audit.tail()] == [
        ("ada", "dead.discard", "m1", "test data")
    ]
    assert ledger.letters.discard(["m1"], who="ada", note="again") == ()


@pytest.mark.parametrize(("who", "note"), [("ada", ""), ("ada", "  "), ("", "test data")])
def test_nobody_discards_without_a_name_and_a_reason(ledger: Ledger, who: str, note: str) -> None:
    ledger.letters.store(letter())

    with pytest.raises(ValueError, match="say"):
        ledger.letters.discard(["m1"], who=who, note=note)

    assert ledger.letters.count() == 1


def test_a_replay_is_begun_by_one_caller_only(ledger: Ledger) -> None:
    ledger.letters.store(letter())

    begun = ledger.letters.begin_replay("m1")

    assert begun is not None
    assert (begun.state, begun.replays, begun.body) == (DeadLetterState.REPLAYING, 1, b'{"n": 1}')
    assert ledger.letters.begin_replay("m1") is None
    assert ledger.letters.begin_replay("unknown") is None
    assert ledger.letters.discard(["m1"], who="ada", note="too late") == ()
    assert ledger.letters.count() == 0
    assert ledger.letters.count(DeadLetterFilter(state=DeadLetterState.REPLAYING)) == 1
    assert ledger.letters.groups() == ()


def test_a_finished_replay_is_kept_out_of_the_dead(ledger: Ledger) -> None:
    ledger.letters.store(letter())
    begun = ledger.letters.begin_replay("m1")
    assert begun is not None

    assert ledger.letters.finish_replay(begun, who="ada", note="fixed in 1.2") is True

    kept = ledger.letters.get("m1")
    assert kept is not None
    assert kept.state is DeadLetterState.REPLAYED
    assert ledger.letters.count() == 0
    assert [(e.who, e.action, e.what) for e in ledger.audit.tail()] == [("ada", "dead.replay", "m1")]


def test_a_replayed_letter_that_fails_again_is_dead_again_with_its_history(ledger: Ledger) -> None:
    ledger.letters.store(letter(body=b"original"))
    begun = ledger.letters.begin_replay("m1")
    assert begun is not None
    ledger.letters.finish_replay(begun, who="ada", note="")

    ledger.letters.store(letter(minute=9, body=b"original"))

    kept = ledger.letters.get("m1")
    assert kept is not None
    assert (kept.state, kept.replays, len(kept.attempts), kept.body) == (DeadLetterState.DEAD, 1, 2, b"original")
    assert kept.settled is None
    assert ledger.letters.count(DeadLetterFilter(state=DeadLetterState.REPLAYED)) == 0


def test_finishing_a_replay_never_hides_a_letter_that_failed_again_meanwhile(ledger: Ledger) -> None:
    ledger.letters.store(letter())
    begun = ledger.letters.begin_replay("m1")
    assert begun is not None
    ledger.letters.store(letter(minute=1))

    assert ledger.letters.finish_replay(begun, who="ada", note="") is False

    assert ids(ledger) == ["m1"]


def test_an_earlier_replay_cannot_settle_a_later_one(ledger: Ledger) -> None:
    ledger.letters.store(letter())
    earlier = ledger.letters.begin_replay("m1")
    ledger.letters.store(letter(minute=1))
    later = ledger.letters.begin_replay("m1")
    assert earlier is not None
    assert later is not None

    assert ledger.letters.finish_replay(earlier, who="ada", note="") is False
    assert ledger.letters.abort_replay(earlier) is False
    assert ledger.letters.finish_replay(later, who="ada", note="") is True


def test_an_aborted_replay_leaves_the_letter_dead_in_its_old_place(ledger: Ledger) -> None:
    for n in range(3):
        ledger.letters.store(letter(f"m{n}", minute=n))
    begun = ledger.letters.begin_replay("m1")
    assert begun is not None

    assert ledger.letters.abort_replay(begun) is True

    assert ids(ledger) == ["m2", "m1", "m0"]
    assert ledger.letters.begin_replay("m1") is not None


def test_a_replay_that_never_ended_counts_as_dead_again(ledger: Ledger, clock: Clock) -> None:
    ledger.letters.store(letter("m1"))
    ledger.letters.store(letter("m2"))
    ledger.letters.begin_replay("m1")
    ledger.letters.begin_replay("m2")

    clock.pass_(minutes=4)
    assert ledger.letters.begin_replay("m1") is None
    assert ledger.letters.count() == 0
    clock.pass_(minutes=2)

    begun = ledger.letters.begin_replay("m1")
    assert begun is not None
    assert begun.replays == 2
    assert ledger.letters.count() == 1
    assert ids(ledger) == ["m2"]


@given(
    acts=st.lists(
        st.tuples(
            st.sampled_from(["store", "begin", "finish", "abort", "discard", "wait"]),
            st.sampled_from(["a", "b", "c"]),
        ),
        max_size=25,
    )
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_each_letter_is_in_one_state_and_in_the_lists_of_that_state_only(
    client: redis.Redis, acts: list[tuple[str, str]]
) -> None:
    clock = Clock()
    ledger = fresh(client, clock)
    stored: set[str] = set()
    begun: dict[str, DeadLetter] = {}

    for minute, (act, name) in enumerate(acts):
        if act == "store":
            ledger.letters.store(letter(name, minute=minute, message="ab" if minute % 2 else "cd"))
            stored.add(name)
        elif act == "begin" and (found := ledger.letters.begin_replay(name)):
            begun[name] = found
        elif act == "finish" and name in begun:
            ledger.letters.finish_replay(begun[name], who="ada", note="")
        elif act == "abort" and name in begun:
            ledger.letters.abort_replay(begun[name])
        elif act == "discard":
            ledger.letters.discard([name], who="ada", note="test data")
        elif act == "wait":
            clock.pass_(minutes=3)

    listed: list[str] = []
    for state in DeadLetterState:
        page = ledger.letters.page(DeadLetterFilter(state=state)).items
        assert {found.state for found in page} <= {state}
        assert ledger.letters.page(DeadLetterFilter(state=state, task="apply", queue="apply")).items == page
        assert (
            sum(group.count for group in ledger.letters.groups(DeadLetterFilter(state=state)))
            == ledger.letters.count(DeadLetterFilter(state=state))
            == len(page)
        )
        for group in ledger.letters.groups(DeadLetterFilter(state=state)):
            kind = ledger.letters.page(DeadLetterFilter(state=state, fingerprint=group.fingerprint)).items
            assert {found.fingerprint for found in kind} == {group.fingerprint}
        listed += [found.id for found in page]
    assert sorted(listed) == sorted(stored)


# --------------------------------------------------------------------- settled in one step --

HELD = MessageReservation("purser:broker:held:w1", "1")


def test_a_letter_is_stored_as_its_message_leaves_the_worker(ledger: Ledger, client: redis.Redis) -> None:
    client.delete(HELD.key)
    client.hset(HELD.key, mapping={"1": b"ours", "2": b"another"})

    assert ledger.letters.store(letter(), settles=HELD) is True

    assert client.hkeys(HELD.key) == [b"2"]
    assert ids(ledger) == ["m1"]


def test_a_known_letter_is_settled_too(ledger: Ledger, client: redis.Redis) -> None:
    client.delete(HELD.key)
    client.hset(HELD.key, "1", b"ours")
    ledger.letters.store(letter())

    assert ledger.letters.store(letter(minute=1), settles=HELD) is True

    assert client.exists(HELD.key) == 0


def test_a_message_that_is_no_longer_ours_makes_no_letter(ledger: Ledger, client: redis.Redis) -> None:
    client.delete(HELD.key)
    ledger.letters.store(letter("old"))

    assert ledger.letters.store(letter("m1"), settles=HELD) is False
    assert ledger.letters.store(letter("old", minute=5), settles=HELD) is False

    assert ledger.letters.page().items == (letter("old"),)
    assert ledger.letters.get("m1") is None


# ------------------------------------------------------------------------------ superseded --


def about(covers: str, hour: int) -> dict[str, Any]:
    return {"covers": covers, "slot": START + dt.timedelta(hours=hour)}


def test_work_done_anew_settles_the_letters_about_it(ledger: Ledger, clock: Clock) -> None:
    ledger.letters.store(letter("late", minute=500, **about("apply/x", 1)))
    ledger.letters.store(letter("early", **about("apply/x", 0)))
    ledger.letters.store(letter("its own", **about("apply/x", 2)))
    ledger.letters.store(letter("other", **about("apply/y", 0)))
    ledger.letters.store(letter("none"))
    clock.pass_(hours=9)

    gone = ledger.letters.supersede("apply/x", before=START + dt.timedelta(hours=2), by="run 7")

    assert sorted(gone) == ["early", "late"]
    assert sorted(ids(ledger)) == ["its own", "none", "other"]
    assert sorted(ids(ledger, state=DeadLetterState.SUPERSEDED)) == ["early", "late"]
    kept = ledger.letters.get("early")
    assert kept is not None
    assert kept.settled is not None
    assert (kept.body, kept.settled.who, kept.settled.note, kept.settled.at) == (
        b'{"n": 1}',
        "purser",
        "by run 7",
        clock(),
    )
    assert [(e.who, e.action, e.what, e.note, e.facts) for e in ledger.audit.tail()] == [
        ("purser", "dead.supersede", "apply/x", "by run 7", {"count": 2})
    ]


def test_nothing_to_supersede_is_not_audited(ledger: Ledger) -> None:
    ledger.letters.store(letter("m1", **about("apply/x", 5)))

    assert ledger.letters.supersede("apply/x", before=START, by="run 7") == ()
    assert ledger.letters.supersede("unknown", before=START, by="run 7") == ()

    assert ledger.audit.tail() == ()


def test_a_letter_without_a_slot_is_as_old_as_it_was_stored(ledger: Ledger) -> None:
    ledger.letters.store(letter("old", minute=1, covers="scan/x"))
    ledger.letters.store(letter("new", minute=3, covers="scan/x"))

    assert ledger.letters.supersede("scan/x", before=START + dt.timedelta(minutes=3), by="run 7") == ("old",)


def test_what_is_being_replayed_is_not_superseded(ledger: Ledger) -> None:
    ledger.letters.store(letter("m1", **about("apply/x", 0)))
    begun = ledger.letters.begin_replay("m1")
    assert begun is not None

    assert ledger.letters.supersede("apply/x", before=START + dt.timedelta(days=1), by="run 7") == ()
    assert ledger.letters.finish_replay(begun, who="ada", note="fixed") is True


def test_a_superseded_letter_is_not_replayed_and_dies_again_if_its_message_fails_again(ledger: Ledger) -> None:
    ledger.letters.store(letter("m1", **about("apply/x", 0)))
    ledger.letters.supersede("apply/x", before=START + dt.timedelta(days=1), by="run 7")

    assert ledger.letters.begin_replay("m1") is None
    assert ledger.letters.discard(["m1"], who="ada", note="over") == ()
    ledger.letters.store(letter("m1", minute=1, **about("apply/x", 0)))
    assert ids(ledger) == ["m1"]


def test_a_control_that_fails_at_every_slot_leaves_one_dead_letter_that_of_the_latest_slot(ledger: Ledger) -> None:
    ledger.letters.store(letter("other", **about("scan/y", 0)), only_latest=True)
    for hour in (0, 1, 3, 2):
        assert ledger.letters.store(letter(f"s{hour}", **about("scan/x", hour)), only_latest=True) is True

    assert sorted(ids(ledger)) == ["other", "s3"]
    for hour, by in ((0, "s1"), (1, "s3"), (2, "s3")):
        kept = ledger.letters.get(f"s{hour}")
        assert kept is not None
        assert kept.settled is not None
        assert (kept.state, kept.settled.note) == (DeadLetterState.SUPERSEDED, f"a newer letter: {by}")


def test_a_letter_that_an_older_purser_moved_is_not_superseded(ledger: Ledger, client: redis.Redis) -> None:
    """It knew no index by what a letter covers, so it took none off."""
    for name in ("gone", "discarded"):
        ledger.letters.store(letter(name, **about("scan/x", 1)))
    index = key_ending(client, ":letters:dead:covers:scan/x")
    ledger.letters.discard(["discarded"], who="ada", note="over")
    client.delete(key_ending(client, ":letter:gone"))
    client.zadd(index, {"discarded": 1})

    ledger.letters.store(letter("new", **about("scan/x", 2)), only_latest=True)

    assert ids(ledger, state=DeadLetterState.DISCARDED) == ["discarded"]
    assert ledger.letters.supersede("scan/x", before=START + dt.timedelta(days=9), by="run 7") == ("new",)


def test_two_letters_of_one_slot_leave_the_one_stored_last(ledger: Ledger) -> None:
    for name in ("a", "b"):
        ledger.letters.store(letter(name, **about("scan/x", 1)), only_latest=True)

    assert ids(ledger) == ["b"]


def test_only_the_latest_is_asked_for_and_only_where_something_is_covered(ledger: Ledger) -> None:
    for n in range(2):
        ledger.letters.store(letter(f"chunk{n}", minute=n, **about("apply/x", 1)))
        ledger.letters.store(letter(f"plain{n}", minute=n), only_latest=True)

    assert ledger.letters.count() == 4


def test_a_letter_of_an_older_purser_reads_and_is_settled_like_any_other(ledger: Ledger, client: redis.Redis) -> None:
    ledger.letters.store(letter("m1"))
    client.hdel(key_ending(client, ":letter:m1"), "covers", "slot")

    kept = ledger.letters.get("m1")
    assert kept is not None
    assert (kept.covers, kept.slot) == ("", None)
    begun = ledger.letters.begin_replay("m1")
    assert begun is not None
    ledger.letters.store(letter("m1", minute=1, **about("scan/x", 1)), only_latest=True)
    assert ledger.letters.supersede("scan/x", before=START + dt.timedelta(days=1), by="run 7") == ("m1",)


def test_finishing_a_replay_twice_is_finishing_it_once(ledger: Ledger) -> None:
    ledger.letters.store(letter())
    begun = ledger.letters.begin_replay("m1")
    assert begun is not None

    assert [ledger.letters.finish_replay(begun, who="ada", note="fixed") for _ in range(2)] == [True, True]

    assert ids(ledger, state=DeadLetterState.REPLAYED) == ["m1"]


@pytest.mark.parametrize("round_", range(10))
def test_of_many_that_replay_together_one_gets_the_letter(redis_url: str, round_: int) -> None:
    start = threading.Barrier(8)
    with redis.Redis.from_url(redis_url) as one:
        Ledger(one).letters.store(letter())

    def ask(_: int) -> DeadLetter | None:
        ledger = Ledger.connect(redis_url)
        try:
            start.wait(timeout=10)
            return ledger.letters.begin_replay("m1")
        finally:
            ledger.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))

    assert len([answer for answer in answers if answer]) == 1


def test_a_damaged_letter_is_named(ledger: Ledger, client: redis.Redis) -> None:
    ledger.letters.store(letter())
    key = key_ending(client, ":letter:m1")
    client.hset(key, "attempts", "[oops")

    with pytest.raises(Permanent, match=":letter:m1"):
        ledger.letters.get("m1")
    (why,) = ledger.letters.page().unreadable
    assert ":letter:m1" in why
    assert list(ledger.unreadable()) == [key]


def test_a_key_that_something_else_took_is_named(ledger: Ledger, client: redis.Redis) -> None:
    ledger.letters.store(letter())
    key = key_ending(client, ":letter:m1")
    client.delete(key)
    client.set(key, b"mine")

    assert ledger.letters.store(letter()), "it is kept under another id"
    with pytest.raises(Permanent, match=":letter:m1"):
        ledger.letters.get("m1")
    (kept,) = ledger.letters.page().items
    assert (kept.id[:3], kept.body) == ("m1~", letter().body)
    assert client.get(key) == b"mine"


def test_messages_of_two_tasks_that_share_an_id_and_a_body_are_two_letters(ledger: Ledger) -> None:
    for task in ("purser.accept", "purser.react", "purser.accept"):
        ledger.letters.store(letter(task=task, headers={"id": "m1", "task": task}))
    assert sorted(one.task for one in ledger.letters.page().items) == ["purser.accept", "purser.react"]


def test_a_letter_stored_before_tasks_were_compared_is_still_the_letter_of_its_message(
    ledger: Ledger, client: redis.Redis
) -> None:
    ledger.letters.store(letter(headers={"id": "m1", "task": "purser.accept"}))
    key = key_ending(client, ":letter:m1")
    before: Any = client.hget(key, "digest")
    client.hset(key, "digest", before.partition(b"/")[0])
    ledger.letters.store(letter(headers={"id": "m1", "task": "purser.accept"}))
    assert [one.id for one in ledger.letters.page().items] == ["m1"]


def test_a_moment_without_a_zone_is_turned_away(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="time zone"):
        ledger.letters.store(letter(stored_at=START.replace(tzinfo=None)))


@pytest.mark.parametrize("cursor", ["", "abc", "1.5:m1", "x:m1"])
def test_a_cursor_nobody_gave_is_turned_away(ledger: Ledger, cursor: str) -> None:
    with pytest.raises(ValueError, match="next"):
        ledger.letters.page(after=cursor)


def test_a_replay_begun_by_a_clock_that_was_a_day_ahead_counts_as_dead_again(ledger: Ledger, clock: Clock) -> None:
    ledger.letters.store(letter("m1"))
    ledger.letters.store(letter("m2"))
    clock.pass_(days=1)
    assert ledger.letters.begin_replay("m1")
    assert ledger.letters.begin_replay("m2")
    clock.pass_(days=-1)
    assert ledger.letters.begin_replay("m1")
    ledger.letters.groups()
    found = ledger.letters.get("m2")
    assert found is not None
    assert found.state is DeadLetterState.DEAD
