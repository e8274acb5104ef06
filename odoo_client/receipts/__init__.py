"""A business operation and its receipt are one transaction in Odoo, by a server action whose text is kept here."""

from odoo_client.receipts.operations import OPERATIONS, Operation, Undone, operation, touches_money
from odoo_client.receipts.performing import Receipts, Result, Task
from odoo_client.receipts.text import EARLIER, VERSION, action_text, digest

__all__ = [
    "EARLIER",
    "OPERATIONS",
    "VERSION",
    "Operation",
    "Receipts",
    "Result",
    "Task",
    "Undone",
    "action_text",
    "digest",
    "operation",
    "touches_money",
]
