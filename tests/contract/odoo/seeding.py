"""Records a test needs are made by plain calls over RPC, so that every server can hold them."""

import itertools
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from odoo_client import OdooClient
from odoo_client.transport.request import Request
from purser import Ref


class Seeder:
    """An administrator who makes, changes, removes and counts records."""

    def __init__(self, client: OdooClient) -> None:
        self._client = client
        self._token = uuid.uuid4().hex[:10]
        self._numbers = itertools.count(1)

    def key(self, what: str) -> str:
        """Return a business key no other test has."""
        return f"contract/{self._token}/{what}"

    def name(self, what: str) -> str:
        """Return a name no other record has."""
        return f"{what} {self._token}-{next(self._numbers)}"

    def call(self, model: str, method: str, ids: Sequence[int] | None = None, **arguments: Any) -> Any:
        return self._client.send(
            Request(model=model, method=method, ids=None if ids is None else tuple(ids), arguments=arguments)
        )

    def create(self, model: str, **values: Any) -> Ref:
        return Ref(model, self.call(model, "create", vals_list=[values])[0])

    def write(self, ref: Ref, **values: Any) -> None:
        self.call(ref.model, "write", [ref.id], vals=values)

    def unlink(self, ref: Ref) -> None:
        self.call(ref.model, "unlink", [ref.id])

    def read(self, ref: Ref, *fields: str) -> Mapping[str, Any]:
        found: list[dict[str, Any]] = self.call(ref.model, "read", [ref.id], fields=list(fields), load="")
        return found[0]

    def find(self, model: str, domain: list[Any], *fields: str) -> list[dict[str, Any]]:
        """Search, archived records included."""
        found: list[dict[str, Any]] = self._client.send(
            Request(
                model=model,
                method="search_read",
                arguments={"domain": domain, "fields": list(fields), "load": "", "order": "id"},
                context={"active_test": False},
            )
        )
        return found

    # --------------------------------------------------------------- what tests often need --

    def project(self, *, private: bool = False) -> Ref:
        visible = "followers" if private else "employees"
        return self.create("project.project", name=self.name("Project"), privacy_visibility=visible)

    def task(self, project: Ref | None = None, **values: Any) -> Ref:
        project = project or self.project()
        return self.create("project.task", **{"name": self.name("Task"), "project_id": project.id, **values})

    def partner(self, **values: Any) -> Ref:
        return self.create("res.partner", **{"name": self.name("Partner"), **values})

    def notes_on(self, ref: Ref) -> list[dict[str, Any]]:
        domain = [["model", "=", ref.model], ["res_id", "=", ref.id], ["subtype_id.internal", "=", True]]
        return self.find("mail.message", domain, "body")

    def activities_on(self, ref: Ref) -> list[dict[str, Any]]:
        domain = [["res_model", "=", ref.model], ["res_id", "=", ref.id]]
        return self.find("mail.activity", domain, "summary", "user_id", "active", "date_deadline")
