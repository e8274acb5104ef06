"""The receipt action is found, asked and believed with care; what it answers is seen on real servers elsewhere."""

import ast
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from odoo_client import ChangeStatus
from odoo_client.server_action import OPERATIONS, VERSION, OperationRequest, ServerActionRunner, action_text
from odoo_client.server_action.action_runner import GROUP, with_marker
from odoo_client.transport.error_mapping import AccessDenied, Missing, SerializationConflict, UnknownXmlId
from odoo_client.transport.request import Request
from purser import Ref
from purser.errors import NotSetUp, Permanent, Refusal, UnknownOutcome

REACH = OperationRequest(key="milestone/7/reached", operation="milestone.reach", id=7)


class Odoo:
    """Answers as an Odoo does that has an action, or has none."""

    def __init__(self, run: Callable[[list[dict[str, Any]]], Any], *, action: int = 5) -> None:
        self.run, self.action, self.member = run, action, True
        self.receipt: dict[str, int] = {}
        self.sent: list[Request] = []

    def has_group(self, group: str) -> bool:
        assert group == GROUP
        return self.member

    def send(self, request: Request) -> Any:
        self.sent.append(request)
        match request.model:
            case "ir.model.data":
                name = f"{request.arguments['module']}.{request.arguments['xml_id']}"
                if name == GROUP:
                    return ["res.groups", 3]
                return ["project.milestone", self.receipt.get(name, 0)] if name in self.receipt else _unknown()
            case "res.groups":
                return [{"id": 3, "comment": with_marker(self.action) if self.action else False}]
            case "ir.actions.server" if request.ids == (self.action,):
                return {"infos": self.run(list(request.context["purser_changes"]))}
        raise Missing("gone")


def _unknown() -> Any:
    raise UnknownXmlId("no such name")


def done(changes: Sequence[dict[str, Any]]) -> Any:
    results = [[one["key"], "done", "project.milestone", one["id"], ""] for one in changes]
    return {"version": VERSION, "results": results}


def tasks(count: int) -> list[OperationRequest]:
    return [
        OperationRequest(key=f"milestone/{n}/reached", operation="milestone.reach", id=n) for n in range(1, count + 1)
    ]


def test_operations_are_asked_together_and_answered_in_order() -> None:
    odoo = Odoo(done)
    found = ServerActionRunner(odoo).perform(tasks(3))
    assert [one.ref for one in found] == [Ref("project.milestone", n) for n in (1, 2, 3)]
    assert [request.method for request in odoo.sent].count("run") == 1


def test_the_action_is_looked_for_once() -> None:
    odoo = Odoo(done)
    receipts = ServerActionRunner(odoo)
    receipts.perform([REACH])
    before = len(odoo.sent)
    receipts.perform([REACH])
    assert len(odoo.sent) == before + 1


def test_one_that_is_refused_takes_no_neighbour_along() -> None:
    def run(changes: list[dict[str, Any]]) -> Any:
        if any(one["id"] == 3 for one in changes):
            raise Refusal("the milestone is locked")
        return done(changes)

    found = ServerActionRunner(Odoo(run)).perform(tasks(5))
    assert [one.status for one in found] == [
        ChangeStatus.DONE,
        ChangeStatus.DONE,
        ChangeStatus.REFUSED,
        ChangeStatus.DONE,
        ChangeStatus.DONE,
    ]
    assert found[2].reason == "the milestone is locked"


def test_a_refusal_that_another_transaction_may_have_caused_is_tried_again_where_no_receipt_is_there() -> None:
    def run(_: list[dict[str, Any]]) -> Any:
        raise Refusal("Another model is using the record you are trying to delete.")

    with pytest.raises(SerializationConflict):
        ServerActionRunner(Odoo(run)).perform([REACH])


def test_who_lost_a_race_finds_the_receipt_of_the_winner() -> None:
    def run(_: list[dict[str, Any]]) -> Any:
        raise Refusal("The operation cannot be completed: ...")

    odoo = Odoo(run)
    odoo.receipt["purser.milestone/7/reached"] = 7
    (found,) = ServerActionRunner(odoo).perform([REACH])
    assert (found.status, found.ref) == (ChangeStatus.ALREADY, Ref("project.milestone", 7))


