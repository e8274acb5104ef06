"""A small Odoo in one process: it stores and filters, and says 501 to whatever it does not know."""

from odoo_client.twin.faults import Faults
from odoo_client.twin.server import Twin

__all__ = ["Faults", "Twin"]
