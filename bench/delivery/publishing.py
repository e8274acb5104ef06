"""A process that publishes: each line it reads is a number of messages, each it writes how long they took."""

import sys
import time
from importlib import import_module
from typing import Any

from bench.delivery.apps.noop import QUEUES


def main() -> None:
    """Publish as the named application does, until the input ends."""
    app: Any = import_module(f"bench.delivery.apps.{sys.argv[1]}").app
    for line in sys.stdin:
        began = time.perf_counter()
        for _ in range(int(line)):
            _publish(app)
        print(time.perf_counter() - began, flush=True)


def _publish(app: Any) -> None:
    if hasattr(app, "fleet"):
        app.fleet.publish("bench.noop", {}, label="no-op", queue=QUEUES[0])
    else:
        app.tasks["bench.noop"].apply_async(queue=QUEUES[0])


if __name__ == "__main__":
    main()
