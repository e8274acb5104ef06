"""The typed projections of Odoo that several tasks read."""
