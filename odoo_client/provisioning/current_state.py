"""What of the set-up is in Odoo already is read, as an administrator sees it."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from odoo_client.client import OdooClient
from odoo_client.provisioning.automation_rules import AutomationRule, domain_fields
from odoo_client.provisioning.desired_state import (
    COMPANIES_KEY,
    MODULE,
    DesiredRecord,
    FieldRef,
    ModelRef,
    Named,
    OdooDialect,
    XmlIdRef,
)
from odoo_client.provisioning.plan import CurrentState, ExistingRecord
from odoo_client.transport.request import Request
from purser.errors import NotApplicable

OLDEST = (17, 0)
"""Webhook actions are Odoo's own since then. Older ones are served by the change feed alone."""

CONTACT = "res.partner"
"""Odoo names the contact of a user after it; it comes and goes with the user."""


@dataclass(frozen=True, slots=True)
class InstalledRecord:
    """Our external ids as they stand: name, model and record."""

    name: str
    model: str
    id: int


class CurrentStateReader:
    """Reads what there is, as an administrator."""

    def __init__(self, admin: OdooClient) -> None:
        self._admin = admin

    def dialect(self, rules: Sequence[AutomationRule]) -> OdooDialect:
        """Learn how this Odoo names things; NotApplicable where it is too old, or the user no administrator."""
        version = self._admin.version()
        if version < OLDEST:
            raise NotApplicable(
                f"Odoo {version[0]} has no webhook actions: they came with {OLDEST[0]}; the change feed needs none"
            )
        if not self._admin.has_group("base.group_system"):
            raise NotApplicable(f"{self._admin.door.login} is no administrator: set-up takes base.group_system")
        users, groups = self._fields("res.users"), self._fields("res.groups")
        has_rules = self._admin.fields("base.automation") is not None
        there = [rule.model for rule in rules if has_rules and self._has(rule.model)]
        return OdooDialect(
            groups="group_ids" if "group_ids" in users else "groups_id",
            has_key_duration="api_key_duration" in groups,
            has_rules=has_rules,
            companies={row["id"]: row["name"] for row in self._search("res.company", [], ["name"])},
            known_companies=self._known_companies(),
            has_parameters=self._has("ir.config_parameter"),
            models={model: self._fields(model) for model in there},
            computed={model: self.computed(model) for model in there},
        )

    def _known_companies(self) -> frozenset[int]:
        """Return the companies that there were at the last set-up; without a note, when its first bot was made."""
        if not self._has("ir.config_parameter"):
            return frozenset()
        rows = self._search("ir.config_parameter", [["key", "=", COMPANIES_KEY]], ["value"])
        if rows:
            return frozenset(int(one) for one in re.findall(r"\d+", rows[0]["value"] or ""))
        bots = [one.id for one in self.standing() if one.model == "res.users"]
        made = self._search("res.users", [["id", "in", bots]], ["create_date"]) if bots else []
        if not made:
            return frozenset()
        first = min(row["create_date"] for row in made)
        return frozenset(row["id"] for row in self._search("res.company", [["create_date", "<=", first]], ["id"]))

    def standing(self) -> tuple[InstalledRecord, ...]:
        """Return everything that bears an external id of ours."""
        rows = self._search("ir.model.data", [["module", "=", MODULE]], ["name", "model", "res_id"])
        return tuple(
            InstalledRecord(row["name"], row["model"], row["res_id"]) for row in rows if row["model"] != CONTACT
        )

    def urls(self) -> dict[str, str]:
        """Return where our webhooks post to, by the name of their rule."""
        hooks = {one.id: one.name for one in self.standing() if one.name.startswith("hook_")}
        rows = self._search("ir.actions.server", [["id", "in", sorted(hooks)]], ["webhook_url"]) if hooks else []
        return {hooks[row["id"]].removeprefix("hook_"): row["webhook_url"] or "" for row in rows}

    def computed(self, model: str) -> frozenset[str]:
        """Return the fields of a model that Odoo computes, related ones included."""
        request = Request(
            model=model, method="fields_get", arguments={"attributes": ["depends", "related"]}, reads=True
        )
        told: Mapping[str, Mapping[str, Any]] = self._admin.send(request)
        return frozenset(name for name, info in told.items() if info.get("depends") or info.get("related"))

    def unsafe_domains(self) -> dict[str, tuple[str, frozenset[str]]]:
        """Return our rules whose domain names computed fields: by name the model and these fields.

        Odoo computes such a field while a record is being created, and stores what it found too early.
        """
        ours = {one.id: one.name for one in self.standing() if one.model == "base.automation"}
        names = ["model_name", "filter_domain", "filter_pre_domain"]
        rows = self._search("base.automation", [["id", "in", sorted(ours)]], names) if ours else []
        found = {}
        for row in rows:
            named = domain_fields(f"{row['filter_domain'] or ''} {row['filter_pre_domain'] or ''}")
            if named and (unsafe := named & self.computed(row["model_name"])):
                found[ours[row["id"]]] = (row["model_name"], unsafe)
        return found

    def known(self, wanted: Sequence[DesiredRecord]) -> CurrentState:
        """Look for everything that is wanted, and for what it names."""
        return CurrentState(records=self.records(wanted), ids=self._ids(wanted))

    def records(self, wanted: Sequence[DesiredRecord]) -> dict[str, ExistingRecord]:
        """Read what stands of these, by name: a call for each model."""
        standing = {one.name: one.id for one in self.standing()}
        logins = {one.login for one in wanted if one.login and one.name not in standing}
        users = self._search("res.users", [["login", "in", sorted(logins)]], ["login"]) if logins else []
        by_login = {row["login"]: row["id"] for row in users}
        found: dict[str, ExistingRecord] = {}
        by_model: dict[str, list[DesiredRecord]] = defaultdict(list)
        for one in wanted:
            by_model[one.model].append(one)
        for model, those in by_model.items():
            ids = {one.name: id_ for one in those if (id_ := standing.get(one.name) or by_login.get(one.login))}
            rows = self._rows(model, ids.values(), {name for one in those for name in one.values})
            for name, id_ in ids.items():
                if id_ in rows:
                    found[name] = ExistingRecord(id=id_, values=rows[id_], is_ours=name in standing)
        return found

    def _rows(self, model: str, ids: Iterable[int], fields: Iterable[str]) -> dict[int, dict[str, Any]]:
        """Read records; of a user all groups count, those that others imply too."""
        implied = {"all_group_ids"} & self._fields(model)
        asked = [["id", "in", sorted(ids)]]
        rows = self._search(model, asked, sorted({*fields, *implied})) if asked[0][2] else []
        for row in rows:
            if implied:
                row["group_ids"] = row["all_group_ids"]
        return {row["id"]: row for row in rows}

    # ---------------------------------------------------------------------------- names --

    def _ids(self, wanted: Iterable[DesiredRecord]) -> Mapping[Named, int | None]:
        """Find the ids behind names: a call for each kind of name."""
        wishes = [wish for one in wanted for wish in (*one.values.values(), *one.once.values())]
        named = [one for wish in wishes for one in (wish if isinstance(wish, tuple) else (wish,))]
        return {
            **self._shipped([one for one in named if isinstance(one, XmlIdRef)]),
            **self._models([one for one in named if isinstance(one, ModelRef)]),
            **self._of_fields([one for one in named if isinstance(one, FieldRef)]),
        }

    def _shipped(self, named: Sequence[XmlIdRef]) -> dict[Named, int | None]:
        parts = [one.name.partition(".") for one in named]
        domain = [["module", "in", sorted({p[0] for p in parts})], ["name", "in", sorted({p[2] for p in parts})]]
        rows = self._search("ir.model.data", domain, ["module", "name", "res_id"])
        return {XmlIdRef(f"{row['module']}.{row['name']}"): row["res_id"] for row in rows}

    def _models(self, named: Sequence[ModelRef]) -> dict[Named, int | None]:
        rows = self._search("ir.model", [["model", "in", sorted({one.model for one in named})]], ["model"])
        return {ModelRef(row["model"]): row["id"] for row in rows}

    def _of_fields(self, named: Sequence[FieldRef]) -> dict[Named, int | None]:
        if not named:
            return {}
        models, names = {one.model for one in named}, {one.field for one in named}
        domain = [["model", "in", sorted(models)], ["name", "in", sorted(names)]]
        rows = self._search("ir.model.fields", domain, ["model", "name"])
        return {FieldRef(row["model"], row["name"]): row["id"] for row in rows}

    # ------------------------------------------------------------------------------ reads --

    def _has(self, model: str) -> bool:
        return self._admin.fields(model) is not None

    def _fields(self, model: str) -> frozenset[str]:
        return frozenset(self._admin.fields(model) or ())

    def _search(self, model: str, domain: list[Any], fields: Sequence[str]) -> list[dict[str, Any]]:
        arguments = {"domain": domain, "fields": list(fields), "load": ""}
        request = Request(
            model=model, method="search_read", arguments=arguments, context={"active_test": False}, reads=True
        )
        found: list[dict[str, Any]] = self._admin.send(request)
        return found
