"""Every fact of the contract: its schema takes what its model takes, and it survives its journey with its name."""

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from events.asyncapi import asyncapi, envelope_schema, example_of, schema_of
from events.business_objects import OBJECTS, object_of
from events.cloudevent import CloudEvent, read_event
from events.event import Event, known_events
from events.field_types import Id, Instant, fingerprint
from events.opportunity import OpportunityWon
from purser.errors import ConfigurationError, Permanent

FACTS = known_events()
NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
ASKED_FOR = {
    *("opportunity.won", "opportunity.lost", "quotation.signed", "contract.expiring", "project.created"),
    *("milestone.approved", "timesheet.submitted", "timesheet.approved", "timesheet.rejected", "expense.submitted"),
    *("expense.rejected", "purchase.approved", "ticket.escalated", "ticket.resolved", "change-request.approved"),
    *("leave.approved", "leave.cancelled", "employee.changed", "employee.departed", "staffing.requested"),
    *("allocation.expiring", "invoice.posted", "invoice.disputed", "payment.received", "payment.missed"),
    *("subscription.changed", "document.signed", "customer.changed", "billing.ready"),
}

every_fact = pytest.mark.parametrize("fact", FACTS.values(), ids=lambda fact: fact.type)


# ------------------------------------------------------------------------ what there is --


def test_every_fact_of_the_lifecycle_is_there() -> None:
    assert {name.removesuffix(".v1") for name in FACTS} == ASKED_FOR


def test_a_model_is_part_of_one_object() -> None:
    models = [model for one in OBJECTS.values() for model in one.models]
    assert len(models) == len(set(models))
    assert all(one.master in ("", *one.models) for one in OBJECTS.values())
    with pytest.raises(ConfigurationError, match="part of no object"):
        object_of("res.users")


def test_master_data_is_what_transactions_lean_on() -> None:
    masters = {name for name, fact in FACTS.items() if fact.is_master()}
    assert masters == {"customer.changed.v1", "employee.changed.v1", "employee.departed.v1"}


def test_a_fact_is_of_the_object_of_its_record_unless_it_says_otherwise() -> None:
    assert FACTS["invoice.posted.v1"].of.name == "invoice"
    assert FACTS["contract.expiring.v1"].of.name == "contract"


@every_fact
def test_a_fact_says_everything_it_must(fact: type[Event]) -> None:
    fields = fact.model_fields
    assert fact.type.endswith(".v1")
    assert fact.__doc__
    assert fields[fact.about.field].is_required()
    assert [name for name, info in fields.items() if info.is_required()] == [fact.about.field]
    assert fact.mark in fields
    assert all(info.description for info in fields.values())


# ------------------------------------------------------------------------------ schemas --

EARLY = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - its zone is drawn beside it
CHARACTERS = st.characters(exclude_categories=["Cc", "Cs"])


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Generate what a property's schema asks for."""
    schema = schema.get("anyOf", [schema])[0]
    match schema:
        case {"type": "integer"}:
            least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
            return st.integers(least, schema["maximum"])
        case {"format": "date"}:
            return st.dates().map(dt.date.isoformat)
        case {"format": "date-time"}:
            zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
            return st.datetimes(EARLY, timezones=zones).map(dt.datetime.isoformat)
        case {"type": "string"}:
            return st.text(CHARACTERS, min_size=schema.get("minLength", 0), max_size=schema["maxLength"])
    raise AssertionError(f"no strategy for {schema}")


def told_by(fact: type[Event]) -> st.SearchStrategy[dict[str, Any]]:
    """Generate the data of a fact."""
    schema = schema_of(fact)
    fields = {name: values(one) for name, one in schema["properties"].items()}
    must = {name: one for name, one in fields.items() if name in schema["required"]}
    may = {name: st.none() | one for name, one in fields.items() if name not in must}
    return st.fixed_dictionaries(must, optional=may)


ANY_FACT = st.sampled_from(list(FACTS.values()))
FACT_AND_DATA = ANY_FACT.flatmap(lambda fact: st.tuples(st.just(fact), told_by(fact)))
SCHEMAS = {name: jsonschema_rs.validator_for(schema_of(fact), validate_formats=True) for name, fact in FACTS.items()}
ENVELOPE = jsonschema_rs.validator_for(envelope_schema(), validate_formats=True)


