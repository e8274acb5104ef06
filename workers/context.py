"""Everything a runner needs, built once at the top of a process and passed in: nothing here decides."""

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from config.observability.logging import redactor_of
from config.observability.redaction import Redactor
from config.policy.loader import Policies, load_policies
from config.settings import BotRole, Settings
from odoo_client import OdooClient, OdooConnection, connect
from purser.errors import Misconfigured, Snooze
from purser.registry import Registry
from schedules.freeze import frozen_until
from schedules.slots import seconds_to_next_slot
from store import DeadLetter, Ledger, OdooLimiter, PauseCache
from tasks.discovery import load_registry
from workers.shared_clock import FleetClock, utc_now
from workers.shared_limiter import SharedLimiter


class Publisher(Protocol):
    """Puts a task on a queue. `label` is what logs and Flower may show of its arguments."""

    def __call__(self, task: str, kwargs: dict[str, Any], *, label: str, **options: Any) -> None: ...


PAUSED_FOR = 15.0
"""Seconds until what was paused looks again whether it still is."""


@dataclass
class WorkerContext:
    """The parts a process works with. Connections are made when first used, so a forked child makes its own."""

    settings: Settings
    catalogue: Registry
    policies: Policies
    publish: Publisher
    resend: Callable[[DeadLetter], None]
    """Puts a letter's message back on its queue, byte for byte."""
    now: Callable[[], dt.datetime] = utc_now
    _at_home: bool = False

    @classmethod
    def assemble(
        cls, settings: Settings, publish: Publisher, resend: Callable[[DeadLetter], None]
    ) -> "WorkerContext":
        """Build the fleet of this environment; ConfigurationError says everything that is wrong with its policies."""
        declared = load_registry()
        fleet = cls(settings, declared, load_policies(declared, settings.policies), publish, resend)
        if settings.ledger_url is not None:
            fleet.now = FleetClock(lambda: fleet.ledger.now())
        return fleet

    @cached_property
    def redactor(self) -> Redactor:
        """Shows texts without secrets and without people."""
        return redactor_of(self.settings)

    @cached_property
    def ledger(self) -> Ledger:
        """Our own memory."""
        return Ledger.connect(self.settings.ledger)

    @cached_property
    def audit(self) -> OdooClient:
        """The bot that reads."""
        return connect(connection_for(self.settings, BotRole.AUDIT), self._before_odoo())

    @cached_property
    def change(self) -> OdooClient:
        """The bot that writes."""
        return connect(connection_for(self.settings, BotRole.CHANGE), self._before_odoo())

    @cached_property
    def billing(self) -> OdooClient:
        """The bot that carries out what touches money; the one that writes, where it has no user of its own."""
        access = connection_for(self.settings, BotRole.BILLING)
        return self.change if access == self.change.door else connect(access, self._before_odoo())

    @cached_property
    def gate(self) -> OdooLimiter:
        """What decides, for all workers together, when this Odoo may be called."""
        return self.ledger.gate(odoo_binding_of(self.settings))

    def _before_odoo(self) -> SharedLimiter | None:
        """Who has no ledger, such as a command that only reads Odoo, asks nobody."""
        return None if self.settings.ledger_url is None else SharedLimiter(lambda: self.gate)

    def local_now(self) -> dt.datetime:
        """Return the present moment in the firm's zone: its date is the firm's today."""
        return self.local(self.now())

    def local(self, moment: dt.datetime) -> dt.datetime:
        """Return a moment in the firm's zone (`timezone` of the policy)."""
        return moment.astimezone(self.policies.timezone)

    def check_home(self) -> None:
        """Raise Misconfigured when the ledger remembers the cases of another Odoo. Asked once per process."""
        if not self._at_home:
            mine = odoo_binding_of(self.settings)
            kept = self.ledger.home.of(mine)
            if kept != mine:
                raise Misconfigured(
                    f"this ledger remembers the cases of {kept}, and the settings name {mine}: give each Odoo a "
                    "ledger of its own (PURSER_LEDGER_URL), or say `purser ledger adopt` if the same database moved"
                )
            self._at_home = True

    def may_begin(self, targets: Collection[str]) -> None:
        """Raise Snooze when what a task concerns is paused by an operator, or frozen by the policy."""
        pause = self.pauses.blocking(targets)
        if pause is not None:
            raise Snooze(f"paused: {pause.target}", after=PAUSED_FOR)
        now = self.now()
        frozen = frozen_until(now, self.policies.freezes, self.policies.timezone, targets)
        if frozen is not None:
            raise Snooze(f"frozen: {frozen.name}", after=(frozen.until - now).total_seconds())

    def is_held_back(self, targets: Collection[str]) -> bool:
        """Return whether any of these is paused or frozen."""
        try:
            self.may_begin(targets)
        except Snooze:
            return True
        return False

    def seconds_left(self, task: str, values: Mapping[str, Any]) -> float | None:
        """Return the seconds after which a task is pointless: the next slot of its control or watch does its work."""
        match task, values:
            case "purser.scan", {"control": str(name)} if name in self.policies.controls:
                every = self.policies.control(name).every
            case "purser.feed", {"watch": str(name)} if name in self.policies.watches:
                every = self.policies.watch(name).every
            case _:
                return None
        return seconds_to_next_slot(name, every, self.now(), self.policies.timezone)

    @cached_property
    def pauses(self) -> PauseCache:
        """What operators have paused, as of a second ago at most."""
        return PauseCache(self.ledger.pauses)

    def disconnect(self) -> None:
        """Close what was opened; a forked child calls it before it opens its own."""
        for name in ("pauses", "gate"):
            self.__dict__.pop(name, None)
        for name in ("audit", "billing", "change", "ledger"):
            opened = self.__dict__.pop(name, None)
            if opened is not None:
                opened.close()


def odoo_binding_of(settings: Settings) -> str:
    """Name the Odoo database of these settings."""
    return f"{settings.odoo_url} ({settings.odoo_db})"


def connection_for(settings: Settings, role: BotRole) -> OdooConnection:
    """Return where Odoo is and as whom to enter it. A role without a bot of its own falls back to the single one."""
    access = settings.odoo(role)
    return OdooConnection(
        url=access.url,
        db=access.db,
        login=access.login,
        api_key=access.api_key,
        api=access.api,
        read_timeout=access.timeout,
    )
