"""What every answer of Flower says to a browser: load nothing from elsewhere, stand in no frame, keep nothing."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable
from typing import ClassVar

from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.web import OutputTransform

from console.pages.base_handler import POLICY

_AUTO_REFRESH = [f"\n{blank}var autorefresh = {value};\n" for blank in ("", " ", "  ") for value in (0, 1)]
"""The one script that stands within a page of Flower's own, in the forms in which it may be written."""
_HASHES = " ".join(
    f"'sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in _AUTO_REFRESH
)
FLOWERS_POLICY = POLICY.replace("script-src 'self'", f"script-src 'self' {_HASHES}").replace(
    "style-src 'self'",
    "style-src 'self' 'unsafe-inline'",  # its tables set widths
)
_STATIC = re.compile(r"/(?:purser/)?static/")
_LINKS = re.compile(rb'((?:href|src|action|data-replay)=["\'])/(?!/)')


class SafeHeaders(OutputTransform):
    """Completes the headers of an answer: of pages, errors, static files and the API alike."""

    prefix: ClassVar[str] = ""

    def __init__(self, request: HTTPServerRequest) -> None:
        self._request = request

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """Add what is missing, and put the prefix before addresses of ours."""
        cached = (
            "private, max-age=3600" if _STATIC.match(self._request.path or "") and status_code == 200 else "no-store"
        )
        for name, value in (
            ("Content-Security-Policy", FLOWERS_POLICY),
            ("Referrer-Policy", "same-origin"),
            ("X-Frame-Options", "DENY"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", cached),
        ):
            if name not in headers:
                headers[name] = value
        headers["Server"] = "purser"
        return status_code, headers, self._prefixed(headers, chunk, finishing)

    def _prefixed(self, headers: HTTPHeaders, chunk: bytes, finishing: bool) -> bytes:
        if not self.prefix:
            return chunk
        place = headers.get("Location", "")
        if place.startswith("/"):
            headers["Location"] = f"{self.prefix}{place}"
        if not headers.get("Content-Type", "").startswith("text/html") or not finishing:
            return chunk
        chunk = _LINKS.sub(rb"\g<1>" + self.prefix.encode() + b"/", chunk)
        if "Content-Length" in headers:
            headers["Content-Length"] = str(len(chunk))
        return chunk


def with_prefix(prefix: str) -> Callable[[HTTPServerRequest], OutputTransform]:
    """Return the transform for pages under a path, such as `/ops/flower`; '' where they stand at the root."""
    return type("PrefixedHeaders", (SafeHeaders,), {"prefix": prefix})
