"""The storm: hundreds of faults in an order drawn by lot, several at once, while work flows all the time."""

from devtools.chaos.storm.command import storm

__all__ = ["storm"]
