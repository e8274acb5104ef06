"""Decisions of the engine: reconcile, retry, predicted outcomes."""
