"""A small Celery application whose workers reserve, and whose tasks count their effects in another database."""

import os
import time
import weakref
from collections.abc import Collection
from typing import Any

import celery
import redis
from celery.worker import state
from celery.worker.request import Request

from workers.broker.redis import channel

_begun: Any = weakref.WeakSet()


class CountedRequest(Request):  # type: ignore[misc]
    """A request that tells whether its message is still worked on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _begun.add(self)

    @property
    def is_worked_on(self) -> bool:
        result = self._apply_result() if self._apply_result is not None else None
        return bool(self.acknowledged or self in state.active_requests or result is not None)


class CountedTask(celery.Task):  # type: ignore[misc]
    Request = CountedRequest


class _Inbound(channel.MessageSink):
    def working(self, holder: str) -> Collection[str]:
        if state.should_stop is not None or state.should_terminate is not None:
            return ()
        known = [one() for one in list(_begun.data)]  # a copy in one go: other threads add to it
        tags = [str(one._message.delivery_tag) for one in known if one is not None and one.is_worked_on]
        return channel.working_numbers(holder, tags)


if not os.environ.get("SMALL_STOCK"):
    channel.install(
        inbound=_Inbound(),
        lease=float(os.environ.get("SMALL_LEASE", "2")),
        heartbeat=float(os.environ.get("SMALL_HEARTBEAT", "0.4")),
        shares_ledger=False,
    )

QUEUES = ("a", "b")
effects: Any = redis.Redis.from_url(os.environ["SMALL_EFFECTS"])
app = celery.Celery("small", task_cls=CountedTask, broker=os.environ["SMALL_BROKER"])
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
