"""What controls remember: cases, runs and claimed slots."""
