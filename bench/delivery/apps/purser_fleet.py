"""The application of the fleet as it is, with the measured tasks beside its own."""

from bench.delivery.apps import noop
from workers.main import app

noop.register(app)

__all__ = ["app"]
