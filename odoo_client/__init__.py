"""The only door to Odoo."""

from odoo_client.apply.bulk_load import BATCH_SIZE
from odoo_client.apply.preconditions import failed_in, held_back
from odoo_client.client import OdooClient, connect
from odoo_client.connection import Api, ConnectionCheck, CurrentUser, FieldInfo, OdooConnection
from odoo_client.outcome import ChangeOutcome, ChangeStatus
from odoo_client.preview.previewer import Preview, Previewer
from odoo_client.read.snapshot import RecordPage
from odoo_client.read.visibility import NARROWINGS, RestrictedModel, find_hiding_rules_in, hidden_from
from odoo_client.server_action import touches_money
from odoo_client.throttling import CallLimiter, CallPermit

__all__ = [
    "BATCH_SIZE",
    "NARROWINGS",
    "Api",
    "CallLimiter",
    "CallPermit",
    "ChangeOutcome",
    "ChangeStatus",
    "ConnectionCheck",
    "CurrentUser",
    "FieldInfo",
    "OdooClient",
    "OdooConnection",
    "Preview",
    "Previewer",
    "RecordPage",
    "RestrictedModel",
    "connect",
    "failed_in",
    "find_hiding_rules_in",
    "held_back",
    "hidden_from",
    "touches_money",
]
