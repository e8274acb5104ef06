"""The application of `stock`, on our transport. Nothing else differs."""

from bench.delivery.apps.stock import app
from workers.broker import redis_queue

redis_queue.install(inbound=redis_queue.Inbound(), lease=15.0, heartbeat=3.0, shares_ledger=False)

__all__ = ["app"]
