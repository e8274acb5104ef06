"""Who may send is written so that nobody speaks for another by accident, and no mistake shows a secret."""

import base64

import pytest

from config.security.event_sources import read_senders
from config.settings import Settings
from purser.errors import ConfigurationError


def secret(letter: str, length: int = 32) -> str:
    return f"whsec_{base64.b64encode(letter.encode() * length).decode()}"


A, B, C = map(secret, "abc")


def test_sources_stand_on_lines_or_between_semicolons() -> None:
    told = read_senders(f"# who sends\n/crm {A} {B}; urn:acme:shop {C}  # until May\n\n")
    assert [(one.source, one.keys) for one in told] == [
        ("/crm", (b"a" * 32, b"b" * 32)),
        ("urn:acme:shop", (b"c" * 32,)),
    ]
    assert "aaa" not in repr(told)


@pytest.mark.parametrize(
    ("named", "source", "its_own"),
    [
        ("/crm", "/crm", True),
        ("/crm/", "/crm", True),
        ("/crm", "/crm/eu", True),
        ("/crm", "/crmx", False),
        ("/crm", "", False),
        ("https://crm.example.com", "https://crm.example.com/eu", True),
        ("https://crm.example.com", "https://crm.example.com.evil.example", False),
    ],
)
def test_a_source_speaks_for_itself_and_what_lies_under_it(named: str, source: str, its_own: bool) -> None:
    (sender,) = read_senders(f"{named} {A}")
    assert sender.speaks_for(source) is its_own


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# nobody", "nobody is named"),
        (A, "entry 1 begins with a secret"),
        (f"/crm {A}; /shop", "entry 2 has 0 secrets"),
        (f"/crm {' '.join(map(secret, 'abcdef'))}", "entry 1 has 6 secrets"),
        (f"/ {A}", "the source `/` is named, which would speak for everybody"),
        ("/crm topsecret", "entry 1: a signing secret begins with `whsec_`"),
        ("/crm whsec_topsecret!", "entry 1: what follows `whsec_`"),
        (f"/crm {secret('x', 8)}", "entry 1: a signing secret holds 24 to 64 bytes, and this one 8"),
        (f"/crm {A}; /crm/ {B}", "the same source stands in two places"),
        (f"/crm {A}; /shop {A}", "the same secret stands in two places"),
    ],
)
def test_a_mistake_is_told_by_its_place_and_stops_the_start(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.load(environ={"PURSER_GATEWAY_SECRETS": text})
    assert f"PURSER_GATEWAY_SECRETS is wrong: {said}" in str(caught.value)
    assert "topsecret" not in str(caught.value)
    assert A not in str(caught.value)


def test_a_gateway_without_sources_does_not_start() -> None:
    with pytest.raises(ConfigurationError, match="PURSER_GATEWAY_SECRETS is missing: who may send"):
        Settings.load({"gateway"}, environ={})


def test_each_secret_alone_is_kept_out_of_logs() -> None:
    settings = Settings.load(environ={"PURSER_GATEWAY_SECRETS": f"/crm {A} {B}\n/shop {C}"})
    assert {A, B, C} <= set(settings.secrets)
    assert A not in repr(settings)
    assert [one.source for one in Settings.load(environ=settings.to_environ()).senders] == ["/crm", "/shop"]
