"""A password is guessed slowly, and an event that nobody should send breaks no page."""

from typing import Any

import pytest

from console.flower.event_filter import checked_event
from console.flower.login_attempts import A_SECOND, BURST, FREE_ATTEMPTS, MAX_WAIT_SECONDS, LoginAttempts

HERE = ("anna", "10.0.0.1", "10.0.0.1")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_first_wrong_passwords_cost_nothing_and_the_next_ever_more() -> None:
    clock = Clock()
    attempts = LoginAttempts(clock)
    waits = []
    for _ in range(FREE_ATTEMPTS + 8):
        waits.append(attempts.wait(*HERE))
        clock.now += waits[-1]
        attempts.begin(*HERE)
    assert waits[:FREE_ATTEMPTS] == [0.0] * FREE_ATTEMPTS
    assert waits[FREE_ATTEMPTS:] == [1.0, 2.0, 4.0, 8.0, 16.0, MAX_WAIT_SECONDS, MAX_WAIT_SECONDS, MAX_WAIT_SECONDS]


def test_a_guess_counts_for_its_login_and_origin_alone_until_the_right_password_comes() -> None:
    attempts = LoginAttempts(Clock())
    for _ in range(FREE_ATTEMPTS):
        attempts.begin(*HERE)
    assert attempts.wait(*HERE) > 0
    assert attempts.wait("emil", *HERE[1:]) == 0
    assert attempts.wait("anna", "10.0.0.2", "10.0.0.2") == 0
    attempts.succeed(*HERE)
    assert attempts.wait(*HERE) == 0


def test_one_machine_guesses_so_often_whatever_it_says_of_itself() -> None:
    clock = Clock()
    attempts = LoginAttempts(clock)
    tried = 0
    for n in range(10_000):
        clock.now += 0.001
        if not attempts.wait("anna", f"made up {n}", "127.0.0.1"):
            attempts.begin("anna", f"made up {n}", "127.0.0.1")
            tried += 1
    assert tried <= BURST + 10 * A_SECOND + 1


EVENT: dict[str, Any] = {
    "type": "worker-heartbeat",
    "hostname": "a@b",
    "timestamp": 1.0,
    "clock": 4,
    "freq": 2.0,
    "active": 0,
    "processed": 7,
    "loadavg": [0.1, 0.2, 0.3],
}


@pytest.mark.parametrize(
    "changed",
    [
        *(
            {"active": "<img src=x>"},
            {"processed": []},
            {"loadavg": ["x", 1, 2]},
            {"loadavg": 3},
            {"timestamp": "now"},
        ),
        *({"freq": float("nan")}, {"clock": 10**400}, {"hostname": 7}, {"hostname": "h" * 5000}, {"type": None}),
        *(
            {"type": "task-sent", "uuid": ["x"]},
            {"type": "task-failed", "uuid": "u", "exception": {}},
            {"hostname": ""},
        ),
    ],
)
def test_an_event_of_other_types_is_ignored(changed: dict[str, Any]) -> None:
    assert checked_event(EVENT) == EVENT
    assert checked_event({**EVENT, **changed}) is None


def test_values_that_another_client_tells_are_not_shown() -> None:
    told = {"type": "task-sent", "hostname": "a@b", "uuid": "u", "name": "n" * 10_000_000}
    shown = checked_event({**told, "args": "('Anna',)", "kwargs": "{'name': 'Anna'}"})
    assert shown is not None
    assert "Anna" not in str(shown)
    assert len(shown["name"]) == 200
    labelled = checked_event({**told, "name": "purser.scan", "kwargs": "missing-timesheets"})
    assert labelled is not None
    assert labelled["kwargs"] == "missing-timesheets"
