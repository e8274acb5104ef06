"""The queues of the fleet, in the order in which they are asked, and the lists on which they lie on Redis."""

QUEUES = ("scans", "events", "apply", "outbound")

PRIORITY_STEPS = (0, 3, 6, 9)
"""The steps to which kombu rounds the priority of a message on Redis. Each step has a list, and 0 is read first."""

PRIORITY_SEPARATOR = "\x06\x16"
"""What kombu writes between the name of a queue and a step of priority."""


def redis_lists(queue: str) -> tuple[str, ...]:
    """Return the lists on Redis that hold the messages of a queue, in the order in which they are read."""
    return tuple(f"{queue}{PRIORITY_SEPARATOR}{step}" if step else queue for step in PRIORITY_STEPS)
