"""Stock Celery on Redis, set up so that a killed worker loses nothing it had begun."""

import os

import celery

from bench.delivery.apps import noop

app = celery.Celery("bench", broker=os.environ[noop.BROKER])
app.conf.update(
    task_queues={name: {"exchange": "bench", "routing_key": name} for name in noop.QUEUES},
    task_default_queue=noop.QUEUES[0],
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={"priority_steps": [0]},
    broker_connection_retry_on_startup=True,
)
noop.register(app)
