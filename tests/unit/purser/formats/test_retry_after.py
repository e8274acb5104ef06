"""Whatever the other side writes into Retry-After, the wait is a number of seconds with an end."""

import datetime as dt
import math
import random

import pytest

from purser.formats.retry_after import seconds_to_wait

NOW = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
DEFAULT, LONGEST = 30.0, 3600.0


def read(text: str) -> float:
    return seconds_to_wait(text, now=NOW, default=DEFAULT, longest=LONGEST)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        ("86400", LONGEST),
        ("9" * 5000, LONGEST),
        ("1." + "9" * 5000, 2.0),
        ("Thu, 26 Nov 2026 00:01:30 GMT", 90.0),
        ("Thursday, 26-Nov-26 00:01:30 GMT", 90.0),
        ("Thu Nov 26 00:01:30 2026", 90.0),
        ("Thu, 26 Nov 2026 00:01:30 -0000", 90.0),
        ("Thu, 26 Nov 2026 01:01:30 +0100", 90.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST),
        # beyond the calendar, once in UTC
        ("Fri, 31 Dec 9999 23:59:59 -1200", DEFAULT),
        ("Wed, 21 Oct 99999 07:28:00 GMT", DEFAULT),
        ("Wed, 21 Oct 2026 24:61:61 GMT", DEFAULT),
        ("Wed, 21 Oct 2026 07:28:00 +99999999999", DEFAULT),
        *(
            (text, DEFAULT)
            for text in ("", " ", ",", "soon", "-5", "+5", "1e400", "inf", "nan", "²", "１２", "1_000")
        ),
    ],
)
def test_a_retry_after_is_read_in_seconds_or_as_a_date(text: str, seconds: float) -> None:
    assert read(text) == seconds


def test_no_text_raises_and_every_wait_has_an_end() -> None:
    rng = random.Random(1)
    seeds = [
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 -1200",
        "1 Jan 1 00:00:00 +1400",
        "a,b,c",
        "1.5",
    ]
    for _ in range(20_000):
        text = list(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            text.insert(rng.randint(0, len(text)), rng.choice('0123456789 ,:.+-GMTaZ()"\\;'))
            del text[rng.randrange(len(text))]
        found = read("".join(text))
        assert math.isfinite(found), text
        assert 0 <= found <= LONGEST, text
