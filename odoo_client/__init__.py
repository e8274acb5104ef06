"""The only door to Odoo."""

from odoo_client.client import OdooClient, connect
from odoo_client.door import Api, Door, FieldInfo, Me, Ping
from odoo_client.gate import Gate, Pass
from odoo_client.importing import BATCH
from odoo_client.judging import failed_in, held_back
from odoo_client.narrowing import NARROWINGS, Guarded, hidden_from, narrowed_in
from odoo_client.outcome import Outcome, Status
from odoo_client.preview import Preview, Previewer
from odoo_client.reading import Sight
from odoo_client.receipts import touches_money

__all__ = [
    "BATCH",
    "NARROWINGS",
    "Api",
    "Door",
    "FieldInfo",
    "Gate",
    "Guarded",
    "Me",
    "OdooClient",
    "Outcome",
    "Pass",
    "Ping",
    "Preview",
    "Previewer",
    "Sight",
    "Status",
    "connect",
    "failed_in",
    "held_back",
    "hidden_from",
    "narrowed_in",
    "touches_money",
]
