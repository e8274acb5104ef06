"""Everything a runner needs, built once at the top of a process and passed in: nothing here decides."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from config.logs import redactor_of
from config.policies import Policies, load_policies
from config.redact import Redactor
from config.settings import Role, Settings
from ledger import Ledger, Letter
from odoo_client import Door, OdooClient, connect
from purser.catalogue import Catalogue
from purser.errors import Misconfigured
from tasks.house import catalogue


class Publish(Protocol):
    """Puts a task on a queue. `label` is what logs and Flower may show of its arguments."""

    def __call__(self, task: str, kwargs: dict[str, Any], *, label: str, **options: Any) -> None: ...


def utc_now() -> dt.datetime:
    """Read the clock."""
    return dt.datetime.now(dt.UTC)


@dataclass
class Fleet:
    """The parts a process works with. Connections are made when first used, so a forked child makes its own."""

    settings: Settings
    catalogue: Catalogue
    policies: Policies
    publish: Publish
    resend: Callable[[Letter], None]
    """Puts a letter's message back on its queue, byte for byte."""
    now: Callable[[], dt.datetime] = utc_now
    _at_home: bool = False

    @classmethod
    def assemble(cls, settings: Settings, publish: Publish, resend: Callable[[Letter], None]) -> "Fleet":
        """Build the fleet of this environment; Mistake says everything that is wrong with its policies."""
        declared = catalogue()
        return cls(settings, declared, load_policies(declared, settings.policies), publish, resend)

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
        return connect(door(self.settings, Role.AUDIT))

    @cached_property
    def change(self) -> OdooClient:
        """The bot that writes."""
        return connect(door(self.settings, Role.CHANGE))

    def check_home(self) -> None:
        """Raise Misconfigured when the ledger remembers the cases of another Odoo. Asked once per process."""
        if not self._at_home:
            mine = home_of(self.settings)
            kept = self.ledger.home.of(mine)
            if kept != mine:
                raise Misconfigured(
                    f"this ledger remembers the cases of {kept}, and the settings name {mine}: give each Odoo a "
                    "ledger of its own (PURSER_LEDGER_URL), or say `purser ledger adopt` if the same database moved"
                )
            self._at_home = True

    def disconnect(self) -> None:
        """Close what was opened; a forked child calls it before it opens its own."""
        for name in ("audit", "change", "ledger"):
            opened = self.__dict__.pop(name, None)
            if opened is not None:
                opened.close()


def home_of(settings: Settings) -> str:
    """Name the Odoo database of these settings."""
    return f"{settings.odoo_url} ({settings.odoo_db})"


def door(settings: Settings, role: Role) -> Door:
    """Say where Odoo is and as whom to enter it. A role without a bot of its own falls back to the single one."""
    access = settings.odoo(role)
    return Door(
        url=access.url,
        db=access.db,
        login=access.login,
        api_key=access.api_key,
        api=access.api,
        read_timeout=access.timeout,
    )
