"""The documentation is true where a machine can tell: links, commands, settings, examples and generated pages."""

import datetime as dt
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import typer

from config.policy.loader import load_policies, parse_policies
from config.settings import Settings
from console.cli.controls import report
from console.cli.main import app
from docs.examples.ask_for_reference import ask_for_reference
from docs.examples.ownerless_projects import RunningProject, ownerless_projects
from docs.generate import REFERENCE, pages
from events.cloudevent import read_event
from events.opportunity import OpportunityWon
from purser import Compliant, Ensure, Exempt, OpenCaseRef, QueryContext, Ref
from purser.registry import Registry
from purser.testing import evaluate, snapshot
from tasks.discovery import load_registry
from workers.controls.run import ControlResult

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
AS_OF = dt.datetime(2026, 11, 22, 7, tzinfo=dt.UTC)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


# ------------------------------------------------------------------------------ references --


def slug(heading: str) -> str:
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


def headings(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {slug(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


@every_page
def test_every_internal_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", page.read_text()):
        link = "".join(target)
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in headings(there)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("name", pages())
def test_a_reference_page_says_what_the_declarations_say(name: str) -> None:
    written = (REFERENCE / name).read_text(encoding="utf-8")
    assert written == pages()[name], f"docs/reference/{name} is out of date: run `make docs`"


# -------------------------------------------------------------------------------- commands --


def commands(text: str) -> Iterator[list[str]]:
    """Yield what follows `purser` wherever a page shows a command, in a block or in a line."""
    for block in re.findall(r"^```(?:sh|console)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            if match := re.match(r"(?:\$ )?(?:\S+=\S* |docker compose run --rm \w+ )*purser (.*)", line):
                yield re.split(r"\s[#|>]", match[1])[0].split()
    for inline in re.findall(r"`purser ([^`]+)`", text):
        yield inline.split()


def complaint(words: list[str]) -> str:
    """Return what of a command the `purser` command does not know; '' when it knows all of it."""
    here: Any = typer.main.get_command(app())
    for position, word in enumerate(words):
        below = getattr(here, "commands", None)
        if word.startswith("-"):
            known = {name for p in here.params for name in (*p.opts, *p.secondary_opts)} | {"--help"}
            if word.split("=")[0] not in known and not here.context_settings.get("ignore_unknown_options"):
                return f"purser {' '.join(words)}: no option {word}"
        elif below is not None and position and words[position - 1] == "--env-file":
            continue
        elif below is not None:
            for name in word.split("|"):
                if name not in below:
                    return f"purser {' '.join(words)}: no command {name}"
            here = below[word.split("|")[0]]
    return ""


@every_page
def test_every_command_that_is_named_exists_with_its_options(page: Path) -> None:
    assert [told for words in commands(page.read_text()) if (told := complaint(words))] == []


def test_a_command_or_option_that_does_not_exist_is_noticed() -> None:
    text = "`purser cases lost` and `purser dead replay --everything`\n```\npurser outbound shout # soon\n```\n"
    assert [bool(complaint(words)) for words in commands(text)] == [True, True, True]


@every_page
def test_every_setting_that_is_named_exists(page: Path) -> None:
    known = {*Settings.names(), *Settings.file_names()}
    families = tuple(name for name in re.findall(r"`(PURSER_[A-Z_]+_)`", page.read_text()))
    named = set(re.findall(r"PURSER_[A-Z0-9_]*[A-Z0-9]", page.read_text()))
    told = {name for name in named if not name.startswith("PURSER_TEST_")}
    assert sorted(n for n in told - known if not any(k.startswith(n) for k in known)) == []
    assert all(any(name.startswith(family) for name in known) for family in families)


@every_page
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", page.read_text())) <= targets
    shown = re.findall(r"^make ([a-z]+)", "\n".join(blocks(page, "")), re.MULTILINE)
    assert set(shown) <= targets


# ----------------------------------------------------------------------------------- texts --

TEXTS = sorted(
    path
    for folder in (DOCS, ROOT / "requirements", *(init.parent for init in ROOT.glob("*/__init__.py")))
    for path in folder.rglob("*")
    if path.suffix in {".md", ".py", ".yaml", ".json", ".txt", ".svg", ".toml"}
) + [path for path in ROOT.iterdir() if path.is_file() and path.name not in {".env", ".coverage"}]
REGISTRIES = "|".join(["pypi" + r"\.org", "pythonhosted" + r"\.org", "registry" + r"\.npmjs", "index" + "-url="])
OF_A_MACHINE = r"(?<![\w.~$}])/(?:work|root|farm|home|Users)/\w|(?<![\w.~$}])/tmp/\w"


def test_no_file_holds_a_registry_host_or_a_path_of_somebodys_machine() -> None:
    wrong = re.compile(f"{REGISTRIES}|{OF_A_MACHINE}")
    found = {
        str(path.relative_to(ROOT)): match[0]
        for path in TEXTS
        if path.is_file() and (match := wrong.search(path.read_text(encoding="utf-8", errors="replace")))
    }
    assert found == {}


def test_every_direct_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [
        *project["project"]["dependencies"],
        *(one for extra in project["project"]["optional-dependencies"].values() for one in extra),
        *(one for group in project["dependency-groups"].values() for one in group),
    ]
    names = {match[0] for one in wanted if (match := re.match(r"[\w.-]+(\[[\w,]+\])?", one))}
    told = (DOCS / "explanation" / "why-these-dependencies.md").read_text()
    explained = {
        name for line in told.splitlines() if line.startswith("| `") for name in re.findall(r"`([^`]+)`", line)
    }
    assert sorted(names - explained) == []


@every_page
def test_what_is_shown_as_json_is_json(page: Path) -> None:
    for block in blocks(page, "json"):
        json.loads(block)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 130


def test_every_stop_of_the_architecture_tour_is_there() -> None:
    rows = re.findall(
        r"^\| \d+ \| `(\S+\.py)` (.+?) \|", (DOCS / "explanation/architecture.md").read_text(), re.MULTILINE
    )
    assert len(rows) >= 16
    for path, names in rows:
        text = (ROOT / path).read_text()
        for name in re.findall(r"`([\w.]+)`", names):
            for part in name.split("."):
                assert re.search(rf"\b(def|class) {part}\b|^    {part}: ", text, re.MULTILINE), f"{path}: {name}"


# -------------------------------------------------------------------------------- examples --


@pytest.mark.parametrize(
    ("page", "language", "example"),
    [
        ("tutorial/first-control.md", "python", "ownerless_projects.py"),
        ("tutorial/first-automation.md", "python", "ask_for_reference.py"),
        ("how-to/policies.md", "yaml", "policies.yaml"),
        ("how-to/emit-events.md", "json", "opportunity-won.json"),
        ("how-to/emit-events.md", "py", "producers/with_celery.py"),
        ("how-to/subscriptions.md", "python", "receive_events.py"),
        ("how-to/subscriptions.md", "js", "receive_events.mjs"),
    ],
)
def test_a_page_shows_the_example_that_is_tested(page: str, language: str, example: str) -> None:
    assert (EXAMPLES / example).read_text() in blocks(DOCS / page, language)


@pytest.mark.parametrize(
    ("page", "module", "name"),
    [
        ("tutorial/first-control.md", "tasks.controls.ownerless_projects", "docs.examples.ownerless_projects"),
        ("tutorial/first-automation.md", "tasks.automations.ask_for_reference", "docs.examples.ask_for_reference"),
    ],
)
def test_the_test_that_a_page_shows_passes(
    page: str, module: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, sys.modules[name])
    _, shown = blocks(DOCS / page, "python")
    space: dict[str, Any] = {}
    exec(compile(shown, page, "exec"), space)  # noqa: S102 - our own page
    tests = [run for title, run in space.items() if title.startswith("test_")]
    assert tests
    for run in tests:
        run()


def project(**values: Any) -> RunningProject:
    own = {"id": 7, "name": "Rollout", "active": True, "user_id": False, "create_date": "2026-11-01 09:00:00"}
    return RunningProject.model_validate(own | values)


def test_the_example_control_tells_apart_what_is_found_kept_and_exempt() -> None:
    rows = [project(), project(id=8, user_id=3), project(id=9, active=False)]
    said = evaluate(ownerless_projects, snapshot(AS_OF, *rows))
    assert said.finding(Ref("project.project", 7)).since == dt.date(2026, 11, 1)
    assert said.kept == (Compliant(Ref("project.project", 8)),)
    assert said.exempt == (Exempt(Ref("project.project", 9), "the project is archived"),)


def test_the_example_control_looks_again_at_what_has_an_open_case() -> None:
    watched = (OpenCaseRef(Ref("project.project", 9), None), OpenCaseRef(Ref("hr.employee", 1), None))
    scope = QueryContext(as_of=AS_OF, watched=watched, snapshot=snapshot(AS_OF))
    assert RunningProject.domain(scope) == ["|", ("active", "=", True), ("id", "in", [9])]


def test_the_examples_fit_into_the_catalogue_of_the_house() -> None:
    house = load_registry()
    whole = Registry.of(
        [*house.controls.values(), *house.automations.values(), ownerless_projects, ask_for_reference]
    )
    assert {a.name for a in whole.reacting_to(OpportunityWon)} >= {"ask-for-reference", "open-project"}
    assert "ownerless-projects" in parse_policies(whole, "version: 1", source="none").cadences()


def test_the_example_policy_is_in_order() -> None:
    policies = load_policies(load_registry(), EXAMPLES / "policies.yaml")
    assert policies.control("missing-timesheets").tunables["weeks_back"] == 6
    assert not policies.control("stale-drafts").enabled
    assert policies.unstaffed() == ()


def test_the_example_event_is_accepted() -> None:
    envelope, fact = read_event((EXAMPLES / "opportunity-won.json").read_text())
    assert (envelope.source, fact) == (
        "/crm/website",
        OpportunityWon(opportunity_id=42, won_on=dt.date(2026, 11, 22)),
    )


def shape(value: Any) -> Any:
    """Return the names in a JSON value, without its values."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else None


def test_the_documented_report_of_a_run_has_the_shape_of_a_real_one() -> None:
    policy = parse_policies(Registry.of([ownerless_projects]), "version: 1", source="none").control(
        "ownerless-projects"
    )
    verdicts = tuple(ownerless_projects(snapshot(AS_OF, project())))
    real = report(policy, ControlResult(control=ownerless_projects, as_of=AS_OF, verdicts=verdicts))
    (shown,) = (json.loads(block) for block in blocks(REFERENCE / "controls-run-json.md", "json"))
    finding, documented = real["findings"][0], shown["findings"][0]
    assert shown.keys() == real.keys()
    assert documented.keys() == finding.keys()
    assert shape(documented["subject"]) == shape(finding["subject"])
    assert documented["period"].keys() == {"from", "to"}
    assert documented["money_at_risk"].keys() == {"amount", "currency"}


def test_the_example_automation_asks_the_salesperson_once() -> None:
    lead = ask_for_reference.reads[0].model_validate({"id": 42, "name": "Deal", "won_status": "won", "user_id": 5})
    given = snapshot(AS_OF, lead)
    (change,) = ask_for_reference(OpportunityWon(opportunity_id=42), given, **MappingProxyType({"weeks": 2}))
    assert isinstance(change, Ensure)
    assert (change.kind, change.key) == ("ensure", "opportunity/42/reference")
    assert change.values["date_deadline"] == dt.date(2026, 12, 6)
