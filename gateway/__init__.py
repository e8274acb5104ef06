"""Machines talk to the fleet over HTTP: events come in signed, and Odoo's own rules post what they saw."""
