"""The application of `stock`, on our transport. Nothing else differs."""

from bench.delivery.apps.stock_celery import app
from workers.broker.redis import channel

channel.install(inbound=channel.MessageSink(), lease=15.0, heartbeat=3.0, shares_ledger=False)

__all__ = ["app"]
