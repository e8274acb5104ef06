"""A small Celery application whose workers reserve, and whose tasks count their effects in another database."""

import os
import time
from collections.abc import Collection
from typing import Any

import celery
import redis
from celery.worker import state

from workers.broker import redis_queue


class _Inbound(redis_queue.Inbound):
    def working(self, holder: str) -> Collection[str]:
        if state.should_stop is not None or state.should_terminate is not None:
            return ()
        known = [*state.active_requests, *state.requests.values()]
        begun = [one for one in known if one in state.active_requests or _given_to_pool(one)]
        return redis_queue.working_numbers(holder, [str(one._message.delivery_tag) for one in begun])


def _given_to_pool(request: Any) -> bool:
    return request._apply_result is not None and request._apply_result() is not None


if not os.environ.get("SMALL_STOCK"):
    redis_queue.install(
        inbound=_Inbound(),
        lease=float(os.environ.get("SMALL_LEASE", "2")),
        heartbeat=float(os.environ.get("SMALL_HEARTBEAT", "0.4")),
        shares_ledger=False,
    )

QUEUES = ("a", "b")
effects: Any = redis.Redis.from_url(os.environ["SMALL_EFFECTS"])
app = celery.Celery("small", broker=os.environ["SMALL_BROKER"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "priority_steps": [0],
        "socket_timeout": 5,
        "socket_connect_timeout": 5,
        "master_name": os.environ.get("SMALL_MASTER"),
    },
    task_queues={name: {"exchange": "small", "routing_key": name} for name in QUEUES},
    task_default_queue="a",
    task_default_exchange="small",
    task_default_routing_key="a",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=False,
)
if ca := os.environ.get("SMALL_CA"):
    app.conf.broker_use_ssl = {"ssl_ca_certs": ca}


@app.task(bind=True, name="mark")  # type: ignore[untyped-decorator]
def mark(self: Any, number: int, seconds: float = 0.0) -> None:
    """Count the beginning, take some time, count the end."""
    with effects.pipeline() as pipe:
        pipe.incr(f"begun:{number}")
        pipe.incr(f"by:{self.request.hostname}")
        pipe.execute()
    time.sleep(seconds)
    effects.incr(f"done:{number}")
