"""People see, filter and act on pages in Flower's menu, and nothing that is shown can act on them."""

import re

import pytest
from playwright.sync_api import Page, expect

from store import DeadLetterFilter, DeadLetterState, Ledger
from tests.browser.conftest import Enter
from tests.browser.seeds import HOSTILE, SECRET

MENU = ("Dead letters", "Refusals", "Cases", "Runs", "Delayed")
ADDRESSES = (
    *("/dead", "/dead/letters", "/dead/letter?id=won-3", "/dead/letter?id=bytes-1", "/dead/letter?id=large-1"),
    *("/dead/plan?id=won-3", "/dead/replays", "/refusals", "/refusals?state=closed"),
    *("/refusal?key=opportunity/42/project", "/cases", "/cases?sort=money", "/runs", "/runs?control=unbilled-work"),
    "/delayed",
)


def overflow(page: Page) -> int:
    """Say by how many pixels a page is wider than its window."""
    wide: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wide


def test_every_page_is_reached_from_the_menu(seeded: Ledger, enter: Enter) -> None:
    page = enter()
    page.goto("/")
    for title in MENU:
        page.get_by_role("navigation").get_by_role("link", name=title, exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
        expect(page.locator('[aria-current="page"]').first).to_have_text(title)


def test_an_empty_ledger_is_said_in_words(ledger: Ledger, enter: Enter) -> None:
    page = enter()
    for path in ("/dead", "/dead/letters", "/dead/replays", "/refusals", "/cases", "/runs", "/delayed"):
        page.goto(path)
        expect(page.locator(".pp-empty").first).to_be_visible()


@pytest.mark.parametrize("width", [390, 768, 1024])
def test_no_page_is_wider_than_the_window(seeded: Ledger, enter: Enter, width: int) -> None:
    page = enter(width=width)
    wide = {}
    for path in ADDRESSES:
        page.goto(path)
        wide[path] = overflow(page)
    assert {path: by for path, by in wide.items() if by > 0} == {}


def test_what_is_shown_never_becomes_more_than_text(seeded: Ledger, enter: Enter) -> None:
    page = enter()
    for path in ADDRESSES:
        page.goto(path)
        assert "owned" not in page.title()
        assert page.locator("main img, main script, main i").count() == 0, path
        assert SECRET not in page.content(), path
    page.goto("/dead/letter?id=won-3")
    expect(page.get_by_label("Payload")).to_contain_text(HOSTILE)
    page.goto("/dead/letter?id=bytes-1")
    expect(page.get_by_label("Payload")).to_have_text("\\x00\\xff\\xfe<b>not a message")


def test_a_filter_is_a_link_that_survives_every_action(seeded: Ledger, enter: Enter) -> None:
    page = enter("otto")
    page.goto("/dead")
    page.get_by_label("Record").fill("crm.lead/7")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Letters", exact=True).click()
    assert "subject=crm.lead%2F7" in page.url
    page.get_by_label("Tick letter won-7").check()
    page.get_by_label("Reason").fill("told twice")
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_role("status")).to_have_text("1 letter discarded: restorable until retention ends.")
    assert "subject=crm.lead%2F7" in page.url
    letter = seeded.letters.get("won-7")
    assert letter is not None
    assert letter.settled is not None
    assert (letter.state, letter.settled.who, letter.settled.note) == (
        DeadLetterState.DISCARDED,
        "otto",
        "told twice",
    )


def test_what_was_discarded_is_restored(seeded: Ledger, enter: Enter) -> None:
    seeded.letters.discard(["won-7"], who="otto", note="told twice")
    page = enter("otto")
    page.goto("/dead/letters?state=discarded")
    page.get_by_role("link", name="ValueError").click()
    page.get_by_label("Reason").fill("not so")
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_role("status")).to_contain_text("1 letter dead again.")
    assert seeded.letters.count(DeadLetterFilter(subject="crm.lead/7")) == 1


def test_all_that_match_are_discarded_and_no_others(seeded: Ledger, enter: Enter) -> None:
    page = enter("otto")
    page.goto("/dead/letters?task=purser.apply&error=Transient")
    page.get_by_label(re.compile("All that match")).check()
    page.get_by_label("Reason").fill("old")
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_role("status")).to_contain_text("7 letters discarded")
    assert seeded.letters.count(DeadLetterFilter(task="purser.apply", error="Transient")) == 0
    assert seeded.letters.count(DeadLetterFilter(task="purser.accept")) == 40


def test_a_delayed_message_is_cancelled_and_another_sent_now(seeded: Ledger, enter: Enter) -> None:
    page = enter("otto")
    page.goto("/delayed?queue=apply")
    page.get_by_label("Tick unbilled-work, chunk 3").check()
    page.get_by_label("Reason").fill("not wanted")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status")).to_have_text("1 message cancelled: kept as discarded letters.")
    assert "queue=apply" in page.url
    assert seeded.delayed.get("wait-3") is None
    page.get_by_label("Tick unbilled-work, chunk 5").check()
    page.get_by_label("Reason").fill("Odoo is back")
    page.get_by_role("button", name="Try now").click()
    expect(page.get_by_role("status")).to_have_text("1 message due now.")


