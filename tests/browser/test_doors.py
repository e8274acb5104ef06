"""No address answers without a login, nobody does more than their role, and no other site acts in their name."""

import hashlib
import itertools
import re
import socket
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from flower.urls import handlers as flowers

from console.pages.base_handler import BasePageHandler
from console.pages.routes import routes
from store import Ledger
from tests.browser.stage import Flower, flower

OURS: list[Any] = routes(None, None)  # type: ignore[arg-type]


def addresses() -> list[str]:
    """Return an address for every route of ours and of Flower's, and one that nobody has."""
    patterns = [one.regex.pattern for one in OURS]
    patterns += [one.regex.pattern if hasattr(one, "regex") else one[0] for one in flowers]
    return [*(re.sub(r"\(\.[+*]\)|/\?|\$$", "x", one).rstrip("$") for one in patterns if one != ".*"), "/nowhere"]


def is_not_served(path: str) -> bool:
    """Return whether an address of Flower's is left out: it would publish any task with any arguments."""
    tasks = ("apply", "async-apply", "send-task", "abort")
    return path.startswith((*(f"/api/task/{one}/" for one in tasks), "/api/worker/queue/add-consumer/"))


def acting() -> list[str]:
    """Return every address of ours that takes a POST."""
    return [
        one.regex.pattern.rstrip("$")
        for one in OURS
        if issubclass(one.handler_class, BasePageHandler) and "post" in vars(one.handler_class)
    ]


@pytest.fixture
def visit(site: Flower) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, timeout=20) as client:
        yield client


def token(visit: httpx.Client, site: Flower, name: str) -> dict[str, str]:
    """Fetch what a form of somebody carries."""
    page = visit.get("/delayed", auth=site.login(name))
    assert page.status_code == 200
    return {"_xsrf": visit.cookies["_xsrf"]}


def test_there_is_something_to_walk() -> None:
    assert len(addresses()) > 40
    assert {"/dead/letters", "/dead/start", "/dead/replay", "/delayed", "/refusal"} <= set(acting())


def test_no_address_answers_without_a_login(visit: httpx.Client, site: Flower) -> None:
    open_ = {}
    for path in addresses():
        for method in ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE"):
            for login in (None, ("anna", "wrong")):
                if login and method not in ("GET", "POST"):
                    continue  # a wrong password is slow on purpose
                if login and path not in ("/dead", "/api/task/revoke/x"):
                    continue
                answer = visit.request(method, path, auth=login)
                if answer.status_code != 401 or answer.headers["www-authenticate"][:5] != "Basic":
                    open_[method, path, login] = answer.status_code
    assert open_ == {}


def test_names_are_known_by_their_own_password_alone(visit: httpx.Client, site: Flower) -> None:
    assert visit.get("/dead", auth=site.login("vera")).status_code == 200
    for login in (("vera", site.login("anna")[1]), ("nobody", ""), ("", ""), ("vera\x00", site.login("vera")[1])):
        assert visit.get("/dead", auth=login).status_code == 401
    for header in ("Basic", "Basic !", "Bearer x", "Basic dmVyYQ==", "basic " + "A" * 5000):
        assert visit.get("/dead", headers={"Authorization": header}).status_code == 401


def test_every_page_of_ours_says_where_its_parts_may_come_from(
    visit: httpx.Client, site: Flower, seeded: Ledger
) -> None:
    for path in (
        "/dead",
        "/dead/letters",
        "/dead/letter?id=won-1",
        "/cases",
        "/runs",
        "/refusals",
        "/dead/letter?id=x",
    ):
        answer = visit.get(path, auth=site.login("vera"))
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"<script(?! src=)|<[^>]*\s(on\w+|style)=|<[^>]*javascript:", answer.text), path
        assert not re.search(r"""(?:src|href)=["'](?:https?:)?//(?!127|flower\.readthedocs|github)""", answer.text), (
            path
        )


def test_a_viewer_changes_nothing_anywhere(visit: httpx.Client, site: Flower, seeded: Ledger) -> None:
    told = {
        **token(visit, site, "vera"),
        "id": "won-1",
        "note": "x",
        "act": "discard",
        "key": "opportunity/42/project",
    }
    for path in addresses():
        answer = visit.post(path, data=told, auth=site.login("vera"))
        assert answer.status_code == (404 if is_not_served(path) else 403), path
    assert (seeded.letters.count(), seeded.refusals.count(), seeded.delayed.count()) == (49, 2, 7)


