"""The applications under measurement, one a file. Each has the same tasks (`noop`) and the same queues."""
