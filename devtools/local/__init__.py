"""Servers and processes of a fleet on one machine."""
