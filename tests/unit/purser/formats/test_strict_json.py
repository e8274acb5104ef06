"""JSON is read in one way or refused, and what JSON has no form for is never written."""

import json
import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purser.formats.strict_json import InvalidJson, read_json, write_json


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b'{"a":1,"b":{"c":1,"c":2}}', "it says `c` twice"),
        ('{"' + "n" * 99 + '":1,"' + "n" * 99 + '":1}', r"n\.\.\.` twice"),
        (b"[1,NaN]", "expected value"),
        (b"-Infinity", "invalid number"),
        (b"1e999", "a number is too large"),
        (b"-1e999", "a number is too large"),
        (b"1" * 5000, "number out of range"),
        (rb'"\ud800"', "hex escape"),
        ('"\ud800"', "half of a character"),
        (b'"\xff"', "invalid unicode"),
        (b"[" * 100_000, "recursion limit"),
        (b'{"a":' * 900 + b"1" + b"}" * 900, "recursion limit"),
        (b'"\x00"', "control character"),
        (b"", "EOF"),
        (b"{} {}", "trailing characters"),
        (b"\xff\xfe1\x00", "expected value"),
    ],
)
def test_a_text_that_is_not_json_is_named_by_place_and_reason(text: str | bytes, says: str) -> None:
    with pytest.raises(InvalidJson, match=says):
        read_json(text)


@given(st.binary(max_size=40) | st.text(st.characters(exclude_categories=[]), max_size=40))
def test_nothing_but_not_json_rises(text: str | bytes) -> None:
    with suppress(InvalidJson):
        read_json(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_what_is_written_is_read_and_other_readers_read_the_same(value: object) -> None:
    text = write_json(value)
    assert read_json(text) == json.loads(text, parse_constant=lambda name: pytest.fail(name))


def test_a_number_that_json_has_no_form_for_is_written_as_null() -> None:
    assert json.loads(write_json({"a": [math.nan, (math.inf, 1.5)]})) == {"a": [None, [None, 1.5]]}


@given(JSON)
def test_what_was_kept_of_a_damaged_message_is_read_again_and_nothing_more(value: object) -> None:
    assert read_json(r'{"a":"\ud800"}', halves=True) == {"a": "\ud800"}
    text = write_json(value)
    assert read_json(text, halves=True) == read_json(text)
    for wrong in ("NaN", "1e999", '{"a":1,"a":1}', "[" * 100_000, "x"):
        with pytest.raises(InvalidJson):
            read_json(wrong, halves=True)
