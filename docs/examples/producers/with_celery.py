"""Tell the fleet an event with Celery, on Redis or RabbitMQ: `BROKER_URL=... python with_celery.py <event.json`."""

import json
import os
import sys
from typing import Any

from celery import Celery
from kombu import Queue


def send(broker_url: str, event: dict[str, Any]) -> None:
    """Put the event on the queue. It needs the broker's address and nothing of Purser."""
    with Celery("website", broker=broker_url) as app:
        app.conf.task_queues = [Queue("events", no_declare=True)]  # the fleet has made it, and knows how
        app.conf.broker_transport_options = {"confirm_publish": True}
        # The two `repr`s keep what the event says out of logs and Flower.
        app.send_task("events.accept", args=[event], queue="events", argsrepr="", kwargsrepr=event["id"])


if __name__ == "__main__":
    send(os.environ["BROKER_URL"], json.load(sys.stdin))
