"""What Purser keeps in Odoo beside the firm's data is wanted, found, compared, made, and taken away again."""

from odoo_client.setup.carrying import carry_out, make_key, remove, standing, try_hook
from odoo_client.setup.finding import Finder, Standing
from odoo_client.setup.hooks import RULES, Hook, Rule, address, masked, token_in
from odoo_client.setup.plan import Difference, Do, Item, plan
from odoo_client.setup.wanted import ACTION, GROUP, GROUPS, MODULE, Bot, Wanted, wanted

__all__ = [
    "ACTION",
    "GROUP",
    "GROUPS",
    "MODULE",
    "RULES",
    "Bot",
    "Difference",
    "Do",
    "Finder",
    "Hook",
    "Item",
    "Rule",
    "Standing",
    "Wanted",
    "address",
    "carry_out",
    "make_key",
    "masked",
    "plan",
    "remove",
    "standing",
    "token_in",
    "try_hook",
    "wanted",
]
