"""The demo from start to end: the stage is set, the story told and summed up, and everything removed again."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

from console.output import as_json, print_error
from devtools.demo.environment import DemoEnvironment, DemoEnvironmentStopped, demo_environment
from devtools.demo.reporter import DemoReporter
from devtools.demo.scenario import StepOutcome, run_scenario


def run_demo(*, keep: bool, json: bool) -> bool:
    """Run the demo and say whether every claim was observed. Interrupted, it was not."""
    began = time.monotonic()
    teller = DemoReporter(to_stderr=json)
    try:
        with _ended_by_signals(), demo_environment() as stage:
            stage.progress = teller.progress
            claims = _told(stage, teller)
            seconds = round(time.monotonic() - began, 1)
            ok = all(claim.observed for claim in claims)
            teller.summary(claims, seconds)
            if json:
                as_json({"ok": ok, "seconds": seconds, "claims": claims})
            if keep:
                teller.addresses(stage)
                _until_interrupted()
            stage.keep = not ok
            return ok
    except KeyboardInterrupt:
        print_error("purser demo: interrupted; everything has ended")
        return False
    finally:
        teller.close()


def _told(stage: DemoEnvironment, teller: DemoReporter) -> list[StepOutcome]:
    """Tell the story as far as it goes; a fleet that ends by itself is a claim that was not observed."""
    claims: list[StepOutcome] = []
    try:
        for claim in run_scenario(stage, teller.begins, teller.ended):
            claims.append(claim)
    except DemoEnvironmentStopped as error:
        facts = {"seen": str(error)}
        fell = StepOutcome(
            name="the story", promise="the fleet runs to the end", observed=False, facts=facts, seconds=0.0
        )
        teller.ended(fell)
        claims.append(fell)
    return claims


def _until_interrupted() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and a closed terminal end the demo as Ctrl-C does."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # SIGINT too: a shell lets what runs behind it ignore it
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
