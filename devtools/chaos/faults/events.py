"""News of Odoo comes twice, late, and in the wrong order."""

import uuid

from devtools.chaos.fault import Mix, fault
from devtools.chaos.fault_context import FaultContext


@fault("duplicate events", short=True, mix=Mix(changes=0.4, events=0.2))
def duplicates(scene: FaultContext) -> str:
    """The same event is told three times, and the same news once more under another id."""
    load = scene.load
    names = [f"{load.name} twice {number}" for number in range(5 if scene.is_short else 25)]
    messages = []
    for name, lead in load.deals(names).items():
        event_id = str(uuid.uuid4())
        messages.append(load.told(name, lead, event_id=event_id))
        messages += [load.told(name, lead, event_id=event_id, expects=False) for _ in range(2)]
        messages.append(load.told(name, lead, expects=False))
    scene.rng.shuffle(messages)
    for message in messages:
        load.add(message)
    return f"{len(names)} events told four times"


@fault("events out of order", mix=Mix(changes=0.4, events=0.2))
def out_of_order(scene: FaultContext) -> str:
    """That an opportunity was won is told before Odoo shows it, and told again after it does, older news last."""
    load, office = scene.load, scene.stage.office
    names = [f"{load.name} early {number}" for number in range(20)]
    leads = load.deals(names, won=False)
    early = [load.told(name, lead, expects=False) for name, lead in leads.items()]
    for message in early[::2]:
        load.add(message)
    scene.pause(1.0)
    office.win(list(leads.values()))
    late = [load.told(name, lead) for name, lead in leads.items()]
    scene.rng.shuffle(late)
    for message in (*late, *early[1::2]):
        load.add(message)
    return f"{len(names)} wins told twice, {len(early[::2])} of them before they were true"
