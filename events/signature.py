"""An event over HTTP proves its sender by a signature over id, moment and bytes. Source: Standard Webhooks 1.0."""

import base64
import binascii
import datetime as dt
import hashlib
import hmac
from collections.abc import Iterable, Mapping

from purser.errors import ConfigurationError, PurserError

TOLERANCE = dt.timedelta(minutes=5)
"""A message whose moment is further away than this is a recording."""

ID, MOMENT, SIGNATURES = "webhook-id", "webhook-timestamp", "webhook-signature"
PREFIX = "whsec_"
_LEAST_BYTES = 24


class InvalidSignature(PurserError):
    """A message is not from whom it says it is, or not of now. The sentence is safe to show to anybody."""


def read_secret(text: str) -> bytes:
    """Return the key behind a secret such as `whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD`.

    ConfigurationError when it is none; its value is in no message.
    """
    if not text.startswith(PREFIX):
        raise ConfigurationError(
            f"a signing secret begins with `{PREFIX}`, followed by base64 of 24 to 64 random bytes"
        )
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ConfigurationError(f"what follows `{PREFIX}` in a signing secret is base64, and this is not") from None
    if not _LEAST_BYTES <= len(key) <= 64:
        raise ConfigurationError(f"a signing secret holds 24 to 64 bytes, and this one {len(key)}")
    return key


def sign(key: bytes, *, id: str, moment: dt.datetime, body: bytes) -> dict[str, str]:  # noqa: A002
    """Return the three headers that go with a body. The id is the same whenever the same message is sent again."""
    seconds = str(int(moment.timestamp()))
    return {ID: id, MOMENT: seconds, SIGNATURES: _signature(key, id, seconds, body)}


def verify(keys: Iterable[bytes], headers: Mapping[str, str], body: bytes, *, now: dt.datetime) -> str:
    """Return the id of a signed message. `headers` are by lower-case name, `keys` the secrets that count now.

    Unsigned says what is wrong. Every comparison takes the same time, whatever is right about it.
    """
    told = check_signed(headers)
    away = abs(now.timestamp() - int(told[MOMENT]))
    given = [one.encode() for one in told[SIGNATURES].split(" ") if one.startswith("v1,")][:10]
    matches = False
    for key in keys:
        expected = _signature(key, told[ID], told[MOMENT], body).encode()
        for one in given:
            matches |= hmac.compare_digest(expected, one)
    if not matches:
        raise InvalidSignature("the signature fits none of the secrets that count now")
    if away > TOLERANCE.total_seconds():
        raise InvalidSignature(
            f"the message is of {away:.0f} s ago or ahead; {TOLERANCE.total_seconds():.0f} s are allowed"
        )
    return told[ID]


def check_signed(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the three headers of a signature. Raises Unsigned where they cannot be right, whatever the body is."""
    told = {name: headers.get(name, "") for name in (ID, MOMENT, SIGNATURES)}
    missing = [name for name, value in told.items() if not value]
    if missing:
        raise InvalidSignature(f"the request is not signed: {', '.join(missing)} is missing")
    if not told[MOMENT].isascii() or not told[MOMENT].isdecimal() or len(told[MOMENT]) > 12:
        raise InvalidSignature(f"{MOMENT} is no whole number of seconds since 1970")
    return told


def _signature(key: bytes, id: str, seconds: str, body: bytes) -> str:  # noqa: A002
    signed = hmac.new(key, f"{id}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"
