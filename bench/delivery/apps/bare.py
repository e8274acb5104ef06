"""The application of the fleet, settings and transport included, around Celery's own task, request and consumer."""

import celery

from bench.delivery.apps import noop
from workers.main import app

app.conf.worker_consumer = "celery.worker.consumer:Consumer"
noop.register(app, base=celery.Task)

__all__ = ["app"]