def test_a_refusal_is_closed_with_what_was_decided(seeded: Ledger, enter: Enter) -> None:
    page = enter("otto")
    page.goto("/refusals")
    expect(page.locator("tbody")).to_contain_text("5,880.00 EUR")
    page.get_by_role("link", name="S00007 Northwind audit").click()
    page.get_by_label("What was mended or decided").fill("given the right")
    page.get_by_role("button", name="Close the refusal").click()
    expect(page.get_by_role("status")).to_have_text("Closed.")
    assert seeded.refusals.count() == 1


def test_a_viewer_sees_everything_and_is_offered_nothing(seeded: Ledger, enter: Enter) -> None:
    page = enter("vera")
    for path in ADDRESSES:
        page.goto(path)
        assert page.locator('main form[method="post"]').count() == 0, path


def test_a_reason_is_asked_for_before_anything_is_done(seeded: Ledger, enter: Enter) -> None:
    page = enter("otto")
    page.goto("/dead/letters")
    page.get_by_label("Tick letter won-1", exact=True).check()
    page.get_by_role("button", name="Discard").click()
    assert page.get_by_label("Reason").evaluate("one => one.validity.valueMissing")
    assert seeded.letters.count() == 49


def test_a_wrong_filter_is_explained(seeded: Ledger, enter: Enter) -> None:
    page = enter()
    page.goto("/dead?since=yesterday")
    expect(page.get_by_role("heading", level=1)).to_have_text("That does not work")
    expect(page.locator("main")).to_contain_text("'yesterday' is no moment: write 30m, 24h, 7d")


# ------------------------------------------------------------------------------- for everybody --


UNLABELLED = """() => [...document.querySelectorAll(
    'main input, main select, main textarea, main button, main progress')]
  .filter(one => one.type !== 'hidden')
  .filter(one => !(one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim()))
  .map(one => one.outerHTML)"""
"""Every control without a name."""
TWICE = """() => [...document.querySelectorAll('[id]')].map(one => one.id)
  .filter((id, n, all) => all.indexOf(id) !== n)"""


def test_every_control_has_a_name_and_every_page_its_landmarks(seeded: Ledger, enter: Enter) -> None:
    page = enter()
    for path in ADDRESSES:
        page.goto(path)
        assert page.evaluate(UNLABELLED) == [], path
        assert page.evaluate(TWICE) == [], path
        assert page.locator("h1").count() == 1, path
        assert page.get_by_role("main").count() == page.get_by_role("navigation", name="Primary").count() == 1
        assert page.locator("table:not([role=table]), main th:not([scope])").count() == 0, path
        assert page.locator("html[lang]").count() == 1


def tab_to(page: Page, wanted: str, *, most: int = 80) -> None:
    """Press Tab until what has the focus answers to a name; every stop on the way is visible."""
    for _ in range(most):
        page.keyboard.press("Tab")
        told = page.evaluate(
            """() => { const one = document.activeElement;
            const box = one.getBoundingClientRect(), style = getComputedStyle(one);
            const name = one.getAttribute('aria-label') || one.labels?.[0]?.textContent || one.textContent || '';
            return {name: name.trim(), seen: box.width > 0 && box.height > 0,
                    ring: style.outlineStyle !== 'none' || style.boxShadow !== 'none'} }"""
        )
        assert told["seen"], told
        assert told["ring"], f"{told['name']!r} has the focus and does not show it"
        if told["name"].startswith(wanted):
            return
    raise AssertionError(f"no Tab leads to {wanted!r}")


def test_a_letter_is_found_and_discarded_by_keyboard_alone(seeded: Ledger, enter: Enter) -> None:
    page = enter("otto")
    page.goto("/dead/letters?subject=crm.lead%2F7")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to main content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main-content"
    tab_to(page, "Tick letter won-7")
    page.keyboard.press("Space")
    tab_to(page, "Reason")
    page.keyboard.type("told twice")
    tab_to(page, "Discard")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("1 letter discarded")


CONTRAST = """() => {
  const light = text => { const c = text.match(/[\\d.]+/g).map(Number);
    return [c[3] ?? 1, c.slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
      .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0)] };
  const behind = one => { for (; one; one = one.parentElement) {
    const [alpha, bright] = light(getComputedStyle(one).backgroundColor); if (alpha > 0.9) return bright } return 1 };
  return [...document.querySelectorAll('main *')].filter(one => one.offsetParent &&
      [...one.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
    .map(one => { const [, front] = light(getComputedStyle(one).color), back = behind(one);
      return [(Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05), one] })
    .filter(([ratio]) => ratio < 4.5).map(([ratio, one]) => `${ratio.toFixed(2)} ${one.outerHTML.slice(0, 120)}`) }"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_stands_out_from_its_background(seeded: Ledger, enter: Enter, dark: bool) -> None:
    page = enter(dark=dark)
    for path in ADDRESSES:
        page.goto(path)
        assert page.locator("html").get_attribute("data-bs-theme") == ("dark" if dark else "light")
        assert page.evaluate(CONTRAST) == [], path
