"""The change feed: reads Odoo incrementally and publishes events."""
