"""What a declaration names is all that may be done, and the rights that the bots need derive from it."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from config.settings import BotRole
from purser import Domain, Exempt, Finding, QueryContext, Ref, Row, Severity, Snapshot, Verdict, control, daily
from purser.changes import CallMethod, Change, CloseActivity, Ensure, Key, PostNote, RunOperation, Update, activity
from purser.declarations import Control
from purser.effects import Effects
from purser.errors import ConfigurationError
from purser.registry import Registry
from purser.testing import evaluate, snapshot
from tasks.discovery import load_registry
from workers.doctor.checks import rights_needed

NOW = dt.datetime(2026, 11, 22, 7, tzinfo=dt.UTC)
TASK, ORDER = Ref("project.task", 3), Ref("sale.order", 4)
ASK = activity(key="task/3/ask", on=TASK, summary="", note="", user_id=None, deadline=NOW.date())
ASK_ON_NEW = activity(
    key="task/3/ask", on=Key("project.task", "x"), summary="", note="", user_id=None, deadline=NOW.date()
)


@pytest.mark.parametrize(
    ("change", "effects"),
    [
        (Ensure(model="res.partner", key="a", values={}), Effects(creates=("res.partner",))),
        (ASK, Effects(activity_on=("project.task",))),
        (ASK_ON_NEW, Effects(activity_on=("project.task",))),
        (Update(ref=ORDER, expect={}, values={}), Effects(writes=("sale.order",))),
        (CallMethod(ref=ORDER, method="action_confirm", guard={}), Effects(writes=("sale.order",))),
        (PostNote(on=ORDER, key="a", body=""), Effects(notes_on=("sale.order",))),
        (
            RunOperation(operation="order.draft-invoice", on=ORDER, key="a"),
            Effects(operations=("order.draft-invoice",)),
        ),
        (CloseActivity(activity=1, feedback="", key="a"), Effects()),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_change_must_be_named_by_the_declaration(change: Change, effects: Effects) -> None:
    assert effects.change_problem(change) is None
    problem = Effects().change_problem(change)
    assert (problem is None) == isinstance(change, CloseActivity)


def test_a_problem_says_what_to_declare() -> None:
    assert Effects(creates=("project.task",)).change_problem(ASK) == 'activity_on=("project.task",)'


def test_a_text_is_not_taken_for_a_tuple() -> None:
    with pytest.raises(ConfigurationError, match="activity_on is a tuple"):
        control(
            *("late-tasks",),
            title="",
            reads=(),
            every=daily("06:00"),
            severity=Severity.LOW,
            owner="pmo",
            activity_on="project.task",
        )(lambda snapshot: iter(()))


class LateTask(Row, model="project.task"):
    @classmethod
    def domain(cls, scope: QueryContext) -> Domain:
        return []


def late_tasks(snapshot: Snapshot) -> Iterator[Verdict]:
    """A task is not late."""
    for task in snapshot.rows(LateTask):
        yield Finding(subject=task.ref, subject_name="T", summary="late", since=snapshot.today, desk=task.ref)
    yield Exempt(Ref("project.task", 99), "nothing to do")


def declared(**effects: Any) -> Control:
    common: dict[str, Any] = {"title": "Late", "reads": (LateTask,), "severity": Severity.LOW, "owner": "pmo"}
    return control("late-tasks", every=daily("06:00"), **common, **effects)(late_tasks)


def test_the_test_kit_refuses_a_case_that_stands_where_the_declaration_does_not_say() -> None:
    given = snapshot(NOW, LateTask(id=3))
    with pytest.raises(AssertionError, match="activity_on"):
        evaluate(declared(), given)
    assert evaluate(declared(activity_on=("project.task",)), given).findings


def test_a_new_control_on_a_model_that_nobody_used_before_is_seen_by_doctor() -> None:
    ours = Registry.of([declared(activity_on=("project.task",))])
    assert [(r.model, r.operation, r.needed_by) for r in rights_needed(ours, None, BotRole.CHANGE)] == [
        ("project.task", "write", ("late-tasks",))
    ]


@pytest.mark.parametrize("name", sorted(load_registry().controls))
def test_every_control_of_ours_says_where_its_cases_stand(name: str) -> None:
    effects = load_registry().controls[name].effects
    assert effects.activity_on or effects.notes_on
