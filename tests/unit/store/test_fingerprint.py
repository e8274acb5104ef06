"""Failures that differ only in their values share a fingerprint; different faults do not."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import fingerprint, normalised

plain = st.text(string.ascii_letters + " .,:;/_()[]'\"-é", max_size=12)
numbers = st.integers(0, 10**12)


@given(parts=st.lists(plain, min_size=1, max_size=5), one=st.data())
def test_changing_numbers_never_change_a_fingerprint(parts: list[str], one: st.DataObject) -> None:
    def told() -> str:
        return "".join(part + str(one.draw(numbers)) for part in parts)

    assert fingerprint(error="E", message=told(), task="t") == fingerprint(error="E", message=told(), task="t")


@given(first=st.uuids(), second=st.uuids())
def test_changing_uuids_never_change_a_fingerprint(first: object, second: object) -> None:
    assert normalised(f"event {first} is gone") == normalised(f"event {second} is gone") == "event # is gone"


@given(name=st.text(string.ascii_letters + string.digits + "' -", max_size=20))
def test_quoted_text_does_not_count(name: str) -> None:
    assert normalised(f'no client "{name}" here') == "no client '…' here"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("sale.order(7,) took 1.5e-07 s", "sale.order(#,) took # s"),
        ("at 0x7f3a and 3fa9c1", "at # and #"),
        ("the employee's week is closed", "the employee's week is closed"),
        ("on 2026-11-09 at 08:15:00.123", "on ### at #"),
        ("two  spaces\nand a line", "two spaces and a line"),
        ("bad face decade", "bad face decade"),
    ],
)
def test_values_go_and_words_stay(message: str, expected: str) -> None:
    assert normalised(message) == expected


def test_another_error_task_or_message_is_another_fingerprint() -> None:
    base = {"error": "Permanent", "message": "no such field", "task": "apply"}
    others = [base | {"error": "Transient"}, base | {"message": "no such model"}, base | {"task": "scan"}]

    assert len({fingerprint(**told) for told in [base, *others]}) == 4


def test_a_long_message_is_cut_after_its_values_are_gone() -> None:
    assert len(normalised("word " * 5000)) == 300
