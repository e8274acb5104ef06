"""The probe of an open breaker: one process asks Odoo something harmless as each of our users."""

import time
from dataclasses import dataclass, replace

import structlog

from config.settings import BotRole, Settings
from odoo_client import OdooConnection, connect
from odoo_client.throttling import verdict_of
from odoo_client.transport.request import Request
from purser.errors import ConfigurationError, Misconfigured, PurserError, Throttled
from store import CallResult, LimiterPermit, OdooLimiter, RetryIn
from workers.context import WorkerContext, connection_for
from workers.odoo_access.alarm import alarm

log = structlog.get_logger(__name__)

TIMEOUT_SECONDS = 10.0
"""An Odoo that needs longer to say who we are does not work. Shorter than the lease of a probe."""

_QUESTION = Request(model="res.users", method="context_get", reads=True)
"""Needs the key, the login and the database, and changes nothing."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe found. `why` is what a failure said."""

    works: bool
    why: str = ""


def probe_now(fleet: WorkerContext) -> ProbeResult | RetryIn | None:
    """Probe without waiting for the cooldown. Return None while the breaker is closed, Wait while another probes."""
    ticket = fleet.gate.probe(at_once=True)
    return run_probe(fleet, ticket) if isinstance(ticket, LimiterPermit) else ticket


def run_probe(fleet: WorkerContext, ticket: LimiterPermit) -> ProbeResult:
    """Ask Odoo as each of our users. All must be let in: the breaker closes for all of them."""
    gate, began = fleet.gate, time.monotonic()
    try:
        for one in connections(fleet.settings):
            _ask(gate, ticket, one)
    except PurserError as error:
        seconds, why = time.monotonic() - began, fleet.redactor.text(str(error))
        verdict = verdict_of(error, seconds, TIMEOUT_SECONDS)
        if verdict is not CallResult.ANSWERED:
            wait = error.retry_after if isinstance(error, Throttled) else None
            gate.leave(ticket, verdict, seconds, wait, why=why)
            log.warning("breaker stays open", problem=why)
            if isinstance(error, Misconfigured):
                alarm(fleet, error)
            return ProbeResult(works=False, why=why)
    except BaseException:
        gate.leave(ticket, CallResult.ABANDONED, time.monotonic() - began)
        raise
    gate.leave(ticket, CallResult.ANSWERED, time.monotonic() - began)
    fleet.ledger.alarms.end()
    log.warning("breaker closed: Odoo works again")
    return ProbeResult(works=True)


def _ask(gate: OdooLimiter, ticket: LimiterPermit, one: OdooConnection) -> None:
    gate.renew([ticket])
    with connect(replace(one, read_timeout=min(one.read_timeout, TIMEOUT_SECONDS))) as client:
        client.send(_QUESTION)


def connections(settings: Settings) -> list[OdooConnection]:
    """Return how our users enter Odoo, each once."""
    found: list[OdooConnection] = []
    for role in BotRole:
        try:
            one = connection_for(settings, role)
        except ConfigurationError:  # not set: nobody enters as this one
            continue
        if one not in found:
            found.append(one)
    return found
