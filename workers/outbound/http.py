"""One signed POST to one receiver: to a number that was judged, within one deadline, without following anybody.

Sources: Standard Webhooks 1.0 for headers and answers, CloudEvents 1.0.2 (structured mode over HTTP) for the body.
"""

import asyncio
import datetime as dt
import functools
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import httpx

from config.policy.subscriptions import Subscription
from events.signature import SIGNATURES, sign
from purser.errors import Transient, UnknownOutcome
from purser.formats.retry_after import seconds_to_wait
from purser.formats.strict_json import write_json
from workers.outbound.ssrf_guard import Resolve, checked, resolve

DEADLINE = 20.0
"""Seconds for everything: looking the host up, connecting, sending, and the head of the answer."""
MAX_ANSWER_BYTES = 2048
"""So many bytes of an answer are read at most, and only where somebody wants to see them."""
_ANSWER_TAKES = 2.0
MAX_RETRY_AFTER_SECONDS = 3600.0
"""Seconds: whoever asks for more is asked again after it."""
DEFAULT_RETRY_AFTER_SECONDS = 30.0
"""Seconds for whoever asks for patience and does not say how long, or not so that it can be read."""
_MOST_NUMBERS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceiverResponse:
    """What a receiver answered. `text` is the beginning of it, where it was asked for."""

    status: int
    seconds: float
    retry_after: float | None = None
    """Seconds for which it wants to be left alone, where it says so."""
    text: str = ""

    @property
    def is_well(self) -> bool:
        return 200 <= self.status < 300


def body_of(event: Mapping[str, Any]) -> bytes:
    """Return the bytes that are signed and sent."""
    return write_json(event, compact=True, ensure_ascii=False).encode("utf-8", "backslashreplace")


def headers_for(message_id: str, body: bytes, keys: Sequence[bytes], *, now: dt.datetime) -> dict[str, str]:
    """Return the headers of a message: one signature for each key that counts, so that a secret can be replaced."""
    signed = [sign(key, id=message_id, moment=now, body=body) for key in keys]
    return {
        **signed[0],
        SIGNATURES: " ".join(one[SIGNATURES] for one in signed),
        "content-type": "application/cloudevents+json",
        "user-agent": f"purser/{version('odoo-purser')}",
        "accept-encoding": "identity",
    }


def post(
    subscription: Subscription,
    message_id: str,
    event: Mapping[str, Any],
    keys: Sequence[bytes],
    *,
    now: dt.datetime,
    resolve: Resolve = resolve,
    deadline: float = DEADLINE,
    reads: int = 0,
    trusted: ssl.SSLContext | None = None,
) -> ReceiverResponse:
    """Send an event and give the answer, whatever it is.

    Transient when it cannot have arrived, UnknownOutcome when it may have. No error names the address: it may hold a
    token.
    """
    body = body_of(event)
    headers = headers_for(message_id, body, keys, now=now)
    url = httpx.URL(subscription.to)
    port = url.port or {"http": 80, "https": 443}[url.scheme]
    authorities = trusted or _authorities()
    begun = time.monotonic()
    numbers = checked(url.host, port, allow_private=subscription.allow_private, resolve=resolve)
    left = max(0.1, deadline - (time.monotonic() - begun))
    sending = _HttpExchange(url, headers, body, reads, authorities, begun)
    try:
        return asyncio.run(sending.within(left, numbers[:_MOST_NUMBERS]))
    except TimeoutError:
        raise UnknownOutcome(f"no answer within {deadline:g} s") from None


def retry_after(text: str, *, now: dt.datetime) -> float:
    """Read a Retry-After header, seconds or an HTTP date, as seconds from `now`: an hour at most."""
    return seconds_to_wait(text, now=now, default=DEFAULT_RETRY_AFTER_SECONDS, longest=MAX_RETRY_AFTER_SECONDS)


@functools.cache
def _authorities() -> ssl.SSLContext:
    """Those the system trusts, or the file SSL_CERT_FILE names; reading them takes a while, and is done once."""
    return httpx.create_ssl_context()


@dataclass(frozen=True, slots=True)
class _HttpExchange:
    url: httpx.URL
    headers: Mapping[str, str]
    body: bytes
    reads: int
    trusted: ssl.SSLContext
    begun: float

    async def within(self, seconds: float, numbers: Sequence[str]) -> ReceiverResponse:
        """Send to the first number that lets itself be connected to; TimeoutError when the time is up."""
        async with asyncio.timeout(seconds):
            # No proxy of the environment: it would look the name up once more, and nobody would judge what it finds.
            async with httpx.AsyncClient(
                verify=self.trusted, trust_env=False, follow_redirects=False, timeout=seconds
            ) as http:
                for last, number in zip((*(False,) * (len(numbers) - 1), True), numbers, strict=True):
                    try:
                        return await self._to(http, number)
                    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                        if last:
                            raise Transient(f"it cannot be connected to: {_reason(error)}") from None
                    except (httpx.HTTPError, httpx.InvalidURL) as error:
                        raise UnknownOutcome(
                            f"the connection broke before an answer: {type(error).__name__}"
                        ) from None
        raise AssertionError("there is always a number")

    async def _to(self, http: httpx.AsyncClient, number: str) -> ReceiverResponse:
        """Send to one number under the name of its host, which the receiver and its certificate go by."""
        request = http.build_request(
            "POST",
            self.url.copy_with(host=number),
            content=self.body,
            headers={**self.headers, "host": self.url.netloc.decode("ascii")},
            extensions={"sni_hostname": self.url.host},
        )
        answer = await http.send(request, stream=True)
        try:
            return ReceiverResponse(
                status=answer.status_code,
                seconds=time.monotonic() - self.begun,
                retry_after=self._patience(answer),
                text=await self._beginning(answer),
            )
        finally:
            await answer.aclose()

    def _patience(self, answer: httpx.Response) -> float | None:
        told = answer.headers.get("retry-after")
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            return DEFAULT_RETRY_AFTER_SECONDS if told is None else retry_after(told, now=dt.datetime.now(dt.UTC))
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE and told is not None:
            return retry_after(told, now=dt.datetime.now(dt.UTC))
        return None

    async def _beginning(self, answer: httpx.Response) -> str:
        """Read as much as is wanted and comes. The answer counts by its status, however this ends."""
        found = b""
        if not self.reads:
            return ""
        try:
            async with asyncio.timeout(_ANSWER_TAKES):
                async for piece in answer.aiter_raw():
                    found += piece
                    if len(found) >= self.reads:
                        break
        except (TimeoutError, httpx.HTTPError):
            pass
        return found[: self.reads].decode("utf-8", "replace")


def _reason(error: Exception) -> str:
    """Return what a connection failed of, without its address."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            return "it does not speak TLS as it should"
        if isinstance(cause, ConnectionRefusedError):
            return "connection refused"
        cause = cause.__cause__ or cause.__context__
    return "no answer in time" if isinstance(error, httpx.ConnectTimeout) else "connection failed"
