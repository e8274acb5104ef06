"""A batch that keeps dropping the connection is halved; other failures leave it as it is."""

from types import SimpleNamespace

import pytest

from config.settings import Settings
from workers.app import batch_of


def request(*errors: str) -> SimpleNamespace:
    attempts = [{"at": "2026-01-01T00:00:00+00:00", "error": error} for error in errors]
    return SimpleNamespace(headers={"purser": {"attempts": attempts}})


DROP, BUSY = "UnknownOutcome: the answer was lost", "Transient: Odoo cannot be reached"


@pytest.mark.parametrize(
    ("errors", "batch"),
    [
        ((), 100),
        ((DROP,), 100),
        ((DROP, DROP), 50),
        ((DROP, BUSY, DROP, BUSY, BUSY, DROP), 25),
        ((BUSY,) * 9, 100),
        ((DROP,) * 50, 1),
    ],
)
def test_a_batch_is_halved_each_time_the_connection_dropped_again(errors: tuple[str, ...], batch: int) -> None:
    assert batch_of(Settings.load(environ={}), request(*errors)) == batch


def test_a_message_without_history_has_the_whole_batch() -> None:
    assert batch_of(Settings.load(environ={}), SimpleNamespace(headers=None)) == 100
