"""What an editor sees holds no secret, and what comes back holds every one that was not replaced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.observability.redaction import SECRET, Redactor
from console.pages.presentation.masking import mask, unmask

CLEAN = Redactor.of(["hunter2"]).for_insiders()
KEYS = st.sampled_from(["name", "api_key", "password", "data", "id", "token", "list"])
TEXTS = st.sampled_from(["", "hunter2", "says hunter2", "a@b.example", "plain", "password=hunter2"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_what_was_masked_and_not_touched_comes_back_as_it_was(value: object) -> None:
    shown = mask(value, CLEAN)
    assert "hunter2" not in repr(shown)
    assert unmask(shown, value, CLEAN) == value


def test_a_value_beside_a_secret_is_edited() -> None:
    was = {"event": {"api_key": "abc", "id": 1}}
    assert unmask({"event": {"api_key": SECRET, "id": 2}}, was, CLEAN) == {"event": {"api_key": "abc", "id": 2}}


def test_a_secret_is_replaced_by_a_new_one() -> None:
    assert unmask({"api_key": "new"}, {"api_key": "abc"}, CLEAN) == {"api_key": "new"}


@pytest.mark.parametrize(
    "edited", [{"other": SECRET}, {"api_key": f"x{SECRET}"}, [SECRET], {"a": {"token": SECRET}}, SECRET]
)
def test_a_mask_is_never_kept_as_a_value(edited: object) -> None:
    with pytest.raises(ValueError, match="write its whole value"):
        unmask(edited, {"api_key": "abc"}, CLEAN)


def test_people_are_not_masked_for_whoever_edits_them() -> None:
    assert mask({"name": "Anna", "email": "a@b.example"}, CLEAN) == {"name": "Anna", "email": "a@b.example"}
