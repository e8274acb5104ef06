"""Operations are carried out by the receipt action: asked again, it answers what it has done already."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from odoo_client.field_values import external_id
from odoo_client.outcome import ChangeStatus
from odoo_client.read.lookup import find_external_ids
from odoo_client.server_action.operations import operation
from odoo_client.server_action.source import VERSION
from odoo_client.transport.error_mapping import AccessDenied, Missing, SerializationConflict, may_be_lost_race
from odoo_client.transport.request import Request, RpcSender
from purser.errors import NotSetUp, Permanent, Refusal
from purser.findings import Ref

GROUP = "purser_setup.group_bot"
"""The group whose members, and nobody else, may run the action."""

BATCH_SIZE = 20
"""So many operations share a call: each may take a second, and the server limits what a call may take."""

_MARK = re.compile(r"receipt action (\d+)\b")
_SET_UP = "run `purser odoo setup`"


def with_marker(action: int) -> str:
    """Return what the comment of the group says: there an ordinary user finds an action that he may not read."""
    return f"Purser's bots. They may run receipt action {action}."


class ActionClient(RpcSender, Protocol):
    """What performing needs of a client."""

    def has_group(self, group: str) -> bool:
        """Ask for membership of a group."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OperationRequest:
    """One operation to carry out; arguments as JSON."""

    key: str
    operation: str
    id: int
    """The record it is done on."""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OperationResult:
    """How it ended, and the record that its key names."""

    status: ChangeStatus
    ref: Ref | None = None
    reason: str = ""


class ServerActionRunner:
    """The receipt action of one Odoo, as one user finds it. Found once; not found, it is looked for again."""

    def __init__(self, client: ActionClient) -> None:
        self._client = client
        self._action: int | None = None

    def lacking(self) -> str:
        """Return why nothing can be performed here, '' where it can."""
        try:
            self._found()
        except NotSetUp as error:
            return str(error)
        return ""

    def check(self) -> int:
        """Ask the action for its version; NotSetUp where it is not set up, or speaks another."""
        self._run(())
        return VERSION

    def perform(self, tasks: Sequence[OperationRequest]) -> list[OperationResult]:
        """Carry operations out; one result each, in order. NotSetUp where the action is not set up.

        Whatever is transient rises, and all may be performed again: what was done then answers `already`.
        """
        for task in tasks:
            operation(task.operation)
        return [
            one for start in range(0, len(tasks), BATCH_SIZE) for one in self._some(tasks[start : start + BATCH_SIZE])
        ]

    def _some(self, tasks: Sequence[OperationRequest]) -> list[OperationResult]:
        """One that Odoo refuses rolls the others back with it, so halve and go again."""
        try:
            return self._run(tasks)
        except Refusal as error:
            if len(tasks) == 1:
                return [self._refused(tasks[0], error)]
        middle = len(tasks) // 2
        return self._some(tasks[:middle]) + self._some(tasks[middle:])

    def _refused(self, task: OperationRequest, error: Refusal) -> OperationResult:
        """Of two who do the same at one moment, the second is refused, and finds the receipt of the first."""
        there, makes = find_external_ids(self._client, external_id(task.key)), operation(task.operation).makes
        if there is not None and there.model == makes:
            return OperationResult(ChangeStatus.ALREADY, None if there.id is None else Ref(makes, there.id))
        if may_be_lost_race(str(error)):
            raise SerializationConflict(f"{task.operation} under the key {task.key}: {error}")
        return OperationResult(ChangeStatus.REFUSED, reason=str(error))

    # ---------------------------------------------------------------------------- the action --

    def _run(self, tasks: Sequence[OperationRequest]) -> list[OperationResult]:
        action = self._found()
        try:
            return _read(self._sent(action, tasks), tasks)
        except (AccessDenied, Missing):
            self._action = None  # it may be the action itself that is gone or closed to us: that raises now
            again = self._found()
            if again == action:
                raise
        return _read(self._sent(again, tasks), tasks)

    def _sent(self, action: int, tasks: Sequence[OperationRequest]) -> Any:
        changes = [
            {"key": one.key, "operation": one.operation, "id": one.id, "arguments": dict(one.arguments)}
            for one in tasks
        ]
        context = {"purser_version": VERSION, "purser_changes": changes}
        return self._client.send(Request(model="ir.actions.server", method="run", ids=(action,), context=context))

    def _found(self) -> int:
        if self._action is None:
            group = find_external_ids(self._client, GROUP)
            said = "" if group is None or group.id is None else self._comment(group.id)
            mark = _MARK.search(said)
            if mark is None:
                raise NotSetUp(f"this Odoo has no receipt action: {_SET_UP}")
            if not self._client.has_group(GROUP):
                raise NotSetUp(f"the bot is not in the group that may run the receipt action: {_SET_UP}")
            self._action = int(mark[1])
        return self._action

    def _comment(self, group: int) -> str:
        request = Request(
            model="res.groups", method="read", ids=(group,), arguments={"fields": ["comment"]}, reads=True
        )
        rows = self._client.send(request)
        return str(rows[0]["comment"] or "") if rows else ""


def _read(answer: Any, tasks: Sequence[OperationRequest]) -> list[OperationResult]:
    said = answer.get("infos") if isinstance(answer, Mapping) else None
    if not isinstance(said, Mapping) or "version" not in said:
        raise NotSetUp(f"what answers as the receipt action is something else: {_SET_UP} --force")
    if said["version"] != VERSION:
        raise NotSetUp(
            f"the receipt action in Odoo is version {said['version']}, this release speaks {VERSION}: {_SET_UP}"
        )
    results = said.get("results")
    if not isinstance(results, Sequence) or [one[0] for one in results] != [task.key for task in tasks]:
        raise Permanent("the receipt action answered for other changes than it was asked for")
    return [_result(*one) for one in results]


def _result(_key: str, status: str, model: str, id_: int, reason: str) -> OperationResult:
    ref = Ref(model, id_) if status in (ChangeStatus.DONE, ChangeStatus.ALREADY) and model and id_ else None
    return OperationResult(ChangeStatus(status), ref, reason)
