"""What the workers share: heartbeats, pauses, alarms and the limiter of calls to Odoo."""
