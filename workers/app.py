"""The Celery application: queues, settings that lose nothing, and the few tasks the fleet consists of."""

import datetime as dt
import uuid
from functools import partial
from typing import Any

import celery
from celery import signals
from kombu.entity import Exchange, Queue
from pydantic import ValidationError

from config.observability.logging import configure_logging as setup_logs
from config.observability.sentry import setup_sentry
from config.queues import PRIORITY_STEPS, QUEUES
from config.settings import Settings
from purser.errors import Permanent
from schedules.beat import beat_entries
from workers.broker.driver_url import driver_url
from workers.broker.rabbitmq import amqp_connection, topology
from workers.broker.redis import channel
from workers.changes import detect, feed
from workers.context import WorkerContext
from workers.controls import apply_changes
from workers.controls import run as scan
from workers.dead_letters.capture import WorkerMessageSink, store_letter
from workers.dead_letters.letter_factory import attempts_of
from workers.events import react
from workers.messages import OTHER_NAMES
from workers.outbound import deliver
from workers.process import fork_locks, rabbitmq_bootstep
from workers.publishing import publisher, resender
from workers.runtime.beat_schedule import beat_schedule
from workers.runtime.request import working
from workers.runtime.task import FleetTask

ROUTES = {
    "purser.scan": "scans",
    "purser.feed": "scans",
    "purser.look": "events",
    "purser.accept": "events",
    **dict.fromkeys(OTHER_NAMES, "events"),
    "purser.react": "events",
    "purser.apply": "apply",
    "purser.deliver": "outbound",
}


def create_app(settings: Settings) -> celery.Celery:
    """Build the application for these settings. ConfigurationError says everything that is wrong with them.

    The fleet's parts hang on it as `app.fleet`; connections are made when first used.
    """
    app = celery.Celery(
        "purser", task_cls=FleetTask, events="workers.runtime.celery_events:FleetEvents", set_as_current=True
    )
    app.conf.update(_conf(settings))
    app.fleet = WorkerContext.assemble(settings, publisher(app), resender(app))
    policies = app.fleet.policies
    entries = [*beat_entries("control", policies.cadences()), *beat_entries("watch", policies.feeds())]
    app.conf.beat_schedule = beat_schedule(entries, policies.timezone, app.fleet.now)
    _install_broker(app, settings)
    _register(app)
    _connect_signals(app, settings)
    return app


def _install_broker(app: celery.Celery, settings: Settings) -> None:
    if topology.is_rabbitmq(settings.broker):
        app.conf.update(topology.settings_for(settings))
        amqp_connection.install()
        rabbitmq_bootstep.add_bootstep(app, partial(store_letter, app.fleet))
    else:
        channel.install(
            inbound=WorkerMessageSink(app.fleet, working),
            lease=settings.lease,
            heartbeat=settings.heartbeat,
            shares_ledger=settings.one_redis,
        )


def _conf(settings: Settings) -> dict[str, Any]:
    make_queue: Any = Queue
    make_exchange: Any = Exchange
    return {
        "broker_url": driver_url(settings.broker),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 25,
            "priority_steps": list(PRIORITY_STEPS),
            **({"master_name": settings.sentinel_master} if settings.sentinel_master else {}),
        },
        "task_queues": [make_queue(name, make_exchange("purser"), routing_key=name) for name in QUEUES],
        "task_default_queue": "scans",
        "task_create_missing_queues": False,
        "task_routes": {task: {"queue": queue} for task, queue in ROUTES.items()},
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_ignore_result": True,
        "task_time_limit": settings.task_time_limit,
        "task_soft_time_limit": settings.task_soft_time_limit,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_publish_retry_policy": {
            "max_retries": 5,
            "interval_start": 0.2,
            "interval_step": 0.5,
            "interval_max": 2,
        },
        "worker_prefetch_multiplier": 1,
        "worker_pool": "workers.process.pool:TaskPool",
        "worker_consumer": "workers.process.consumer:FleetConsumer",
        # What runs while Redis is away keeps its lease, and is acknowledged when it is back.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_soft_shutdown_timeout": 0,  # see workers.process.shutdown
        "worker_send_task_events": True,
        "task_send_sent_event": True,
        "worker_hijack_root_logger": False,
        "beat_scheduler": "celery.beat:Scheduler",
        "beat_max_loop_interval": 5,
        "timezone": "UTC",
    }


def _register(app: celery.Celery) -> None:
    fleet: WorkerContext = app.fleet
    settings = fleet.settings

    @app.task(bind=True, name="purser.scan")
    def scan_task(self: Any, control: str, release_hold: bool = False) -> dict[str, Any]:
        run = scan.run_slot(fleet, control, holder=self.request.id or str(uuid.uuid4()), release_hold=release_hold)
        return {"control": control, "outcome": run.outcome, "reason": run.reason}

    @app.task(bind=True, name="purser.apply")
    def apply_task(self: Any, control: str, slot: str, run: str, steps: list[Any]) -> dict[str, Any]:
        try:
            read = scan.load_steps(steps)
            due = dt.datetime.fromisoformat(slot)
        except (ValidationError, ValueError) as error:
            raise Permanent(f"the chunk of run {run} cannot be read: {type(error).__name__}") from None
        done = apply_changes.apply_steps(
            fleet, control=control, slot=due, steps=read, batch=batch_of(settings, self.request)
        )
        return {"control": control, "done": done.done, "already": done.already, "refused": done.refused}

    @app.task(bind=True, name="purser.feed")
    def feed_task(self: Any, watch: str) -> dict[str, Any]:
        fed = feed.run_slot(fleet, watch, holder=self.request.id or str(uuid.uuid4()))
        return {"watch": watch, "looked": fed.looked, "told": fed.told, "reason": fed.reason}

    @app.task(bind=True, name="purser.look")
    def look_task(self: Any, model: str, id: int) -> dict[str, Any]:  # noqa: A002
        return {"told": detect.detect(fleet, model, id)}

    @app.task(bind=True, name="purser.accept")
    def accept_task(self: Any, event: dict[str, Any]) -> list[str]:
        return list(react.accept(fleet, event, holder=self.request.id or str(uuid.uuid4())))

    @app.task(bind=True, name="purser.react")
    def react_task(self: Any, automation: str, event: dict[str, Any]) -> dict[str, Any]:
        done = react.react(fleet, automation, event)
        return {"automation": automation, "done": done.done, "already": done.already, "refused": done.refused}

    @app.task(bind=True, name="purser.deliver")
    def deliver_task(self: Any, subscription: str, event: dict[str, Any]) -> dict[str, Any]:
        sent = deliver.deliver(fleet, subscription, event, attempt=(self.request.retries or 0) + 1)
        return {"subscription": subscription, "outcome": sent}


def batch_of(settings: Settings, request: Any) -> int:
    """Return how many changes may share a call: half as many each time the connection dropped again."""
    drops = sum(attempt.error.startswith("UnknownOutcome") for attempt in attempts_of(request.headers))
    return max(1, settings.chunk_size >> max(0, drops - 1))


def _connect_signals(app: celery.Celery, settings: Settings) -> None:
    @signals.setup_logging.connect(weak=False)
    def configure_logging(**_: Any) -> None:
        setup_logs(settings)
        setup_sentry(settings)

    @signals.worker_init.connect(weak=False)
    def begun(**_: Any) -> None:
        fork_locks.install()

    @signals.worker_process_init.connect(weak=False)
    def forked(**_: Any) -> None:
        app.fleet.disconnect()
