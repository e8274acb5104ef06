"""Tell the fleet an event without Celery, on Redis or RabbitMQ: `BROKER_URL=... python with_kombu.py <event.json`."""

import json
import os
import sys
import uuid
from typing import Any

from kombu import Connection


def send(broker_url: str, event: dict[str, Any]) -> None:
    """Put the event on the queue as a Celery message of version 2, which is this and no more."""
    with Connection(broker_url, transport_options={"confirm_publish": True}) as connection:
        connection.Producer(serializer="json").publish(
            [[event], {}, {}],
            routing_key="events",
            headers={"task": "events.accept", "id": str(uuid.uuid4()), "argsrepr": "", "kwargsrepr": event["id"]},
            delivery_mode=2,
            retry=True,
        )


if __name__ == "__main__":
    send(os.environ["BROKER_URL"], json.load(sys.stdin))
