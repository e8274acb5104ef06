"""The queues of the fleet, in the order in which they are asked."""

QUEUES = ("scans", "events", "apply", "outbound")
