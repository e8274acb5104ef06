"""A request is from the source whose secret has signed it; only then is anything in it believed."""

import datetime as dt
from collections.abc import Mapping, Sequence

from config.security.event_sources import EventSource
from events.signature import InvalidSignature, check_signed, verify
from gateway.problem_details import Problem


class SourceAuthenticator:
    """Who may send."""

    def __init__(self, senders: Sequence[EventSource]) -> None:
        self._senders = tuple(senders)

    def check_headers(self, headers: Mapping[str, str]) -> None:
        """Raise a Problem where no body could make the signature right: then none is read."""
        try:
            check_signed(headers)
        except InvalidSignature as error:
            raise Problem(401, str(error)) from None

    def who_signed(self, headers: Mapping[str, str], body: bytes, *, now: dt.datetime) -> EventSource:
        """Return the sender of a request by its signature, or raise a Problem."""
        try:
            verify([key for sender in self._senders for key in sender.keys], headers, body, now=now)
        except InvalidSignature as error:
            raise Problem(401, str(error)) from None
        return next(sender for sender in self._senders if _signed_by(sender, headers, body, now))


def _signed_by(sender: EventSource, headers: Mapping[str, str], body: bytes, now: dt.datetime) -> bool:
    try:
        return bool(verify(sender.keys, headers, body, now=now))
    except InvalidSignature:
        return False
