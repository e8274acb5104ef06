"""A dead letter is planned, tried, replayed, edited and held by people in a browser, and a worker does the work."""

import json
import re

import pytest
from playwright.sync_api import Page, expect

from devtools.demo.sample_company import SampleCompany
from devtools.fake_odoo import FakeOdoo
from purser.changes import PostNote, dump_changes
from purser.findings import Ref
from store import DeadLetterFilter, DeadLetterState, Ledger, RefusalRecord, ReplayState
from tests.browser.conftest import Enter
from tests.browser.seeds import SECRET, event, letter
from tests.e2e.running import RunningFleet
from tests.waiting import wait_until

MINUTE = 60_000


def won(ledger: Ledger, name: str, lead: object, *, error: str = "Transient", message: str = "Odoo is away") -> None:
    """Put a dead letter of a won opportunity into the ledger."""
    told = json.loads(event(1))
    told[1]["event"] |= {"id": name, "subject": f"crm.lead/{lead}", "data": {"opportunity_id": lead}}
    told[1] = {"automation": "open-project", "event": told[1]["event"]}
    given = {"task": "purser.react", "queue": "events", "body": json.dumps(told).encode()}
    ledger.letters.store(
        letter(name, ledger.now(), **given, error=error, message=message, subjects=(f"crm.lead/{lead}",))
    )


def begin(page: Page, note: str, rate: str = "20") -> None:
    """Begin the replay that a plan page offers."""
    page.get_by_label("Reason").fill(note)
    page.get_by_label("Letters a second").fill(rate)
    page.get_by_role("button", name=re.compile("^Replay ")).click()


def test_a_plan_shows_what_would_change_field_by_field(ledger: Ledger, firm: SampleCompany, enter: Enter) -> None:
    won(ledger, "w-plan", firm.leads[1])
    ledger.letters.store(letter("bytes-2", ledger.now(), task="", body=b"\xff", reason="unreadable"))
    page = enter("vera")
    page.goto("/dead/plan?all=1")
    expect(page.get_by_role("heading", level=1)).to_have_text("What a replay would do", timeout=MINUTE)
    cards = page.get_by_role("list", name="What would become of the letters")
    expect(cards.get_by_role("link", name="Apply 1")).to_be_visible()
    expect(cards.get_by_role("link", name="Unreadable 1")).to_be_visible()
    expect(page.locator("article").filter(has_text="purser.react")).to_contain_text("project.project")
    expect(page.locator("article").filter(has_text="purser.react")).to_contain_text("name: Timetable study")
    cards.get_by_role("link", name="Unreadable 1").click()
    expect(page.locator("article")).to_have_count(1)
    assert page.get_by_role("button", name=re.compile("^Replay ")).count() == 0
    page.goto("/dead/plan?id=bytes-2")
    expect(page.get_by_role("heading", name="There is nothing to replay")).to_be_visible(timeout=MINUTE)
    expect(page.locator("section").filter(has=page.locator("#begin"))).to_contain_text(
        "No worker can read this letter"
    )
    assert (ledger.letters.count(), ledger.replays.page().items) == (2, ())


def test_a_group_is_planned_tried_and_replayed(
    ledger: Ledger, firm: SampleCompany, twin: FakeOdoo, fleet: RunningFleet, enter: Enter
) -> None:
    for n in range(25):
        won(ledger, f"w-{n}", firm.leads[0])
    won(ledger, "other", 1, error="KeyError", message="'x'")
    fleet.worker()
    page = enter("otto")
    page.goto("/dead")
    page.get_by_role("row").filter(has_text="Transient").get_by_role("link", name="Plan replay").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What a replay would do", timeout=MINUTE)
    begin(page, "Odoo is back")
    expect(page.get_by_role("status").first).to_have_text("The replay of 25 letters has begun.")
    expect(page.locator("[data-state]")).to_have_text("done", timeout=MINUTE)
    expect(page.locator('[data-told="done"]')).to_have_text("25")
    (replay,) = ledger.replays.page().items
    assert (replay.who, replay.note, replay.total, replay.careful) == ("otto", "Odoo is back", 25, True)
    assert ledger.letters.count(DeadLetterFilter(state=DeadLetterState.REPLAYED)) == 25
    assert ledger.letters.count() == 1
    assert len(twin.rows("project.project", [["name", "=", "Plant controlling"]])) == 1


