"""A policy file is checked against the declarations it tunes, and every mistake in it is shown with its line."""

import importlib
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.policy.loader import DEFAULT_POLICY, Policies, load_policies, parse_policies
from purser.cadence import Daily, Every, daily, hours
from purser.cases import EscalationStep
from purser.changes import Change
from purser.declarations import Automation, Control, automation, control
from purser.engine.retry import RetryPolicy
from purser.errors import ConfigurationError, UnknownOutcome
from purser.findings import Severity, Verdict
from purser.queries import Domain, QueryContext, Row, Snapshot
from purser.registry import Registry
from purser.watchers import Watcher


class Line(Row, model="account.analytic.line"):
    name: str

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        return []


class OpportunityWon:
    """A fact."""


@control(
    "late-hours",
    title="Late hours",
    reads=(Line,),
    every=daily("06:00"),
    severity=Severity.MEDIUM,
    owner="pmo",
    asks=("employee", "manager"),
)
def late_hours(
    snapshot: Snapshot,
    *,
    grace_days: int = 5,
    tolerance: Decimal = Decimal("0.5"),
    approved_only: bool = True,
    exempt: frozenset[str] = frozenset(),
) -> Iterator[Verdict]:
    """Hours are logged in time."""
    yield from ()


@control("old-drafts", title="Old draft", reads=(Line,), every=hours(6), severity=Severity.LOW, owner="billing")
def old_drafts(snapshot: Snapshot) -> Iterator[Verdict]:
    """Drafts do not grow old."""
    yield from ()


@automation("open-project", on=OpportunityWon)
def open_project(event: Any, snapshot: Snapshot, *, template: int | None = None) -> Iterator[Change]:
    """A won deal becomes a project."""
    yield from ()


CATALOGUE = Registry.of([late_hours, old_drafts, open_project])
SOURCE = "firm.yaml"

COMPLETE = """\
version: 1
timezone: Europe/Berlin
working_days: [sun, mon, tue, wed, thu]
roles:
  pmo: [paula]
  billing: [ben, bea]
  partners: [pat]
controls:
  late-hours:
    enabled: true
    every: every 2 hours
    severity: high
    ladder:
      - ask: employee
      - {ask: manager}
      - {ask: partners, after: 3}
    tunables:
      grace_days: 3
      tolerance: 0.25
      approved_only: false
      exempt: [intern, board]
  old-drafts:
    enabled: false
automations:
  open-project:
    tunables: {template: 7}
"""


def read(text: str) -> Policies:
    return parse_policies(CATALOGUE, text, source=SOURCE)


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    first, *lines = str(caught.value).splitlines()
    assert first.startswith(f"the policy file has {len(lines)} problem")
    return [line.removeprefix("- ") for line in lines]


# -------------------------------------------------------------------------- what is read --


def test_what_a_firm_writes_counts() -> None:
    policies = read(COMPLETE)
    assert policies.timezone == ZoneInfo("Europe/Berlin")
    assert policies.working_days == {6, 0, 1, 2, 3}
    assert policies.roles == {"pmo": ("paula",), "billing": ("ben", "bea"), "partners": ("pat",)}
    late = policies.control("late-hours")
    assert late.control is late_hours
    assert str(late.every) == "every 2 hours"
    assert late.severity is Severity.HIGH
    assert late.ladder == (EscalationStep("employee", 0), EscalationStep("manager", 2), EscalationStep("partners", 3))
    assert late.tunables == {
        "grace_days": 3,
        "tolerance": Decimal("0.25"),
        "approved_only": False,
        "exempt": {"intern", "board"},
    }
    assert policies.automation("open-project").tunables == {"template": 7}


def test_what_a_firm_leaves_out_is_as_declared() -> None:
    policies = read("version: 1")
    late = policies.control("late-hours")
    assert (late.enabled, late.every, late.severity) == (True, daily("06:00"), Severity.MEDIUM)
    assert late.ladder == (EscalationStep("employee", 0), EscalationStep("manager", 2), EscalationStep("pmo", 2))
    assert late.tunables == {name: tunable.default for name, tunable in late_hours.tunables.items()}
    assert policies.control("old-drafts").ladder == (EscalationStep("billing", 0),)
    assert policies.automation("open-project").enabled
    assert policies.timezone == ZoneInfo("UTC")
    assert policies.working_days == {0, 1, 2, 3, 4}


def test_the_house_view_that_ships_fits_any_catalogue() -> None:
    for catalogue in (CATALOGUE, Registry.of([]), Registry.of([old_drafts])):
        assert set(load_policies(catalogue).controls) == set(catalogue.controls)
    assert load_policies(CATALOGUE).hash == read("version: 1").hash


