"""The `purser` command."""