def test_a_canary_that_fails_again_stops_the_replay(
    ledger: Ledger, firm: SampleCompany, fleet: RunningFleet, enter: Enter
) -> None:
    for n in range(8):
        won(ledger, f"bad-{n}", "seven", error="Permanent", message="event: opportunity_id")
    won(ledger, "good", firm.leads[0])  # a replay of letters that are all unreadable is not offered
    fleet.worker()
    page = enter("otto")
    page.goto("/dead/plan?all=1&task=purser.react")
    expect(page.get_by_role("heading", level=1)).to_have_text("What a replay would do", timeout=MINUTE)
    begin(page, "perhaps")
    expect(page.locator("[data-state]")).to_have_text("stopped", timeout=MINUTE)
    expect(page.locator('[data-told="failed"]')).to_have_text("1")
    expect(page.locator("#failed + .pp-card tbody tr")).to_have_count(1)
    assert ledger.letters.count() == 9
    page.get_by_label("Reason").fill("not mended")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("[data-state]")).to_have_text("cancelled")


def test_a_replay_is_paused_resumed_and_cancelled(ledger: Ledger, firm: SampleCompany, enter: Enter) -> None:
    for n in range(3):
        won(ledger, f"w-{n}", firm.leads[0])
    page = enter("otto")
    page.goto("/dead/plan?all=1&since=1d")
    expect(page.get_by_role("heading", level=1)).to_have_text("What a replay would do", timeout=MINUTE)
    begin(page, "Odoo is back")
    for act, said, state in (
        ("Pause", "Paused.", ReplayState.PAUSED),
        ("Resume", "It goes on.", ReplayState.RUNNING),
        ("Cancel", "Cancelled: what was not sent stays dead.", ReplayState.CANCELLED),
    ):
        page.get_by_label("Reason").fill("lunch")
        page.get_by_role("button", name=act).click()
        expect(page.get_by_role("status").first).to_have_text(said)
        expect(page.locator("[data-state]")).to_have_text(state)
    assert ledger.letters.count() == 3
    assert [(one.who, one.action) for one in ledger.audit.tail(4)] == [
        *(("otto", f"replay.{act}") for act in ("start", "pause", "resume", "cancel")),
    ]


def test_a_payload_is_mended_checked_and_replayed_and_its_secret_stays(
    ledger: Ledger, firm: SampleCompany, enter: Enter
) -> None:
    won(ledger, "bad-1", "seven")
    broken = ledger.letters.get("bad-1")
    assert broken is not None
    told = json.loads(broken.body)
    told[1]["event"]["traceparent"] = "x"
    page = enter("anna")
    page.goto("/dead/letter?id=bad-1")
    page.get_by_role("link", name="Edit the payload").click()
    editor = page.get_by_label("Values, as JSON")
    text = editor.input_value()
    editor.fill(text.replace('"opportunity_id": "seven"', '"opportunity_id": '))
    expect(page.locator("[data-json-state]")).to_contain_text("It is no JSON")
    editor.fill(text.replace('"opportunity_id": "seven"', '"opportunity_id": -4'))
    page.get_by_role("button", name="See what changes").click()
    expect(page.get_by_role("alert")).to_contain_text("opportunity_id")
    assert ledger.letters.get("bad-1") == broken
    page.get_by_label("Values, as JSON").fill(text.replace('"seven"', str(firm.leads[0])))
    page.get_by_role("button", name="See what changes").click()
    expect(page.locator("#changes + .pp-card tbody")).to_contain_text("/1/event/data/opportunity_id")
    page.get_by_label("Reason").fill("the sender wrote a word")
    page.get_by_role("button", name="Keep the edit").click()
    expect(page.get_by_role("status").first).to_have_text("Edited. So a replay would go now.", timeout=MINUTE)
    mended = ledger.letters.get("bad-1")
    assert mended is not None
    (edit,) = mended.edits
    assert (edit.who, edit.note) == ("anna", "the sender wrote a word")
    page.goto("/dead/letter?id=bad-1")
    page.locator("section", has=page.locator("#edits")).get_by_label("Reason").fill("no")
    page.get_by_role("button", name="Undo the last edit").click()
    expect(page.get_by_role("status").first).to_contain_text("Edited.", timeout=MINUTE)
    back = ledger.letters.get("bad-1")
    assert back is not None
    assert back.body == broken.body


def test_an_operator_is_offered_no_edit(ledger: Ledger, enter: Enter) -> None:
    won(ledger, "bad-1", "seven")
    page = enter("otto")
    page.goto("/dead/letter?id=bad-1")
    assert page.get_by_role("link", name="Edit the payload").count() == 0
    page.goto("/dead/edit?id=bad-1")
    expect(page.locator("main")).to_contain_text("otto is an operator: editing takes an editor")


