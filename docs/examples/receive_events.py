"""Receive events: verify, remember the id, answer, and only then do the work."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["WEBHOOK_SECRET"])  # whsec_...
seen: set[str] = set()  # in real life a table with a unique column


class Hook(BaseHTTPRequestHandler):
    """Takes what is posted to it."""

    def do_POST(self) -> None:
        """Answer 204 for an event, new or known, and 401 for anything else."""
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            event = webhook.verify(body, dict(self.headers))
        except WebhookVerificationError:
            self.send_error(401)
            return
        is_new = self.headers["webhook-id"] not in seen
        seen.add(self.headers["webhook-id"])
        self.send_response(204)
        self.end_headers()
        if is_new:
            work(event)


def work(event: dict[str, Any]) -> None:
    """Do what follows from an event."""
    print(event["type"], event["data"], flush=True)  # noqa: T201 - all this example does


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8090"))), Hook).serve_forever()
