"""Delivers events to subscribers over HTTP."""
