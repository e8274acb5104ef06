"""What Purser keeps in Odoo beside the firm's data is wanted, found, compared, made, and taken away again."""

from odoo_client.provisioning.apply import apply_plan, installed_records, make_key, remove, try_hook
from odoo_client.provisioning.automation_rules import RULES, AutomationRule, WebhookTarget, address, masked, token_in
from odoo_client.provisioning.current_state import CurrentStateReader, InstalledRecord
from odoo_client.provisioning.desired_state import (
    ACTION,
    GROUP,
    GROUPS,
    MODULE,
    BotUserSpec,
    DesiredRecord,
    desired_records,
)
from odoo_client.provisioning.plan import Difference, PlannedAction, PlannedRecord, make_plan

__all__ = [
    "ACTION",
    "GROUP",
    "GROUPS",
    "MODULE",
    "RULES",
    "AutomationRule",
    "BotUserSpec",
    "CurrentStateReader",
    "DesiredRecord",
    "Difference",
    "InstalledRecord",
    "PlannedAction",
    "PlannedRecord",
    "WebhookTarget",
    "address",
    "apply_plan",
    "desired_records",
    "installed_records",
    "make_key",
    "make_plan",
    "masked",
    "remove",
    "token_in",
    "try_hook",
]
