"""What a dead letter carries is mended by people: each edit is kept, can be undone, and may need two of them."""

import datetime as dt

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store import ABSENT, DeadLetterFilter, DeadLetterState, Ledger, PatchOperation
from tests.contract.store.making import Clock, delayed, envelope, fresh, key_ending, letter

BEFORE, AFTER, LATER = b'[[], {"n": 1}]', b'[[], {"n": 2}]', b"no JSON \xff"
ADA = {"who": "ada", "note": "wrong id"}


def test_an_edit_is_kept_with_who_when_why_and_what_was_before(ledger: Ledger, clock: Clock) -> None:
    ledger.letters.store(letter("m1", body=BEFORE))
    clock.pass_(minutes=1)

    edited = ledger.letters.edit("m1", body=AFTER, expects=0, **ADA)

    assert edited is not None
    assert edited == ledger.letters.get("m1")
    (edit,) = edited.edits
    assert (edited.body, edited.original, edited.state) == (AFTER, BEFORE, DeadLetterState.DEAD)
    assert (edit.at, edit.who, edit.note, edit.before, edit.after) == (clock(), "ada", "wrong id", BEFORE, AFTER)
    assert edit.patch == (PatchOperation("/1/n", 1, 2),)
    assert [(e.who, e.action, e.what, e.note, e.facts) for e in ledger.audit.tail()] == [
        ("ada", "dead.edit", "m1", "wrong id", {"edit": 1, "paths": ["/1/n"]})
    ]


def test_who_has_not_seen_the_last_edit_changes_nothing(ledger: Ledger) -> None:
    ledger.letters.store(letter("m1", body=BEFORE))
    ledger.letters.edit("m1", body=AFTER, expects=0, **ADA)

    assert ledger.letters.edit("m1", body=LATER, expects=0, who="bob", note="me too") is None
    assert ledger.letters.edit("m1", body=LATER, expects=2, who="bob", note="me too") is None

    kept = ledger.letters.get("m1")
    assert kept is not None
    assert (kept.body, len(kept.edits), len(ledger.audit.tail())) == (AFTER, 1, 1)


def test_only_the_dead_are_edited(ledger: Ledger) -> None:
    ledger.letters.store(letter("m1"))
    ledger.letters.begin_replay("m1")
    ledger.letters.store(letter("m2"))
    ledger.letters.discard(["m2"], who="ada", note="test data")

    for name in ("m1", "m2", "unknown"):
        assert ledger.letters.edit(name, body=AFTER, expects=0, **ADA) is None
        assert ledger.letters.propose(name, body=AFTER, expects=0, **ADA) is None


@pytest.mark.parametrize("given", [{"who": "", "note": "why"}, {"who": "ada", "note": " "}])
def test_nobody_edits_without_a_name_and_a_reason(ledger: Ledger, given: dict[str, str]) -> None:
    ledger.letters.store(letter("m1"))

    for act in (ledger.letters.edit, ledger.letters.propose):
        with pytest.raises(ValueError, match="say"):
            act("m1", body=AFTER, expects=0, **given)


def test_undoing_an_edit_is_one_more_edit(ledger: Ledger) -> None:
    ledger.letters.store(letter("m1", body=BEFORE))
    assert ledger.letters.revert("m1", expects=0, **ADA) is None
    ledger.letters.edit("m1", body=AFTER, expects=0, **ADA)
    ledger.letters.edit("m1", body=LATER, expects=1, **ADA)

    reverted = ledger.letters.revert("m1", expects=2, who="bob", note="that was right")

    assert reverted is not None
    assert (reverted.body, reverted.original, len(reverted.edits)) == (AFTER, BEFORE, 3)
    assert [one.before for one in reverted.edits] == [BEFORE, AFTER, LATER]
    assert ledger.letters.revert("m1", expects=2, who="bob", note="again") is None


def test_what_an_edit_is_about_is_found_with_what_it_was_about(ledger: Ledger) -> None:
    ledger.letters.store(letter("m1", subjects=("crm.lead/1",)))

    edited = ledger.letters.edit("m1", body=AFTER, expects=0, subjects=("crm.lead/2", "crm.lead/1"), **ADA)

    assert edited is not None
    assert edited.subjects == ("crm.lead/1", "crm.lead/2")
    for subject in edited.subjects:
        assert [one.id for one in ledger.letters.page(DeadLetterFilter(subject=subject)).items] == ["m1"]


def test_an_edited_letter_that_fails_again_keeps_its_edits(ledger: Ledger) -> None:
    ledger.letters.store(letter("m1", body=BEFORE))
    ledger.letters.edit("m1", body=AFTER, expects=0, **ADA)
    begun = ledger.letters.begin_replay("m1")
    assert begun is not None
    assert begun.body == AFTER
    ledger.letters.finish_replay(begun, who="ada", note="")

    ledger.letters.store(letter("m1", minute=5, body=AFTER))

    kept = ledger.letters.get("m1")
    assert kept is not None
    assert (kept.body, kept.original, len(kept.edits)) == (AFTER, BEFORE, 1)


# ------------------------------------------------------------------------ a second person --


