"""Calls to Odoo are limited across the fleet: shared limiter, probe of an open breaker, alarms."""
