"""A firm in the twin, a real fleet beside it, and a story whose every claim is looked at."""

from devtools.demo.command import demo

__all__ = ["demo"]