def test_the_example_in_the_house_view_fits_what_ships() -> None:
    shipped = [
        importlib.import_module(f"tasks.{name}")
        for name in (
            *("controls.missing_timesheets", "automations.open_project"),
            *("watchers.opportunities", "watchers.orders", "watchers.change_requests"),
        )
    ]
    kinds = (Control, Automation, Watcher)
    declared = [one for module in shipped for one in vars(module).values() if isinstance(one, kinds)]
    lines = DEFAULT_POLICY.read_text(encoding="utf-8").splitlines()
    shown = [line.removeprefix("#   ") for line in lines if line.startswith("#   ")]
    assert [line for line in shown if re.fullmatch(r"\w+:", line)] == [
        "roles:",
        "controls:",
        "automations:",
        "watches:",
        "retries:",
        "freezes:",
        "dead_letters:",
        "ownership:",
        "subscriptions:",
    ]
    policies = parse_policies(Registry.of(declared), "\n".join(["version: 1", *shown]), source="the example")
    assert policies.control("missing-timesheets").ladder[-1] == EscalationStep("pmo", 3)
    assert not policies.automation("open-project").enabled
    assert policies.watch("change-requests").tunables == {"tags": ("Change request",)}
    assert policies.retry("react", UnknownOutcome("x")) == RetryPolicy(attempts=15, base=30.0, cap=3600.0)
    assert [freeze.name for freeze in policies.freezes] == ["month-end"]
    assert policies.dead_letters.second_person_above == {"EUR": 10000}


def test_only_enabled_controls_have_a_cadence() -> None:
    assert read(COMPLETE).cadences() == {"late-hours": Every(hours(2).step)}
    assert set(read("version: 1").cadences()) == {"late-hours", "old-drafts"}


def test_a_role_that_is_asked_and_has_nobody_is_known() -> None:
    assert read("version: 1").unstaffed() == ("billing", "pmo")
    assert read(COMPLETE).unstaffed() == ()


def test_weekdays_and_times_of_a_cadence_are_read() -> None:
    text = "version: 1\ncontrols:\n  late-hours: {every: 'daily 07:30 mon,thu'}\n"
    every = read(text).control("late-hours").every
    assert isinstance(every, Daily)
    assert every.weekdays == {0, 3}


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean `late-hours`"):
        read("version: 1").control("late-hour")
    with pytest.raises(ConfigurationError, match="Did you mean `open-project`"):
        read("version: 1").automation("open-projekt")


def test_policies_cannot_be_changed() -> None:
    policies = read(COMPLETE)
    with pytest.raises(AttributeError):
        policies.version = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        policies.control("late-hours").tunables["grace_days"] = 0  # type: ignore[index]


# ------------------------------------------------------------------------ what is refused --


def test_every_mistake_is_listed_at_once_with_its_line() -> None:
    assert mistakes(
        """\
version: 2
timezone: Europe/Berlín
rolls: {}
roles:
  pmoo: [paula]
controls:
  late-hour: {}
  late-hours:
    every: sometimes
    severity: hihg
    enabled: "yes"
    ladder:
      - {ask: employe}
      - {ask: manager, afterwards: 2}
    tunables:
      grace_day: 3
      tolerance: much
automations:
  open-project: {tunables: {template: x}}
"""
    ) == [
        "firm.yaml:1: version: 2 is unknown to this release, which reads version 1",
        "firm.yaml:2: timezone: 'Europe/Berlín' is no IANA time zone, such as Europe/Berlin",
        "firm.yaml:3: the policy: `rolls` is unknown. Did you mean `roles`?",
        "firm.yaml:5: role `pmoo` is asked by no control. Did you mean `pmo`?",
        "firm.yaml:7: controls: `late-hour` is unknown. Did you mean `late-hours`?",
        (
            "firm.yaml:9: `late-hours`: every: 'sometimes' is no cadence. "
            "Write 'every 15 minutes', 'every 6 hours' or 'daily 06:00 mon,thu'"
        ),
        "firm.yaml:10: `late-hours`: severity: 'hihg' is unknown. Did you mean `high`?",
        "firm.yaml:11: `late-hours`: enabled: write true or false, not 'yes'",
        (
            "firm.yaml:13: `late-hours`: ladder: ask: `employe` is neither an audience of this control nor a role. "
            "Did you mean `employee`?"
        ),
        "firm.yaml:14: `late-hours`: ladder: `afterwards` is unknown. Did you mean `after`?",
        "firm.yaml:16: `late-hours`: tunables: `grace_day` is unknown. Did you mean `grace_days`?",
        "firm.yaml:17: `late-hours`: tunables: tolerance: 'much' does not fit: Input should be a valid decimal",
        (
            "firm.yaml:19: `open-project`: tunables: template: 'x' does not fit: "
            "Input should be a valid integer, unable to parse string as an integer"
        ),
    ]


