"""Odoo is away, answers with errors, or answers too late."""

import shlex
import subprocess
import time

from console.output import count
from devtools.chaos.fault import FaultNotObserved, FaultRequirements, fault
from devtools.chaos.fault_context import FaultContext
from devtools.chaos.odoo_target import FaultyFakeOdoo, slowed


def _twin(scene: FaultContext) -> FaultyFakeOdoo:
    twin = scene.stage.office.twin
    if twin is None:
        raise FaultNotObserved("only the twin takes orders")
    return twin


@fault("Odoo restarts", restarts_odoo=True, patience=180, short=True, stock=True)
def odoo_restarts(scene: FaultContext) -> str:
    """Odoo stops under load, refuses connections for a while, and comes back at the same address."""
    if scene.stage.office.twin is None:
        began = time.monotonic()
        done = subprocess.run(shlex.split(scene.stage.plan.restart_odoo), check=False, stdout=subprocess.DEVNULL)
        if done.returncode:
            raise FaultNotObserved(f"the command that restarts Odoo ended with {done.returncode}")
        scene.await_bite(scene.stage.office.answers, within=120, what="Odoo coming back")
        return f"back after {time.monotonic() - began:.0f} s"
    twin = _twin(scene)
    port = int(twin.url.rpartition(":")[2])
    with slowed(scene.stage.office, 0.2):
        before = twin.requests.total()
        twin.faults.drop(times=10_000)  # who keeps a connection open is cut off
        scene.pause(0.3)
        twin.stop()
        scene.pause(3.0)
        cut = twin.requests.total() - before
        twin.faults.clear()
        twin.start(port)
    if not cut:
        raise FaultNotObserved("no request was under way when Odoo stopped")
    return f"away for 3 s; {count(cut, 'request')} cut off"


@fault("502 after commit", odoos=("twin",), patience=120, short=True, stock=True)
def bad_gateway(scene: FaultContext) -> str:
    """Odoo commits, and a proxy in front of it answers 502."""
    twin, times = _twin(scene), 10 if scene.is_short else 40
    calls = _CALLS[bool(scene.stage.plan.stock)]
    for call in calls:
        twin.faults.answer(502, times=times // len(calls), after_commit=True, only=call)
    scene.load.finish()
    given = scene.await_answers(twin.faults, times // len(calls) * len(calls), within=30, what="502")
    return f"{given} answers replaced"


_CALLS = {
    False: ("project.task/load", "mail.message/load", "res.partner/load", "project.project/load"),
    True: ("project.task/create", "mail.message/create"),
}
"""The writing calls of the fleet, and of a stock Celery task."""


@fault(
    "Odoo slower than the timeout",
    odoos=("twin",),
    setup=FaultRequirements(environ=(("PURSER_ODOO_TIMEOUT", "2"),)),
    stock=True,
)
def too_slow(scene: FaultContext) -> str:
    """Odoo answers after the caller has given up, and carries the request out all the same."""
    twin, times = _twin(scene), 12
    for call in _CALLS[bool(scene.stage.plan.stock)][:2]:
        twin.faults.delay(3.5, times=times // 2, only=call)
    scene.load.finish()
    scene.await_bite(lambda: twin.faults.left == 0, within=60, what="every request delayed")
    return f"{times} requests took 3.5 s, the timeout being 2 s"


@fault("proxy refuses", ends_processes=False, odoos=("twin",), patience=180)
def proxy_refuses(scene: FaultContext) -> str:
    """A proxy or firewall in front of Odoo answers with pages of its own: 302, 403, 408, 425, 404 and 413."""
    twin, statuses = _twin(scene), (302, 403, 408, 425, 404, 413)
    times = len(statuses) * 6
    for number in range(times):
        twin.faults.answer(statuses[number % len(statuses)], only=_CALLS[False][number % 4])
    scene.load.finish()
    given = scene.await_answers(twin.faults, times, within=60, what="pages of a proxy")
    return f"{given} requests answered by a proxy"


@fault("keys refused", ends_processes=False, odoos=("twin",), patience=180)
def keys_refused(scene: FaultContext) -> str:
    """Odoo refuses the fleet's API key for some seconds: nothing is charged to a message."""
    twin = _twin(scene)
    before = twin.requests.total()
    with twin.keys_refused():
        scene.load.finish()
        scene.pause(8.0)
    if twin.requests.total() == before:
        raise FaultNotObserved("no request came while keys were refused")
    return "keys refused for 8 s"


@fault("serialization failures", odoos=("twin",), stock=True)
def lost_races(scene: FaultContext) -> str:
    """Odoo gives up because transactions meet: nothing is written, and trying again is the caller's business."""
    twin, times = _twin(scene), 60
    twin.lose_races(times)
    scene.load.finish()
    scene.await_bite(lambda: twin.races_left == 0, within=60, what="every race lost")
    return f"{times} requests lost a race"
