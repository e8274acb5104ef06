"""The drill: a fleet of real processes works while things break, and what it left behind is counted."""

from devtools.chaos.command import drill

__all__ = ["drill"]
