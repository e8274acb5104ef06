"""Predicts what applying a change would do, by reading only."""
