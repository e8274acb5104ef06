"""Whoever looks after a receiver sees how it does, and acts with a name and a reason."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from store import DeadLetterState, DeliveryAttempt, DeliveryResult, Ledger
from tests.contract.store.making import letter
from tests.receivers import SECRET, Receiver, answer, receiving
from tests.unit.console.conftest import Purser

NOW = dt.datetime.now(dt.UTC)
EVENT = {
    "specversion": "1.0",
    "id": "e-1",
    "source": "/odoo",
    "type": "invoice.posted.v1",
    "data": {"invoice_id": 7},
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture
def desk(purser: Purser, receiver: Receiver, redis_url: str) -> Purser:
    """Return the command with a subscription to the receiver."""
    entry = f"{{to: '{receiver.url}', events: [invoice.*], secret: n8n, allow_private: true}}"
    Path("firm.yaml").write_text(f"version: 1\nsubscriptions:\n  n8n: {entry}\n")
    settings = {
        "PURSER_BROKER_URL": redis_url,
        "PURSER_POLICIES": "firm.yaml",
        "PURSER_OUTBOUND_SECRETS": f"n8n {SECRET}",
    }

    def run(*args: str, stdin: str = "", **environ: str) -> object:
        return purser(*args, stdin=stdin, **{**settings, **environ})

    return run  # type: ignore[return-value]


def sent(ledger: Ledger, outcome: DeliveryResult, seconds: float = 0.1, **given: object) -> None:
    ledger.sendings.record(
        DeliveryAttempt(
            subscription="n8n",
            message=str(given.get("message", "m-1")),
            source="/odoo",
            event_id=str(given.get("event_id", "e-1")),
            type="invoice.posted.v1",
            subject="account.move/7",
            at=ledger.now(),
            attempt=1,
            outcome=outcome,
            status=200 if outcome is DeliveryResult.DELIVERED else 500,
            seconds=seconds,
            why="" if outcome is DeliveryResult.DELIVERED else "the receiver answered HTTP 500",
        )
    )


def test_subscriptions_are_listed_with_how_they_do(desk: Purser, ledger: Ledger) -> None:
    for n in range(1, 101):
        sent(ledger, DeliveryResult.DELIVERED, n / 1000)
    sent(ledger, DeliveryResult.FAILED)
    (told,) = json.loads(desk("outbound", "list", "--json").stdout)
    assert (told["p50_ms"], told["p95_ms"]) == (51, 96)
    assert (told["delivered"], told["failed_attempts"], told["last"], told["state"]) == (100, 1, 500, "on")
    assert told["failing_since"]
    assert "token" not in desk("outbound", "list").stdout
    shown = desk("outbound", "show", "n8n", "--limit", "2").stdout
    assert "HTTP 500" in shown
    assert "account.move/7" in shown
    assert len(json.loads(desk("outbound", "show", "n8n", "--json").stdout)["attempts"]) == 20


def test_an_unknown_subscription_is_a_wrong_use(desk: Purser) -> None:
    for words in (
        ("show", "n8m"),
        ("test", "n8m"),
        ("enable", "n8m", "--note", "x"),
        ("replay", "n8m", "--note", "x"),
    ):
        result = desk("outbound", *words)
        assert (result.exit_code, "Did you mean `n8n`" in result.stderr) == (2, True)


def test_a_test_sends_a_signed_event_and_shows_the_answer(desk: Purser, receiver: Receiver, ledger: Ledger) -> None:
    dry = json.loads(desk("outbound", "test", "n8n", "--dry-run").stdout)
    assert (dry["type"], receiver.heard) == ("purser.test.v1", [])

    receiver.give = answer(200, b'{"message": "Workflow was started"}')
    result = desk("outbound", "test", "n8n", "--json", "--note", "new workflow")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["status"], told["answer"]) == (0, 200, '{"message": "Workflow was started"}')
    (event,) = receiver.events()
    assert event["data"] == {"subscription": "n8n"}
    (entry,) = ledger.audit.tail()
    assert (entry.action, entry.what, entry.note) == ("outbound.test", "n8n", "new workflow")

    receiver.give = answer(404, b"not registered")
    result = desk("outbound", "test", "n8n")
    assert result.exit_code == 1
    assert "not registered" in result.stdout
    assert "token" not in result.stdout


def test_a_subscription_is_enabled_by_a_person_with_a_reason(desk: Purser, ledger: Ledger) -> None:
    assert desk("outbound", "enable", "n8n", "--note", "x").exit_code == 3
    ledger.outbound.switch_off("n8n", why="the receiver wants no more (HTTP 410)")
    assert "switched off since" in desk("outbound", "list").stdout
    assert desk("outbound", "enable", "n8n", "--note", " ").exit_code == 2
    assert desk("outbound", "enable", "n8n", "--note", "x", "--dry-run").exit_code == 0
    assert "n8n" in ledger.outbound.switched_off()
    assert desk("outbound", "enable", "n8n", "--note", "the workflow is active again").exit_code == 0
    assert ledger.outbound.switched_off() == {}
    assert [one.action for one in ledger.audit.tail()] == ["outbound.enable"]


def test_what_was_left_out_and_what_is_dead_goes_again(desk: Purser, ledger: Ledger) -> None:
    assert desk("outbound", "replay", "n8n", "--note", "x").exit_code == 3
    body = json.dumps([[], {"subscription": "n8n", "event": {**EVENT, "id": "e-2"}}, {}]).encode()
    headers = {"id": "m-2", "task": "purser.deliver", "lang": "py"}
    ledger.letters.store(letter("m-2", task="purser.deliver", queue="outbound", body=body, headers=headers))
    other = json.dumps([[], {"subscription": "other", "event": {**EVENT, "id": "e-3"}}, {}]).encode()
    ledger.letters.store(letter("m-3", task="purser.deliver", queue="outbound", body=other, headers=headers))
    ledger.outbound.keep("/odoo", "e-1", EVENT)
    sent(ledger, DeliveryResult.LEFT_OUT)
    sent(ledger, DeliveryResult.DELIVERED, message="m-9", event_id="e-9")

    dry = json.loads(desk("outbound", "replay", "n8n", "--note", "x", "--dry-run", "--json").stdout)
    assert {(one["event"], one["was"], one["now"]) for one in dry} == {
        ("e-1", "left out", "would be sent again"),
        ("e-2", "dead letter", "would be sent again"),
    }
    gone = desk("outbound", "replay", "n8n", "e-9", "e-8", "--note", "x", "--json")
    assert gone.exit_code == 3
    assert [one["now"] for one in json.loads(gone.stdout)] == ["no longer kept", "unknown"]

    done = desk("outbound", "replay", "n8n", "e-1", "e-2", "--note", "the receiver lost a day", "--json")
    assert done.exit_code == 0, done.stderr
    assert {one["now"] for one in json.loads(done.stdout)} == {"sent again"}
    found = ledger.letters.get("m-2")
    assert found is not None
    assert found.state is DeadLetterState.REPLAYED
    assert ledger.inbox.count() == 1
    assert "outbound.replay" in [one.action for one in ledger.audit.tail()]


def test_a_subscription_can_be_paused_and_a_misspelt_one_is_caught(desk: Purser, ledger: Ledger) -> None:
    assert desk("pause", "subscription:n8n", "--note", "maintenance").exit_code == 0
    assert json.loads(desk("outbound", "list", "--json").stdout)[0]["state"] == "paused"
    assert "Did you mean `n8n`" in desk("pause", "subscription:n8m", "--note", "x").stderr


def test_the_check_of_a_policy_knows_which_secrets_there_are(desk: Purser) -> None:
    assert desk("policies", "check").exit_code == 0
    wrong = desk("policies", "check", PURSER_OUTBOUND_SECRETS=f"n8m {SECRET}")
    assert wrong.exit_code == 4
    assert "holds no secret `n8n`. Did you mean `n8m`?" in wrong.stdout
    told = json.loads(desk("policies", "check", "--json", PURSER_OUTBOUND_SECRETS=f"x {SECRET}").stdout)
    assert (told["ok"], len(told["problems"])) == (False, 1)
    unknown = desk("policies", "check", PURSER_OUTBOUND_SECRETS="")
    assert (unknown.exit_code, "is not known" in unknown.stderr) == (0, True)


def test_http_over_the_open_net_is_a_word_to_the_wise(purser: Purser) -> None:
    entry = "{to: 'http://x.example/y', events: [invoice.*], secret: n8n}"
    Path("firm.yaml").write_text(f"version: 1\nsubscriptions:\n  n8n: {entry}\n")
    result = purser("policies", "check", "--file", "firm.yaml")
    assert (result.exit_code, "use https" in result.stderr) == (0, True)


def test_what_counts_is_shown_without_what_follows_the_host(desk: Purser, receiver: Receiver) -> None:
    for words in (("policies", "show"), ("policies", "show", "--json")):
        shown = desk(*words).stdout
        assert f"http://127.0.0.1:{receiver.port}" in shown
        assert "token" not in shown
