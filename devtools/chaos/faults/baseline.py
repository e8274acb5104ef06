"""Nothing goes wrong: what the other rows are to be compared with."""

from devtools.chaos.fault import fault
from devtools.chaos.fault_context import FaultContext


@fault("no fault", short=True, stock=True)
def no_fault(scene: FaultContext) -> str:
    """Nothing happens; the load is worked off."""
    scene.load.finish()
    return ""