@pytest.mark.parametrize(
    ("lines", "line", "reason"),
    [
        ("controls: {late-hours: {}, late-hours: {}}", 2, "`late-hours` stands here twice: keep one"),
        ("timezone: UTC\ntimezone: UTC", 3, "`timezone` stands here twice"),
        ("controls: [late-hours]", 2, "controls must be a mapping"),
        ("controls:\n  late-hours: {ladder: {ask: manager}}", 3, "`late-hours`: ladder must be a list"),
        ("controls:\n  late-hours: {ladder: []}", 3, "`late-hours`: ladder: nobody would be asked"),
        ("controls:\n  late-hours: {ladder: [{after: 2}]}", 3, "a rung must say whom to ask"),
        (
            "controls:\n  late-hours: {ladder: [{ask: employee}, {ask: manager, after: 0}]}",
            3,
            "write a whole number of working days, at least 1, not 0",
        ),
        ("controls:\n  late-hours: {ladder: [{ask: employee, after: yes}]}", 3, "not True"),
        ("controls:\n  late-hours:\n    tunables: {grace_days: yes}", 4, "yes and no are no numbers"),
        ("controls:\n  late-hours:\n    tunables: {grace_days: 2.5}", 4, "2.5 does not fit"),
        ("working_days: monday", 2, "list days of the week"),
        ("working_days: [mon, tuesday]", 2, "list days of the week"),
        ("working_days: []", 2, "list days of the week"),
        ("roles:\n  pmo: paula", 3, "role `pmo` must be a list"),
        ("roles:\n  pmo: [1]", 3, "an Odoo login is a text, not 1"),
        ("roles:\n  employee: [eve]", 3, "choose another name"),
        ("roles:\n  The Boss: [eve]", 3, "a name is lower-case words with hyphens"),
        ("1: x", 2, "the key 1 must be a text"),
    ],
)
def test_a_mistake_is_shown_where_it_stands(lines: str, line: int, reason: str) -> None:
    [problem] = mistakes(f"version: 1\n{lines}\n")
    assert problem.startswith(f"{SOURCE}:{line}: ")
    assert reason in problem


def test_a_file_must_say_its_version() -> None:
    assert mistakes("") == ["firm.yaml:1: the policy: `version` is missing: write `version: 1`"]
    assert mistakes("- 1")[0] == "firm.yaml:1: the policy must be a mapping (`key: value` lines)"


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nroles: [",
        "version: 1\nroles: {[a]: b}",
        "version: 1\nroles: &a [*a]",
        "version: 1\nroles: {pmo: [2026-02-30]}",
        "version: 1\nroles: !!python/name:os.system x",
        "version: 1\n---\nversion: 1",
    ],
)
def test_what_is_no_yaml_is_refused_with_a_line(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^firm\.yaml:[23]: no YAML: "):
        read(text)


def test_a_role_that_no_control_asks_may_stay() -> None:
    assert read("version: 1\nroles: {delivery-leads: [dora]}").roles["delivery-leads"] == ("dora",)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"absent\.yaml cannot be read: No such file.*PURSER_POLICIES names it"
    ):
        load_policies(CATALOGUE, tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"version: 1 # \xe4")
    with pytest.raises(ConfigurationError, match="it is not UTF-8 text"):
        load_policies(CATALOGUE, tmp_path / "latin.yaml")


pieces = st.sampled_from(
    [*re.findall(r"\w+|\W", COMPLETE), "&a", "*a", "!!set", "<<", "2026-02-30", ".nan", "\t", "%"]
)


@given(st.lists(pieces | st.text(max_size=3)).map("".join))
def test_any_text_is_a_policy_or_a_mistake(text: str) -> None:
    try:
        read(f"version: 1\n{text}")
    except ConfigurationError as mistake:
        message = str(mistake)
    else:
        message = SOURCE
    assert SOURCE in message


# ------------------------------------------------------------------------------- the hash --


def test_the_hash_is_of_the_values_not_of_the_spelling() -> None:
    respelt = COMPLETE.replace("[intern, board]", "[board, intern]  # two").replace("0.25", "'0.250'")
    respelt = respelt.replace("  old-drafts:\n    enabled: false\n", "")
    respelt = respelt.replace("  late-hours:\n", "  old-drafts: {enabled: no}\n  late-hours:\n")
    assert respelt != COMPLETE
    assert read(respelt).hash == read(COMPLETE).hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("grace_days: 3", "grace_days: 4"),
        ("every 2 hours", "every 3 hours"),
        ("severity: high", "severity: low"),
        ("after: 3", "after: 4"),
        ("[paula]", "[paul]"),
        ("[ben, bea]", "[bea, ben]"),
        ("Europe/Berlin", "Europe/Paris"),
        ("[sun, ", "["),
        ("template: 7", "template: 8"),
    ],
)
def test_another_value_is_another_hash(old: str, new: str) -> None:
    changed = COMPLETE.replace(old, new)
    assert changed != COMPLETE
    assert read(changed).hash != read(COMPLETE).hash


def test_the_hash_of_a_control_changes_with_its_own_values_only() -> None:
    before = read(COMPLETE)
    after = read(COMPLETE.replace("grace_days: 3", "grace_days: 4"))
    assert before.control("late-hours").hash != after.control("late-hours").hash
    assert before.control("old-drafts").hash == after.control("old-drafts").hash


def test_the_hash_survives_the_process() -> None:
    assert read(COMPLETE).hash == "490a1f4c8be2"
