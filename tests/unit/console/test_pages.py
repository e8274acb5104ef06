"""What the pages take from Flower is there, and what they show is short, exact and only text."""

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path

import pytest
from flower.urls import settings as flower

from config.observability.redaction import Redactor
from console.pages import menu
from console.pages.presentation import formatting, payloads, runbook_links
from purser.errors import Permanent
from purser.findings import Money
from store import DeadLetter

NOW = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
TEMPLATES = Path(flower["template_path"])


# ------------------------------------------------------------------ what Flower must have --


def test_the_installed_flower_has_the_menu_that_ours_goes_into() -> None:
    navbar = (TEMPLATES / "navbar.html").read_text()
    ours = menu.with_our_entries(navbar)
    assert [ours.count(f'href="{one.path}"') for one in menu.ENTRIES] == [1] * len(menu.ENTRIES)
    first, second = ours.index("reverse_url('broker')"), ours.index(menu.ENTRIES[0].path)
    assert first < second < ours.index("</ul>") < ours.index("app-nav-secondary")


def test_another_menu_is_noticed_at_once() -> None:
    with pytest.raises(Permanent, match=r"Install flower==2\.2"):
        menu.with_our_entries("<nav><ul></ul></nav>")


@pytest.mark.parametrize("name", ["navbar.html", "base.html", "workers.html", "task.html", "404.html", "error.html"])
def test_flowers_own_pages_still_load(name: str) -> None:
    assert menu.TemplateOverlay().load(name).name == name


@pytest.mark.parametrize(
    "path", sorted((menu.HERE / "templates" / "purser").glob("*.html")), ids=lambda one: one.name
)
def test_every_template_of_ours_loads(path: Path) -> None:
    assert menu.TemplateOverlay().load(f"purser/{path.name}").name == f"purser/{path.name}"


def test_what_our_pages_fetch_is_shipped_by_flower_or_by_us() -> None:
    page = (menu.HERE / "templates" / "purser" / "page.html").read_text()
    for name in (
        "js/theme.js",
        "css/bootstrap.min.css",
        "css/flower.css",
        "js/bootstrap.bundle.min.js",
        "favicon.ico",
    ):
        assert f"static_url('{name}')" in page
        assert (Path(flower["static_path"]) / name).is_file()
    assert (menu.STATIC / "purser.css").is_file()
    assert (menu.STATIC / "purser.js").is_file()
    variables = (Path(flower["static_path"]) / "css" / "flower.css").read_text()
    ours = (menu.STATIC / "purser.css").read_text()
    for name in {part.partition(")")[0] for part in ours.split("var(")[1:] if part.startswith("--flower")}:
        assert f"{name}:" in variables, name


# ---------------------------------------------------------------------------------- words --


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        *((0, "now"), (5, "5 s ago"), (65, "1 min 5 s ago"), (600, "10 min ago"), (3600, "1 h ago")),
        *((5400, "1 h 30 min ago"), (129600, "1 d 12 h ago"), (777600, "9 d ago"), (-90, "in 1 min 30 s")),
    ],
)
def test_a_moment_is_told_by_its_distance(seconds: float, said: str) -> None:
    assert formatting.format_relative(NOW - dt.timedelta(seconds=seconds), NOW) == said


def test_amounts_are_summed_by_currency_and_never_across() -> None:
    amounts = [Money(Decimal("1200.5"), "EUR"), Money(Decimal(7), "USD"), Money(Decimal("0.5"), "EUR")]
    assert formatting.monies(amounts) == "1,201.00 EUR<br>7.00 USD"
    assert formatting.monies([]) == formatting.NONE


def test_a_currency_is_only_text() -> None:
    assert "<" not in formatting.money(Money(Decimal(1), "<b>"))


def test_text_that_is_none_is_shown_as_escapes() -> None:
    assert formatting.plain("a\x00b\x1b[31m\udcff") == "a\\x00b\\x1b[31m\\udcff"


def test_a_link_leaves_out_what_is_empty_and_escapes_the_rest() -> None:
    assert formatting.link("/dead", task="a&b=c", queue="", after=None) == "/dead?task=a%26b%3Dc"


# ------------------------------------------------------------------------------- payloads --

CLEAN = Redactor.of(["hunter2"])


