"""The top of every Celery process: `celery -A workers.main worker -Q apply`, `celery -A workers.main beat`."""

import sys

from config.settings import Need, Settings
from workers.app import create_app


def needs(arguments: list[str]) -> set[Need]:
    """Return what a command line of Celery uses: a worker acts in Odoo; beat and `inspect` do not."""
    return {"broker", "ledger", "odoo"} if "worker" in arguments else {"broker", "ledger", "address"}


app = create_app(Settings.load(need=needs(sys.argv[1:])))
