"""Accepts events, runs automations and handles refusals."""