@given(FACT_AND_DATA)
def test_a_fact_survives_its_journey_and_keeps_its_name(told: tuple[type[Event], dict[str, Any]]) -> None:
    kind, data = told
    fact = kind.model_validate(data)
    sent = CloudEvent.wrap(fact, source="/here", time=NOW).model_dump_json(exclude_none=True)
    envelope, came = read_event(sent)
    assert came == fact
    assert envelope.id == came.identity == fact.identity
    assert ENVELOPE.is_valid(json.loads(sent))
    assert SCHEMAS[kind.type].is_valid(json.loads(sent)["data"])


ODD_WORDS = [
    *("", " ", "0", "7", "a\nb", "x" * 121, "1764000000", "2026-02-30", "2026-11-22T09:30", "2026-11-22 09:30:00Z"),
    *("2026-11-22T09:30:00", "2026-11-22T24:00:00Z", "2026-11-22T09:30:00+25:00", "2026-11-22T09:30:60Z"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.lists(st.integers()),
    st.sampled_from([*ODD_WORDS, 2**31, 1e3]),
)


@given(FACT_AND_DATA, st.data())
def test_a_schema_takes_what_its_model_takes(told: tuple[type[Event], dict[str, Any]], more: st.DataObject) -> None:
    kind, data = told
    names = st.sampled_from([*kind.model_fields, "other"])
    data = {**data, **more.draw(st.dictionaries(names, ODD, min_size=1, max_size=2))}
    with suppress(ValidationError):
        kind.model_validate(data)
        assert SCHEMAS[kind.type].is_valid(json.loads(json.dumps(data)))


def test_an_instant_is_kept_in_utc_and_one_without_a_zone_is_refused() -> None:
    told = {"opportunity_id": 1, "closed_at": "2026-11-22T09:30:00+02:00"}
    assert OpportunityWon.model_validate(told).identity == "opportunity.won.v1/crm.lead/1/2026-11-22T07:30:00Z"
    with pytest.raises(ValidationError, match="moment with its zone"):
        OpportunityWon.model_validate({**told, "closed_at": "2026-11-22T09:30:00"})


def test_equal_values_have_equal_fingerprints() -> None:
    assert fingerprint({"name": "Ada", "vat": False}) == fingerprint({"vat": False, "name": "Ada"})
    assert fingerprint({"name": "Ada"}) != fingerprint({"name": "Bea"})


# ----------------------------------------------------------------------------- versions --


class WonSecond(Event, type="opportunity.won.v2", about=("crm.lead", "opportunity_id"), mark="won_at"):
    """How a second version looks: a class of its own, with what is new about it."""

    opportunity_id: Id
    won_at: Instant


def test_a_new_version_is_a_new_class_and_messages_of_the_old_one_still_run() -> None:
    both: dict[str, type[Event]] = {**FACTS, WonSecond.type: WonSecond}
    old = CloudEvent.wrap(OpportunityWon(opportunity_id=7), source="/crm", time=NOW).model_dump(mode="json")
    new = {**old, "type": "opportunity.won.v2", "data": {"opportunity_id": 7, "won_at": "2026-11-22T09:30:00Z"}}
    assert type(read_event(old, facts=both)[1]) is OpportunityWon
    assert type(read_event(new, facts=both)[1]) is WonSecond
    with pytest.raises(Permanent, match="Did you mean `opportunity"):
        read_event(new)


# ----------------------------------------------------------------------------- AsyncAPI --


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def at(document: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        document = document[part]
    return document


def test_everything_the_document_refers_to_is_in_it() -> None:
    document = asyncapi()
    found = set(references(document))
    assert found
    assert [reference for reference in found if at(document, reference) is None] == []


def test_an_operation_names_messages_of_its_own_channel() -> None:
    document = asyncapi()
    assert document["asyncapi"] == "3.0.0"
    for operation in document["operations"].values():
        channel = operation["channel"]["$ref"]
        assert at(document, channel)["messages"].keys() >= {
            one["$ref"].removeprefix(f"{channel}/messages/") for one in operation["messages"]
        }


@every_fact
def test_the_example_of_a_message_is_one(fact: type[Event]) -> None:
    document = asyncapi()
    message = document["components"]["messages"][fact.type]
    (example,) = message["examples"]
    payload = {**message["payload"], "components": document["components"]}
    assert jsonschema_rs.validator_for(payload, validate_formats=True).is_valid(example["payload"])
    assert example["payload"] == example_of(fact)
    envelope, told = read_event(example["payload"])
    assert envelope.id == told.identity
    assert told.identity.startswith(f"{fact.type}/{fact.about.model}/42/")
