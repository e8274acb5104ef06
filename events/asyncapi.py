"""The contract as machines read it: a JSON Schema of every fact, and one AsyncAPI document over all of them."""

import inspect
from collections.abc import Mapping
from typing import Any

from events.cloudevent import CloudEvent
from events.event import Event, known_events

VERSION = "1.0.0"
"""Of the doors and the envelope: facts carry their own."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MEDIA_TYPE = "application/cloudevents+json"


def schema_of(fact: type[Event]) -> dict[str, Any]:
    """Return the JSON Schema of what an event of this fact carries as `data`."""
    return {"$schema": DIALECT, **_schema(fact)}


def envelope_schema() -> dict[str, Any]:
    """Return the JSON Schema of the envelope."""
    return {"$schema": DIALECT, **CloudEvent.model_json_schema()}


def _schema(fact: type[Event]) -> dict[str, Any]:
    model, field = fact.about
    mark = {"x-mark": fact.mark} if fact.mark else {}
    return {**fact.model_json_schema(), "x-object": fact.of.name, "x-record": f"{model}/{{{field}}}", **mark}


def example_of(fact: type[Event]) -> dict[str, Any]:
    """Return an event of this fact as it may be sent."""
    properties = fact.model_json_schema()["properties"]
    examples = {name: (one | one.get("anyOf", [{}])[0]).get("examples") for name, one in properties.items()}
    told = fact.model_validate({name: some[0] for name, some in examples.items() if some})
    return {
        "specversion": "1.0",
        "id": told.identity,
        "source": "/crm/website",
        "type": fact.type,
        "time": "2026-11-22T09:30:00Z",
        "subject": str(told.record),
        "data": told.model_dump(mode="json", exclude_none=True),
    }


def asyncapi() -> dict[str, Any]:
    """Return the AsyncAPI 3 document: what the fleet takes and gives, through which channels."""
    facts = known_events()
    master = {name: fact for name, fact in facts.items() if fact.is_master()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Purser",
            "version": VERSION,
            "description": "Facts of the lifecycle of a service, in and out, each a CloudEvent 1.0.",
        },
        "defaultContentType": MEDIA_TYPE,
        "servers": {
            "redis": {
                "host": "broker.example.com:6379",
                "protocol": "redis",
                "description": "The broker, where it is Redis.",
            },
            "rabbitmq": {
                "host": "broker.example.com:5672",
                "protocol": "amqp",
                "description": "The broker, where it is RabbitMQ.",
            },
            "gateway": {
                "host": "purser.example.com",
                "protocol": "https",
                "description": "The door for who signs.",
            },
        },
        "channels": {
            "events": _queue("events", "The queue people wait for.", facts),
            "masterData": _queue(
                "apply", "The queue of the bulk: master data waits here, and delays nobody.", master
            ),
            "http": {
                "address": "/events",
                "description": "An event a request, or a batch of them, signed by Standard Webhooks.",
                "servers": [{"$ref": "#/servers/gateway"}],
                "messages": _messages(facts),
            },
            "subscribers": {
                "address": None,
                "description": "The address of whoever subscribed, signed by Standard Webhooks.",
                "messages": _messages(facts),
            },
        },
        "operations": {
            "acceptFromQueue": _operation("receive", "events", "An event is accepted once by (source, id).", facts),
            "acceptMasterData": _operation("receive", "masterData", "Likewise, behind what people wait for.", master),
            "acceptOverHttp": {
                **_operation("receive", "http", "Answered when the broker has it.", facts),
                "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
            },
            "tellSubscribers": {
                **_operation("send", "subscribers", "Told again until it is taken, for a day.", facts),
                "bindings": {"http": {"method": "POST", "bindingVersion": "0.3.0"}},
            },
        },
        "components": {
            "schemas": {
                "CloudEvent": CloudEvent.model_json_schema(),
                **{name: _schema(fact) for name, fact in facts.items()},
            },
            "messages": {name: _message(fact) for name, fact in facts.items()},
        },
    }


def _queue(address: str, says: str, facts: Mapping[str, type[Event]]) -> dict[str, Any]:
    return {
        "address": address,
        "description": f"{says} A message calls the Celery task `events.accept` with the event as its one argument.",
        "servers": [{"$ref": "#/servers/redis"}, {"$ref": "#/servers/rabbitmq"}],
        "messages": _messages(facts),
        "x-celery-task": "events.accept",
    }


def _messages(facts: Mapping[str, type[Event]]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in facts}


def _operation(action: str, channel: str, says: str, facts: Mapping[str, type[Event]]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "description": says,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in facts],
    }


def _message(fact: type[Event]) -> dict[str, Any]:
    says = (inspect.getdoc(fact) or "").splitlines()[0]
    return {
        "name": fact.type,
        "title": fact.__name__,
        "summary": says,
        "contentType": MEDIA_TYPE,
        "tags": [{"name": fact.of.name}],
        "correlationId": {"location": "$message.payload#/traceparent"},
        "payload": {
            "allOf": [
                {"$ref": "#/components/schemas/CloudEvent"},
                {
                    "type": "object",
                    "properties": {
                        "type": {"const": fact.type},
                        "data": {"$ref": f"#/components/schemas/{fact.type}"},
                    },
                },
            ]
        },
        "examples": [{"name": "one", "payload": example_of(fact)}],
    }
