"""What was asked for on the command line."""

from collections.abc import Sequence
from dataclasses import dataclass

from config.settings import Settings
from devtools.chaos.fault import Against, Fault, OdooKind


@dataclass(frozen=True, kw_only=True, slots=True)
class ChaosOptions:
    """What was asked for on the command line."""

    faults: Sequence[Fault]
    messages: int
    against: Against = "redis"
    odoo: OdooKind = "twin"
    settings: Settings | None = None
    """Of the real Odoo."""
    restart_odoo: str = ""
    """The command that restarts it."""
    stock: str = ""
    """The app of a stock Celery instead of the fleet."""
    is_short: bool = False
    keep: bool = False
    """Whether the logs stay, also if all went well."""
    seed: int = 0
