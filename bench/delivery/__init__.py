"""What delivery costs: our transport and runner against stock Celery, delays, latency, idle CPU, memory."""

from importlib import import_module


def main() -> None:
    """Measure. Only here, so that a worker under measurement does not load what measures it."""
    import_module("bench.delivery.command").main()