def test_no_other_site_acts_in_somebodys_name(visit: httpx.Client, site: Flower, seeded: Ledger) -> None:
    told = {**token(visit, site, "anna"), "id": "won-1", "note": "x", "act": "discard"}
    for path in acting():
        for header in ({"Origin": "http://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
            assert visit.post(path, data=told, auth=site.login("anna"), headers=header).status_code == 403, path
    assert seeded.letters.count() == 49


def test_a_form_without_the_token_of_its_page_is_refused(visit: httpx.Client, site: Flower, seeded: Ledger) -> None:
    token(visit, site, "anna")
    for path in acting():
        for told in ({}, {"_xsrf": "made up"}):
            answer = visit.post(path, data={**told, "id": "won-1", "note": "x"}, auth=site.login("anna"))
            assert answer.status_code == 403, path
    assert seeded.letters.count() == 49


def test_who_did_it_is_the_login(visit: httpx.Client, site: Flower, seeded: Ledger) -> None:
    told = {**token(visit, site, "otto"), "id": "won-1", "note": "told twice", "act": "discard", "who": "anna"}
    answer = visit.post("/dead/letters", data=told, auth=site.login("otto"))
    assert (answer.status_code, answer.headers["location"]) == (303, "/dead/letters")
    (entry,) = [one for one in seeded.audit.tail(10) if "discard" in one.action]
    assert (entry.who, entry.note) == ("otto", "told twice")


def test_an_action_leads_back_to_no_other_site(visit: httpx.Client, site: Flower, seeded: Ledger) -> None:
    for back in ("//elsewhere.example/", "https://elsewhere.example/", "/\\elsewhere.example", "javascript:alert(1)"):
        told = {**token(visit, site, "otto"), "id": "won-1", "note": "x", "act": "restore", "back": back}
        answer = visit.post("/dead/letters", data=told, auth=site.login("otto"))
        assert (answer.status_code, answer.headers["location"]) == (303, "/dead/letters"), back
        assert "elsewhere" not in visit.get(
            "/dead/letter", params={"id": "won-1", "back": back}, auth=site.login("otto")
        ).text.replace(back, "")


def test_what_cannot_be_read_is_said_without_a_traceback(visit: httpx.Client, site: Flower, seeded: Ledger) -> None:
    for path in (
        "/dead?subject=x",
        "/dead/letters?after=x",
        "/dead/letter?id=x",
        "/cases?owner=x",
        "/runs?control=x",
    ):
        answer = visit.get(path, auth=site.login("vera"))
        assert answer.status_code in (400, 500), path
        assert "Traceback" not in answer.text
        assert "<h1>" in answer.text


# ------------------------------------------------------------------------- a ledger that is away --


@pytest.fixture
def mute() -> Iterator[int]:
    """Yield a port that takes connections and never says a word."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        yield silent.getsockname()[1]


def test_a_ledger_that_is_away_is_a_page_that_says_what_to_do(environ: dict[str, str], tmp_path: Path) -> None:
    away = {**environ, "PURSER_LEDGER_URL": "redis://:hunter2@127.0.0.1:1/0"}
    with flower(away, tmp_path) as site:
        for path in ("/dead", "/dead/letters", "/cases", "/runs", "/refusals", "/delayed", "/dead/replays"):
            answer = httpx.get(site.url + path, auth=site.login("vera"), timeout=30)
            assert answer.status_code == 503, path
            assert "The ledger does not answer" in answer.text
            assert "purser doctor" in answer.text
            assert "hunter2" not in answer.text
        assert httpx.get(f"{site.url}/workers", auth=site.login("vera"), timeout=30).status_code == 200


def test_a_ledger_that_is_slow_freezes_no_other_page(environ: dict[str, str], mute: int, tmp_path: Path) -> None:
    slow = {**environ, "PURSER_LEDGER_URL": f"redis://127.0.0.1:{mute}/0"}
    with flower(slow, tmp_path) as site, ThreadPoolExecutor(2) as pool:
        login = site.login("vera")
        assert httpx.get(f"{site.url}/static/css/flower.css", auth=login, timeout=30).status_code == 200
        waiting = [
            pool.submit(httpx.get, f"{site.url}{path}", auth=login, timeout=60) for path in ("/dead", "/cases")
        ]
        for _ in range(5):
            assert httpx.get(f"{site.url}/static/css/flower.css", auth=login, timeout=30).status_code == 200
        assert not any(one.done() for one in waiting)
        assert [one.result().status_code for one in waiting] == [503, 503]


def test_nobody_sends_a_task_through_flower(visit: httpx.Client, site: Flower) -> None:
    paths = [path for path in addresses() if is_not_served(path)]
    assert len(paths) == 5
    for name in ("vera", "otto", "anna"):
        for path in paths:
            answer = visit.post(path, json={"kwargs": {"control": "x"}}, auth=site.login(name))
            assert answer.status_code == 404, (name, path)


def test_every_answer_says_what_a_browser_may_do_with_it(visit: httpx.Client, site: Flower) -> None:
    for path in (*addresses(), "/static/js/flower.js", "/static/none", "/purser/static/none", "/dead?after=x"):
        for login in (None, site.login("vera")):
            answer = visit.get(path, auth=login)
            headers = answer.headers
            assert "default-src 'none'" in headers["content-security-policy"], path
            assert "frame-ancestors 'none'" in headers["content-security-policy"], path
            assert (headers["x-frame-options"], headers["referrer-policy"]) == ("DENY", "same-origin"), path
            assert headers["x-content-type-options"] == "nosniff", path
            assert headers["cache-control"] == "no-store" or "static" in path, path


def test_the_script_within_flowers_page_is_the_one_that_is_allowed(visit: httpx.Client, site: Flower) -> None:
    for path in ("/", "/tasks", "/broker", "/workers"):
        answer = visit.get(path, auth=site.login("vera"))
        assert answer.status_code == 200, path
        for script in re.findall(r"<script(?! src=)[^>]*>(.*?)</script>", answer.text, re.DOTALL):
            digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in answer.headers["content-security-policy"], path


JUNK = (
    "x",
    "\x00",
    "-",
    "9" * 5000,
    "1e999",
    ":",
    "9" * 400 + ":x",
    "--5:x",
    "²",
    "\ud7ff'\"<>",
    "../..",
    "%",
    "{}",
    "1:\x00",
)


WORDS = (
    *("after", "from", "id", "key", "since", "until", "state", "kind", "control", "owner", "fate", "limit", "offset"),
    *("start", "length", "order[0][column]", "refresh", "json", "sort_by", "received_start", "search", "back"),
)


def test_junk_in_an_address_is_no_fault_of_the_page(visit: httpx.Client, site: Flower, seeded: Ledger) -> None:
    pages = [
        "/dead/letters",
        "/dead/replays",
        "/dead/plan",
        "/cases",
        "/runs",
        "/refusals",
        "/delayed",
        "/dead/letter",
    ]
    pages += ["/tasks/datatable", "/api/tasks", "/api/workers", "/worker/x"]
    failed = {}
    junk = itertools.cycle(JUNK)
    for path in pages:
        for told in [{name: next(junk)} for name in WORDS]:
            answer = visit.get(path, params={"draw": "1", **told}, auth=site.login("vera"))
            if answer.status_code >= 500:
                failed[path, str(told)[:40]] = answer.status_code
    assert failed == {}


def test_guessing_is_slow_and_keeps_nobody_out_who_is_in(visit: httpx.Client, site: Flower) -> None:
    assert visit.get("/dead", auth=site.login("emil")).status_code == 200
    codes = [visit.get("/dead", auth=("emil", f"guess {n}")).status_code for n in range(12)]
    assert codes[:5] == [401] * 5
    assert codes[-1] == 429
    refused = visit.get("/dead", auth=("emil", "guess"))
    assert 0 < int(refused.headers["retry-after"]) <= 30
    assert visit.get("/dead", auth=site.login("emil")).status_code == 200
    elsewhere = {"X-Forwarded-For": "203.0.113.7"}
    assert visit.get("/dead", auth=("emil", "guess"), headers=elsewhere).status_code == 401


def test_the_pages_stand_under_a_path(environ: dict[str, str], tmp_path: Path) -> None:
    with flower(environ, tmp_path, "--url-prefix", "ops/flower") as under:
        assert under.url.endswith("/ops/flower")
        root = under.url.removesuffix("/ops/flower")
        with httpx.Client(timeout=20, auth=under.login("anna")) as visit:
            seen: set[str] = set()
            for base in (under.url, root):  # a proxy leaves the path, or takes it off
                for path in ("/", "/dead", "/cases", "/tasks", "/dead/letters"):
                    answer = visit.get(f"{base}{path}")
                    assert answer.status_code == 200, (base, path)
                    if path in ("/", "/tasks"):
                        assert re.search('value="/?ops/flower" id="url_prefix"', answer.text), path
                    seen |= set(re.findall(r"""(?:href|src|action)=["'](/[^"']*)""", answer.text))
            assert [link for link in seen if not link.startswith("/ops/flower/")] == []
            assert len(seen) > 10
            for link in seen:
                assert visit.get(f"{root}{link}".replace("&amp;", "&")).status_code in (200, 400, 405), link


def test_every_queue_of_the_fleet_is_shown_before_any_worker_was_inspected(visit: httpx.Client, site: Flower) -> None:
    page = visit.get("/broker", auth=site.login("vera"))
    lengths = visit.get("/api/queues/length", auth=site.login("vera"))
    assert (page.status_code, lengths.status_code) == (200, 200)
    shown = {one["name"]: one["messages"] for one in lengths.json()["active_queues"]}
    assert shown.keys() >= {"scans", "events", "apply", "outbound"}
    assert all(f">{name}<" in page.text for name in shown)
