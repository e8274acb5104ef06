"""A stock Celery 5.7 on Redis, for comparison: it does the plain thing, which is to create records over RPC.

`plain` has Celery's defaults; `careful` is set up as guides advise: late acknowledgement, a lost worker's message
goes back, and errors are tried again. For both a message that nobody acknowledges comes back after the same short
time as in the fleet of the drill, not after an hour: the table is to show what gets lost, not what waits.
"""

from typing import Any

import celery

from config.settings import BotRole, Settings
from odoo_client import connect
from odoo_client.transport.request import Request
from workers.context import connection_for

TIMEOUT = 4
"""Seconds until an unacknowledged message comes back."""

CAREFUL: dict[str, Any] = {"task_acks_late": True, "task_reject_on_worker_lost": True}
RETRIES: dict[str, Any] = {"autoretry_for": (Exception,), "max_retries": 10, "retry_backoff": True}


def build(settings: Settings, conf: dict[str, Any], options: dict[str, Any]) -> celery.Celery:
    """Build a stock app with one task."""
    app = celery.Celery("stock", broker=settings.broker)
    app.conf.update(
        task_default_queue="apply",
        task_queues={"apply": {"exchange": "purser", "routing_key": "apply"}},
        task_ignore_result=True,
        task_time_limit=settings.task_time_limit,
        task_soft_time_limit=settings.task_soft_time_limit,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": TIMEOUT,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            "priority_steps": [0],
        },
        **conf,
    )

    @app.task(name="drill.create", shared=False, **options)  # else each app would have the other's options
    def create(place: int, name: str, note: str) -> None:
        with connect(connection_for(settings, BotRole.CHANGE)) as odoo:
            odoo.send(_create("project.task", {"name": name, "project_id": place}))
            odoo.send(_create("mail.message", {"model": "project.project", "res_id": place, "body": note}))

    return app


def _create(model: str, values: dict[str, Any]) -> Request:
    return Request(model=model, method="create", arguments={"vals_list": [values]})


_settings = Settings.load(need={"broker", "odoo"})
plain = build(_settings, {}, {})
careful = build(_settings, CAREFUL, RETRIES)
