"""A business operation and its receipt are one transaction in Odoo, by a server action whose text is kept here."""

from odoo_client.server_action.action_runner import OperationRequest, OperationResult, ServerActionRunner
from odoo_client.server_action.operations import OPERATIONS, ServerOperation, UndoneReceipt, operation, touches_money
from odoo_client.server_action.source import EARLIER, VERSION, action_text, digest

__all__ = [
    "EARLIER",
    "OPERATIONS",
    "VERSION",
    "OperationRequest",
    "OperationResult",
    "ServerActionRunner",
    "ServerOperation",
    "UndoneReceipt",
    "action_text",
    "digest",
    "operation",
    "touches_money",
]