def test_a_proposal_waits_until_a_second_person_approves_it(ledger: Ledger, clock: Clock) -> None:
    ledger.letters.store(letter("m1", body=BEFORE))

    proposed = ledger.letters.propose("m1", body=AFTER, expects=0, subjects=("crm.lead/2",), **ADA)

    assert proposed is not None
    assert proposed.proposal is not None
    assert (proposed.body, proposed.edits, proposed.subjects) == (BEFORE, (), ())
    assert (proposed.proposal.who, proposed.proposal.before, proposed.proposal.after) == ("ada", BEFORE, AFTER)
    with pytest.raises(ValueError, match="a second person"):
        ledger.letters.approve("m1", who="Ada ", note="fine")
    approved = ledger.letters.approve("m1", who="bob", note="checked", seen=proposed.proposal)
    assert approved is not None
    (edit,) = approved.edits
    assert (approved.body, approved.proposal, approved.subjects) == (AFTER, None, ("crm.lead/2",))
    assert (edit.who, edit.approved, edit.before, edit.after) == ("ada", "bob", BEFORE, AFTER)
    assert [(e.who, e.action) for e in ledger.audit.tail()] == [("ada", "dead.propose"), ("bob", "dead.approve")]
    assert ledger.letters.approve("m1", who="bob", note="again") is None


def test_one_proposal_waits_at_a_time_and_another_than_was_seen_is_not_approved(ledger: Ledger) -> None:
    ledger.letters.store(letter("m1", body=BEFORE))
    first = ledger.letters.propose("m1", body=AFTER, expects=0, **ADA)
    assert first is not None
    assert ledger.letters.propose("m1", body=LATER, expects=0, **ADA) is None
    assert ledger.letters.withdraw("m1", who="ada", note="") is True
    assert ledger.letters.withdraw("m1", who="ada", note="") is False
    ledger.letters.propose("m1", body=LATER, expects=0, **ADA)

    assert ledger.letters.approve("m1", who="bob", note="checked", seen=first.proposal) is None

    kept = ledger.letters.get("m1")
    assert kept is not None
    assert (kept.body, kept.proposal is not None) == (BEFORE, True)


def test_an_edit_drops_the_proposal_that_waited_and_a_discard_does_not_apply_it(ledger: Ledger) -> None:
    for name in ("m1", "m2"):
        ledger.letters.store(letter(name, body=BEFORE))
        ledger.letters.propose(name, body=LATER, expects=0, **ADA)
    edited = ledger.letters.edit("m1", body=AFTER, expects=0, who="bob", note="better")
    ledger.letters.discard(["m2"], who="ada", note="over")

    assert edited is not None
    assert edited.proposal is None
    for name in ("m1", "m2"):
        assert ledger.letters.approve(name, who="carl", note="checked") is None


# ---------------------------------------------------------------------------------- patches --


@given(before=st.binary(max_size=30), bodies=st.lists(st.binary(max_size=30), max_size=4))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_come_back_through_any_edits(client: redis.Redis, before: bytes, bodies: list[bytes]) -> None:
    ledger = fresh(client)
    ledger.letters.store(letter("m1", body=before))
    for n, body in enumerate(bodies):
        assert ledger.letters.edit("m1", body=body, expects=n, **ADA) is not None

    kept = ledger.letters.get("m1")

    assert kept is not None
    assert (kept.original, [one.after for one in kept.edits]) == (before, bodies)
    assert ledger.letters.page().items == (kept,)


def test_a_patch_names_what_was_added_taken_away_and_changed(ledger: Ledger) -> None:
    ledger.letters.store(letter("m1", body=b'{"a/b": [1, 2], "gone": null, "kind": 1, "same": {"x": []}}'))
    after = b'{"a/b": [1, 3, 4], "new": "x", "kind": true, "same": {"x": []}}'

    edited = ledger.letters.edit("m1", body=after, expects=0, **ADA)

    assert edited is not None
    assert edited.edits[0].patch == (
        PatchOperation("/a~1b/1", 2, 3),
        PatchOperation("/a~1b/2", ABSENT, 4),
        PatchOperation("/gone", None, ABSENT),
        PatchOperation("/kind", 1, True),
        PatchOperation("/new", ABSENT, "x"),
    )


def test_what_is_no_json_has_no_patch_and_is_kept_whole(ledger: Ledger) -> None:
    ledger.letters.store(letter("m1", body=b"[" * 100_000))

    edited = ledger.letters.edit("m1", body=LATER, expects=0, **ADA)

    assert edited is not None
    assert (edited.edits[0].patch, edited.body, len(edited.original)) == ((), LATER, 100_000)


def test_an_edited_letter_is_never_both_delayed_and_dead(ledger: Ledger) -> None:
    ledger.letters.store(letter("m1", body=BEFORE))
    ledger.letters.propose("m1", body=AFTER, expects=0, **ADA)
    ledger.delayed.park(delayed("m1", payload=envelope(BEFORE, {"id": "m1"})))

    assert ledger.letters.edit("m1", body=AFTER, expects=0, **ADA) is None
    assert ledger.letters.approve("m1", who="bob", note="checked") is None

    assert (ledger.letters.count(), ledger.delayed.count()) == (0, 1)


def test_a_release_of_before_reads_an_edited_letter(ledger: Ledger, client: redis.Redis) -> None:
    """It reads fields by name and sends `body`: that is the edited one."""
    ledger.letters.store(letter("m1", body=BEFORE, stored_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC)))
    ledger.letters.edit("m1", body=AFTER, expects=0, **ADA)

    assert client.hget(key_ending(client, ":letter:m1"), "body") == AFTER