def test_two_people_who_edit_at_once_do_not_overwrite_each_other(
    ledger: Ledger, firm: SampleCompany, enter: Enter
) -> None:
    won(ledger, "bad-1", "seven")
    first, second = enter("anna"), enter("emil")
    for page in (first, second):
        page.goto("/dead/edit?id=bad-1")
        editor = page.get_by_label("Values, as JSON")
        editor.fill(editor.input_value().replace('"seven"', str(firm.leads[0])))
        page.get_by_label("Reason").fill("mended")
    first.get_by_role("button", name="Keep the edit").click()
    expect(first.get_by_role("status").first).to_have_text("Edited. So a replay would go now.", timeout=MINUTE)
    second.get_by_role("button", name="Keep the edit").click()
    expect(second.get_by_role("alert")).to_be_visible()
    mended = ledger.letters.get("bad-1")
    assert mended is not None
    assert [edit.who for edit in mended.edits] == ["anna"]


def test_a_proposed_edit_counts_once_a_second_person_approves_it(
    ledger: Ledger, firm: SampleCompany, enter: Enter
) -> None:
    won(ledger, "bad-1", "seven")
    was = ledger.letters.get("bad-1")
    assert was is not None
    body = was.body.replace(b'"seven"', str(firm.leads[0]).encode())
    assert ledger.letters.propose("bad-1", body=body, expects=0, who="anna", note="much money")
    first, second = enter("anna"), enter("emil")
    for page in (first, second):
        page.goto("/dead/letter?id=bad-1")
        expect(page.locator(".pp-warn")).to_contain_text("An edit waits for a second person")
        expect(page.locator(".pp-warn tbody")).to_contain_text("/1/event/data/opportunity_id")
    assert first.get_by_role("button", name="Approve").count() == 0
    second.locator(".pp-warn").get_by_label("Reason").fill("as agreed")
    second.get_by_role("button", name="Approve").click()
    expect(second.get_by_role("status").first).to_contain_text("Edited.", timeout=MINUTE)
    mended = ledger.letters.get("bad-1")
    assert mended is not None
    assert [(edit.who, edit.approved) for edit in mended.edits] == [("anna", "emil")]
    first.locator(".pp-warn").get_by_label("Reason").fill("not any more")
    first.get_by_role("button", name="Withdraw").click()
    expect(first.locator("main")).to_contain_text("another edit waits here by now, or none")


def test_a_refusal_is_tried_again_after_its_cause_is_mended(
    ledger: Ledger, firm: SampleCompany, twin: FakeOdoo, enter: Enter
) -> None:
    note = PostNote(on=Ref("crm.lead", firm.leads[1]), key=f"opportunity/{firm.leads[1]}/told", body="as agreed")
    now = ledger.now()
    ledger.refusals.add(
        RefusalRecord(
            id=note.key,
            task="automation open-project",
            what=note.key,
            why="You are not allowed to create 'Message' records.",
            change=dump_changes([note])[0],
            first_at=now,
            last_at=now,
        )
    )
    page = enter("otto")
    page.goto("/refusals")
    page.get_by_role("link", name=note.key).click()
    page.get_by_label("What was mended or decided").fill("given the right")
    page.get_by_role("button", name="Try it again").click()
    expect(page.get_by_role("status")).to_contain_text("Tried again: done", timeout=MINUTE)
    assert ledger.refusals.count() == 0
    told = twin.rows("mail.message", [["res_id", "=", firm.leads[1]], ["model", "=", "crm.lead"]], ["body"])
    assert sum("as agreed" in str(one["body"]) for one in told) == 1


def test_an_export_is_complete_and_audited(seeded: Ledger, enter: Enter) -> None:
    page = enter("anna")
    page.goto("/dead/letters?subject=crm.lead%2F7")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Export as JSON Lines").click()
    (line,) = waiting.value.path().read_text().splitlines()
    assert json.loads(line)["id"] == "won-7"
    assert seeded.audit.tail(1)[0].action == "dead.export"
    assert seeded.audit.tail(1)[0].who == "anna"
    assert SECRET not in page.content()


@pytest.mark.slow
def test_a_new_failure_is_seen_while_a_replay_goes_on(
    ledger: Ledger, fleet: RunningFleet, firm: SampleCompany, enter: Enter
) -> None:
    won(ledger, "good-1", firm.leads[0])
    page = enter("otto")
    page.goto("/dead/plan?id=good-1")
    expect(page.get_by_role("heading", level=1)).to_have_text("What a replay would do", timeout=MINUTE)
    begin(page, "Odoo is back")
    expect(page.locator('[data-told="why"]')).to_have_text("waits for a worker")
    fleet.worker()
    expect(page.locator("[data-state]")).to_have_text("done", timeout=MINUTE)
    wait_until(lambda: ledger.letters.count() == 0, within=10, what="the letter to be gone")
