"""What the fleet remembers, kept in Redis."""

from purser.engine.call_result import CallResult, RetryIn
from store.audit_log import AuditEntry, AuditLog
from store.controls.case_store import CaseStore
from store.controls.run_store import ControlRun, ControlRunStore, RunStatus
from store.controls.slot_store import ClaimResult, SlotStore
from store.dead_letters.edits import ABSENT, Edit, PatchOperation
from store.dead_letters.filters import DEAD_LETTERS, DeadLetterFilter
from store.dead_letters.fingerprint import fingerprint, normalised
from store.dead_letters.letter_store import DeadLetterStore
from store.dead_letters.model import Attempt, DeadLetter, DeadLetterGroup, DeadLetterState
from store.dead_letters.tombstones import Tombstone
from store.facade import Ledger
from store.feed_cursors import FeedCursor, FeedCursorStore
from store.fleet.odoo_limiter import CircuitState, LimiterConfig, LimiterPermit, LimiterState, OdooLimiter
from store.fleet.pauses import Pause, PauseCache, Pauses
from store.fleet.worker_heartbeats import WorkerHeartbeats, WorkerReport, WorkerStatus
from store.odoo_binding import OdooBinding
from store.outbound.delivery_attempts import DeliveryAttempt, DeliveryAttemptLog, DeliveryResult, DeliveryStats
from store.outbound.webhook_queue import DeliveryTurn, DisabledSubscription, NextAction, WebhookQueue
from store.pagination import Page
from store.queueing.delayed_messages import DelayedMessage, DelayedMessages, DelayKind
from store.queueing.inbox import Inbox, InboxEntry
from store.queueing.seen_events import SeenEvents
from store.redis_health import RedisHealth
from store.refusal_store import RefusalRecord, RefusalState, RefusalStore
from store.replay.replay_store import LetterOutcome, Replay, ReplayStage, ReplayState
from store.replay.runner_store import InterruptedSend, ReplayProgress, TakeResult
from store.reservation import MessageReservation
from store.resolution import Resolution
from store.webhook_tokens import HookRule, HookTokens, token_digest

__all__ = [
    "ABSENT",
    "DEAD_LETTERS",
    "Attempt",
    "AuditEntry",
    "AuditLog",
    "CallResult",
    "CaseStore",
    "CircuitState",
    "ClaimResult",
    "ControlRun",
    "ControlRunStore",
    "DeadLetter",
    "DeadLetterFilter",
    "DeadLetterGroup",
    "DeadLetterState",
    "DeadLetterStore",
    "DelayKind",
    "DelayedMessage",
    "DelayedMessages",
    "DeliveryAttempt",
    "DeliveryAttemptLog",
    "DeliveryResult",
    "DeliveryStats",
    "DeliveryTurn",
    "DisabledSubscription",
    "Edit",
    "FeedCursor",
    "FeedCursorStore",
    "HookRule",
    "HookTokens",
    "Inbox",
    "InboxEntry",
    "InterruptedSend",
    "Ledger",
    "LetterOutcome",
    "LimiterConfig",
    "LimiterPermit",
    "LimiterState",
    "MessageReservation",
    "NextAction",
    "OdooBinding",
    "OdooLimiter",
    "Page",
    "PatchOperation",
    "Pause",
    "PauseCache",
    "Pauses",
    "RedisHealth",
    "RefusalRecord",
    "RefusalState",
    "RefusalStore",
    "Replay",
    "ReplayProgress",
    "ReplayStage",
    "ReplayState",
    "Resolution",
    "RetryIn",
    "RunStatus",
    "SeenEvents",
    "SlotStore",
    "TakeResult",
    "Tombstone",
    "WebhookQueue",
    "WorkerHeartbeats",
    "WorkerReport",
    "WorkerStatus",
    "fingerprint",
    "normalised",
    "token_digest",
]
