"""The twin's facts hold together, and cover what controls, automations and watches read."""

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import tasks.automations
import tasks.controls
import tasks.queries
import tasks.watchers
from devtools.fake_odoo.domain import leaves
from devtools.fake_odoo.schema import Field, Model, load_schema
from purser.queries import Aggregate, Read, Row

SCHEMA = load_schema()


def _reads() -> Iterator[Read]:
    for package in (tasks.queries, tasks.controls, tasks.automations, tasks.watchers):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    left: list[Read] = [*Row.__subclasses__(), *Aggregate.__subclasses__()]
    while left:
        read = left.pop()
        left += read.__subclasses__()
        if read.__module__.startswith("tasks.") and hasattr(read, "model"):  # a base is read by nobody
            yield read


ELSEWHERE = {"SubscriptionOrder", "SupportCase", "DecidedSheet"}
"""Optional reads of what Odoo 19 Community does not have, and neither has the twin."""


@pytest.mark.parametrize(
    "read", [one for one in _reads() if one.__qualname__ not in ELSEWHERE], ids=lambda read: read.__qualname__
)
def test_every_field_that_is_read_is_one_the_twin_knows(read: Read) -> None:
    known = {"__count", *SCHEMA.models[read.model].fields}
    assert [spec.asked for spec in read.specs() if not spec.if_known and spec.field not in known] == []


def _fields() -> Iterator[tuple[Model, Field]]:
    for model in SCHEMA.models.values():
        for field in model.fields.values():
            yield model, field


def test_every_relation_leads_to_a_known_model_and_every_inverse_to_a_known_field() -> None:
    lost = [
        f"{model.name}.{field.name}"
        for model, field in _fields()
        if field.relation
        and (
            field.relation not in SCHEMA.models
            or (field.inverse and field.inverse not in SCHEMA.models[field.relation].fields)
        )
    ]
    assert lost == []


def test_every_related_field_has_a_path_that_can_be_walked() -> None:
    lost = []
    for model, field in _fields():
        at: Model | None = model
        for step in field.path:
            found = at.fields.get(step) if at else None
            at = SCHEMA.models.get(found.relation) if found else None
            if found is None:
                lost.append(f"{model.name}.{field.name}")
    assert lost == []


def test_defaults_and_copies_name_known_fields() -> None:
    for section in (SCHEMA.defaults, SCHEMA.copies, SCHEMA.required):
        for model, fields in section.items():
            assert set(fields) <= set(SCHEMA.models[model].fields), model


def test_rights_speak_of_known_models_and_groups() -> None:
    for group in SCHEMA.groups.values():
        assert set(group.access) <= set(SCHEMA.models), group.label
        assert set(group.implies) <= set(SCHEMA.groups), group.label
        assert all(set(letters) <= set("rwcu") for letters in group.access.values())


def test_rules_speak_of_known_models_groups_and_fields() -> None:
    for model, rules in SCHEMA.rules.items():
        for group, modes, domain in rules:
            assert {group} <= {"", *SCHEMA.groups}, model
            assert set(modes) <= set("rwcu"), model
            names = {leaf[0].partition(".")[0] for leaf in leaves(domain)}
            assert names <= set(SCHEMA.models[model].fields), model
