"""One file, one rule that should hold."""
