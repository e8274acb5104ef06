"""Replays of dead letters: their state, and what the worker that runs one needs."""
