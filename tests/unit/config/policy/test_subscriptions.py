"""A subscription is checked like the rest of a policy, and says itself which events it wants."""

from typing import Any

import pytest

from config.policy.loader import Policies, parse_policies
from config.policy.subscriptions import Subscription
from config.settings import Settings
from purser.errors import ConfigurationError
from tasks.discovery import load_registry
from tests.receivers import OLD_SECRET, SECRET

CATALOGUE = load_registry()
GOOD = {"to": "https://n8n.example.com/webhook/x?t=token", "events": "[invoice.posted.v1]", "secret": "n8n"}


def policy(name: str = "n8n", **lines: str) -> Policies:
    told = "".join(f"    {key}: {value}\n" for key, value in (GOOD | lines).items() if value)
    return parse_policies(CATALOGUE, f"version: 1\nsubscriptions:\n  {name}:\n{told}", source="firm.yaml")


def wants(type_: str, data: dict[str, Any], **lines: str) -> bool:
    return policy(**lines).subscription("n8n").wants(type_, data)


def test_a_subscription_is_read() -> None:
    assert policy(allow_private="true", enabled="false").subscription("n8n") == Subscription(
        name="n8n",
        to="https://n8n.example.com/webhook/x?t=token",
        events=("invoice.posted.v1",),
        secret="n8n",
        allow_private=True,
        enabled=False,
    )


def test_without_any_the_hash_is_what_it_was_and_with_one_every_value_counts() -> None:
    house = parse_policies(CATALOGUE, "version: 1", source="x")
    assert house.subscriptions == {}
    told = [{}, {"to": "https://n8n.example.com/other"}, {"secret": "other"}, {"where": "{number: X}"}]
    hashes = {policy(**lines).hash for lines in told}
    assert len(hashes | {house.hash}) == 5


def test_what_follows_the_host_is_shown_nowhere() -> None:
    one = policy().subscription("n8n")
    assert one.place == "https://n8n.example.com"
    assert "token" not in repr(one)


@pytest.mark.parametrize(
    ("events", "type_", "wanted"),
    [
        ("[invoice.posted.v1]", "invoice.posted.v1", True),
        ("[invoice.posted.v1]", "invoice.disputed.v1", False),
        ("[invoice.*]", "invoice.disputed.v1", True),
        ("[invoice.*]", "payment.missed.v1", False),
        ("[invoice.*, payment.missed.v1]", "payment.missed.v1", True),
        ("['*']", "leave.approved.v1", True),
    ],
)
def test_types_and_beginnings_of_types_are_wanted(events: str, type_: str, wanted: bool) -> None:
    assert wants(type_, {}, events=events) is wanted


@pytest.mark.parametrize(
    ("where", "data", "wanted"),
    [
        ("{level: 2}", {"level": 2}, True),
        ("{level: 2}", {"level": "2.0"}, True),
        ("{level: 1}", {"level": True}, False),
        ("{level: [2, 3]}", {"level": 3}, True),
        ("{level: [2, 3]}", {"level": 1}, False),
        ("{level: 2}", {}, False),
        ("{level: 2}", {"level": "two"}, False),
        ("{level: null}", {"level": None}, True),
        ("{level: 2, invoice_id: 7}", {"level": 2, "invoice_id": 8}, False),
    ],
)
def test_every_field_of_a_filter_must_have_one_of_its_values(where: str, data: dict[str, Any], wanted: bool) -> None:
    assert wants("payment.missed.v1", data, events="[payment.*]", where=where) is wanted


