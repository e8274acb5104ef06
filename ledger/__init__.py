"""What the fleet remembers, kept in Redis."""

from ledger.audit import Audit, AuditEntry
from ledger.book import Ledger
from ledger.cases import Cases
from ledger.crew import Crew, Heard, Member
from ledger.cursors import Cursor, Cursors
from ledger.delayed import Delayed, DelayedSet, Kind
from ledger.edits import ABSENT, Edit, Patched
from ledger.events import SeenEvents
from ledger.filters import DEAD_LETTERS, LetterFilter
from ledger.fingerprints import fingerprint, normalised
from ledger.gate import Bounds, Breaker, Gate, GateState, Ticket
from ledger.graves import Grave
from ledger.health import Health
from ledger.held import Held
from ledger.home import Home
from ledger.hooks import HookRule, HookTokens, token_digest
from ledger.inbox import Inbox, InboxEntry
from ledger.letter import Attempt, Letter, LetterGroup, LetterState
from ledger.letters import Letters
from ledger.outbound import Next, Outbound, SwitchedOff, Turn
from ledger.pages import Page
from ledger.pauses import Pause, PauseBoard, Pauses
from ledger.refusals import RefusalEntry, Refusals, RefusalState
from ledger.replaying import LeftOver, Progress, Took
from ledger.replays import Ending, Replay, ReplayState, Stage
from ledger.runs import Outcome, RunRecord, Runs
from ledger.sendings import Sending, Sendings, Sent, Tally
from ledger.settled import Settled
from ledger.slots import Claim, Slots
from purser.gate import Verdict, Wait

__all__ = [
    "ABSENT",
    "DEAD_LETTERS",
    "Attempt",
    "Audit",
    "AuditEntry",
    "Bounds",
    "Breaker",
    "Cases",
    "Claim",
    "Crew",
    "Cursor",
    "Cursors",
    "Delayed",
    "DelayedSet",
    "Edit",
    "Ending",
    "Gate",
    "GateState",
    "Grave",
    "Health",
    "Heard",
    "Held",
    "Home",
    "HookRule",
    "HookTokens",
    "Inbox",
    "InboxEntry",
    "Kind",
    "Ledger",
    "LeftOver",
    "Letter",
    "LetterFilter",
    "LetterGroup",
    "LetterState",
    "Letters",
    "Member",
    "Next",
    "Outbound",
    "Outcome",
    "Page",
    "Patched",
    "Pause",
    "PauseBoard",
    "Pauses",
    "Progress",
    "RefusalEntry",
    "RefusalState",
    "Refusals",
    "Replay",
    "ReplayState",
    "RunRecord",
    "Runs",
    "SeenEvents",
    "Sending",
    "Sendings",
    "Sent",
    "Settled",
    "Slots",
    "Stage",
    "SwitchedOff",
    "Tally",
    "Ticket",
    "Took",
    "Turn",
    "Verdict",
    "Wait",
    "fingerprint",
    "normalised",
    "token_digest",
]
