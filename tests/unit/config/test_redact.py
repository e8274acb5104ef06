"""What is shown holds no secret and no personal data, and still says what happened."""

import dataclasses
import datetime as dt
import enum
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from config.redact import PERSONAL, SECRET, Redactor
from purser.model import Ref

KNOWN = "s3cr3t-value"
redact = Redactor.of([KNOWN, "short", "s3cr3t", "abc"], hosts=["web1.example.internal"])


@pytest.mark.parametrize(
    "key",
    ["password", "odoo_api_key", "API-KEY", "apikey", "token", "X-Secret", "Authorization", "sentry_dsn", "cookies"],
)
def test_a_value_under_a_secret_key_is_not_shown(key: str) -> None:
    assert redact.value({key: "anything"}) == {key: SECRET}
    assert redact.value({key: ["a", {"b": 1}]}) == {key: SECRET}


@pytest.mark.parametrize(
    "key",
    [
        "name",
        "display_name",
        "partner_name",
        "subject_name",
        "email",
        "email_from",
        "phone",
        "mobile",
        "login",
        "note",
    ],
)
def test_a_value_under_a_personal_key_is_not_shown(key: str) -> None:
    assert redact.value({key: "Anna Muster"}) == {key: PERSONAL}


@pytest.mark.parametrize(
    "key", ["control", "case", "task_name", "queue", "hostname", "filename", "key", "model", "id"]
)
def test_what_an_engineer_needs_is_shown(key: str) -> None:
    assert redact.value({key: "missing-timesheets"}) == {key: "missing-timesheets"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"login with {KNOWN} failed", f"login with {SECRET} failed"),
        ("redis://:hunter2@host:6379/0 is away", f"redis://{SECRET}@host:6379/0 is away"),
        ("amqp://me:p@ss@host//", f"amqp://{SECRET}@host//"),
        ("password=hunter2, user=5", f"password={SECRET}, user=5"),
        ("{'api_key': \"it's\", 'id': 4}", f"{{'api_key': {SECRET}, 'id': 4}}"),
        ('{"token": "a b c", "id": 4}', f'{{"token": {SECRET}, "id": 4}}'),
        ("Authorization: Bearer abcdefgh12345", f"Authorization: Bearer {SECRET}"),
        ("sent bearer abcdefgh12345 to it", f"sent bearer {SECRET} to it"),
        ("{'name': \"Anna O'Hara\", 'id': 4}", f"{{'name': {PERSONAL}, 'id': 4}}"),
        ("Partner(name='Anna Muster', id=4)", f"Partner(name={PERSONAL}, id=4)"),
        ("wrote to anna.muster@example.com.", f"wrote to {PERSONAL}."),
        ("scans@web1.example.internal ready", "scans@web1.example.internal ready"),
        ("celery@laptop ready", "celery@laptop ready"),
        ("task name: purser.scan of hr.employee/4", "task name: purser.scan of hr.employee/4"),
        ("case/missing-timesheets/hr.employee/4/-/e0/r1", "case/missing-timesheets/hr.employee/4/-/e0/r1"),
        ("got an unexpected keyword argument 'name'", "got an unexpected keyword argument 'name'"),
    ],
)
def test_secrets_and_people_inside_a_text_are_not_shown(text: str, shown: str) -> None:
    assert redact.text(text) == shown


def test_json_quoted_into_json_hides_nothing() -> None:
    inner = json.dumps({"password": "pass word", "name": "Anna Muster", "id": 4})
    for text in (json.dumps(inner), json.dumps(json.dumps(inner)), repr(json.dumps(inner))):
        shown = redact.text(text)
        assert "word" not in shown.replace("password", "")
        assert "Anna" not in shown
        assert "4" in shown


def test_the_longest_known_secret_goes_first_and_the_shortest_words_stay() -> None:
    assert redact.text(f"{KNOWN} abc") == f"{SECRET} abc"


@given(st.text(), st.text(), st.dictionaries(st.text(), st.text()))
def test_a_known_secret_is_never_shown(before: str, after: str, more: dict[str, str]) -> None:
    value = {**more, "x": [f"{before}{KNOWN}{after}", {f"{after}{KNOWN}": 1}]}
    assert KNOWN not in str(redact.value(value))


telling = st.sampled_from(
    ["password", "name", "=", ": ", "'", '"', "\\", "bearer ", "://", "a", "@", "b.de", " ", ","]
)


@given(st.lists(telling | st.text(max_size=2)).map("".join))
def test_cleaning_again_brings_nothing_back(text: str) -> None:
    """Entries are cleaned before the standard library sees them and once more before they are written."""
    once = redact.text(text)
    assert redact.text(once).count("b.de") <= once.count("b.de") <= text.count("b.de")


class Kind(enum.StrEnum):
    ONE = "one"


class Partner(BaseModel):
    id: int
    name: str
    api_key: SecretStr


@dataclasses.dataclass(frozen=True)
class Found:
    subject: Ref
    subject_name: str
    hours: Decimal


class Opaque:
    def __repr__(self) -> str:
        return "<Opaque name='Anna Muster'>"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Ref("sale.order", 7), "sale.order/7"),
        (Decimal("1.50"), "1.50"),
        (dt.date(2026, 11, 22), "2026-11-22"),
        (Kind.ONE, "one"),
        (b"s3cr3t-value", "<12 bytes>"),
        ((1, None, True, 2.5), [1, None, True, 2.5]),
        (frozenset({"b", "a"}), ["a", "b"]),
        (Partner(id=4, name="Anna", api_key=SecretStr("x")), {"id": 4, "name": PERSONAL, "api_key": SECRET}),
        (
            Found(Ref("hr.employee", 4), "Anna", Decimal(8)),
            {"subject": "hr.employee/4", "subject_name": PERSONAL, "hours": "8"},
        ),
        (Opaque(), f"<Opaque name={PERSONAL}>"),
        (ValueError("email=x"), f"email={PERSONAL}"),
    ],
)
def test_any_value_becomes_plain_data(value: object, shown: object) -> None:
    assert redact.value(value) == shown


def test_a_value_that_holds_itself_comes_to_an_end() -> None:
    loop: list[object] = [f"{KNOWN}"]
    loop.append(loop)
    assert KNOWN not in json.dumps(redact.value(loop))


@pytest.mark.parametrize("piece", ["a", "a.", "a_", "a-", "a@", "'", '\\"', "password", "name=", "x://", " "])
def test_a_long_text_is_cleaned_in_linear_time(piece: str) -> None:
    assert isinstance(redact.text(piece * 20_000), str)  # a backtracking pattern would run into the test's timeout


def test_a_redactor_does_not_print_what_it_hides() -> None:
    assert KNOWN not in repr(redact)