@pytest.mark.parametrize(
    ("lines", "line", "said"),
    [
        ({"to": ""}, 4, "`to` is missing"),
        ({"events": ""}, 4, "`events` is missing"),
        ({"secret": ""}, 4, "`secret` is missing"),
        ({"evnts": "[x]"}, 7, "`evnts` is unknown. Did you mean `events`?"),
        ({"events": "[]"}, 5, "the list is empty"),
        ({"events": "[invoice.postd.v1]"}, 5, "Did you mean `invoice.posted.v1`?"),
        ({"events": "[invioce.*]"}, 5, "Did you mean `invoice.*`?"),
        ({"events": "[invoice*]"}, 5, "is no type of event"),
        ({"where": "{numbr: 7}"}, 7, "Did you mean `number`?"),
        (
            {"events": "[invoice.*, payment.missed.v1]", "where": "{level: 2}"},
            7,
            "no event of `invoice.*` has all of level",
        ),
        ({"where": "{number: []}"}, 7, "the list is empty"),
        ({"where": "{number: {a: 1}}"}, 7, "write a value"),
        ({"secret": SECRET}, 6, "this is a secret itself"),
        ({"secret": "My Secret"}, 6, "write the name of a secret"),
        ({"allow_private": "perhaps"}, 7, "write true or false"),
        ({"enabled": "1"}, 7, "write true or false"),
        ({"to": "ftp://example.com/x"}, 4, "http:// or https://"),
        ({"to": "file:///etc/passwd"}, 4, "http:// or https://"),
        ({"to": "//example.com/x"}, 4, "http:// or https://"),
        ({"to": "https:///x"}, 4, "http:// or https://"),
        ({"to": "https://user:pass@example.com/x"}, 4, "no user and password"),
        ({"to": "https://user@example.com/x"}, 4, "no user and password"),
        ({"to": "'https://example.com\\@127.0.0.1/x'"}, 4, "without blanks"),
        ({"to": "'https://example.com/a b'"}, 4, "without blanks"),
        ({"to": "https://bücher.example/x"}, 4, "in ASCII"),
        ({"to": "https://example.com:99999/x"}, 4, "its port or host cannot be read"),
        ({"to": "'https://[::1/x'"}, 4, "its port or host cannot be read"),
        ({"to": "'https://example.com/x#y'"}, 4, "what follows a #"),
        ({"to": "7"}, 4, "write an address"),
        ({"to": "http://127.0.0.1:5678/x"}, 4, "allow_private: true"),
        ({"to": "http://localhost/x"}, 4, "allow_private: true"),
        ({"to": "'http://[::1]/x'"}, 4, "allow_private: true"),
        ({"to": "http://169.254.169.254/latest"}, 4, "allow_private: true"),
        ({"to": "http://10.0.0.7/x"}, 4, "allow_private: true"),
    ],
)
def test_a_mistake_is_told_with_its_line(lines: dict[str, str], line: int, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        policy(**lines)
    first, *problems = str(caught.value).splitlines()
    assert "problem" in first
    wanted = [one for one in problems if said in one]
    assert wanted, problems
    assert wanted[0].startswith((f"- firm.yaml:{line}:", f"- firm.yaml:{line + 1}:"))
    assert not any(secret in str(caught.value) for secret in ("token", "pass@", "whsec_C2"))


def test_a_private_address_may_be_meant() -> None:
    assert (
        policy(to="http://10.0.0.7:5678/x", allow_private="true").subscription("n8n").place == "http://10.0.0.7:5678"
    )


def test_a_name_is_a_word_that_a_target_can_hold() -> None:
    with pytest.raises(ConfigurationError, match="a name is lower-case words"):
        policy("My_Hook")
    with pytest.raises(ConfigurationError, match="Did you mean `n8n`"):
        policy().subscription("n8m")


def test_a_subscription_can_stand_still_by_policy() -> None:
    text = "version: 1\nsubscriptions:\n  n8n: {to: 'https://x.example', events: ['*'], secret: n8n}\nfreezes:\n"
    parse_policies(CATALOGUE, text + "  end: {days_before: 1, what: ['subscription:n8n']}\n", source="x")
    with pytest.raises(ConfigurationError, match="nothing that could stand still"):
        parse_policies(CATALOGUE, text + "  end: {days_before: 1, what: ['subscription:n8m']}\n", source="x")


# ------------------------------------------------------------------------------- secrets --


def settings(secrets: str) -> Settings:
    return Settings.load(environ={"PURSER_OUTBOUND_SECRETS": secrets})


def test_several_secrets_of_a_name_count_at_once_and_none_of_them_prints() -> None:
    told = settings(f"n8n {SECRET} {OLD_SECRET}; bi {SECRET}")
    assert [len(told.outbound_keys[name]) for name in ("n8n", "bi")] == [2, 1]
    assert "whsec" not in repr(told)
    assert {SECRET, OLD_SECRET} <= set(told.secrets)
    assert settings(told.to_environ()["PURSER_OUTBOUND_SECRETS"]).outbound_keys == told.outbound_keys


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("whsec_abc", "begins with a secret"),
        ("n8n whsec_abc", "base64"),
        ("n8n whsec_YWJj", "24 to 64 bytes"),
        ("n8n abc", "begins with"),
        ("n8n", "has 0 secrets"),
        ("# nobody", "nobody is named"),
        (f"n8n {SECRET}; n8n {OLD_SECRET}", "stands there twice"),
    ],
)
def test_a_secret_that_is_none_stops_the_start_and_is_not_shown(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match="PURSER_OUTBOUND_SECRETS is wrong") as caught:
        settings(text)
    assert said in str(caught.value)
    assert not any(word in str(caught.value) for word in ("whsec_abc", "whsec_YWJj", SECRET, OLD_SECRET))
