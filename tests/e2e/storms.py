"""Run a short storm with `purser storm`, and check what it counted."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

from tests.e2e.test_drill import environ

COMMAND = (sys.executable, "-c", "from console.cli.main import main; main()", "storm")
LONGEST = 560


def check_storm(against: str, faults: int, tmp_path: Path) -> None:
    """Check that a fleet under so many faults, drawn by chance, loses, doubles and ends nothing.

    What fails names the seed: `purser storm --seed` repeats the schedule.
    """
    seed = random.SystemRandom().randrange(10**6)
    say = f"purser storm --against {against} --faults {faults} --seed {seed}"
    done = subprocess.run(
        (*COMMAND, "--against", against, "--faults", f"{faults}", "--seed", f"{seed}", "--json"),
        env=environ(tmp_path) | {"PATH": os.environ["PATH"]},  # RabbitMQ is started by scripts of the system
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=LONGEST,
    )
    assert done.returncode == 0, f"{say}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    found = json.loads(done.stdout)
    assert (found["lost"], found["doubled"], found["exits"]) == (0, 0, []), say
    assert found["faults"] >= faults * 0.8, say
    assert found["messages"] > faults, say
