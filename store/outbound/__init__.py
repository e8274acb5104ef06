"""Webhooks to subscribers: the queue of deliveries and the log of attempts."""