def test_an_unknown_outcome_rises_for_it_is_asked_again() -> None:
    def run(_: list[dict[str, Any]]) -> Any:
        raise UnknownOutcome("the answer was lost")

    with pytest.raises(UnknownOutcome):
        ServerActionRunner(Odoo(run)).perform([REACH])


def test_without_the_action_it_says_what_to_do_and_finds_it_once_it_is_there() -> None:
    odoo = Odoo(done, action=0)
    receipts = ServerActionRunner(odoo)
    with pytest.raises(NotSetUp, match="purser odoo setup"):
        receipts.perform([REACH])
    assert "no receipt action" in receipts.lacking()
    odoo.action = 5
    assert receipts.lacking() == ""
    assert receipts.perform([REACH])[0].status is ChangeStatus.DONE


def test_a_bot_outside_the_group_is_told_so() -> None:
    odoo = Odoo(done)
    odoo.member = False
    assert "not in the group" in ServerActionRunner(odoo).lacking()


def test_an_action_made_anew_is_found_again() -> None:
    odoo = Odoo(done)
    receipts = ServerActionRunner(odoo)
    receipts.perform([REACH])
    odoo.action = 9
    assert receipts.perform([REACH])[0].status is ChangeStatus.DONE


def test_a_right_that_a_method_lacks_is_a_refusal_and_not_a_matter_of_set_up() -> None:
    def run(_: list[dict[str, Any]]) -> Any:
        raise AccessDenied("not allowed to modify 'Project Milestone'")

    (found,) = ServerActionRunner(Odoo(run)).perform([REACH])
    assert (found.status, "Milestone" in found.reason) == (ChangeStatus.REFUSED, True)


@pytest.mark.parametrize("infos", [{"version": VERSION + 1, "results": []}, False, {"anything": 1}])
def test_another_version_or_something_else_is_not_applicable(infos: Any) -> None:
    with pytest.raises(NotSetUp, match="purser odoo setup"):
        ServerActionRunner(Odoo(lambda _: infos)).perform([REACH])


def test_answers_for_other_changes_are_not_believed() -> None:
    answer = {"version": VERSION, "results": [["milestone/8/reached", "done", "project.milestone", 8, ""]]}
    with pytest.raises(Permanent, match="other changes"):
        ServerActionRunner(Odoo(lambda _: answer)).perform([REACH])


def test_an_operation_that_there_is_not_is_an_engineers_matter() -> None:
    with pytest.raises(Permanent, match=r"Did you mean `milestone\.reach`"):
        ServerActionRunner(Odoo(done)).perform(
            [OperationRequest(key="milestone/7/x", operation="milestone.reached", id=7)]
        )


# ------------------------------------------------------------------------------ the text --


def test_the_text_allows_what_the_list_says_and_nothing_else() -> None:
    assigned = {
        node.targets[0].id: node.value
        for node in ast.parse(action_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    allowed = ast.literal_eval(assigned["OPERATIONS"])
    listed = {name: (one.on, one.makes, one.prefixes) for name, one in OPERATIONS.items()}
    assert {name: one[:3] for name, one in allowed.items()} == listed
    assert ast.literal_eval(assigned["VERSION"]) == VERSION


def test_the_text_uses_nothing_that_odoo_forbids_in_an_action() -> None:
    for node in ast.walk(ast.parse(action_text())):
        assert not isinstance(node, (ast.With, ast.Import, ast.ImportFrom))
        assert not (isinstance(node, ast.Attribute) and isinstance(node.ctx, (ast.Store, ast.Del)))
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        assert "__" not in name
        assert name not in {"getattr", "setattr", "eval", "exec", "hasattr"}


def test_only_the_table_of_external_ids_is_written_past_the_callers_rights() -> None:
    raised = [
        ast.unparse(node.func.value)
        for node in ast.walk(ast.parse(action_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"sudo", "with_user"}
    ]
    reading = ["env[made_model].browse(receipt.res_id).exists()", "line"]
    assert raised == ["env['ir.model.data']", *reading]
    written = [
        ast.unparse(node.func.value)
        for node in ast.walk(ast.parse(action_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"write", "create", "unlink", "copy"}
    ]
    assert "found" not in written
    assert not any("sudo" in what for what in written)
