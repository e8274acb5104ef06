"""What a firm says of retries and freezes: the nearest word counts, and what is wrong is named with its line."""

import pytest

from config.policy.loader import Policies, parse_policies
from config.policy.retries import seconds
from purser.cadence import Freeze
from purser.engine.retry import RetryPolicy
from purser.errors import ConfigurationError, Conflict, Throttled, Transient, UnknownOutcome
from tasks.discovery import load_registry


def policies(text: str) -> Policies:
    return parse_policies(load_registry(), "version: 1\n" + text, source="p.yaml")


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        policies(text)
    return str(caught.value).splitlines()[1:]


RETRIES = """
retries:
  "*": {attempts: 9, errors: {Transient: {base: 4}}}
  react: {cap: 10 min, errors: {UnknownOutcome: {base: 30 s}}}
"""


@pytest.mark.parametrize(
    ("task", "error", "wanted"),
    [
        ("scan", Transient("x"), RetryPolicy(attempts=9, base=4.0, cap=3600.0)),
        ("scan", UnknownOutcome("x"), RetryPolicy(attempts=9, base=4.0, cap=3600.0)),
        ("react", Transient("x"), RetryPolicy(attempts=9, base=4.0, cap=600.0)),
        ("react", UnknownOutcome("x"), RetryPolicy(attempts=9, base=30.0, cap=600.0)),
        ("react", Conflict("x"), RetryPolicy(attempts=9, base=0.5, cap=600.0)),
    ],
)
def test_what_is_said_of_a_task_and_error_counts_before_what_is_said_of_all(
    task: str, error: Exception, wanted: RetryPolicy
) -> None:
    said = policies(RETRIES)
    assert said.retry(task, error) == said.retry(task, type(error)) == wanted


def test_a_firm_that_says_nothing_gets_the_house_view() -> None:
    house = policies("")
    assert house.retry("apply", Transient("x")) == RetryPolicy(attempts=12, base=1.0, cap=3600.0)
    assert house.retry("apply", UnknownOutcome("x")).base == 2.0
    assert house.retry("apply", Throttled("x", retry_after=1)).attempts == 30
    assert house.retry("apply", Conflict("x")).cap == 60.0
    assert house.freezes == ()


def test_what_goes_out_is_tried_over_a_day_unless_a_firm_says_otherwise() -> None:
    house = policies("").retry("deliver", UnknownOutcome("x"))
    assert house.waits == (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0)
    assert (house.attempts, house.base, house.cap) == (7, 5.0, 36_000.0)
    assert policies("").retry("deliver", Throttled("x", retry_after=1)).attempts == 30
    more = policies("retries: {deliver: {attempts: 9}}").retry("deliver", Transient("x"))
    assert (more.attempts, len(more.waits)) == (9, 6)
    own = policies("retries: {'*': {base: 2, cap: 8}}").retry("deliver", Transient("x"))
    assert (own.attempts, own.base, own.cap, own.waits) == (12, 2.0, 8.0, ())


@pytest.mark.parametrize(
    ("value", "wanted"), [(5, 5.0), (0.5, 0.5), ("30", 30.0), ("30 s", 30.0), ("10 min", 600.0), ("2 hours", 7200.0)]
)
def test_a_duration_is_a_number_of_seconds_or_has_a_unit(value: object, wanted: float) -> None:
    assert seconds(value) == wanted


@pytest.mark.parametrize("value", [True, None, "soon", "5 fortnights", 0, -1, float("inf"), float("nan"), [5]])
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"write seconds|longer than nothing"):
        seconds(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("retries:\n  scan: {base: 20, cap: 5}", "p.yaml:3: retries: scan: base must be above 0 and at most cap"),
        ("retries:\n  scan: {base: 2 h}\n  skan: {}", "`skan` is unknown. Did you mean `scan`?"),
        ("retries:\n  scan: {attempts: 0}", "p.yaml:3: retries: scan: attempts: write a whole number of attempts"),
        ("retries:\n  scan: {errors: {Transiet: {}}}", "`Transiet` is unknown. Did you mean `Transient`?"),
        ("retries:\n  scan: {base: soon}", "p.yaml:3: retries: scan: base: write seconds"),
        ("freezes:\n  end: {days_after: 2}", "p.yaml:3: freeze `end`: say what stands still"),
        ("freezes:\n  end: {what: [queue:aply]}", "Did you mean `queue:apply`?"),
        ("freezes:\n  end: {what: [all], days_before: 40}", "write days as a whole number from 0 to 14"),
        ("freezes:\n  end: {what: []}", "p.yaml:3: freeze `end`: what: the list is empty"),
        ("freezes:\n  end: {what: all}", "p.yaml:3: freeze `end`: what must be a list"),
        ("freezes:\n  end: {what: [all], months: []}", "p.yaml:3: freeze `end`: months: the list is empty"),
        ("retries:\n  scan: {attempts: 2.5}", "write a whole number of attempts"),
        ("retries:\n  scan: 5", "p.yaml:3: retries: scan must be a mapping"),
        ("freezes:\n  end: {what: [all], months: [13]}", "write a month as a whole number from 1 to 12"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, said: str) -> None:
    assert any(said in line for line in problems(text)), problems(text)


def test_a_freeze_is_read_whole_and_is_part_of_the_hash() -> None:
    told = policies("freezes:\n  end: {what: [queue:apply, all], days_before: 1, days_after: 2, months: [12, 3]}")
    assert told.freezes == (
        Freeze(
            name="end",
            what=frozenset({"queue:apply", "all"}),
            days_before=1,
            days_after=2,
            months=frozenset({3, 12}),
        ),
    )
    assert len({told.hash, policies("").hash, policies(RETRIES).hash}) == 3
