"""Calls to Odoo over JSON-2 or OdooRPC."""
