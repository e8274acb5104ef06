"""A fault is a name, a sentence, what it needs of the stage, and a function that brings it about while work flows.

One more fault is one more function in a file of `devtools/chaos/faults/`, listed in its `__init__`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from purser.errors import PurserError

if TYPE_CHECKING:
    from devtools.chaos.fault_context import FaultContext

Against = Literal["redis", "rabbitmq"]
OdooKind = Literal["twin", "real"]
Inject = Callable[["FaultContext"], str]
"""Brings the fault about and says in a few words what was seen to happen. Raises FaultNotObserved when it did not."""


SCAN_EVERY = 2
"""Seconds from one slot of the control to the next, unless a set-up says otherwise."""


class FaultNotObserved(PurserError):
    """The fault was not seen to happen: what follows would prove nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultRequirements:
    """What a fault needs of the stage. Faults that need the same share one running fleet."""

    environ: tuple[tuple[str, str], ...] = ()
    """Settings that differ from those of the drill."""
    own_ledger: bool = False
    """The ledger is on a server of its own; else the broker's Redis keeps it too."""
    proxied: bool = False
    """The workers reach the broker through a proxy that can cut connections."""
    beats: int = 0
    scan_every: int = SCAN_EVERY
    """Seconds from one slot of the control to the next, where there is a beat."""
    skew: int = 0
    """Seconds by which the clock of the first worker is ahead, and that of beat behind."""
    moving_clocks: bool = False
    """Every worker reads its clock's offset from a file, which `Stage.shift_clock` writes; so does each Redis, where
    libfaketime is installed (`ChaosRedis.shift_clock`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """The shares of the load by kind; together they are one."""

    changes: float = 0.7
    """Chunks of a control: a task is to exist, and a note on its project."""
    events: float = 0.3
    """Won opportunities: a customer, a project and three activities each."""
    people: int = 0
    """Employees who have not entered their hours: a scan asks each of them once. They come on top."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing that goes wrong in production."""

    name: str
    what: str
    inject: Inject
    setup: FaultRequirements = FaultRequirements()
    mix: Mix = Mix()
    weight: float = 1.0
    """How much longer its load is than that of others."""
    lasts: float = 4.0
    """Seconds it takes about: so long the second half of the load flows."""
    patience: float = 60.0
    """Seconds the fleet may take to recover."""
    brokers: frozenset[Against] = frozenset({"redis", "rabbitmq"})
    odoos: frozenset[OdooKind] = frozenset({"twin", "real"})
    restarts_odoo: bool = False
    """Needs to be told how, where Odoo is a real one."""
    ends_processes: bool = True
    """Whether processes may end because of it. Where not, a worker that ends is a failure of its own."""
    is_short: bool = False
    """Part of the short drill."""
    is_for_stock: bool = False
    """Makes sense against a stock Celery, too."""


def fault(
    name: str,
    *,
    setup: FaultRequirements = FaultRequirements(),
    mix: Mix = Mix(),
    weight: float = 1.0,
    lasts: float = 4.0,
    patience: float = 60.0,
    brokers: tuple[Against, ...] = ("redis", "rabbitmq"),
    odoos: tuple[OdooKind, ...] = ("twin", "real"),
    restarts_odoo: bool = False,
    ends_processes: bool = True,
    short: bool = False,
    stock: bool = False,
) -> Callable[[Inject], Fault]:
    """Make a fault of a function; the first line of its docstring says what happens."""

    def made(inject: Inject) -> Fault:
        return Fault(
            name=name,
            what=(inject.__doc__ or "").partition("\n")[0],
            inject=inject,
            setup=setup,
            mix=mix,
            weight=weight,
            lasts=lasts,
            patience=patience,
            brokers=frozenset(brokers),
            odoos=frozenset(odoos),
            restarts_odoo=restarts_odoo,
            ends_processes=ends_processes,
            is_short=short,
            is_for_stock=stock,
        )

    return made
