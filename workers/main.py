"""The top of every Celery process: `celery -A workers.main worker -Q apply`, `celery -A workers.main beat`."""

from config.settings import Settings
from workers.app import build

app = build(Settings.load(need={"broker", "ledger", "odoo"}))
