"""Every fault of the drill, in the order of its table. One more is one more function in a file here, and its name."""

from console.drill.fault import Fault
from console.drill.faults import calm, clocks, events, messages, odoo, servers, workers

FAULTS: tuple[Fault, ...] = (
    calm.no_fault,
    workers.child_killed,
    workers.child_killed_after_commit,
    workers.poison,
    workers.out_of_memory,
    workers.workers_killed,
    workers.time_limit,
    workers.warm_stop,
    workers.cold_stop,
    workers.frozen,
    messages.garbage,
    messages.huge,
    servers.broker_killed,
    servers.broker_full,
    servers.connections_reset,
    servers.answers_lost,
    servers.ledger_killed,
    servers.disk_lost,
    odoo.odoo_restarts,
    odoo.bad_gateway,
    odoo.too_slow,
    odoo.lost_races,
    events.duplicates,
    events.out_of_order,
    clocks.skewed,
    clocks.two_beats,
    clocks.no_beat,
)
