"""What is shown holds no secret and no personal data, and still says what happened."""

import dataclasses
import datetime as dt
import enum
import json
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from config.observability.redaction import MAX_TEXT_LENGTH, MAX_TOTAL_CHARACTERS, PERSONAL, SECRET, Redactor
from purser.findings import Ref

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


UNCUT = dataclasses.replace(redact, longest_text=None)
MEGABYTE = 1_000_000


def _repeated(piece: str, length: int) -> str:
    return (piece * (length // len(piece) + 1))[:length]


def _falling(start: str, quote: str, length: int) -> str:
    """Return quotes of ever fewer backslashes: none closes one that was opened before."""
    return "".join(f"{start}{chr(92) * n}{quote}" for n in range(int((2 * length) ** 0.5), 0, -1))[:length]


def _headed(head: str, tail: str, length: int) -> str:
    return head + _repeated(tail, length)


WORST: dict[str, Callable[[int], str]] = {
    # words and separators of each pattern, over and over
    **{
        repr(piece): partial(_repeated, piece)
        for piece in (
            *("mail_", "a", "a.", "a-", "._", "=", "@", "://@", "password", "api-", "token ", "token=", "token='"),
            *(
                "token='\"",
                "name='\"",
                "name\\'=\\\"",
                '\\"',
                "\\",
                "bearer ",
                "password=bearer ",
                "http://a@",
                "amqp://a;",
            ),
            *("sentinel://a@", "a@", "a@a.", "a@a.a", "a@b.de ", "a+b@", "+1 ", "+49 1", "001"),
        )
    },
    # one head, and a tail that never ends it
    **{
        f"{head!r} and {tail!r}": partial(_headed, head, tail)
        for head, tail in (
            *(("token", " "), ("token=", " "), ("token", "\\"), ("name", "\\"), ("name=", " "), ("name='", "x\\")),
            *(("bearer", " "), ("amqp://", "a"), ("amqp://", "a@"), ("http://", "a@"), ("a@", "a."), ("a@", "a-")),
            *(("email", "_x"), ("token='", "\\'"), ("token=\\'", "'"), ("+", "1"), ("+1", " 1")),
        )
    },
    "keys before one that counts": lambda length: _repeated("x_", length) + "email=1",
    "quotes of secrets that fall": lambda length: _falling("token=", "'", length),
    "quotes of names that fall": lambda length: _falling("name=", '"', length),
    "a long quote and nearly its end": lambda length: "token=" + ("\\" * (length // 3) + "'x") * 3,
    "all of it in turn": lambda length: _repeated("mail_@a.b://token='\\\"name=bearer \\' +49", length),
}


@pytest.mark.parametrize("worst", WORST)
def test_a_megabyte_of_the_worst_case_is_cleaned_in_linear_time(worst: str) -> None:
    make = WORST[worst]
    small, large = make(MEGABYTE // 8), make(MEGABYTE)
    quick, slow = _seconds(small), _seconds(large)
    for _ in range(3):  # a busy machine measures too much
        quick, slow = (quick, min(slow, _seconds(large))) if slow >= 1.0 else (quick, slow)
    assert slow < 1.0
    assert slow < 8 * 4 * max(quick, 0.02)


def _seconds(text: str) -> float:
    begun = time.thread_time()
    UNCUT.text(text)
    return time.thread_time() - begun


@pytest.mark.parametrize("where", range(-2, 14))
@pytest.mark.parametrize("limit", [100, 5000])
def test_a_cut_shows_no_part_of_a_secret(limit: int, where: int) -> None:
    known = Redactor.of(["Zq7-Zq8-Zq9x", "Y" * 3000])
    for secret, part in (("Zq7-Zq8-Zq9x", "Zq"), ("Y" * 3000, "YY"), ("zoe.zoe@zoe.example", "zoe")):
        for shrinks in ("", f"password='{'s' * 4000}' "):
            text = shrinks + "." * (limit - where - len(shrinks)) + secret + "," * 6000
            for edge in (limit, limit + 1000, limit + 3000):
                cut = shrinks + "." * (edge - where - len(shrinks)) + secret + "," * 6000
                assert part not in known.head(text, limit) + known.excerpt(cut, limit)


def test_a_text_is_cut_before_it_is_searched_and_says_how_long_it_is() -> None:
    shown = redact.text("a" * 5_000_000)
    assert len(shown) < MAX_TEXT_LENGTH + 40
    assert shown.endswith("5,000,000 characters")
    assert redact.text("a" * MAX_TEXT_LENGTH) == "a" * MAX_TEXT_LENGTH
    assert redact.for_insiders().text("a" * 100_000) == "a" * 100_000


def test_a_value_of_many_texts_is_shown_up_to_a_size() -> None:
    many = [{"x": "a" * 50_000, "y": ["b" * 1000] * 50}] * 500
    assert len(json.dumps(redact.value(many))) < 2 * MAX_TOTAL_CHARACTERS


@pytest.mark.parametrize(
    "text",
    [
        r'{"password": "ab\"cdef\\", "id": 4}',
        r"{'password': 'ab\'cdef', 'id': 4}",
        json.dumps(json.dumps({"password": 'ab"cdef', "id": 4})),
        repr(json.dumps(json.dumps({"password": 'ab"cdef\\', "id": 4}))),
        'password="abcdef and more',
        "amqp://u:abc/cdef@host//",
        "amqp://u:abc#cdef?x[@host//",
        "redis://:abcdef@one;redis://:abcdef@two/0",
    ],
)
def test_a_quote_or_a_separator_within_a_secret_does_not_end_it(text: str) -> None:
    shown = redact.text(text)
    assert "cdef" not in shown
    assert ("4" in shown) == ("4" in text)


def test_a_phone_number_in_a_text_is_not_shown_and_a_moment_is() -> None:
    assert redact.text("call +49 (170) 123-4567, now") == f"call {PERSONAL}, now"
    assert redact.text("call 0049 170 1234567") == f"call {PERSONAL}"
    for moment in ("2026-11-22T06:00:00+00:00", "order 0012345", "x+1 2 3", "in 00:00:10"):
        assert redact.text(moment) == moment


def test_a_redactor_does_not_print_what_it_hides() -> None:
    assert KNOWN not in repr(redact)
