"""Checks of a deployment: broker, store, Odoo, rights."""
