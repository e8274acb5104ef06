"""What the runbook says about a dead letter, by its reason and error: what it means, and what to do first."""

from dataclasses import dataclass

from events.cloudevent import read_event
from purser.errors import Permanent
from store import DeadLetter
from workers.dead_letters.letter_factory import values_in


@dataclass(frozen=True, slots=True)
class Advice:
    """One line of the runbook."""

    meaning: str
    do: str
    command: str = ""


_BY_REASON = {
    "attempts spent": Advice(
        "It failed every time it was tried, while other calls of Odoo worked.",
        "Read its attempts: the last error is the one to mend. Then plan a replay, and try one letter.",
    ),
    "next slot comes first": Advice(
        "A scan failed until its next slot was due, which does the work again.",
        "Mend the cause. The letter closes itself when the next scan is done.",
        "purser controls runs",
    ),
    "too many deliveries": Advice(
        "This message took its worker along again and again.",
        "Look at the memory of the workers' host and at their logs before you replay it.",
        "purser workers list",
    ),
    "unreadable": Advice(
        "Somebody put bytes on our queue that are no message of ours, or no longer one.",
        "Find out who sent them. There is nothing to replay; discard it when you know.",
    ),
}
_BY_ERROR = {
    "Misconfigured": Advice(
        "Odoo does not accept the key, the database or the login.",
        "Give the bot a new key, set it, restart the workers. What waits goes on by itself; replay the group.",
        "purser doctor",
    ),
    "NotRegistered": Advice(
        "Sender and workers are of different releases: no worker knows this task.",
        "Deploy the workers, then replay.",
        "purser workers list",
    ),
    "PoisonMessage": _BY_REASON["too many deliveries"],
    "Transient": _BY_REASON["attempts spent"],
    "UnknownOutcome": Advice(
        "The connection to Odoo broke in the middle of a call, and stayed so.",
        "See that Odoo is well. A replay asks Odoo first what was done already.",
        "purser doctor",
    ),
    "ConfigurationError": Advice(
        "It names something that this release, or the policy of today, does not know.",
        "Its message says what. Correct the policy, or edit the letter; what nobody knows any more is discarded.",
    ),
    "Conflict": Advice(
        "The record kept changing under the change.",
        "See who else writes to it. A replay decides again on what it finds.",
    ),
}
_BY_ERROR["Mistake"] = _BY_ERROR["ConfigurationError"]  # its name in letters of older releases
_OTHER = Advice(
    "A fault in code or data.",
    "Give the traceback to a developer. When it is mended and deployed, plan a replay of the group.",
)


def runbook_advice(letter: DeadLetter) -> Advice:
    """Return what the runbook says about a letter."""
    if letter.error == "Permanent" and (problem := _event_problem(letter)):
        return Advice(
            f"Its event cannot be accepted: {problem}",
            "Whoever sends it must correct it and send it again. Here you can edit the event, or discard the letter; "
            "replayed as it is it fails in the same way.",
            "purser events list",
        )
    return _BY_ERROR.get(letter.error) or _BY_REASON.get(letter.reason) or _OTHER


def _event_problem(letter: DeadLetter) -> str:
    """Return what is wrong with the event that a letter carries; '' where it carries none, or one in order."""
    event = values_in(letter).get("event")
    if not isinstance(event, dict):
        return ""
    try:
        read_event(event)
    except Permanent as error:
        return str(error)
    return ""
