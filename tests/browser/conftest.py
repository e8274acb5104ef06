"""A headless Chromium before a running Flower; without a Chromium these tests skip on a laptop and fail in CI."""

import datetime as dt
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from playwright.sync_api import Browser, Page, sync_playwright

from devtools.demo import sample_company as firms
from devtools.demo.sample_company import SampleCompany
from devtools.fake_odoo import FakeOdoo
from store import Ledger
from tests.browser.seeds import seed
from tests.browser.stage import Flower, flower, write_people
from tests.conftest import IN_CI, RedisServer
from tests.e2e.running import RunningFleet, running

QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
"""Chromium asks nobody but the page's own address."""

Enter = Callable[..., Page]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Start Chromium."""
    binary = os.environ.get("PURSER_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if binary is None:
        reason = "these tests need Chromium on the PATH, or named by PURSER_TEST_CHROMIUM"
        if IN_CI:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=binary, args=list(QUIET))
        yield started
        started.close()


@pytest.fixture(scope="package")
def twin() -> Iterator[FakeOdoo]:
    with FakeOdoo() as made:
        yield made


@pytest.fixture(scope="package")
def firm(twin: FakeOdoo) -> SampleCompany:
    """Return the firm of the demo, in the twin."""
    return firms.seed(twin, dt.datetime.now(dt.UTC))


@pytest.fixture(scope="package")
def environ(
    redis_server: RedisServer, twin: FakeOdoo, firm: SampleCompany, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Return the settings of the fleet whose Flower this is."""
    return {
        "PURSER_BROKER_URL": redis_server.url,
        "PURSER_ODOO_URL": twin.url,
        "PURSER_ODOO_DB": twin.db,
        "PURSER_ODOO_LOGIN": firms.BOT,
        "PURSER_ODOO_API_KEY": firm.bot_key,
        "PURSER_PEOPLE": str(write_people(tmp_path_factory.mktemp("people") / "people.yaml")),
    }


@pytest.fixture(scope="package")
def site(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flower]:
    """Yield a Flower that runs as long as the tests of this folder; each test fills its ledger anew."""
    with flower(environ, tmp_path_factory.mktemp("flower")) as started:
        yield started


@pytest.fixture
def ledger(site: Flower, redis_server: RedisServer) -> Iterator[Ledger]:
    """Yield the ledger that Flower shows, empty."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushdb()
    book = Ledger.connect(redis_server.url)
    yield book
    book.close()


@pytest.fixture
def seeded(ledger: Ledger) -> Ledger:
    """Return the ledger with something of everything in it."""
    seed(ledger, ledger.now())
    return ledger


@pytest.fixture
def fleet(ledger: Ledger, environ: dict[str, str], tmp_path: Path) -> Iterator[RunningFleet]:
    """Yield a fleet whose workers a test may start."""
    with running({name: value for name, value in environ.items() if name != "PURSER_PEOPLE"}, tmp_path) as started:
        yield started


@pytest.fixture
def enter(browser: Browser, site: Flower) -> Iterator[Enter]:
    """Open a browser as somebody; what its console complains of fails the test."""
    complaints: list[str] = []
    contexts = []

    def open_(name: str = "anna", *, width: int = 1280, dark: bool = False) -> Page:
        user, password = site.login(name)
        context = browser.new_context(
            base_url=site.url,
            http_credentials={"username": user, "password": password},
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
        )
        contexts.append(context)
        context.set_default_timeout(15_000)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert [one for one in complaints if "status of 40" not in one and "status of 50" not in one] == []
