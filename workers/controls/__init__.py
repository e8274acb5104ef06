"""Runs a control and applies the changes that follow."""
