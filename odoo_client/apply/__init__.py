"""Applies changes to Odoo idempotently."""
