"""What reads a text from outside costs time in proportion to its length, whatever the text holds."""

import time
from collections.abc import Callable

import pytest

from events.cloudevent import read_event
from odoo_client.transport.error_mapping import first_line
from purser.errors import PurserError
from purser.naming import did_you_mean
from store.dead_letters.fingerprint import fingerprint
from tasks.discovery import load_registry

MEGABYTE = 1_000_000


def _read_event(text: str) -> None:
    with pytest.raises(PurserError):
        read_event({"specversion": "1.0", "id": text, "source": text, "type": text, "datacontenttype": text})


READERS: dict[str, Callable[[str], object]] = {
    "fingerprint": lambda text: fingerprint(error=text[:100], message=text, task=text[:100]),
    "nearest name": lambda text: did_you_mean(text, load_registry().controls),
    "first line of a fault": first_line,
    "event": _read_event,
}


@pytest.mark.parametrize("piece", ["a", "1", " 'a", "'", "1_", "0x", "<", "a-", "a.", " \"'`", "\\n"])
@pytest.mark.parametrize("reader", READERS)
def test_a_megabyte_of_foreign_text_is_read_within_a_second(reader: str, piece: str) -> None:
    begun = time.thread_time()
    READERS[reader]((piece * MEGABYTE)[:MEGABYTE])
    assert time.thread_time() - begun < 1.0
