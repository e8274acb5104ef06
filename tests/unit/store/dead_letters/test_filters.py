"""A filter is one value whoever asks: what a person types, a link and a replay say alike."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purser.errors import ConfigurationError
from store import DEAD_LETTERS, DeadLetterFilter, DeadLetterState

NOW = dt.datetime(2026, 11, 16, 8, 0, tzinfo=dt.UTC)
words = st.text(max_size=12).map(str.strip)
moments = st.datetimes(timezones=st.just(dt.UTC))


@given(
    state=st.sampled_from(DeadLetterState),
    queue=words,
    error=words,
    subject=st.sampled_from(["", "crm.lead/42"]),
    since=st.none() | moments,
    text=st.text(min_size=3, max_size=9) | st.just(""),
)
def test_what_a_filter_says_in_words_is_read_as_the_same_filter(
    state: DeadLetterState, queue: str, error: str, subject: str, since: dt.datetime | None, text: str
) -> None:
    wanted = DeadLetterFilter(state=state, queue=queue, error=error, subject=subject, since=since, text=text)

    assert DeadLetterFilter.read(wanted.words()) == wanted


def test_a_filter_that_asks_for_nothing_says_nothing() -> None:
    assert DEAD_LETTERS.words() == {}
    assert DeadLetterFilter.read({"queue": "", "since": " ", "text": ""}) == DEAD_LETTERS


@pytest.mark.parametrize(
    ("word", "moment"),
    [
        ("24h", NOW - dt.timedelta(hours=24)),
        ("30m", NOW - dt.timedelta(minutes=30)),
        ("7d", NOW - dt.timedelta(days=7)),
        ("2026-01-31T18:00Z", dt.datetime(2026, 1, 31, 18, tzinfo=dt.UTC)),
        ("2026-01-31", dt.datetime(2026, 1, 31, tzinfo=dt.UTC)),
    ],
)
def test_a_moment_is_a_span_ago_or_a_moment(word: str, moment: dt.datetime) -> None:
    assert DeadLetterFilter.read({"since": word}, now=NOW).since == moment


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"since": "lately"}, "since: 'lately' is no moment: write 30m, 24h"),
        ({"tsak": "purser.apply"}, "not chosen by `tsak`. Did you mean `task`?"),
        ({"state": "ded"}, "state: 'ded' is unknown. Did you mean `dead`?"),
        ({"subject": "lead 42"}, "write its model and id, such as crm.lead/42"),
        ({"text": "ab"}, "text: 'ab' is too short"),
        ({"since": "1h", "until": "2h"}, "nothing lies between"),
    ],
)
def test_a_mistake_says_what_is_wrong_and_what_to_write(given: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        DeadLetterFilter.read(given, now=NOW)

    assert says in str(wrong.value)
