"""Flower's broker page and its list of queue lengths, with every queue of the fleet from the first moment.

Flower itself shows the queues of the workers that it has inspected so far. Where it starts together with them, that
is nobody until somebody asks for a refresh.
"""

from typing import Any

from flower.api.tasks import GetQueueLengths
from flower.views.broker import BrokerView

from config.queues import QUEUES


class _EveryQueue:
    """Names the queues of the fleet beside those of the workers that Flower knows."""

    application: Any

    def get_active_queue_names(self) -> list[str]:
        """Return the names of the queues to show."""
        infos = self.application.workers.values()
        return sorted({*QUEUES, *(queue["name"] for info in infos for queue in info.get("active_queues") or ())})


class BrokerPage(_EveryQueue, BrokerView):  # type: ignore[misc, unused-ignore]
    """The page of the queues and their lengths."""


class QueueLengths(_EveryQueue, GetQueueLengths):  # type: ignore[misc, unused-ignore]
    """The same for programs."""