def body(kwargs: object) -> bytes:
    return json.dumps([[], kwargs, {"callbacks": None}]).encode()


def test_a_payload_is_shown_without_its_secrets() -> None:
    told = payloads.payload_view(body({"api_key": "abc", "x": "is hunter2", "n": 1}), CLEAN)
    assert json.loads(told.text) == {"api_key": "<secret>", "x": "is <secret>", "n": 1}
    assert told.is_json


@pytest.mark.parametrize("raw", [b"\x00\xff\xfe", b"{", b"[" * 100_000, b"", b"password=hunter2 \xff"])
def test_bytes_that_are_no_json_are_shown_as_they_are(raw: bytes) -> None:
    told = payloads.payload_view(raw, CLEAN)
    assert not told.is_json
    assert told.size == len(raw)
    assert told.text.isprintable()
    assert "hunter2" not in told.text


def test_a_large_payload_is_cut_and_says_so() -> None:
    told = payloads.payload_view(body({"x": "y" * 1_000_000}), CLEAN)
    assert (told.is_cut, len(told.text), told.size > 1_000_000) == (True, payloads.MAX_CHARACTERS, True)


@pytest.mark.parametrize("told", [None, [], "x", {"event": 1}, {"event": None}, [[], {"event": []}, {}]])
def test_a_payload_without_an_event_has_none(told: object) -> None:
    assert payloads.event_of(letter(body=json.dumps(told).encode())) is None


def test_every_letter_gets_advice() -> None:
    assert "new key" in runbook_links.runbook_advice(letter(error="Misconfigured")).do
    assert runbook_links.runbook_advice(letter(reason="unreadable", error="NoMessage")).do.startswith("Find out")
    assert runbook_links.runbook_advice(letter(error="KeyError")).meaning == "A fault in code or data."
    for error in ("ConfigurationError", "Mistake"):
        assert "developer" not in runbook_links.runbook_advice(letter(error=error)).do


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"type": "opportunity.wom.v1"}, "Did you mean `opportunity.won.v1`"),
        ({"data": {"opportunity": 1}}, "data does not fit: opportunity_id: Field required"),
        ({"time": "yesterday"}, "time: "),
    ],
)
@pytest.mark.parametrize("by_place", [True, False])
def test_a_mistyped_event_is_for_its_sender_and_says_what_is_wrong(
    changed: dict[str, object], says: str, by_place: bool
) -> None:
    event = {"specversion": "1.0", "id": "e", "source": "/crm", "type": "opportunity.won.v1", **changed}
    event.setdefault("data", {"opportunity_id": 1})
    raw = json.dumps([[event], {}, {}] if by_place else [[], {"event": event}, {}]).encode()

    told = runbook_links.runbook_advice(letter(body=raw, error="Permanent", task="purser.accept"))

    assert says in told.meaning
    assert told.do.startswith("Whoever sends it must correct it")
    assert "developer" not in told.do


def letter(*, body: bytes = b"[]", reason: str = "failed", error: str = "", task: str = "t") -> DeadLetter:
    return DeadLetter(
        id="a",
        queue="q",
        task=task,
        body=body,
        reason=reason,
        error=error,
        fingerprint="f",
        first_at=NOW,
        stored_at=NOW,
    )


def test_no_secret_is_cut_before_it_is_known_as_one() -> None:
    for n in range(payloads.MAX_CHARACTERS - 40, payloads.MAX_CHARACTERS + 10, 5):
        assert "hunte" not in payloads.payload_view(body({"x": "y" * n + " hunter2 " + "z" * 5000}), CLEAN).text
        assert "hunte" not in payloads.payload_view(b"y" * n + b" hunter2 \xff" + b"z" * 5000, CLEAN).text


def test_a_payload_of_many_values_is_cut_too() -> None:
    told = payloads.payload_view(body({"x": [{"n": n, "name": "y"} for n in range(200_000)]}), CLEAN)
    assert (told.is_cut, len(told.text)) == (True, payloads.MAX_CHARACTERS)


def test_a_link_to_what_is_no_text_is_still_a_link() -> None:
    assert formatting.link("/dead", correlation="\ud800") == "/dead?correlation=%5Cud800"
    assert formatting.link_many("/dead/plan", {"id": ["a", "\udcff"]}) == "/dead/plan?id=a&id=%5Cudcff"
