"""What the runbook says about a dead letter, by its reason and error: what it means, and what to do first."""

from dataclasses import dataclass

from ledger import Letter


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
        "Give the bot a new key, set it, restart the workers. Then replay the group.",
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
    "Conflict": Advice(
        "The record kept changing under the change.",
        "See who else writes to it. A replay decides again on what it finds.",
    ),
}
_OTHER = Advice(
    "A fault in code or data.",
    "Give the traceback to a developer. When it is mended and deployed, plan a replay of the group.",
)


def advice(letter: Letter) -> Advice:
    """Give what the runbook says about a letter."""
    return _BY_ERROR.get(letter.error) or _BY_REASON.get(letter.reason) or _OTHER
