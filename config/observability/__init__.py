"""Logging, redaction and Sentry."""
