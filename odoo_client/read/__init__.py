"""Reads from Odoo: snapshots, capabilities, visibility and lookups."""
