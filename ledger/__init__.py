"""What the fleet remembers, kept in Redis."""

from ledger.audit import Audit, AuditEntry
from ledger.book import Ledger
from ledger.cases import Cases
from ledger.events import SeenEvents
from ledger.health import Health
from ledger.home import Home
from ledger.letters import Attempt, Letter, LetterGroup, Letters, LetterState, fingerprint, normalised
from ledger.pages import Page
from ledger.refusals import RefusalEntry, Refusals, RefusalState
from ledger.runs import Outcome, RunRecord, Runs
from ledger.settled import Settled
from ledger.slots import Claim, Slots

__all__ = [
    "Attempt",
    "Audit",
    "AuditEntry",
    "Cases",
    "Claim",
    "Health",
    "Home",
    "Ledger",
    "Letter",
    "LetterGroup",
    "LetterState",
    "Letters",
    "Outcome",
    "Page",
    "RefusalEntry",
    "RefusalState",
    "Refusals",
    "RunRecord",
    "Runs",
    "SeenEvents",
    "Settled",
    "Slots",
    "fingerprint",
    "normalised",
]
