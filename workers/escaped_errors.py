"""Counts the errors of this process that no task and no caller handled: `purser workers list` shows the number."""


class EscapedErrors:
    """The number of errors since the process started. Each of them is in the log with its traceback."""

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> int:
        """Count one more; return how many there are now."""
        self.count += 1
        return self.count


ESCAPED = EscapedErrors()
