"""Clocks are wrong, beat runs twice, or did not run at all."""

import datetime as dt
import signal

from devtools.chaos.environment import CONTROL
from devtools.chaos.fault import SCAN_EVERY, FaultNotObserved, FaultRequirements, Mix, fault
from devtools.chaos.fault_context import FaultContext

SKEWED = FaultRequirements(beats=1, skew=60)
TWO_BEATS = FaultRequirements(beats=2)
_BEATS = ("beat1", "beat2")


@fault("clocks a minute apart", setup=SKEWED, mix=Mix(changes=0.5, events=0.3, people=20), odoos=("twin",))
def skewed(scene: FaultContext) -> str:
    """One worker's clock is a minute ahead and beat's a minute behind, while Odoo makes tasks wait and try again."""
    stage, twin = scene.stage, scene.stage.office.twin
    if not (stage.said("a", "clock shifted") and stage.said("beat1", "clock shifted")):
        raise FaultNotObserved("the clocks are right")
    if twin is None:
        raise FaultNotObserved("only the twin takes orders")
    twin.faults.answer(503, times=30, only="project.task/load")
    scene.load.finish()
    waited = scene.await_answers(twin.faults, 30, within=30, what="503")
    before = len(_slots(scene))
    scene.await_bite(lambda: len(_slots(scene)) >= before + 3, within=30, what="three more scans")
    return f"{waited} tasks had to wait; {len(_checked(scene))} slots scanned, none twice"


@fault("two beats", lasts=8, setup=TWO_BEATS, mix=Mix(changes=0.5, events=0.2, people=20), odoos=("twin",))
def two_beats(scene: FaultContext) -> str:
    """Two beats tick for the same fleet."""
    stage = scene.stage
    before = len(_slots(scene))
    scene.await_bite(lambda: len(_slots(scene)) >= before + 4, within=40, what="four scans")
    sent = [stage.said(name, "Sending due task") for name in _BEATS]
    if not all(sent):
        raise FaultNotObserved(f"the beats sent {sent} tasks")
    return f"{sent[0]} and {sent[1]} scans told; {len(_checked(scene))} slots scanned, none twice"


@fault("no beat for a day", setup=TWO_BEATS, mix=Mix(changes=0.5, events=0.2), odoos=("twin",))
def no_beat(scene: FaultContext) -> str:
    """No beat ran since yesterday and people were hired meanwhile; then beat comes back."""
    stage = scene.stage
    for name in _BEATS:
        stage.signal(name, signal.SIGSTOP)
    scene.load.finish()
    scene.await_bite(lambda: not any(stage.waiting()), within=60, what="empty queues")
    stage.rewind(CONTROL, dt.timedelta(days=1))
    before = _slots(scene)
    scene.load.hire(20)
    for name in _BEATS:
        stage.signal(name, signal.SIGKILL, group=True)
    scene.await_bite(lambda: len(_slots(scene)) > len(before), within=40, what="a scan")
    scene.over()
    missed = dt.timedelta(days=1) // dt.timedelta(seconds=SCAN_EVERY)
    ran = len(_checked(scene)) - len(before)
    if ran > _FEW:
        raise FaultNotObserved(f"{ran} scans at once: missed slots were not collapsed")
    return f"{missed} slots missed, {ran} scanned when beat was back"


_FEW = 5


def _slots(scene: FaultContext) -> list[dt.datetime]:
    """Return the slots that were scanned so far."""
    runs = scene.stage.ledger.runs.page(CONTROL, limit=500).items
    return [run.slot for run in runs if run.slot is not None]


def _checked(scene: FaultContext) -> list[dt.datetime]:
    """Return the slots that were scanned so far; FaultNotObserved says that one was scanned twice."""
    slots = _slots(scene)
    if len(slots) != len(set(slots)):
        raise FaultNotObserved("a slot was scanned twice")
    return slots
