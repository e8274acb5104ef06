"""A mistake in a declaration stops the start, and says what to write instead."""

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import Field

from purser import (
    OPTIONAL_FIELD,
    Aggregate,
    Compliant,
    Control,
    Domain,
    GroupDate,
    GroupId,
    Many2One,
    Moment,
    QueryContext,
    Registry,
    Row,
    Severity,
    Snapshot,
    Verdict,
    aggregate,
    control,
    group_by,
    hours,
)
from purser.declarations import check_tunables
from purser.errors import ConfigurationError
from purser.testing import evaluate, snapshot

AS_OF = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)


class Person(Row, model="hr.employee", active_test=False):
    name: str
    active: bool
    manager: Many2One | None = Field(None, alias="parent_id")
    since: Moment | None = Field(None, alias="create_date")
    rate: Annotated[Decimal | None, OPTIONAL_FIELD] = None

    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        return []


class Logged(Aggregate, model="account.analytic.line"):
    employee: GroupId | None = group_by("employee_id", None)
    day: GroupDate = group_by("date:day")
    hours: Decimal = aggregate("unit_amount:sum")


def declare(function: Callable[..., Iterator[Verdict]], **changed: Any) -> Control:
    options: dict[str, Any] = {
        "title": "T",
        "reads": (Person,),
        "every": hours(1),
        "severity": Severity.LOW,
        "owner": "pmo",
    }
    return control(changed.pop("name", "some-rule"), **{**options, **changed})(function)


def rule(snapshot: Snapshot, *, grace_days: int = 5) -> Iterator[Verdict]:
    """People are kept."""
    yield from (Compliant(person.ref) for person in snapshot.rows(Person))


def test_a_declaration_reads_like_a_label() -> None:
    declared = declare(rule)
    assert declared.rule == "People are kept."
    assert declared.tunables["grace_days"].default == 5


def test_a_control_is_still_a_function() -> None:
    ada = Person(id=3, name="Ada", active=True)
    assert evaluate(declare(rule), snapshot(AS_OF, ada)).kept == (Compliant(ada.ref),)


@pytest.mark.parametrize("name", ["Some-Rule", "some_rule", "-x", "", "a b"])
def test_a_name_that_cannot_be_a_wire_name_is_a_mistake(name: str) -> None:
    with pytest.raises(ConfigurationError, match="lower-case words"):
        declare(rule, name=name)


def test_a_tunable_without_default_is_a_mistake() -> None:
    def bare(snapshot: Snapshot, *, days: int) -> Iterator[Verdict]:
        """Rule."""
        yield from ()

    with pytest.raises(ConfigurationError, match="`days` must be keyword-only and have a default"):
        declare(bare)


def test_reading_a_class_without_a_model_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="no Row or Group"):
        declare(rule, reads=(int,))


def test_reading_the_same_class_twice_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="twice"):
        declare(rule, reads=(Person, Person))


def test_a_misspelt_tunable_is_answered_with_the_right_one() -> None:
    with pytest.raises(
        ConfigurationError, match=r"`some-rule`: tunable `grace_day` is unknown. Did you mean `grace_days`?"
    ):
        check_tunables(declare(rule), {"grace_day": 3})


def test_a_name_is_declared_once() -> None:
    with pytest.raises(ConfigurationError, match="declared twice"):
        Registry.of([declare(rule), declare(rule)])


def test_an_unknown_control_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean `some-rule`"):
        Registry.of([declare(rule)]).control("some-rul")


def test_false_is_no_value_unless_the_field_is_a_boolean() -> None:
    row = Person.model_validate({"id": 1, "name": "A", "active": False, "parent_id": False, "create_date": False})
    assert (row.active, row.manager, row.since, row.rate) == (False, None, None, None)


def test_a_moment_of_odoo_is_utc() -> None:
    row = Person.model_validate({"id": 1, "name": "A", "active": True, "create_date": "2026-01-02 03:04:05"})
    assert row.since == dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)


def test_a_group_takes_the_shapes_odoo_gives() -> None:
    group = Logged.model_validate(
        {"employee_id": [4, "Ada"], "date:day": ["2026-11-09", "09 Nov 2026"], "unit_amount:sum": False}
    )
    assert (group.employee, group.day, group.hours) == (4, dt.date(2026, 11, 9), Decimal(0))
    assert Logged.model_validate({"employee_id": False, "date:day": ["2026-11-09", ""]}).employee is None


def test_specs_say_what_to_ask_odoo_for() -> None:
    asked = {spec.name: spec for spec in Person.specs()}
    assert asked["manager"].asked == "parent_id"
    assert asked["manager"].named
    assert asked["rate"].if_known
    assert [(s.asked, s.grouped, s.field) for s in Logged.specs()] == [
        ("employee_id", True, "employee_id"),
        ("date:day", True, "date"),
        ("unit_amount:sum", False, "unit_amount"),
    ]


def test_a_read_without_a_domain_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Logged must say which records it reads"):
        Logged.domain(QueryContext(as_of=AS_OF, snapshot=snapshot(AS_OF)))


def test_a_snapshot_says_what_was_not_read_and_what_is_unknown() -> None:
    known = snapshot(AS_OF, Person(id=3, name="Ada", active=True))
    assert known.get(Person, 3) is not None
    assert known.get(Person, 4) is None
    assert known.get(Person, None) is None
    with pytest.raises(KeyError, match="name it in the declaration's reads"):
        known.rows(Logged)
    unknown = known.plus(Logged, None)
    assert unknown.rows(Logged) == ()
    assert not unknown.knows(Logged)


def test_a_snapshot_has_a_moment_with_a_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Snapshot(dt.datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point
